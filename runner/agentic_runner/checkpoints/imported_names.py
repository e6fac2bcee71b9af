"""Modules that a project's source imports, read without running it."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType


def find_imported(modules: Iterable[ModuleType]) -> frozenset[str]:
    """Return the names of the modules that import statements of these modules may import."""
    found: set[str] = set()
    for module in modules:
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not file.endswith(".py"):
            continue
        try:
            tree = ast.parse(Path(file).read_bytes())
        except (OSError, SyntaxError, ValueError, RecursionError):
            continue
        package = module.__name__ if hasattr(module, "__path__") else module.__name__.rpartition(".")[0]
        found.update(_names(tree, getattr(module, "__package__", None) or package))
    return frozenset(found)


def _names(tree: ast.AST, package: str) -> Iterator[str]:
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and _is_for_types_only(node.test):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (base := _resolve(node, package)):
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")
        waiting += ast.iter_child_nodes(node)


def _is_for_types_only(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
    return name == "TYPE_CHECKING"


def _resolve(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])
