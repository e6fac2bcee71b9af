"""The author's project: its ``langgraph.json``, or what ``langgraph build`` made of one, and where its modules lie.

The format is the LangGraph CLI's: ``graphs`` maps names to ``./file.py:attribute`` or ``package.module:attribute``,
``dependencies`` names folders to import from, ``env`` a file or mapping of variables. What stands there is the
author's, and may lie anywhere in the image; a graph that a resource names may not be a file outside of the project
(decision 21).
"""

import json
import os
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from agentic_core import contract
from agentic_core.errors import GraphLoadError
from agentic_runner.project.folders import find_import_folders
from agentic_runner.project.mounted import refuse_mounted

_MAX_FILE: Final = 1024 * 1024
# What `langgraph build` writes into an image instead of its langgraph.json.
GRAPHS_VARIABLE: Final = "LANGSERVE_GRAPHS"
# Where it puts a project and the local packages that it depends on, and installs them from.
BUILT_FOLDER: Final = Path("/deps")
_SETTINGS_VARIABLES: Final = {
    "LANGGRAPH_STORE": "store",
    "LANGGRAPH_AUTH": "auth",
    "LANGGRAPH_ENCRYPTION": "encryption",
    "LANGGRAPH_PRIORITY": "priority",
    "LANGGRAPH_HTTP": "http",
    "LANGGRAPH_WEBHOOKS": "webhooks",
    "LANGGRAPH_CHECKPOINTER": "checkpointer",
    "LANGGRAPH_UI": "ui",
    "LANGGRAPH_UI_CONFIG": "ui_config",
}


@dataclass(frozen=True)
class Target:
    """Where a graph is: a file or a module, and the attribute in it ("" for the only one)."""

    name: str
    path: str | None
    module: str | None
    attribute: str
    is_authors: bool = True
    """Whether the author's own settings name it, and not a resource."""

    def __str__(self) -> str:
        return f"{self.path or self.module}:{self.attribute}" if self.attribute else str(self.path or self.module)


@dataclass(frozen=True)
class Project:
    """A folder with a ``langgraph.json``, or an image that ``langgraph build`` made."""

    root: Path
    graphs: Mapping[str, str] = field(default_factory=dict)
    dependencies: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The whole file, unchanged."""


def read_project(file: Path, environ: Mapping[str, str] | None = None, *, built_folder: Path = BUILT_FOLDER) -> Project:
    """Read ``langgraph.json``; raise :class:`GraphLoadError` with the problem if it is invalid.

    Graphs of ``LANGSERVE_GRAPHS`` come before those of the file: they name the same ones by where the build put them.
    So are the local dependencies, which are installed from there; where the file says that they lie is the author's
    machine.
    """
    environ = os.environ if environ is None else environ
    root = file.absolute().parent.resolve()
    refuse_mounted(root, str(file), environ)
    built = environ.get(GRAPHS_VARIABLE, "").strip()
    document = _read_document(file) if file.exists() or not built else {}
    if built:
        built_settings = {
            setting: _parse_variable(name, environ[name])
            for name, setting in _SETTINGS_VARIABLES.items()
            if environ.get(name, "").strip()
        }
        document = {**document, **built_settings, "graphs": _parse_variable(GRAPHS_VARIABLE, built)}
        document.pop("source", None)
    where = GRAPHS_VARIABLE if built else str(file)
    dependencies = _dependencies(document.get("dependencies"), where)
    if built:
        dependencies = (
            *(each for each in dependencies if not each.startswith(".") or (root / each).is_dir()),
            *(str(folder) for folder in sorted(built_folder.glob("*")) if folder.is_dir()),
        )
    return Project(
        root=root,
        graphs=_graphs(document.get("graphs"), where),
        dependencies=dependencies,
        env=_environment(document.get("env"), root, where),
        settings=document,
    )


def _read_document(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise GraphLoadError(
            f"{str(file)!r} does not exist in {str(Path.cwd())!r}: put langgraph.json into the image's working"
            f" directory, name it by LANGGRAPH_CONFIG, or set {GRAPHS_VARIABLE} in the image"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise GraphLoadError(f"{str(file)!r} cannot be read: {error}") from error
    if len(text) > _MAX_FILE:
        raise GraphLoadError(f"{str(file)!r} is over 1 MiB: it should hold a handful of names")
    document = _parse_json(repr(str(file)), text)
    if not isinstance(document, dict):
        raise GraphLoadError(f"{str(file)!r} must hold a JSON object")
    return document


def _parse_variable(name: str, text: str) -> Any:
    return _parse_json(f"variable {name}", text)


def _parse_json(where: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GraphLoadError(f"{where} is not JSON: {error}") from error


def _graphs(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, dict) or not value:
        raise GraphLoadError(f'{where!r} declares no graphs: add "graphs": {{"name": "./file.py:attribute"}}')
    graphs: dict[str, str] = {}
    for name, entry in value.items():
        target = entry.get("path") if isinstance(entry, dict) else entry
        if not isinstance(target, str) or not target.strip():
            raise GraphLoadError(f'graph {name!r} in {where!r} is {entry!r}: write "./file.py:attribute"')
        graphs[name] = target.strip()
    return graphs


def _dependencies(value: Any, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise GraphLoadError(f'"dependencies" in {where!r} is no list of texts: write ["."]')
    return tuple(value)


def _environment(value: Any, root: Path, where: str) -> dict[str, str]:
    if value is None:
        return {}
    if isinstance(value, dict):
        return {str(key): str(item) for key, item in value.items() if item is not None}
    if not isinstance(value, str):
        raise GraphLoadError(f'"env" in {where!r} must be a mapping or the name of a file')
    file = root / value
    # An .env file is for the author's machine; images often leave it out.
    return read_env_file(file) if value and file.is_file() else {}


def read_env_file(file: Path) -> dict[str, str]:
    """Return the variables of an ``.env`` file, read by the library that LangGraph reads it with."""
    from dotenv import dotenv_values

    try:
        return {name: value for name, value in dotenv_values(file, encoding="utf-8-sig").items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        raise GraphLoadError(f"{str(file)!r} cannot be read as variables: {error}") from error


def confine(root: Path, path: str) -> Path:
    """Return the real path of ``path`` below ``root``; raise :class:`GraphLoadError` if it leads outside."""
    resolved = locate(root, path)
    if not resolved.is_relative_to(root):
        raise GraphLoadError(f"{path!r} leads out of the project {str(root)!r}: keep the graph's files inside of it")
    return resolved


def locate(root: Path, path: str) -> Path:
    """Return the real path of the file that the author names from ``root``; raise :class:`GraphLoadError`."""
    try:
        resolved = (root / path.replace("\\", "/")).resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no such file can be"
        raise GraphLoadError(f"{path!r} cannot be opened below {str(root)!r}: {reason}") from error
    if not resolved.is_file():
        raise GraphLoadError(f"{path!r} is a folder: name a Python file in it")
    return resolved


def find_target(project: Project, wanted: str | None) -> Target:
    """Return the graph called ``wanted`` (the only one where None), or the one that ``module:attribute`` names."""
    names = ", ".join(sorted(project.graphs))
    if wanted is None:
        if len(project.graphs) != 1:
            raise GraphLoadError(f"langgraph.json declares {len(project.graphs)} graphs ({names}): name one in `graph`")
        wanted = next(iter(project.graphs))
    if wanted not in project.graphs:
        # A variable of a pod carries no blanks at its ends.
        wanted = next((name for name in project.graphs if name.strip() == wanted), wanted)
    if wanted in project.graphs:
        return _parse_target(wanted, project.graphs[wanted])
    if ":" not in wanted:
        raise GraphLoadError(f"there is no graph {wanted!r} in langgraph.json: it declares {names or 'none'}")
    target = _parse_target(wanted, wanted, is_authors=False)
    # The name came from a resource, not from the author: the standard library holds no graphs, only tools.
    top = (target.module or "").partition(".")[0]
    if top in sys.stdlib_module_names or top.startswith("agentic_"):
        raise GraphLoadError(f"{wanted!r} is no module of the project: name one that defines a graph")
    return target


def _parse_target(name: str, text: str, *, is_authors: bool = True) -> Target:
    where, _, attribute = text.rpartition(":") if ":" in text else (text, "", "")
    is_path = "/" in where or "\\" in where or where.endswith(".py")
    if not where or (attribute and not all(part.isidentifier() for part in attribute.split("."))):
        raise GraphLoadError(f"graph {name!r} is {text!r}: write './file.py:attribute' or 'package.module:attribute'")
    return Target(name, where if is_path else None, None if is_path else where, attribute, is_authors)


def enter_project(project: Project, environ: MutableMapping[str, str] = os.environ) -> None:
    """Make the project importable and set its variables, as the LangGraph CLI does; the pod's variables win.

    Its folders come last: a file of the project that is called as a module of the standard library, or as an installed
    one, takes neither's place.
    """
    given = [each for each in environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    folders = find_import_folders(project.root, project.dependencies, project.settings)
    for folder in (*given, *map(str, folders)):
        refuse_mounted(Path(folder), f"folder {folder} of the import path", environ)
        if folder not in sys.path:
            sys.path.append(folder)
    for name, value in project.env.items():
        if name not in contract.RESERVED_ENV and not name.startswith(contract.RESERVED_ENV_PREFIXES):
            environ.setdefault(name, value)
