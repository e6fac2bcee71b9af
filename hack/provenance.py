"""``make release-files``: the chart as a package, the SBOMs of the images, and where all of it comes from.

``provenance.json`` is an in-toto statement with a SLSA provenance: digests of the images and files, the commit, the
locks and the builder. Nothing here signs: who publishes a release signs the statement where the release is made.
"""

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hack.cluster.binaries import ensure
from hack.cluster.errors import ClusterError
from hack.images.build import find_built, reference
from hack.kubectl import ROOT
from hack.sbom import IMAGES, OUTPUT, write_all

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://slsa.dev/provenance/v1"
# Ours: there is no home on the web whose name these could have.
BUILD_TYPE: Final = "urn:agentic-operator:make-release-files:v1"
LOCAL_BUILDER: Final = "urn:agentic-operator:unnamed-machine"
CHART: Final = "charts/agentic-operator"
NAME: Final = "provenance.json"


def build_statement(
    images: Mapping[str, str], files: Mapping[str, str], commit: str, inputs: Mapping[str, str], builder: str
) -> dict[str, Any]:
    """Return the statement.

    Args:
        images: the images' names with their manifests' SHA-256.
        files: the release files' names with their SHA-256.
        commit: the Git commit they were made from.
        inputs: files of that commit which decide what else goes in, with their SHA-256.
        builder: a URI for who made them.
    """
    subjects = [{"name": name, "digest": {"sha256": value}} for name, value in sorted({**images, **files}.items())]
    source = {"uri": "git+file:.", "digest": {"gitCommit": commit}}
    locks = [{"uri": name, "digest": {"sha256": value}} for name, value in sorted(inputs.items())]
    return {
        "_type": STATEMENT,
        "subject": subjects,
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"images": sorted(images), "chart": CHART},
                "resolvedDependencies": [source, *locks],
            },
            "runDetails": {"builder": {"id": builder}},
        },
    }


def find_commit(root: Path = ROOT) -> str:
    """Return the commit that is checked out; raise :class:`ClusterError` where files differ from it."""
    changed = _git(root, "status", "--porcelain")
    if changed:
        raise ClusterError(f"files differ from the commit, of which the statement would be untrue:\n{changed}")
    return _git(root, "rev-parse", "HEAD")


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def package_chart(folder: Path) -> Path:
    """Package the chart; return where."""
    command = [str(ensure(["helm"])["helm"]), "package", str(ROOT / CHART), "--destination", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"the chart cannot be packaged: {done.stderr.strip()}")
    return Path(done.stdout.rpartition(": ")[2].strip())


def write_release(folder: Path, builder: str, pushed: Mapping[str, str]) -> Path:
    """Write all files of a release; return the statement's place.

    ``pushed`` has the digests that a registry gave to images: compressing layers changes them.
    """
    commit = find_commit()
    folder.mkdir(parents=True, exist_ok=True)
    files = [*write_all(folder), package_chart(folder)]
    local = {reference(name): find_built(name).stored.manifest_digest() for name in IMAGES}
    images = {name: value.removeprefix("sha256:") for name, value in (pushed or local).items()}
    inputs = {f"requirements/{name}.txt": hash_file(ROOT / "requirements" / f"{name}.txt") for name in IMAGES}
    hashes = {path.name: hash_file(path) for path in files}
    statement = build_statement(images, hashes, commit, inputs, builder)
    target = folder / NAME
    target.write_text(json.dumps(statement, indent=2) + "\n", encoding="utf-8")
    print(f"wrote {target}")
    return target


def parse_pushed(entries: Sequence[str]) -> dict[str, str]:
    """Return images with their digests from ``repository@sha256:…``; raise :class:`ClusterError` for another form."""
    found: dict[str, str] = {}
    for entry in entries:
        name, at, digest = entry.partition("@sha256:")
        if not at or len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise ClusterError(f"--image {entry!r} names no digest: write REPOSITORY@sha256:… as the registry says it")
        found[name] = digest
    return found


def main() -> int:
    """Write the files; one line and status 1 where that cannot be."""
    parser = argparse.ArgumentParser(prog="python -m hack.provenance", description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder of the files (default: build/release)")
    parser.add_argument("--builder", default=LOCAL_BUILDER, help="URI of who builds, as the forge's runner has one")
    parser.add_argument(
        "--image", action="append", default=[], metavar="REPOSITORY@DIGEST", help="an image as it was pushed"
    )
    given = parser.parse_args()
    try:
        write_release(given.output, given.builder, parse_pushed(given.image))
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
