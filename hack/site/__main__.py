"""``make docs``: the guide as a searchable site in build/site. A link that leads nowhere is an error.

Sphinx has an environment of its own, build/docs-env, of what requirements/docs.txt locks.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from hack.kubectl import ROOT
from hack.site.pages import adapt, build_decisions, build_index
from hack.site.reference import build_reference

LOCK: Final = ROOT / "requirements" / "docs.txt"
ENVIRONMENT: Final = ROOT / "build" / "docs-env"
SOURCE: Final = ROOT / "build" / "docs-source"
SITE: Final = ROOT / "build" / "site"
_AT_THE_ROOT: Final = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")


def list_pages(root: Path = ROOT) -> list[str]:
    """Return the guide's pages, as paths from the root."""
    found = [*_AT_THE_ROOT, *(path.relative_to(root).as_posix() for path in (root / "docs").rglob("*.md"))]
    return sorted(found)


def write_source(folder: Path) -> None:
    """Write what Sphinx reads."""
    shutil.rmtree(folder, ignore_errors=True)
    pages = list_pages()
    pictures = [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs" / "images").iterdir()]
    known = {*pages, *pictures}
    for picture in pictures:
        _place(folder, picture).write_bytes((ROOT / picture).read_bytes())
    for page in pages:
        text = adapt(page, (ROOT / page).read_text(encoding="utf-8"), known)
        if page == "docs/decisions/README.md":
            text += build_decisions([Path(each).stem for each in pages if each.startswith("docs/decisions/0")])
        _place(folder, page).write_text(text, encoding="utf-8")
    for name, text in build_reference().items():
        _place(folder, f"docs/reference/{name}.md").write_text(text, encoding="utf-8")
    (folder / "index.md").write_text(build_index(), encoding="utf-8")


def _place(folder: Path, name: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def ensure_environment() -> Path:
    """Make Sphinx's environment where the lock has changed; return its `sphinx-build`."""
    stamp = ENVIRONMENT / hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    if not stamp.exists():
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
        pip = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "-r", str(LOCK)], check=True)
        stamp.touch()
    return ENVIRONMENT / "bin" / "sphinx-build"


def main() -> int:
    """Build the site; the exit status is Sphinx's."""
    argparse.ArgumentParser(prog="python -m hack.site", description=__doc__).parse_args()
    write_source(SOURCE)
    program = ensure_environment()
    command = [str(program), "-q", "-W", "--keep-going", "-b", "html", "-c", str(ROOT / "hack" / "site")]
    status = subprocess.run([*command, str(SOURCE), str(SITE)], check=False).returncode
    if status == 0:
        print(f"wrote {SITE / 'index.html'}")
    return status


if __name__ == "__main__":
    sys.exit(main())
