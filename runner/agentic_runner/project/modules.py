"""Importing a graph's module: by the name that the project itself imports it by, else as a file of its own.

Under its own name, a file's relative imports work, and its types are the same ones that other modules import. Where
that name belongs to somebody else (the standard library, an installed package), or the package around the file does not
load, the file is loaded alone, as LangGraph's server loads every graph.
"""

import asyncio
import importlib
import importlib.machinery
import importlib.util
import logging
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final, TypeVar

from agentic_core.errors import GraphLoadError

Loaded = TypeVar("Loaded")

# Appended to the name of a package that is loaded from its folder, because its own name is taken.
_OWN: Final = "__project"
_RELATIVE_IMPORT: Final = re.compile(r"^\s*from\s+\.", re.MULTILINE)


async def run_in_import_thread(load: Callable[[], Loaded]) -> Loaded:
    """Run ``load`` in the thread that imports the author's modules, and return what it returns.

    It has an event loop of its own that does not run: an import may call ``asyncio.run``. Signals are not its own.
    """
    return await asyncio.get_running_loop().run_in_executor(_importer(), load)


@cache
def _importer() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "imports", initializer=lambda: asyncio.set_event_loop(asyncio.new_event_loop()))


def import_file(file: Path, root: Path) -> ModuleType:
    """Import a Python file; raise whatever it raises, or :class:`GraphLoadError` if it is none."""
    if file.suffix != ".py":
        raise GraphLoadError(f"{str(file)!r} is no Python file: name one that ends in .py")
    top = _find_package(file)
    if top is not None and str(top.parent) not in sys.path:
        sys.path.append(str(top.parent))
    for name in _candidates(file, top):
        if _leads_to(name, file):
            return importlib.import_module(name)
    if top is not None and (module := _import_shadowed(file, top)) is not None:
        return module
    return _load_alone(file, root)


def _find_package(file: Path) -> Path | None:
    """Return the folder of the outermost package around the file."""
    top = None
    for folder in file.parents:
        if not (folder / "__init__.py").is_file():
            break
        top = folder
    return top


def _candidates(file: Path, top: Path | None) -> list[str]:
    """Return the names that the file may be imported by, the best first."""
    names = []
    for entry in sys.path:
        folder = Path(entry).resolve() if entry else Path.cwd()
        # A folder within a package holds its modules, but they are not called by that.
        if not file.is_relative_to(folder) or (top is not None and folder.is_relative_to(top)):
            continue
        parts = file.relative_to(folder).with_suffix("").parts
        if all(part.isidentifier() for part in parts):
            names.append(".".join(parts))
    names.sort(key=lambda name: name.count("."))
    if _RELATIVE_IMPORT.search(file.read_text(encoding="utf-8", errors="replace")):
        # They need a package around the file, which a folder on the path is not.
        names = [name for name in names if "." in name] or names
    return list(dict.fromkeys(names))


def _leads_to(name: str, file: Path) -> bool:
    """Return whether importing ``name`` loads this very file; the packages around it are imported for that."""
    try:
        spec = importlib.util.find_spec(name)
        return spec is not None and spec.origin is not None and Path(spec.origin).resolve() == file
    except (Exception, SystemExit) as error:  # noqa: BLE001  (the package's own)
        logging.getLogger(__name__).debug("importing the package of %s failed: %s", file, error)
        return False


def _import_shadowed(file: Path, top: Path) -> ModuleType | None:
    """Import a file of a package whose name another package has; None if the name is not taken."""
    known = sys.modules.get(top.name)
    if top.name not in sys.stdlib_module_names and str(top) in map(str, getattr(known, "__path__", [str(top)])):
        return None
    name = f"{top.name}{_OWN}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, top / "__init__.py", submodule_search_locations=[str(top)])
        try:
            _execute(spec, name)
        except Exception:  # noqa: BLE001  (the file may load without its package, and says so itself where not)
            return None
    return importlib.import_module(".".join([name, *file.relative_to(top).with_suffix("").parts]))


def _load_alone(file: Path, root: Path) -> ModuleType:
    """Load a file under a name that nothing else has."""
    parts = (file.relative_to(root) if file.is_relative_to(root) else file.relative_to(file.anchor)).with_suffix("")
    name = "__".join("".join(c if c.isalnum() else "_" for c in part) for part in parts.parts)
    if name in sys.modules or name in sys.stdlib_module_names:
        name = f"{name}__graph"
    return _execute(importlib.util.spec_from_file_location(name, file), name)


def _execute(spec: importlib.machinery.ModuleSpec | None, name: str) -> ModuleType:
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018  (it ends in .py)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
