"""``make release``: everything of a release but the push and the signatures, in build/release.

Images of this machine's architecture, the chart's package, wheel and source archive, the installation as one file, the
list of images, bills of materials, provenance, release notes, and a checksum for each file. The version is the tag's,
``vX.Y.Z``; the forge's workflow pushes and signs (docs/releasing.md).
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import yaml

from hack.cluster.errors import ClusterError
from hack.image_list import format_images
from hack.install_file import build_install
from hack.kubectl import ROOT
from hack.provenance import CHART, LOCAL_BUILDER, hash_file, write_release
from hack.sbom import OUTPUT

NOTES: Final = "RELEASE_NOTES.md"
CHECKSUMS: Final = "SHA256SUMS"
INSTALL: Final = "install.yaml"
IMAGE_LIST: Final = "images.txt"
DEFAULT_REGISTRY: Final = "registry.example.com/agentic-operator"
UNRELEASED: Final = "Unreleased"
_VERSION: Final = re.compile(r"\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?")


class NotReleasable(ValueError):
    """What is checked out is no release; the message says what to correct."""


def read_version(tag: str) -> str:
    """Return the version that a tag names."""
    version = tag.removeprefix("v")
    if not tag.startswith("v") or not _VERSION.fullmatch(version):
        raise NotReleasable(f"the tag {tag!r} names no version: write v1.2.3")
    return version


def choose_version(tag: str, tried: str) -> str:
    """Return the version of a commit's tag; if it has none, the one to try."""
    if not tag and not tried:
        raise NotReleasable(
            "the commit has no tag: tag it vX.Y.Z, or name a version to try: make release VERSION=X.Y.Z"
        )
    if tag and tried and tag != f"v{tried}":
        raise NotReleasable(f"the commit is tagged {tag!r} and is no {tried!r}: leave VERSION out")
    return read_version(tag or f"v{tried}")


def read_stated(root: Path = ROOT) -> dict[str, str]:
    """Return the version that each place in the sources states."""
    project = (root / "pyproject.toml").read_text(encoding="utf-8")
    package = (root / "core/agentic_core/__init__.py").read_text(encoding="utf-8")
    chart = yaml.safe_load((root / CHART / "Chart.yaml").read_text(encoding="utf-8"))
    return {
        "pyproject.toml": _find(r'^version = "(.+)"$', project),
        "core/agentic_core/__init__.py": _find(r'^__version__.*= "(.+)"$', package),
        f"{CHART}/Chart.yaml version": str(chart["version"]),
        f"{CHART}/Chart.yaml appVersion": str(chart["appVersion"]),
    }


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    return found[1] if found else "none"


def require_version(version: str, stated: Mapping[str, str]) -> None:
    """Raise :class:`NotReleasable` where a place states another version."""
    others = [f"{place} states {found}" for place, found in stated.items() if found != version]
    if others:
        raise NotReleasable(f"the version is {version}, but {'; '.join(others)}")


def find_notes(changelog: str, version: str, *, is_tagged: bool) -> str:
    """Return the part of the changelog that is the release's: before it is tagged, what is not released yet."""
    parts = re.split(r"^## (.+)$", changelog, flags=re.MULTILINE)
    titles = dict(zip(parts[1::2], parts[2::2], strict=True))
    for title, text in titles.items():
        if re.fullmatch(rf"\[?{re.escape(version)}\]?(?: .*)?", title):
            return f"# {version}\n\n{_link_pages(text.strip(), version)}\n"
    if is_tagged or not titles.get(UNRELEASED, "").strip():
        raise NotReleasable(
            f"CHANGELOG.md has no heading for {version}: move what is under {UNRELEASED} to `## {version}`"
        )
    return f"# {version} (not tagged yet)\n\n{_link_pages(titles[UNRELEASED].strip(), version)}\n"


def _link_pages(text: str, version: str) -> str:
    """Point links between pages to the tag: notes are read outside of the repository."""
    return re.sub(r"\]\((docs/[^)]+)\)", rf"](../../blob/v{version}/\1)", text)


def format_checksums(hashes: Mapping[str, str]) -> str:
    """Return them as `sha256sum --check` reads them."""
    return "".join(f"{value}  {name}\n" for name, value in sorted(hashes.items()))


def find_tag(root: Path = ROOT) -> str:
    """Return the tag of the commit that is checked out; empty if it has none."""
    command = ["git", "describe", "--tags", "--exact-match", "--match", "v*"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def build_packages(folder: Path) -> None:
    """Build the wheel and the source archive."""
    uv = Path(sys.executable).with_name("uv")
    done = subprocess.run(
        [str(uv), "build", "--quiet", "--out-dir", str(folder), str(ROOT)], capture_output=True, text=True, check=False
    )
    # uv keeps what it makes out of version control by a file of its own.
    (folder / ".gitignore").unlink(missing_ok=True)
    if done.returncode:
        raise ClusterError(f"the packages cannot be built: {done.stderr.strip()}")


def release(folder: Path, version: str, registry: str, *, is_tagged: bool) -> list[Path]:
    """Write all files of a release; return them."""
    require_version(version, read_stated())
    notes = find_notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version, is_tagged=is_tagged)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / NOTES).write_text(notes, encoding="utf-8")
    (folder / INSTALL).write_text(build_install(f"{registry}/operator:{version}"), encoding="utf-8")
    (folder / IMAGE_LIST).write_text(format_images(registry, version), encoding="utf-8")
    build_packages(folder)
    write_release(folder, LOCAL_BUILDER, {})
    files = sorted(path for path in folder.iterdir() if path.is_file())
    checksums = format_checksums({path.name: hash_file(path) for path in files})
    (folder / CHECKSUMS).write_text(checksums, encoding="utf-8")
    return [*files, folder / CHECKSUMS]


def main() -> int:
    """Write the files; one line and status 1 where this is no release."""
    parser = argparse.ArgumentParser(prog="python -m hack.release", description=__doc__)
    parser.add_argument(
        "--output", type=Path, default=OUTPUT, help="folder, which is made anew (default: build/release)"
    )
    parser.add_argument("--version", default=os.environ.get("VERSION", ""), help="of a commit that has no tag yet")
    parser.add_argument(
        "--registry", default=DEFAULT_REGISTRY, help="where install.yaml and images.txt take images from"
    )
    given = parser.parse_args()
    try:
        tag = find_tag()
        version = choose_version(tag, given.version)
        written = release(given.output, version, given.registry, is_tagged=bool(tag))
    except (ClusterError, NotReleasable) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{version}: {len(written)} files in {given.output}, not signed and not pushed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
