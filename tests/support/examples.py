"""Loads the example workflows as the LangGraph CLI does: by their langgraph.json, from their own folder."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/definition.yaml"))


@contextmanager
def load_example(name: str) -> Iterator[ModuleType]:
    """Import the module of an example's only graph, and forget it and its folder afterwards."""
    app = EXAMPLES / name / "app"
    (target,) = json.loads((app / "langgraph.json").read_text())["graphs"].values()
    path, _, attribute = target.partition(":")
    assert attribute == "graph"
    package = Path(path).parts[0]
    sys.path.insert(0, str(app))
    try:
        yield import_module(".".join(Path(path).with_suffix("").parts))
    finally:
        sys.path.remove(str(app))
        for module in [each for each in sys.modules if each.partition(".")[0] == package]:
            del sys.modules[module]


def read_manifest(name: str, file: str) -> dict[str, Any]:
    """Return the resource in one manifest of an example."""
    manifest: dict[str, Any] = yaml.safe_load((EXAMPLES / name / file).read_text())
    return manifest
