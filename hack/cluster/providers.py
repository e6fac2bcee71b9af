"""Chooses where the cluster comes from and remembers it: one that the person names, kind, or our own node."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hack.cluster import binaries
from hack.cluster.errors import ClusterError, MissingTool
from hack.cluster.kubeconfig import NAME, write_private
from hack.cluster.onenode import OneNode, PartStatus
from hack.cluster.progress import Progress

KIND_CLUSTER = NAME


class Provider(Protocol):
    """What the commands need of a cluster."""

    kubeconfig: Path

    def up(self) -> None: ...
    def down(self) -> None: ...
    def status(self) -> list[PartStatus]: ...
    def load(self, archives: Iterable[Path]) -> None: ...
    def known_blobs(self) -> frozenset[str]: ...


@dataclass(frozen=True, slots=True)
class Named:
    """The person's choice of an existing cluster."""

    kubeconfig: Path
    context: str


def read_named(environment: Mapping[str, str], kubeconfig: str | None, context: str | None) -> Named | None:
    """Read the cluster named on the command line or in AGENTIC_KUBECONFIG and AGENTIC_CONTEXT."""
    path = kubeconfig or environment.get("AGENTIC_KUBECONFIG")
    if not path:
        return None
    return Named(Path(path).expanduser().absolute(), context or environment.get("AGENTIC_CONTEXT", ""))


def choose(
    state: Path, named: Named | None, progress: Progress, environment: Mapping[str, str] = os.environ
) -> Provider:
    """Return which cluster the commands are about: the named one, the one that `up` made, or the best to make.

    Raises :class:`ClusterError` for a named one that is not there, and for one beside a cluster that `up` made: they
    would share one folder, and the one that was made would be lost to `down`.
    """
    recorded = _recorded(state)
    if named is not None:
        _check_named(state, named, recorded)
        return NamedCluster(state, named, progress)
    match recorded:
        case {"provider": "named", "kubeconfig": path, "context": context}:
            return NamedCluster(state, Named(Path(path), context), progress)
        case {"provider": "kind"}:
            return KindCluster(state, progress)
        case {"provider": "one-node"} if (state / "run").exists():
            return OneNode(state, progress)
    if is_kind_usable(environment):
        return KindCluster(state, progress)
    return OneNode(state, progress)


def _check_named(state: Path, named: Named, recorded: Mapping[str, str]) -> None:
    made = recorded.get("provider")
    if made == "kind" or (made == "one-node" and (state / "run").exists()):
        raise ClusterError(
            f"{str(named.kubeconfig)!r} is named, and {str(state)!r} has a cluster that was made here: end that one"
            " with `make cluster-down` while AGENTIC_KUBECONFIG is not set, or name another folder in"
            " AGENTIC_CLUSTER_DIR"
        )
    if recorded.get("kubeconfig") != str(named.kubeconfig) and not named.kubeconfig.is_file():
        raise ClusterError(
            f"there is no file {str(named.kubeconfig)!r}: name a kubeconfig in AGENTIC_KUBECONFIG or --kubeconfig, or"
            " neither for a cluster on this machine"
        )


def remember(state: Path, provider: Provider) -> None:
    """Record the choice before anything is made, so that every later command finds the same cluster."""
    match provider:
        case NamedCluster(named=named):
            record = {"provider": "named", "kubeconfig": str(named.kubeconfig), "context": named.context}
        case KindCluster():
            record = {"provider": "kind"}
        case _:
            record = {"provider": "one-node"}
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(state / "provider.json", json.dumps(record))


def is_kind_usable(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether kind is here and Docker's engine answers; a docker command alone is no engine."""
    path = environment.get("PATH")
    if not shutil.which("kind", path=path) or not shutil.which("docker", path=path):
        return False
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=10, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


class NamedCluster:
    """A cluster that is there already; it is used and never changed by `down`."""

    def __init__(self, state: Path, named: Named, progress: Progress) -> None:
        self.named = named
        self.kubeconfig = state / "kubeconfig"
        self._state = state
        self._progress = progress

    def check(self) -> None:
        """Raise where the cluster does not answer; nothing is written."""
        self._kubectl(self.named.kubeconfig, *self._context(), "get", "--raw", "/readyz", "--request-timeout=10s")

    def up(self) -> None:
        """Keep a configuration that has the cluster as the current one."""
        view = ["config", "view", "--raw", "--minify", "--flatten", *self._context()]
        write_private(self.kubeconfig, self._kubectl(self.named.kubeconfig, *view))
        self._progress.say(f"using the cluster of {str(self.named.kubeconfig)!r}")

    def down(self) -> None:
        shutil.rmtree(self._state, ignore_errors=True)
        self._progress.say("the cluster was not made here and goes on; it is only forgotten")

    def status(self) -> list[PartStatus]:
        try:
            self._kubectl(self.kubeconfig, "get", "--raw", "/readyz", "--request-timeout=10s")
        except ClusterError:
            return [PartStatus("cluster", None, False, self.kubeconfig)]
        return [PartStatus("cluster", None, True, self.kubeconfig)]

    def load(self, archives: Iterable[Path]) -> None:
        """Give images to the node where the kind of cluster has a command for it."""
        context = self._kubectl(self.kubeconfig, "config", "current-context").strip()
        for archive in archives:
            _call(build_load_command(context, archive))

    def known_blobs(self) -> frozenset[str]:
        return frozenset()

    def _context(self) -> list[str]:
        return [f"--context={self.named.context}"] if self.named.context else []

    def _kubectl(self, kubeconfig: Path, *arguments: str) -> str:
        program = binaries.kubectl(progress=self._progress)
        return _call([str(program), f"--kubeconfig={kubeconfig}", *arguments])


def build_load_command(context: str, archive: Path) -> list[str]:
    """Write the command that loads an image into a cluster, told by the name of its context."""
    if context.startswith("kind-"):
        return ["kind", "load", "image-archive", str(archive), "--name", context.removeprefix("kind-")]
    if context.startswith("k3d-"):
        return ["k3d", "image", "import", str(archive), "--cluster", context.removeprefix("k3d-")]
    if context == "minikube":
        return ["minikube", "image", "load", str(archive)]
    raise ClusterError(
        f"images cannot be loaded into the cluster {context!r}: push them to a registry it pulls from, "
        "and name them there in a kustomization (`kustomize edit set image`)"
    )


class KindCluster:
    """A cluster in a Docker container."""

    def __init__(self, state: Path, progress: Progress) -> None:
        self.kubeconfig = state / "kubeconfig"
        self._state = state
        self._progress = progress

    def up(self) -> None:
        """Make the cluster, unless it is there."""
        flags = ["--name", KIND_CLUSTER, "--kubeconfig", str(self.kubeconfig)]
        if KIND_CLUSTER in _call(["kind", "get", "clusters"]).split():
            _call(["kind", "export", "kubeconfig", *flags])
            self._progress.say("the cluster in kind is up")
            return
        self._progress.say("making a cluster in kind; the first time this downloads its image")
        _call(["kind", "create", "cluster", "--wait", "120s", *flags])
        self._progress.say("the cluster in kind is up")

    def down(self) -> None:
        _call(["kind", "delete", "cluster", "--name", KIND_CLUSTER, "--kubeconfig", str(self.kubeconfig)])
        shutil.rmtree(self._state, ignore_errors=True)
        self._progress.say("the cluster in kind is deleted")

    def status(self) -> list[PartStatus]:
        found = KIND_CLUSTER in _call(["kind", "get", "clusters"]).split()
        return [PartStatus("kind", None, found, self.kubeconfig)]

    def load(self, archives: Iterable[Path]) -> None:
        for archive in archives:
            _call(["kind", "load", "image-archive", str(archive), "--name", KIND_CLUSTER])

    def known_blobs(self) -> frozenset[str]:
        return frozenset()


def _recorded(state: Path) -> dict[str, str]:
    try:
        record: dict[str, str] = json.loads((state / "provider.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return record


def _call(argv: list[str]) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise MissingTool(f"{argv[0]} is missing: install it") from error
    if done.returncode != 0:
        raise ClusterError(f"`{' '.join(argv)}` failed: {done.stderr.strip()}")
    return done.stdout
