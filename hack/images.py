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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hack.builders import Builder, find_builder
from hack.cluster.errors import ClusterError
from hack.cluster.folders import cache_folder, cluster_folder
from hack.cluster.progress import Progress
from hack.cluster.providers import choose, read_named
from hack.imagebase import ensure_bases

ROOT = Path(__file__).resolve().parent.parent
REPOSITORY = "docker.io/agentic-operator"
TAG = "dev"
RUNNER = "runner"
_EXAMPLE = "example-"


@dataclass(frozen=True, slots=True)
class Image:
    """One image: what it is built from, and the base or image it stands on."""

    name: str
    containerfile: Path
    context: Path
    inputs: tuple[Path, ...]
    base: str

    @property
    def reference(self) -> str:
        return reference(self.name)


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
        root / "images" / "agentic",
    )
    found = [
        _own(root, "operator", "base-python", (*operator, root / "requirements" / "operator.txt")),
        _own(
            root,
            RUNNER,
            "base-python",
            (*python, root / "runner" / "agentic_runner", root / "requirements" / "runner.txt"),
        ),
        _own(root, "postgres", "base-postgres", (root / "images" / "postgres",)),
    ]
    found += [
        Image(f"{_EXAMPLE}{file.parent.name}", file, file.parent, (file.parent,), RUNNER)
        for file in sorted((root / "examples").glob("*/Containerfile"))
    ]
    return {image.name: image for image in found}


def select(images: dict[str, Image], names: Sequence[str]) -> list[Image]:
    """Pick images by name, in the order in which they can be built; none means all.

    Raises ClusterError for a name that nobody has.
    """
    for name in names:
        if name not in images:
            raise ClusterError(f"there is no image {name!r}: known are {', '.join(images)}")
    wanted = set(names or images)
    wanted |= {images[name].base for name in wanted if images[name].base in images}
    return [image for image in images.values() if image.name in wanted]


def compute_hash(image: Image, base: str, builder: str) -> str:
    """Name the content an image is built from; equal names mean that nothing has to be done."""
    digest = hashlib.sha256(f"{base}\0{builder}\0".encode())
    for path in sorted(_files(image)):
        executable = path.stat().st_mode & 0o100
        digest.update(f"{path.relative_to(image.context)}\0{executable}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:20]


def find_archive(name: str) -> Path:
    """Find the archive of an image by its name, or take the path of one."""
    if Path(name).is_file():
        return Path(name)
    built = _built().get(name.removeprefix(f"{REPOSITORY}/").removesuffix(f":{TAG}"))
    if built is None:
        raise ClusterError(f"the image {name!r} was not built: run `python3 -m hack.images build {name}`")
    return _folder() / built


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
        archive = f"{image.name}-{hashes[image.name]}.tar"
        if _built().get(image.name) == archive and (_folder() / archive).exists():
            continue
        _build_one(image, builder, {} if image.base in images else {"BASE": bases[image.base]}, archive, progress)
    return selected


def load(images: Iterable[Image], progress: Progress) -> None:
    """Give the images to the cluster, where there is one and it has not got them."""
    state = cluster_folder()
    if not (state / "kubeconfig").exists():
        return
    provider = choose(state, read_named(os.environ, None, None), progress)
    record = state / "images.json"
    loaded: dict[str, str] = json.loads(record.read_text()) if record.exists() else {}
    for image in images:
        archive = find_archive(image.name)
        if loaded.get(image.name) == archive.name:
            continue
        progress.status(f"loading {image.reference}")
        provider.load([archive])
        loaded[image.name] = archive.name
        record.write_text(json.dumps(loaded))
        progress.say(f"loaded {image.reference}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m hack.images", description="Build the images and load them.")
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="build what changed and load it into the local cluster")
    building.add_argument("name", nargs="*")
    building.add_argument("--no-load", action="store_true", help="leave the cluster alone")
    commands.add_parser("list", help="name the images")
    options = parser.parse_args(arguments)
    progress = Progress()
    try:
        if options.command == "list":
            for image in find_images().values():
                print(f"{image.name}\t{image.reference}\t{_built().get(image.name, 'not built')}")
            return 0
        images = build(options.name, progress)
        if not options.no_load:
            load(images, progress)
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
    image: Image, builder: Builder, build_arguments: dict[str, str], archive: str, progress: Progress
) -> None:
    progress.say(f"building {image.reference} with {builder.name}")
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    builder.build(image.containerfile, image.context, image.reference, build_arguments)
    unfinished = folder / f".{archive}.new"
    unfinished.unlink(missing_ok=True)
    builder.save(image.reference, unfinished)
    unfinished.rename(folder / archive)
    built = _built()
    if (old := built.get(image.name)) and old != archive:
        (folder / old).unlink(missing_ok=True)
    (folder / "built.json").write_text(json.dumps({**built, image.name: archive}, indent=1))
    progress.say(f"built {image.reference}")


def _folder() -> Path:
    return cache_folder() / "images"


def _built() -> dict[str, str]:
    try:
        built: dict[str, str] = json.loads((_folder() / "built.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return built


if __name__ == "__main__":
    sys.exit(main())
