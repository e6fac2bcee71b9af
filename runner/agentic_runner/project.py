"""The author's project: its ``langgraph.json``, and files that may not lie outside of it.

The format is the LangGraph CLI's: ``graphs`` maps names to ``./file.py:attribute`` or ``package.module:attribute``,
``dependencies`` names folders to import from, ``env`` a file or mapping of variables.
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

_MAX_FILE: Final = 1024 * 1024


@dataclass(frozen=True)
class Target:
    """Where a graph is: a file below the project's root or a module, and the attribute in it ("" for the only one)."""

    name: str
    path: str | None
    module: str | None
    attribute: str

    def __str__(self) -> str:
        return f"{self.path or self.module}:{self.attribute}" if self.attribute else str(self.path or self.module)


@dataclass(frozen=True)
class Project:
    """A folder with a ``langgraph.json``."""

    root: Path
    graphs: Mapping[str, str] = field(default_factory=dict)
    dependencies: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The whole of it, as it stands there."""


def read_project(file: Path) -> Project:
    """Read ``langgraph.json``; raise :class:`GraphLoadError` that says what is wrong in it."""
    root = file.absolute().parent.resolve()
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise GraphLoadError(
            f"{str(file)!r} does not exist in {str(Path.cwd())!r}: put langgraph.json into the image's working"
            " directory or name it by LANGGRAPH_CONFIG"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise GraphLoadError(f"{str(file)!r} cannot be read: {error}") from error
    if len(text) > _MAX_FILE:
        raise GraphLoadError(f"{str(file)!r} is over 1 MiB: it should hold a handful of names")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GraphLoadError(f"{str(file)!r} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise GraphLoadError(f"{str(file)!r} must hold a JSON object")
    return Project(
        root=root,
        graphs=_graphs(document.get("graphs"), file),
        dependencies=tuple(d for d in document.get("dependencies") or () if isinstance(d, str)),
        env=_environment(document.get("env"), root),
        settings=document,
    )


def _graphs(value: Any, file: Path) -> dict[str, str]:
    if not isinstance(value, dict) or not value:
        raise GraphLoadError(f'{str(file)!r} declares no graphs: add "graphs": {{"name": "./file.py:attribute"}}')
    graphs: dict[str, str] = {}
    for name, entry in value.items():
        target = entry.get("path") if isinstance(entry, dict) else entry
        if not isinstance(target, str) or not target:
            raise GraphLoadError(f'graph {name!r} in {str(file)!r} is {entry!r}: write "./file.py:attribute"')
        graphs[name] = target
    return graphs


def _environment(value: Any, root: Path) -> dict[str, str]:
    if isinstance(value, dict):
        return {str(key): str(item) for key, item in value.items()}
    if not isinstance(value, str) or not (root / value).exists():
        return {}  # an .env file is for the author's machine; images often leave it out
    return parse_env_file(confine(root, value).read_text(encoding="utf-8"))


def parse_env_file(text: str) -> dict[str, str]:
    """Return the variables of an ``.env`` file: ``NAME=value`` lines, optional ``export`` and quotes, # comments."""
    variables: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        name, value = name.strip(), value.strip()
        if not equals or not name or name.startswith("#"):
            continue
        if value[:1] in ("'", '"') and value.find(value[0], 1) > 0:
            value = value[1 : value.find(value[0], 1)]
        else:
            value = value.split(" #", 1)[0].rstrip()
        variables[name] = value
    return variables


def confine(root: Path, path: str) -> Path:
    """Return the real path of ``path`` below ``root``; raise :class:`GraphLoadError` where it leads outside."""
    try:
        resolved = (root / path).resolve(strict=True)
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "a loop of symbolic links"
        raise GraphLoadError(f"{path!r} cannot be opened below {str(root)!r}: {reason}") from error
    if not resolved.is_relative_to(root):
        raise GraphLoadError(f"{path!r} leads out of the project {str(root)!r}: keep the graph's files inside of it")
    return resolved


def find_target(project: Project, wanted: str | None) -> Target:
    """Return the graph called ``wanted`` (the only one where None), or the one that ``module:attribute`` names."""
    names = ", ".join(sorted(project.graphs))
    if wanted is None:
        if len(project.graphs) != 1:
            raise GraphLoadError(f"langgraph.json declares {len(project.graphs)} graphs ({names}): name one in `graph`")
        wanted = next(iter(project.graphs))
    if wanted in project.graphs:
        return _parse_target(wanted, project.graphs[wanted])
    if ":" not in wanted:
        raise GraphLoadError(f"there is no graph {wanted!r} in langgraph.json: it declares {names or 'none'}")
    target = _parse_target(wanted, wanted)
    # The name came from a resource, not from the author: the standard library holds no graphs, only tools.
    top = (target.module or "").partition(".")[0]
    if top in sys.stdlib_module_names or top.startswith("agentic_"):
        raise GraphLoadError(f"{wanted!r} is no module of the project: name one that defines a graph")
    return target


def _parse_target(name: str, text: str) -> Target:
    where, _, attribute = text.rpartition(":") if ":" in text else (text, "", "")
    is_path = "/" in where or "\\" in where or where.endswith(".py")
    if not where or (attribute and not all(part.isidentifier() for part in attribute.split("."))):
        raise GraphLoadError(f"graph {name!r} is {text!r}: write './file.py:attribute' or 'package.module:attribute'")
    return Target(name, where if is_path else None, None if is_path else where, attribute)


def enter_project(project: Project, environ: MutableMapping[str, str] = os.environ) -> None:
    """Make the project importable and set its variables, as the LangGraph CLI does; what the pod sets wins."""
    own = [each for each in project.dependencies if each.startswith(".") and (project.root / each).is_dir()]
    folders = [project.root, *(confine(project.root, each) for each in own)]
    for folder in reversed(folders):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    reserved = {*contract.ENV, *contract.FORBIDDEN_ENV}
    for name, value in project.env.items():
        if name not in reserved:
            environ.setdefault(name, value)
