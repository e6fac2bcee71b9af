"""What a ``langgraph.json`` asks of an image: its graphs, what they depend on, and lines of the build.

Pure: takes the file's text. What the settings mean at run time is the runner's to know.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from agentic_core.errors import PermanentError
from agentic_core.names import MAX_DEFINITION_NAME

_JAVASCRIPT: Final = frozenset({".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".cts", ".tsx"})


@dataclass(frozen=True)
class ProjectFile:
    """The settings of a project that its image and its definitions are made from."""

    graphs: Mapping[str, str]
    dependencies: tuple[str, ...] = ()
    """Folders, relative to the file, that a project is made of, in the order of the file."""
    packages: tuple[str, ...] = ()
    """What ``dependencies`` names of a package index."""
    dockerfile_lines: tuple[str, ...] = ()
    pip_config_file: str = ""
    env_file: str = ""
    skipped: tuple[str, ...] = ()
    """Names of graphs in JavaScript."""


def parse_project_file(text: str, where: str) -> ProjectFile:
    """Return the settings; raise ``PermanentError`` with the place and the remedy. ``where`` is the file's name."""
    document = _parse_json(text, where)
    targets = {name: _read_target(name, entry, where) for name, entry in _read_graphs(document, where).items()}
    graphs = {name: target for name, target in targets.items() if not _is_javascript(target)}
    if not graphs:
        name, target = next(iter(targets.items()))
        raise PermanentError(
            f"{where}: graph {name!r} is {target!r}, and graphs in JavaScript do not run here: name a graph in Python"
        )
    dependencies = _read_texts(document, "dependencies", where)
    return ProjectFile(
        graphs,
        tuple(each for each in dependencies if each.startswith(".")),
        tuple(each for each in dependencies if not each.startswith(".")),
        _read_texts(document, "dockerfile_lines", where),
        _read_text(document, "pip_config_file", where),
        document["env"] if isinstance(document.get("env"), str) else "",
        tuple(name for name in targets if name not in graphs),
    )


def name_definitions(graphs: Iterable[str], given: str | None = None) -> dict[str, str]:
    """Return the name of a definition for each graph: the graph's own as far as Kubernetes takes it, each once.

    ``given`` is the name of the only graph's definition, and the beginning of several ones' names.
    """
    graphs = list(graphs)
    names: dict[str, str] = {}
    for graph in graphs:
        base = given if given and len(graphs) == 1 else f"{given}-{graph}" if given else graph
        wanted = _spell_name(base)
        name, number = wanted, 2
        while name in names.values():
            ending = f"-{number}"
            name, number = wanted[: MAX_DEFINITION_NAME - len(ending)].rstrip("-") + ending, number + 1
        names[graph] = name
    return names


def spell_folder(name: str) -> str:
    """Return the name of a folder as one of an image."""
    return _spell_name(name, "workflow")


def _spell_name(text: str, otherwise: str = "graph") -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:MAX_DEFINITION_NAME].rstrip("-") or otherwise


def _parse_json(text: str, where: str) -> Mapping[str, Any]:
    try:
        document = json.loads(text.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        raise PermanentError(
            f"{where}:{error.lineno}:{error.colno}: this is not JSON ({error.msg.lower()}): correct this line"
        ) from error
    except RecursionError as error:
        raise PermanentError(f"{where} is nested too deeply: it should hold a handful of names") from error
    if not isinstance(document, dict):
        raise PermanentError(f'{where} holds no JSON object: write {{"graphs": {{"name": "./file.py:attribute"}}}}')
    return document


def _read_graphs(document: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    graphs = document.get("graphs")
    if not isinstance(graphs, dict) or not graphs:
        raise PermanentError(f'{where} declares no graphs: add "graphs": {{"name": "./file.py:attribute"}}')
    return graphs


def _read_target(name: str, entry: Any, where: str) -> str:
    target = entry.get("path") if isinstance(entry, dict) else entry
    if not isinstance(target, str) or not target.strip():
        raise PermanentError(f'{where}: graph {name!r} is {entry!r}: write "./file.py:attribute"')
    return target.strip()


def _is_javascript(target: str) -> bool:
    file = target.rpartition(":")[0] or target
    return ("/" in file or ":" in target) and PurePosixPath(file).suffix.lower() in _JAVASCRIPT


def _read_texts(document: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = document.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise PermanentError(f'{where}: "{key}" is no list of texts: write ["…"]')
    return tuple(value)


def _read_text(document: Mapping[str, Any], key: str, where: str) -> str:
    value = document.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise PermanentError(f'{where}: "{key}" is {value!r}: write the name of a file')
    return value
