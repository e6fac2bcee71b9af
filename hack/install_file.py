"""Write everything of an installation as one ordered file: ``python -m hack.install_file --image IMAGE [-o FILE]``.

The file is the manifests' own text, with one image in its places. Namespaces and resource kinds come first, so that one
``kubectl apply --server-side -f`` makes all of it on an empty cluster, and again on one that has it.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import yaml

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCES: Final = ("crds", "manifests/operator")
DELIVERED: Final = "agentic-operator/operator:dev"
# What an image may be called: a registry's address, a path, and a tag or digest.
_IMAGE: Final = re.compile(r"[a-z0-9][\w./:-]*(?::[\w][\w.-]*|@sha256:[0-9a-f]{64})")
_FIRST: Final = ("Namespace", "CustomResourceDefinition")
_ALLOWED: Final = '- name: ALLOWED_IMAGES\n              value: "*"\n'

HEADER: Final = """\
# agentic-operator, all of it but its Secrets: docs/installing.md says which. Written by `make install-file`.
#
#     kubectl apply --server-side -f install.yaml
"""


class NotWritten(ValueError):
    """The file cannot be made of what was given."""


def build_install(image: str, allowed: Sequence[str] = ()) -> str:
    """Return the file's text; ``allowed`` are the registry prefixes that sessions may run, all if there are none."""
    if not _IMAGE.fullmatch(image):
        raise NotWritten(f"{image!r} is no image with a tag or digest, as registry.example.com/team/operator:0.1.0")
    if broken := [prefix for prefix in allowed if not re.fullmatch(r"[\w./:*-]+", prefix)]:
        raise NotWritten(f"{broken[0]!r} is no prefix of images")
    documents = [text for path in list_files(SOURCES) for text in split_documents(path.read_text(encoding="utf-8"))]
    documents.sort(key=rank)
    text = "---\n".join((HEADER, *documents))
    text = replace(text, f"image: {DELIVERED}\n", f"image: {image}\n", 2)
    return replace(text, _ALLOWED, _ALLOWED.replace("*", ",".join(allowed)), 1) if allowed else text


def list_files(sources: Sequence[str], root: Path = ROOT) -> Iterator[Path]:
    """Yield the files that a kustomization names, those of the folders that it names among them, in its order."""
    for source in sources:
        path = (root / source).resolve()
        if path.is_dir():
            kustomization = yaml.safe_load((path / "kustomization.yaml").read_text(encoding="utf-8"))
            if others := set(kustomization) - {"apiVersion", "kind", "resources"}:
                raise NotWritten(f"{source}/kustomization.yaml does more than list files: {', '.join(sorted(others))}")
            yield from list_files(kustomization["resources"], path)
        else:
            yield path


def split_documents(text: str) -> list[str]:
    """Return the documents of a file with their comments, each ending in a line break."""
    return [part.removeprefix("---\n").rstrip() + "\n" for part in re.split(r"^(?=---\n)", text, flags=re.M) if part]


def rank(document: str) -> int:
    """Return the place of a document's kind; within it the order of the manifests stays."""
    kind = yaml.load(document, yaml.CSafeLoader)["kind"]
    return _FIRST.index(kind) if kind in _FIRST else len(_FIRST)


def replace(text: str, old: str, new: str, count: int) -> str:
    """Return the text with ``new`` in the places of ``old``, which have to be as many as is known."""
    if (found := text.count(old)) != count:
        raise NotWritten(f"the manifests hold {old!r} {found} times, not {count}: correct hack/install_file.py")
    return text.replace(old, new)


def main() -> int:
    """Write the file, or say in one line why not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", required=True, help="the operator's image with its tag or digest")
    parser.add_argument("--allowed", action="append", default=[], metavar="PREFIX", help="images that sessions may run")
    parser.add_argument("-o", "--output", type=Path, help="a file; else standard output")
    given = parser.parse_args()
    try:
        text = build_install(given.image, given.allowed)
    except NotWritten as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if given.output is None:
        sys.stdout.write(text)
        return 0
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(text, encoding="utf-8")
    print(f"wrote {given.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
