"""Decides how a project becomes an image: what is copied, what is installed, and in which order.

Pure: from the settings and the listing of the project's folders to a plan, which ``containerfile`` writes down.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from agentic_cli.model.langgraph_file import ProjectFile
from agentic_core.errors import PermanentError

APP: Final = "/app"
_PYPROJECT: Final = "pyproject.toml"
_REQUIREMENTS: Final = "requirements.txt"
# A line of requirements.txt that names a file of the project.
_LOCAL_LINE: Final = re.compile(
    r"\s*(-[rce]|--(requirement|constraint|editable)\b|\.{0,2}/|[^#]*@\s*file:|\.\s*$|\.\[)"
)
_NAME: Final = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_LOCK_SOURCE: Final = re.compile(r"source = \{ (editable|virtual|directory|path) = \"([^\"]*)\"")

Kind = Literal["uv", "poetry", "list", "package", "requirements", "none"]
"""How a folder's dependencies are found: exactly by a lock; by the list of its pyproject.toml; by installing it."""


@dataclass(frozen=True)
class Folder:
    """A folder of the project, and the files in it that say what it depends on."""

    path: str
    """Relative to the build's context; "" is the context."""
    files: frozenset[str] = frozenset()
    texts: Mapping[str, str] | None = None
    """Of ``pyproject.toml``, ``requirements.txt`` and ``uv.lock``, if they are there."""

    def read(self, name: str) -> str:
        """Return the text of one of these files; empty if it is missing."""
        return (self.texts or {}).get(name, "")

    def locate(self, name: str = "") -> str:
        """Return a path in the context."""
        return "/".join(part for part in (self.path, name) if part) or "."

    @property
    def home(self) -> str:
        """Where the folder is in the image."""
        return f"{APP}/{self.path}".rstrip("/")


@dataclass(frozen=True)
class Source:
    """One folder with the decision how it is installed."""

    folder: Folder
    kind: Kind
    is_package: bool = False
    """Whether the folder itself is installed once it is copied."""
    names_files: bool = False
    """Whether its list names other folders, so that nothing can be installed before they are copied."""
    package: str = ""
    """The member of a workspace that is exported."""


@dataclass(frozen=True)
class ImagePlan:
    """What the Containerfile says."""

    project: Folder
    sources: tuple[Source, ...]
    settings: ProjectFile
    copies: tuple[str, ...] = (".",)
    """Paths in the context."""

    @property
    def copies_first(self) -> bool:
        """Whether the code is copied before anything is installed: dependencies lie in it.

        A package beside the project may be what the project depends on: its name must not be asked of an index.
        """
        beside = (source for source in self.sources if source.folder != self.project)
        return any(source.names_files for source in self.sources) or any(source.is_package for source in beside)


def plan_image(
    settings: ProjectFile, project: Folder, others: Sequence[Folder] = (), workspace: Folder | None = None
) -> ImagePlan:
    """Return the plan; ``others`` are the local dependencies, ``workspace`` the folder of the uv.lock above them.

    Raises ``PermanentError`` for a pyproject.toml that is no TOML.
    """
    if workspace is not None:
        name = _read_table(_parse_pyproject(project), "project").get("name")
        package = name if isinstance(name, str) else ""
        return ImagePlan(project, (Source(workspace, "uv", names_files=True, package=package),), settings)
    wanted = set().union(*(_read_names(folder) for folder in (*others, project)))
    sources = tuple(
        # What another folder depends on by its name is that folder's package, and none of an index.
        Source(folder, "package", is_package=True) if _read_own_name(folder) in wanted else decide_source(folder)
        for folder in (*others, project)
    )
    paths = dict.fromkeys(each.locate() for each in (*others, project))
    copies = (".",) if "." in paths else tuple(paths)
    return ImagePlan(project, sources, settings, copies)


def decide_source(folder: Folder) -> Source:
    """Return how one folder is installed."""
    document = _parse_pyproject(folder)
    project, poetry = _read_table(document, "project"), _read_table(document, "tool", "poetry")
    uv = _read_table(document, "tool", "uv")
    builds = bool(_read_table(document, "build-system"))
    if "uv.lock" in folder.files and document:
        others = {path for _, path in _LOCK_SOURCE.findall(folder.read("uv.lock"))} - {"."}
        return Source(folder, "uv", is_package=uv.get("package", builds) is True, names_files=bool(others))
    if poetry.get("package-mode") is False or ("poetry.lock" in folder.files and (poetry or project)):
        is_package = builds and poetry.get("package-mode") is not False
        return Source(folder, "poetry", is_package, _names_paths(poetry) or _names_paths(project))
    if project and not builds and "setup.py" not in folder.files:
        return Source(folder, "list" if project.get("dependencies") else "none")
    if project or poetry or builds or "setup.py" in folder.files:
        is_listed = bool(project.get("dependencies")) and "dependencies" not in (project.get("dynamic") or ())
        return Source(folder, "list" if is_listed else "package", is_package=True, names_files=_names_paths(project))
    return _decide_requirements(folder) if _REQUIREMENTS in folder.files else Source(folder, "none")


def _decide_requirements(folder: Folder, *, is_package: bool = False) -> Source:
    lines = folder.read(_REQUIREMENTS).splitlines()
    return Source(folder, "requirements", is_package, names_files=any(map(_LOCAL_LINE.match, lines)))


def _read_own_name(folder: Folder) -> str | None:
    name = _read_table(_parse_pyproject(folder), "project").get("name")
    return _normalize(name) if isinstance(name, str) else None


def _read_names(folder: Folder) -> set[str]:
    """Return the names that the list of a pyproject.toml begins its lines with."""
    listed = _read_table(_parse_pyproject(folder), "project").get("dependencies")
    found = (_NAME.match(line) for line in listed if isinstance(line, str)) if isinstance(listed, list) else ()
    return {_normalize(name.group(1)) for name in found if name is not None}


def _normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _names_paths(table: Mapping[str, Any]) -> bool:
    """Return whether dependencies of a pyproject.toml are folders."""
    text = str(table.get("dependencies", "")) + str(table.get("group", ""))
    return "'path':" in text or "file:" in text


def _parse_pyproject(folder: Folder) -> Mapping[str, Any]:
    try:
        return tomllib.loads(folder.read(_PYPROJECT))
    except tomllib.TOMLDecodeError as error:
        raise PermanentError(f"{folder.locate(_PYPROJECT)} is not TOML: {error}: correct it") from error


def _read_table(document: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    found: Any = document
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}
