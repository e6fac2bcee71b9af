"""Builds the images with whatever builder the machine has, and gives them to the local cluster.

`python3 -m hack.images build [NAME...]` builds what changed and loads it; `list` names the images. An image
whose inputs are the same as at its last build is not built again: the inputs are its Containerfile, the
files that are copied, its base and the builder.
"""

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hack.cluster.errors import ClusterError
from hack.cluster.folders import cache_folder, cluster_folder
from hack.cluster.kubeconfig import write_private
from hack.cluster.locks import locked
from hack.cluster.progress import Progress
from hack.cluster.providers import Provider, choose, read_named
from hack.images import base as imagebase
from hack.images.base import ensure_bases
from hack.images.builders import Builder, find_builder
from hack.images.store import ImageStore, StoredImage

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = "docker.io/agentic-operator"
TAG = "dev"
RUNNER = "runner"
LANGGRAPH_BASE = "langgraph-base"
_EXAMPLE = "example-"
# What the web console is built from, in the image of the gateway as in a checkout; no more of it is copied.
CONSOLE_SOURCES = (
    "index.html",
    "package.json",
    "package-lock.json",
    ".npmrc",
    "tsconfig.base.json",
    "tsconfig.app.json",
    "vite.config.ts",
    "public",
    "src",
)
# What is also built on another Python than that of the machine, for the tests of it.
OTHER_PYTHON = f"py{imagebase.OTHER_PYTHON}"
ON_OTHER_PYTHON = (RUNNER, LANGGRAPH_BASE, "e2e-projects")


@dataclass(frozen=True, slots=True)
class Image:
    """One image: what it is built from, and the base or image it stands on."""

    name: str
    containerfile: Path
    context: Path
    inputs: tuple[Path, ...]
    base: str
    is_variant: bool = False
    """Whether it is only built by its name."""

    @property
    def reference(self) -> str:
        return reference(self.name)


@dataclass(frozen=True, slots=True)
class Built:
    """A build: the name of the content it was made from, and what came out."""

    content: str
    stored: StoredImage


def reference(name: str) -> str:
    """Write an image's full name, the same for every builder and for containerd."""
    return f"{REPOSITORY}/{name}:{TAG}"


def find_images(root: Path = ROOT) -> dict[str, Image]:
    """Find the images of this repository; each example with a Containerfile is one, on top of the runner's."""
    python = (root / "core" / "agentic_core", root / "store" / "agentic_store", root / "migrations")
    operator = (
        *python,
        root / "operator" / "agentic_operator",
        root / "cli" / "agentic_cli",
        root / "vault" / "agentic_vault",
        root / "images" / "agentic",
    )
    found = [
        _own(root, "operator", "base-python", (*operator, root / "requirements" / "operator.txt")),
        _own(
            root,
            "gateway",
            "base-python",
            (
                *python,
                root / "gateway" / "agentic_gateway",
                root / "requirements" / "gateway.txt",
                root / "requirements" / "node.txt",
                *(root / "console" / name for name in CONSOLE_SOURCES),
            ),
        ),
        _own(
            root,
            RUNNER,
            "base-python",
            (*python, root / "runner" / "agentic_runner", root / "requirements" / "runner.txt"),
        ),
        _own(
            root,
            LANGGRAPH_BASE,
            RUNNER,
            (root / "images" / LANGGRAPH_BASE, root / "requirements" / "langgraph-base.txt"),
        ),
        _own(root, "postgres", "base-postgres", (root / "images" / "postgres",)),
    ]
    found += [
        Image(f"{_EXAMPLE}{file.parent.name}", file, file.parent, (file.parent,), RUNNER)
        for file in sorted((root / "examples").glob("*/Containerfile"))
    ]
    # For the end-to-end tests: graphs that misbehave on purpose, and a runner that is not ours.
    for name, folder, base in (("e2e", "image", RUNNER), ("e2e-foreign", "foreign", "base-python")):
        tests = root / "tests" / "e2e" / folder
        found.append(Image(name, tests / "Containerfile", tests, (tests,), base))
    projects = root / "tests" / "projects"
    found.append(Image("e2e-projects", projects / "Containerfile", projects, (projects,), RUNNER))
    images = {image.name: image for image in found}
    for name in ON_OTHER_PYTHON:
        base = (
            f"{images[name].base}-{OTHER_PYTHON}"
            if images[name].base in images
            else f"base-python{imagebase.OTHER_PYTHON}"
        )
        variant = replace(images[name], name=f"{name}-{OTHER_PYTHON}", base=base, is_variant=True)
        images[variant.name] = variant
    return images


def select(images: dict[str, Image], names: Sequence[str]) -> list[Image]:
    """Pick images by name, in the order in which they can be built; none means all.

    Raises ClusterError for a name that nobody has.
    """
    for name in names:
        if name not in images:
            raise ClusterError(f"there is no image {name!r}: known are {', '.join(images)}")
    wanted = set(names or (name for name, image in images.items() if not image.is_variant))
    while below := {images[name].base for name in wanted if images[name].base in images} - wanted:
        wanted |= below
    return [image for image in images.values() if image.name in wanted]


def compute_hash(image: Image, base: str, builder: str) -> str:
    """Name the content an image is built from; equal names mean that nothing has to be done."""
    digest = hashlib.sha256(f"{base}\0{builder}\0".encode())
    for path in sorted(_files(image)):
        executable = path.stat().st_mode & 0o100
        digest.update(f"{path.relative_to(image.context)}\0{executable}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:20]


def build(names: Sequence[str], progress: Progress) -> list[Image]:
    """Build what changed; returns the images that were asked for and what they stand on."""
    images = find_images()
    selected = select(images, names)
    builder = find_builder(progress)
    wanted_bases = {image.base for image in selected if image.base not in images}
    bases = ensure_bases(builder, sorted(wanted_bases), progress)
    hashes: dict[str, str] = {}
    for image in selected:
        base = bases.get(image.base) or hashes[image.base]
        hashes[image.name] = compute_hash(image, base, builder.name)
        built = _built().get(image.name)
        if built and built.content == hashes[image.name] and _store().has(built.stored):
            continue
        arguments = {"BASE": images[image.base].reference if image.base in images else bases[image.base]}
        _build_one(image, builder, arguments, hashes[image.name], progress)
    return selected


def build_foreign(
    name: str, containerfile: Path, context: Path, contexts: Mapping[str, Path], progress: Progress
) -> str:
    """Build and load an image that is not of this repository, on top of one that is; returns its full name.

    Whether it has changed only the builder knows.
    """
    with locked(cache_folder() / "images.lock"):
        image = Image(name, containerfile, context, (), "")
        _build_one(image, find_builder(progress), {}, "", progress, contexts)
        load([name], progress)
    return image.reference


def tag(name: str, version: str, progress: Progress) -> str:
    """Give a built image a second tag for the builder, and return its full name without one."""
    find_built(name)
    find_builder(progress).tag(reference(name), f"{REPOSITORY}/{name}:{version}")
    return f"{REPOSITORY}/{name}"


def find_built(name: str) -> Built:
    """Find the last build of an image; raises ClusterError when there is none."""
    built = _built().get(name)
    if built is None:
        raise ClusterError(f"the image {name!r} was not built: run `python3 -m hack.images build {name}`")
    return built


def find_layers(built: Built) -> tuple[Path, list[Path]]:
    """Return where the pieces of an image are kept: its configuration, and its layers as archives."""
    config, *layers = _store().find(built.stored)
    return config, layers


def load(names: Iterable[str], progress: Progress) -> None:
    """Give built images to the cluster, where there is one and it has not got them."""
    state = cluster_folder()
    if not (state / "kubeconfig").exists():
        return
    provider = choose(state, read_named(os.environ, None, None), progress)
    record = state / "images.json"
    loaded: dict[str, str] = json.loads(record.read_text()) if record.exists() else {}
    for name in names:
        built = find_built(name)
        if loaded.get(name) == built.content:
            continue
        progress.status(f"loading {reference(name)}")
        _load_one(provider, built.stored, reference(name))
        loaded[name] = built.content
        record.write_text(json.dumps(loaded))
        progress.say(f"loaded {reference(name)}")


def _load_one(provider: Provider, image: StoredImage, name: str) -> None:
    """Load an image without what the cluster has; whole, when what it had is gone meanwhile."""
    archive = _folder() / f".load-{os.getpid()}.tar"
    try:
        known = provider.known_blobs()
        _store().write(image, name, archive, known)
        try:
            provider.load([archive])
        except ClusterError:
            if not known:
                raise
            _store().write(image, name, archive)
            provider.load([archive])
    finally:
        archive.unlink(missing_ok=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m hack.images", description="Build the images and load them.")
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="build what changed and load it into the local cluster")
    building.add_argument("name", nargs="*")
    building.add_argument("--no-load", action="store_true", help="leave the cluster alone")
    commands.add_parser("list", help="name the images")
    hashing = commands.add_parser("hash", help="print what stands for the content of a built image")
    hashing.add_argument("name")
    options = parser.parse_args(arguments)
    progress = Progress()
    try:
        if options.command == "list":
            for image in find_images().values():
                print(f"{image.name}\t{image.reference}\t{'built' if image.name in _built() else 'not built'}")
            return 0
        if options.command == "hash":
            print(find_built(options.name).content)
            return 0
        with locked(cache_folder() / "images.lock"):
            images = build(options.name, progress)
            if not options.no_load:
                load([image.name for image in images], progress)
        progress.say(f"{len(images)} images are up to date")
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _own(root: Path, name: str, base: str, inputs: tuple[Path, ...]) -> Image:
    file = root / "images" / name / "Containerfile"
    return Image(name, file, root, (file, *inputs), base)


def _files(image: Image) -> set[Path]:
    found: set[Path] = set()
    for path in image.inputs:
        inside = path.rglob("*") if path.is_dir() else [path]
        found.update(one for one in inside if one.is_file() and "__pycache__" not in one.parts)
    return found


def _build_one(
    image: Image,
    builder: Builder,
    build_arguments: Mapping[str, str],
    content: str,
    progress: Progress,
    contexts: Mapping[str, Path] | None = None,
) -> None:
    """Build an image and keep it; without a name for what it is made from, its own content is that."""
    progress.say(f"building {image.reference} with {builder.name}")
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    builder.build(image.containerfile, image.context, image.reference, build_arguments, contexts or {})
    archive = folder / ".save.tar"
    archive.unlink(missing_ok=True)
    builder.save(image.reference, archive)
    stored = _store().absorb(archive)
    archive.unlink()
    built = {**_built(), image.name: Built(content or stored.config.digest, stored)}
    write_private(folder / "built.json", json.dumps({name: asdict(one) for name, one in built.items()}, indent=1))
    _store().prune(one.stored for one in built.values())
    progress.say(f"built {image.reference}")


def _folder() -> Path:
    return cache_folder() / "images"


def _store() -> ImageStore:
    return ImageStore(_folder() / "blobs")


def _built() -> dict[str, Built]:
    try:
        records = json.loads((_folder() / "built.json").read_text())
        return {name: Built(one["content"], StoredImage.parse(one["stored"])) for name, one in records.items()}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}
