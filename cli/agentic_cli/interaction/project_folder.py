"""Reads a project's folder for its image and its resources, and writes files into it."""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from agentic_cli.model.containerfile import write_ignore
from agentic_cli.model.image_builders import IGNORE_FILE
from agentic_cli.model.image_plan import Folder, ImagePlan, plan_image
from agentic_cli.model.langgraph_file import ProjectFile, parse_project_file
from agentic_core.errors import PermanentError

PROJECT_FILE: Final = "langgraph.json"
CONTAINERFILE: Final = "Containerfile"
WORKFLOW_FILE: Final = "kubernetes/workflow.yaml"
SESSION_FILE: Final = "kubernetes/session.yaml"
_READ: Final[tuple[str, ...]] = ("pyproject.toml", "requirements.txt", "uv.lock")
_LISTED: Final[tuple[str, ...]] = (*_READ, "poetry.lock", "setup.py", "setup.cfg")
_MAX_FILE: Final = 16 * 1024 * 1024


@dataclass(frozen=True)
class ProjectFolder:
    """A project on this machine."""

    root: Path
    context: Path
    """The folder that a build gets: that of the project, or one above it if dependencies lie beside."""
    settings: ProjectFile
    plan: ImagePlan

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.root.name

    def find_ignore_file(self) -> Path | None:
        """Return the file that says what a build does not get; None if there is none."""
        files = (self.context / IGNORE_FILE, self.context / ".dockerignore")
        return next((file for file in files if file.is_file()), None)

    def read_ignore(self) -> str:
        """Return what a build does not get."""
        file = self.find_ignore_file()
        return read_text(file) if file else write_ignore(self.settings)


def read_folder(folder: Path) -> ProjectFolder:
    """Read a project; raise ``PermanentError`` with the place and the remedy."""
    root = folder.resolve()
    file = folder / PROJECT_FILE
    if not file.is_file():
        raise PermanentError(
            f"there is no {PROJECT_FILE} in {str(root)!r}: name the folder of a LangGraph project, or write one:"
            ' {"graphs": {"agent": "./agent.py:graph"}, "dependencies": ["."]}'
        )
    settings = parse_project_file(read_text(file), str(file))
    others = []
    for dependency in settings.dependencies:
        path = (root / dependency).resolve()
        if not path.is_dir():
            raise PermanentError(f'{file}: the dependency {dependency!r} is no folder: correct "dependencies"')
        if path != root and path not in others:
            others.append(path)
    if settings.pip_config_file and not (root / settings.pip_config_file).is_file():
        raise PermanentError(f'{file}: there is no file {settings.pip_config_file!r}: correct "pip_config_file"')
    workspace = None if (root / "uv.lock").exists() else _find_workspace(root)
    context = Path(os.path.commonpath([root, *others, *([workspace] if workspace else [])]))
    plan = plan_image(
        settings,
        _list_folder(root, context),
        [_list_folder(other, context) for other in others],
        _list_folder(workspace, context) if workspace else None,
    )
    return ProjectFolder(root, context, settings, plan)


def read_text(file: Path) -> str:
    """Return a file's text; raise ``PermanentError`` if it cannot be read."""
    try:
        if file.stat().st_size > _MAX_FILE:
            raise PermanentError(f"{str(file)!r} is over 16 MiB: is it the file that is meant?")
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PermanentError(f"{str(file)!r} cannot be read: {error}") from error


def write_file(file: Path, text: str) -> None:
    """Write a file and the folder that it is in; raise ``PermanentError`` if that cannot be done."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PermanentError(f"{str(file)!r} cannot be written: {error.strerror}") from error


def _list_folder(path: Path, context: Path) -> Folder:
    relative = PurePosixPath(path.relative_to(context).as_posix())
    files = frozenset(name for name in _LISTED if (path / name).is_file())
    texts = {name: read_text(path / name) for name in _READ if name in files}
    return Folder("" if relative == PurePosixPath() else str(relative), files, texts)


def _find_workspace(root: Path) -> Path | None:
    """Return the folder above a project that locks it with its neighbours; a repository's top is the end."""
    if (root / ".git").exists() or not (root / "pyproject.toml").is_file():
        return None
    for folder in root.parents:
        if (folder / "uv.lock").is_file() and "[tool.uv.workspace]" in read_text(folder / "pyproject.toml"):
            return folder
        if (folder / ".git").exists():
            break
    return None
