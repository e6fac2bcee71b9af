"""Write the images that a cluster pulls, one a line: ``python -m hack.image_list --registry REGISTRY --tag TAG``.

They are those of the manifests, and the runner's, on which people build theirs. Whoever has a mirror copies these.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
# How the manifests name what we build.
_OWN: Final = re.compile(r"agentic-operator/([a-z-]+):dev")
_IMAGE: Final = re.compile(r"^ *(?:- )?image: *(\S+)$", re.MULTILINE)
# No manifest names it: it is the base of workflows' images.
_RUNNER: Final = "agentic-operator/runner:dev"


def list_images(registry: str, tag: str, folder: Path = ROOT / "manifests") -> list[str]:
    """Return the images of a version, sorted; our own are below ``registry``."""
    return sorted({_OWN.sub(rf"{registry}/\1:{tag}", image) for image in (*read_images(folder), _RUNNER)})


def read_images(folder: Path) -> Iterator[str]:
    """Yield the image of each container in the manifests."""
    for path in sorted(folder.rglob("*.yaml")):
        yield from _IMAGE.findall(path.read_text(encoding="utf-8"))


def format_images(registry: str, tag: str) -> str:
    """Return the list as a file."""
    return "".join(f"{image}\n" for image in list_images(registry, tag))


def main() -> int:
    """Print the list."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--registry", required=True, help="host and folder of our own images")
    parser.add_argument("--tag", required=True, help="their version")
    given = parser.parse_args()
    sys.stdout.write(format_images(given.registry, given.tag))
    return 0


if __name__ == "__main__":
    sys.exit(main())
