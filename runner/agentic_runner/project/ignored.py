"""Finds settings of ``langgraph.json`` without effect here, so that the inspection can report them.

Settings of the build (``python_version``, ``dockerfile_lines``, …) need no word: the image is built already. Those of
``store`` and ``checkpointer`` are judged in ``memory``.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agentic_core.strict_json import json_pointer

# JSON pointers into langgraph.json, each with what to do instead.
_WITHOUT_EFFECT: Final[Mapping[str, str]] = {
    "/auth": "requests are authenticated by Kubernetes: restrict sessions with RBAC",
    "/checkpointer/serde/pickle_fallback": "pickled values are never loaded: save types that msgpack knows",
    "/disable_persistence": "every super-step is saved: remove the setting",
    "/encryption": "custom encryption is not called: let the operator encrypt checkpoints (ENCRYPTION=on)",
    "/http": "no HTTP server runs beside the graph: serve custom routes from a Deployment of their own",
    "/priority": "sessions start in the order of their creation: limit how many run with maxActiveSessions",
    "/ui": "no user interface is served: render results from the session's status",
    "/ui_config": "no user interface is served: render results from the session's status",
    "/webhooks": "no webhook is called: watch the session instead",
}
_BUILD: Final = frozenset(
    {
        "python_version",
        "node_version",
        "api_version",
        "base_image",
        "image_distro",
        "pip_config_file",
        "pip_installer",
        "source",
        "dependencies",
        "dockerfile_lines",
        "keep_pkg_tools",
        "project_root",
        "package",
    }
)
# Where something below these has no effect, the rest of them may have one.
KNOWN_SETTINGS: Final = frozenset(
    {*_BUILD, "graphs", "env", "store", "checkpointer", *(pointer.split("/")[1] for pointer in _WITHOUT_EFFECT)}
)
JAVASCRIPT: Final = (".ts", ".mts", ".cts", ".js", ".mjs", ".cjs")


@dataclass(frozen=True)
class Ignored:
    """A setting that has no effect: a JSON pointer into ``langgraph.json``, and the remedy."""

    setting: str
    message: str


def find_ignored(settings: Mapping[str, Any]) -> list[Ignored]:
    """Return the settings of a project that have no effect, those that are known in the order of their pointers."""
    known = [
        Ignored(pointer, message) for pointer, message in sorted(_WITHOUT_EFFECT.items()) if _is_set(settings, pointer)
    ]
    return [*known, *_find_unknown(settings), *_find_javascript(settings.get("graphs"))]


def _is_set(settings: Mapping[str, Any], pointer: str) -> bool:
    value: Any = settings
    for part in pointer.removeprefix("/").split("/"):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value not in (None, {}, [], "", False)


def _find_unknown(settings: Mapping[str, Any]) -> Iterator[Ignored]:
    for key in settings:
        if key in KNOWN_SETTINGS or key.startswith(("$", "_")):
            continue
        close = difflib.get_close_matches(key, KNOWN_SETTINGS, n=1)
        remedy = f"did you mean {close[0]!r}?" if close else "remove it"
        yield Ignored(json_pointer((key,)), f"there is no such setting: {remedy}")


def _find_javascript(graphs: Any) -> Iterator[Ignored]:
    for name, entry in graphs.items() if isinstance(graphs, Mapping) else ():
        path = entry.get("path") if isinstance(entry, Mapping) else entry
        if isinstance(path, str) and is_javascript(path):
            yield Ignored(json_pointer(("graphs", name)), "graphs in JavaScript are not run here: write it in Python")


def is_javascript(path: str) -> bool:
    """Return whether ``./file:attribute`` names a file of JavaScript or TypeScript."""
    return path.split(":")[0].endswith(JAVASCRIPT)
