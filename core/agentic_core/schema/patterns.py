"""Patterns: on an engine that is linear in the input where that can be, else on one that backtracks, with a limit.

Look-around and back-references need backtracking. The engine reads a pattern that runs into its limit as one that does
not match, silently, so a verdict could be wrong. Here the limit is told apart: a pattern that backtracks is held
against a text twice, once as it is and once as "matches nowhere"; where neither holds, it was given up.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import jsonschema_rs as engine

from agentic_core.schema.shape import Node
from agentic_core.strict_json import escape_part, json_pointer

MAX_BACKTRACKS: Final = 100_000
_SIZE: Final = 1024 * 1024
LINEAR: Final = engine.RegexOptions(size_limit=_SIZE, dfa_size_limit=_SIZE)
BACKTRACKING: Final = engine.FancyRegexOptions(backtrack_limit=MAX_BACKTRACKS, size_limit=_SIZE, dfa_size_limit=_SIZE)

_NEEDS_BACKTRACKING: Final = re.compile(r"\(\?<?[=!]|\\[1-9]")

KEYWORD: Final = "x-agentic-pattern"
"""What stands in a compiled schema for a ``pattern`` that backtracks."""


@dataclass(slots=True)
class Exhausted:
    """The first text on which a pattern ran into the limit during one check."""

    pattern: str = ""
    text: str = ""

    def forget(self) -> None:
        """Begin anew."""
        self.pattern = self.text = ""

    def note(self, pattern: str, text: str) -> None:
        """Keep the first."""
        if not self.pattern:
            self.pattern, self.text = pattern, text


@dataclass(frozen=True, slots=True)
class Patterns:
    """The patterns of one schema that backtrack."""

    exhausted: Exhausted = field(default_factory=Exhausted)
    of_names: tuple[str, ...] = ()
    """Those that select properties by their names."""

    def build_keyword(self) -> "type[engine.KeywordValidator]":
        """Return the keyword that does as ``pattern``, and notes where the limit was met."""
        exhausted = self.exhausted

        class Pattern:
            def __init__(self, _: dict[str, Any], value: Any, __: list[str | int]) -> None:
                self._pattern = str(value)

            def validate(self, instance: Any) -> None:
                if not isinstance(instance, str):
                    return
                found = find_match(self._pattern, instance)
                if found is None:
                    exhausted.note(self._pattern, instance)
                if not found:
                    raise ValueError(self._pattern)

        return Pattern

    def begin(self, instance: object) -> Exhausted:
        """Begin the check of an input; what is returned says, at any later time, whether the limit was met."""
        self.exhausted.forget()
        if self.of_names:
            self._check_names(instance)
        return self.exhausted

    def _check_names(self, instance: object) -> None:
        names = dict.fromkeys(_list_names(instance), 0)
        for pattern in self.of_names:
            if not _name_check(pattern).is_valid(names):
                for name in names:
                    if find_match(pattern, name) is None:
                        self.exhausted.note(pattern, name)
                        return


class Unusable(Exception):
    """A pattern that neither engine takes; ``path`` leads to it in the schema."""

    def __init__(self, pattern: str, node: Node, keyword: str) -> None:
        super().__init__(pattern)
        self.pattern = pattern
        self.keyword = keyword
        self.pointer = f"{node.pointer}/{keyword}" + (
            f"/{escape_part(pattern)}" if keyword == "patternProperties" else ""
        )


def take_out(nodes: Iterable[Node]) -> Patterns:
    """Replace the patterns that backtrack in the subschemas, in place, by a keyword of ours; return them.

    Raises :class:`Unusable`.
    """
    of_names = []
    for node in nodes:
        node.schema.pop(KEYWORD, None)
        pattern = node.schema.get("pattern")
        if isinstance(pattern, str) and _backtracks(pattern, node, "pattern"):
            node.schema[KEYWORD] = node.schema.pop("pattern")
        selecting = node.schema.get("patternProperties")
        if isinstance(selecting, dict):
            of_names += [each for each in selecting if _backtracks(each, node, "patternProperties")]
    return Patterns(of_names=tuple(dict.fromkeys(of_names)))


def _backtracks(pattern: str, node: Node, keyword: str) -> bool:
    if _compiles(pattern, LINEAR):
        return False
    if _NEEDS_BACKTRACKING.search(pattern) and _compiles(pattern, BACKTRACKING):
        return True
    raise Unusable(pattern, node, keyword)


def find_match(pattern: str, text: str) -> bool | None:
    """Return whether a pattern matches somewhere in a text; None if finding out takes too long."""
    positive, negative = _pattern_check(pattern)
    if positive.is_valid(text):
        return True
    return False if negative.is_valid(text) else None


def find_text(instance: object, text: str) -> str:
    """Return the pointer of the first value or property that is this text."""
    pending: list[tuple[tuple[str | int, ...], object]] = [((), instance)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, dict):
            if text in value:
                return json_pointer((*path, text))
            pending += [((*path, key), each) for key, each in value.items()]
        elif isinstance(value, list):
            pending += [((*path, index), each) for index, each in enumerate(value)]
        elif value == text:
            return json_pointer(path)
    return ""


def _compiles(pattern: str, options: "engine.PatternOptionsType") -> bool:
    try:
        engine.Draft202012Validator({"pattern": pattern}, pattern_options=options, offline=True)
    except engine.ValidationError:
        return False
    return True


def _negate(pattern: str) -> str:
    """Return the pattern that matches where ``pattern`` does nowhere."""
    if pattern.startswith("^") and "|" not in pattern:
        return f"^(?!{pattern})"
    return rf"^(?![\s\S]*?(?:{pattern}))"


@cache
def _pattern_check(pattern: str) -> tuple[engine.Validator, engine.Validator]:
    positive, negative = (
        engine.Draft202012Validator({"pattern": each}, pattern_options=BACKTRACKING, offline=True)
        for each in (pattern, _negate(pattern))
    )
    return positive, negative


@cache
def _name_check(pattern: str) -> engine.Validator:
    known = {pattern: True, _negate(pattern): True}
    schema = {"patternProperties": known, "additionalProperties": False}
    return engine.Draft202012Validator(schema, pattern_options=BACKTRACKING, offline=True)


def _list_names(instance: object) -> Iterator[str]:
    pending = [instance]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            yield from value
            pending += value.values()
        elif isinstance(value, list):
            pending += value
