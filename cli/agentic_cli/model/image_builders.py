"""The commands of Docker, podman and buildah, and of what loads an image into a cluster on this machine.

Pure: from names to lists of arguments. An image has its full name, registry included, because the three complete short
ones differently.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final, Literal

from agentic_core.errors import PermanentError

BuilderName = Literal["docker", "podman", "buildah"]
BUILDERS: Final[tuple[BuilderName, ...]] = ("docker", "podman", "buildah")
DEFAULT_REGISTRY: Final = "docker.io"
# The file that says what is not sent to a build; Docker looks for it beside the Containerfile.
IGNORE_FILE: Final = ".containerignore"


@dataclass(frozen=True)
class ImageName:
    """An image's name without its tag, and its tag or digest ("" if none is given)."""

    repository: str
    tag: str

    @property
    def registry(self) -> str:
        return self.repository.partition("/")[0]

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}" if self.tag else self.repository


def parse_image(text: str) -> ImageName:
    """Return an image's full name; raise ``PermanentError`` for what no image to be built can be called."""
    if not text or "@" in text or text != text.strip() or any(part in text for part in (" ", "//", "://")):
        raise PermanentError(f"{text!r} is no name of an image: write registry/team/name:tag")
    path, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        path, tag = text, ""
    first, slash, _ = path.partition("/")
    is_registry = slash and ("." in first or ":" in first or first == "localhost")
    if not is_registry:
        path = f"{DEFAULT_REGISTRY}/{path if slash else f'library/{path}'}"
    if path != path.lower():
        raise PermanentError(f"{text!r} is no name of an image: its part before the tag has capital letters")
    return ImageName(path, tag)


def list_probes(wanted: str | None) -> list[tuple[BuilderName, list[str]]]:
    """Return what is asked of each builder to see whether it works, in the order of preference."""
    ask = {"docker": ["docker", "info"], "podman": ["podman", "info"], "buildah": ["buildah", "--version"]}
    return [(name, ask[name]) for name in BUILDERS if wanted in (None, name)]


def build_command(
    builder: BuilderName,
    image: str,
    *,
    containerfile: PurePath,
    ignore_file: PurePath,
    context: PurePath,
    id_file: PurePath,
    secrets: Sequence[str] = (),
    options: Sequence[str] = (),
) -> list[str]:
    """Return the command that builds an image and writes its digest to ``id_file``."""
    start = {"docker": ["docker", "build"], "podman": ["podman", "build"], "buildah": ["buildah", "bud"]}[builder]
    # Docker takes the ignore file that lies beside the Containerfile under its name.
    own = [] if builder == "docker" else ["--layers", "--ignorefile", str(ignore_file)]
    given = [part for secret in secrets for part in ("--secret", secret)]
    files = ["--file", str(containerfile), "--iidfile", str(id_file), "--tag", image]
    return [*start, *own, *files, *given, *options, str(context)]


def tag_command(builder: BuilderName, digest: str, name: str) -> list[str]:
    """Return the command that gives an image another name."""
    return [builder, "tag", digest, name]


def push_command(builder: BuilderName, image: str) -> list[str]:
    """Return the command that pushes an image to its registry."""
    return [builder, "push", image]


def save_command(builder: BuilderName, image: str, archive: PurePath) -> list[str]:
    """Return the command that writes an image to an archive in the format of ``docker save``."""
    if builder == "buildah":
        return ["buildah", "push", "--quiet", image, f"docker-archive:{archive}:{image}"]
    formatted = ["--format", "docker-archive"] if builder == "podman" else []
    return [builder, "save", *formatted, "--output", str(archive), image]


def load_command(context: str, archive: PurePath, socket: PurePath | None) -> list[str] | None:
    """Return the command that loads an archive into the cluster of a context; None if images have to be pushed.

    ``socket`` is that of containerd beside the kubeconfig, which the local cluster of `make cluster-up` has.
    """
    if socket is not None:
        return ["ctr", "--address", str(socket), "--namespace", "k8s.io", "images", "import", str(archive)]
    if context.startswith("kind-"):
        return ["kind", "load", "image-archive", str(archive), "--name", context.removeprefix("kind-")]
    if context.startswith("k3d-"):
        return ["k3d", "image", "import", str(archive), "--cluster", context.removeprefix("k3d-")]
    if context == "minikube":
        return ["minikube", "image", "load", str(archive)]
    return None


def explain_no_load(context: str, image: str) -> str:
    """Return what to do if an image cannot be loaded into a cluster."""
    return (
        f"images cannot be loaded into the cluster of context {context!r}: push {image!r} to a registry that it pulls"
        " from, with --push and -t registry/team/name"
    )


def explain_no_builder(wanted: str | None, present: Collection[str]) -> str:
    """Return what to do if no builder answers."""
    names = wanted or ", ".join(BUILDERS)
    silent = f"; {', '.join(sorted(present))} is installed and does not answer: start it" if present else ""
    return f"no image can be built here: none of {names} answers; install one{silent}"
