"""Which types of a state are restored from a checkpoint, and how each is made again.

LangGraph by default imports whatever module a checkpoint names and calls whatever it names there. Here the boundary is
(decision 17):

- Nothing is imported because a checkpoint names it. A class counts where its module is loaded; if it is not, the
  modules that the project's own source imports inside of functions are imported, by their names there, and no other.
- Only classes that hold data are made: pydantic models, dataclasses, enums, named tuples, pydantic's secrets, and
  subclasses of the value types that LangGraph restores anyway (dates, sets, decimals, paths, …). Never a function.
- What the runner itself had loaded before the project counts only where the project's source imports it, too; but for
  enums and named tuples, whose making runs nothing. Our own packages never count.
- A name stands for the class that calls itself so. What is imported elsewhere under that name does not count.

LangGraph's own list of safe types is always restored, and what ``langgraph.json`` allows.
"""

import dataclasses
import importlib
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import date, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum, StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path, PurePath
from types import ModuleType
from typing import Any, Final
from uuid import UUID

from langgraph.checkpoint.serde import _msgpack as library
from pydantic import BaseModel

from agentic_runner.checkpoints.imported_names import find_imported

_VALUES: Final = (
    *(date, time, timedelta, tzinfo, Decimal, UUID, PurePath, set, frozenset, deque),
    *(IPv4Address, IPv4Network, IPv6Address, IPv6Network),
)
_OWN: Final = ("agentic_core", "agentic_store", "agentic_runner")
_DEEPEST: Final = 8


class Make(StrEnum):
    """How an object of a type is restored from its saved form."""

    MODEL = "a pydantic model"
    OLD_MODEL = "a model of pydantic 1"
    DATACLASS = "a dataclass"
    NAMED_TUPLE = "a named tuple"
    ENUM = "an enum"
    SECRET = "a secret"  # noqa: S105  (a kind of type)
    VALUE = "a value"
    ALLOWED = "allowed by langgraph.json"
    SAFE = "on LangGraph's list of safe types"


_HARMLESS: Final = (Make.ENUM, Make.NAMED_TUPLE)


@dataclasses.dataclass(frozen=True)
class Restorable:
    """A type that is restored, and how."""

    type: Any
    make: Make


def read_allowed(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the types that ``langgraph.json`` allows: lists of a module's parts and a class, as its CLI has them."""
    node: Any = settings
    for key in ("checkpointer", "serde", "allowed_msgpack_modules"):
        node = node.get(key) if isinstance(node, Mapping) else None
    entries = node if isinstance(node, list) else []
    paths = [entry for entry in entries if isinstance(entry, list) and all(isinstance(part, str) for part in entry)]
    return [(".".join(path[:-1]), path[-1]) for path in paths if len(path) > 1]


class StateTypes:
    """The types that a project's states are restored with; one object a process.

    ``allowed`` are pairs of module and name from ``langgraph.json``; ``folders`` the project's own; ``before`` the
    modules that were loaded before the project.
    """

    def __init__(
        self,
        allowed: Iterable[tuple[str, str]] = (),
        folders: Iterable[Path] = (),
        before: Iterable[str] = (),
    ) -> None:
        self._allowed = frozenset(allowed)
        self._before = frozenset(before)
        self._imported: frozenset[str] | None = None
        self._folders = tuple(folder.resolve() for folder in folders)
        self._loaded: frozenset[str] | None = None
        self._known: dict[tuple[str, str], Restorable] = {}
        self._savable: dict[type, str | None] = {}

    def note_loaded(self) -> None:
        """Record the modules loaded with the graph: another process lacks those that a node imports later."""
        self._loaded = frozenset(sys.modules)
        self._imported = None

    def find(self, module: object, name: object) -> Restorable | None:
        """Return the type that a checkpoint names by module and name; None if it must not be restored."""
        if not (isinstance(module, str) and isinstance(name, str)):
            return None
        key = (module, name)
        if (known := self._known.get(key)) is not None:
            return known
        found = self._find(key)
        if found is not None:
            self._known[key] = found
        return found

    def find_reason_against(self, cls: type) -> str | None:
        """Return why objects of a class could not be restored by another process; None if they could."""
        if cls not in self._savable:
            self._savable[cls] = self._judge(cls)
        return self._savable[cls]

    def _find(self, key: tuple[str, str]) -> Restorable | None:
        module, name = key
        if key in library.SAFE_MSGPACK_TYPES:
            return Restorable(getattr(importlib.import_module(module), name), Make.SAFE)
        if key in self._allowed:
            return Restorable(_walk(importlib.import_module(module), name), Make.ALLOWED)
        if module.partition(".")[0] in _OWN:
            return None
        if module not in sys.modules:
            self._import_as_the_project_does(module)
        loaded = sys.modules.get(module)
        cls = None if loaded is None else _find_class(loaded, name)
        make = None if cls is None else find_make(cls)
        if make is None or not (make in _HARMLESS or self._is_the_projects(module)):
            return None
        return Restorable(cls, make)

    def _is_the_projects(self, module: str) -> bool:
        """Return whether a module was loaded by the project, or its source imports the package."""
        return module not in self._before or module.partition(".")[0] in {
            name.partition(".")[0] for name in self._find_imported()
        }

    def _find_imported(self) -> frozenset[str]:
        if self._imported is None:
            own = [each for each in list(sys.modules.values()) if any(map(self._is_own_file, _places(each)))]
            self._imported = find_imported(own)
        return self._imported

    def _import_as_the_project_does(self, module: str) -> None:
        top = module.partition(".")[0]
        for name in sorted(self._find_imported()):
            if name.partition(".")[0] == top and name not in sys.modules and (module + ".").startswith(name + "."):
                with suppress(ImportError):  # a name that is no module: `from module import name`
                    importlib.import_module(name)
        self._imported = None

    def _judge(self, cls: type) -> str | None:
        module, name = cls.__module__, cls.__name__
        key = (module, name)
        if key in library.SAFE_MSGPACK_TYPES or key in self._allowed or (module, cls.__qualname__) in self._allowed:
            return None
        if issubclass(cls, BaseException):
            return "exceptions are not restored: keep their text in the state"
        if "<locals>" in cls.__qualname__:
            return "it is defined inside of a function: define it at the top of a module"
        if find_make(cls) is None:
            return "it is no pydantic model, dataclass, enum or named tuple: keep plain data in the state" + (
                f', or allow ["{module}", "{name}"] in checkpointer.serde.allowed_msgpack_modules of langgraph.json'
                if module != "builtins"
                else ""
            )
        if self._loaded is not None and module not in self._loaded and not self._is_imported(module):
            return f"a node imported {module!r}, and another pod would not: import it at the top of the graph's module"
        found = self.find(module, name)
        if found is None and _find_class(sys.modules[module], name) is cls:
            top = module.partition(".")[0]
            return f"the project does not import {top!r}: import it, or allow the class in langgraph.json"
        if found is None or found.type is not cls:
            return f"{module!r} has no such class under that name: give each class of a state a name of its own there"
        return None

    def _is_imported(self, module: str) -> bool:
        parts = module.split(".")
        return any(".".join(parts[:count]) in self._find_imported() for count in range(1, len(parts) + 1))

    def _is_own_file(self, place: str) -> bool:
        path = Path(place)
        if not path.is_absolute() or {"site-packages", "dist-packages"} & set(path.parts):
            return False
        return any(path.resolve().is_relative_to(folder) for folder in self._folders)


def _places(module: ModuleType) -> Iterator[str]:
    if isinstance(file := getattr(module, "__file__", None), str):
        yield file


def find_make(cls: object) -> Make | None:
    """Return how objects of a class are made again; None for a class that does more than to hold data."""
    if not isinstance(cls, type):
        return None
    if issubclass(cls, BaseModel):
        return Make.MODEL
    if _is_old_model(cls):
        return Make.OLD_MODEL
    if issubclass(cls, tuple) and isinstance(getattr(cls, "_fields", None), tuple):
        return Make.NAMED_TUPLE
    if issubclass(cls, Enum):
        return Make.ENUM
    if dataclasses.is_dataclass(cls):
        return Make.DATACLASS
    if issubclass(cls, _VALUES):
        return Make.VALUE
    if cls.__module__ in ("pydantic.types", "pydantic.v1.types") and callable(getattr(cls, "get_secret_value", None)):
        return Make.SECRET
    return None


def _is_old_model(cls: type) -> bool:
    old = sys.modules.get("pydantic.v1.main") or sys.modules.get("pydantic.v1")
    base = getattr(old, "BaseModel", None)
    return isinstance(base, type) and issubclass(cls, base)


def _find_class(module: ModuleType, name: str) -> type | None:
    """Return the class of a module that calls itself ``name``: LangGraph saves no more of a nested one than that."""
    direct = module.__dict__.get(name)
    if isinstance(direct, type) and direct.__module__ == module.__name__ and direct.__name__ == name:
        return direct
    nested = [cls for cls in _nested(vars(module), module.__name__, 0) if cls.__name__ == name]
    return nested[0] if len(nested) == 1 else None


def _nested(names: Mapping[str, Any], module: str, depth: int) -> Iterator[type]:
    for value in list(names.values()) if depth < _DEEPEST else ():
        if isinstance(value, type) and value.__module__ == module:
            inner = [each for each in vars(value).values() if isinstance(each, type) and each.__module__ == module]
            own = [each for each in inner if each.__qualname__.startswith(f"{value.__qualname__}.")]
            yield from own
            for each in own:
                yield from _nested({each.__name__: each}, module, depth + 1)


def _walk(module: ModuleType, name: str) -> Any:
    value: Any = module
    for part in name.split("."):
        value = getattr(value, part)
    return value
