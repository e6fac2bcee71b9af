"""Builds, pushes and loads images by the programs on this machine, whose output goes to standard error."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from agentic_cli.interaction.project_folder import ProjectFolder
from agentic_cli.model.containerfile import PIP_MOUNT
from agentic_cli.model.image_builders import (
    IGNORE_FILE,
    BuilderName,
    build_command,
    explain_no_builder,
    list_probes,
    load_command,
    push_command,
    save_command,
    tag_command,
)
from agentic_core.errors import PermanentError

_PROBE_SECONDS: Final = 15.0
_SOCKET: Final = Path("containerd") / "containerd.sock"


def find_builder(wanted: str | None) -> BuilderName:
    """Return the first builder that answers; raise ``PermanentError`` if none does."""
    present = []
    for name, command in list_probes(wanted):
        if shutil.which(command[0]) is None:
            continue
        present.append(name)
        if _answers(command):
            return name
    raise PermanentError(explain_no_builder(wanted, present))


def build_image(
    project: ProjectFolder, containerfile: str, image: str, builder: BuilderName, options: Sequence[str] = ()
) -> str:
    """Build an image under a name and return its digest, without the algorithm."""
    secrets = []
    if file := project.settings.pip_config_file:
        secrets.append(f"id={PIP_MOUNT},src={project.root / file}")
    with tempfile.TemporaryDirectory(prefix="agentic-build-") as name:
        folder = Path(name)
        written, id_file = folder / "Containerfile", folder / "id"
        written.write_text(containerfile, encoding="utf-8")
        for ignore in (folder / IGNORE_FILE, folder / "Containerfile.dockerignore"):
            ignore.write_text(project.read_ignore(), encoding="utf-8")
        command = build_command(
            builder,
            image,
            containerfile=written,
            ignore_file=folder / IGNORE_FILE,
            context=project.context,
            id_file=id_file,
            secrets=secrets,
            options=options,
        )
        _run(command, {"DOCKER_BUILDKIT": "1"})
        return id_file.read_text(encoding="utf-8").strip().rpartition(":")[2]


def tag_image(builder: BuilderName, digest: str, name: str) -> None:
    """Give an image another name."""
    _run(tag_command(builder, digest, name))


def push_image(builder: BuilderName, image: str) -> None:
    """Push an image to its registry."""
    _run(push_command(builder, image))


def find_socket(kubeconfigs: Sequence[Path]) -> Path | None:
    """Return containerd's socket of the local cluster, which lies beside its kubeconfig."""
    sockets = (file.absolute().parent / _SOCKET for file in kubeconfigs if file.is_file())
    return next((socket for socket in sockets if socket.is_socket()), None)


def can_load(context: str, socket: Path | None) -> bool:
    """Return whether images can be given to the cluster of a context without a registry."""
    return load_command(context, Path(), socket) is not None


def load_image(builder: BuilderName, image: str, context: str, socket: Path | None) -> None:
    """Give an image to the cluster of a context, for which ``can_load`` holds."""
    with tempfile.TemporaryDirectory(prefix="agentic-load-") as name:
        archive = Path(name) / "image.tar"
        command = load_command(context, archive, socket)
        assert command is not None  # noqa: S101  (the caller asked)
        if shutil.which(command[0]) is None:
            raise PermanentError(f"{command[0]!r} is not on the PATH: it loads images into the cluster {context!r}")
        _run(save_command(builder, image, archive))
        _run(command)


def _answers(command: Sequence[str]) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=_PROBE_SECONDS, check=False)
    except (subprocess.TimeoutExpired, OSError):
        return False
    return done.returncode == 0


def _run(command: Sequence[str], variables: Mapping[str, str] | None = None) -> None:
    """Run a program and show what it prints; raise ``PermanentError`` with its status if it fails."""
    sys.stderr.flush()
    done = subprocess.run(command, env={**os.environ, **(variables or {})}, stdout=sys.stderr, check=False)
    if done.returncode != 0:
        raise PermanentError(
            f"`{shlex.join(command[:2])} …` ended with status {done.returncode}: what it printed above says why"
        )
