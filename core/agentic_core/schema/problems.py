"""How the faults of inputs and schemas are worded: short, with a pointer, the value quoted only in part."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import jsonschema_rs as engine

from agentic_core.schema.branches import Document, Union, read_union
from agentic_core.schema.patterns import KEYWORD, Exhausted, Unusable, find_text
from agentic_core.strict_json import JsonRefused, clip, json_pointer

MAX_PROBLEMS = 20
MAX_MESSAGE_CHARACTERS = 300
MAX_QUOTED_CHARACTERS = 60
MAX_BRANCHES_SHOWN = 4
MAX_UNIONS = 8

# Stands in the engine's messages where it would quote the whole value.
VALUE = "\x1a"

# What other languages write in patterns, and what JSON Schema has for it.
_OTHER_SYNTAX: Final = (
    (re.compile(r"(?<!\\)(?:\\\\)*\\[AzZ]"), r"is not valid: for \A and \Z use ^ and $"),
    (re.compile(r"\\k<|\(\?P="), r"is not valid: refer to a group by its number, as in \1"),
    (re.compile(r"\(\?>"), "is not valid: there are no atomic groups, use (?:…)"),
    (re.compile(r"\{,\d"), "is not valid: a repetition names its least number, as in {0,3}"),
)


@dataclass(frozen=True, order=True, slots=True)
class SchemaProblem:
    """One fault of an input or of a schema, small enough for a status.

    ``pointer`` (RFC 6901) leads into the document that was checked, the input or the schema; ``schema_pointer`` to the
    rule it breaks, and is empty if the rule is ours. ``keyword`` is the JSON Schema keyword, or empty.
    """

    pointer: str
    message: str
    keyword: str = ""
    schema_pointer: str = ""

    def __str__(self) -> str:
        return f"{self.pointer or '/'}: {self.message}"


class SchemaRefused(ValueError):
    """An unusable schema; ``problems`` has the reasons, with pointers into the schema."""

    def __init__(self, problems: Iterable[SchemaProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


def build_problems(error: engine.ValidationError, document: Document = True) -> tuple[SchemaProblem, ...]:
    """Word one fault that the engine found in an input; of a union, the faults of the alternative that was meant."""
    return tuple(_unfold(error, document, MAX_UNIONS))


def _unfold(error: engine.ValidationError, document: Document, levels: int) -> Iterator[SchemaProblem]:
    union = read_union(error, document)
    if union is not None and levels and union.meant is not None:
        for each in union.meant:
            yield from _unfold(each, document, levels - 1)
        return
    if union is not None and union.wrong_tag is not None:
        tag = union.wrong_tag
        value = error.instance.get(tag.name) if isinstance(error.instance, dict) else None
        message = f"{quote(value)} is not one of {_list_options(tag.options)}"
        pointer = json_pointer([*error.instance_path, tag.name])
        yield SchemaProblem(pointer, clip(message, MAX_MESSAGE_CHARACTERS), "enum", json_pointer(error.schema_path))
        return
    keyword = str(next((part for part in reversed(error.schema_path) if isinstance(part, str)), ""))
    keyword = keyword if error.kind.name == "falseSchema" else error.kind.name
    message = _explain(error, union)
    yield SchemaProblem(
        json_pointer(error.instance_path),
        clip(message, MAX_MESSAGE_CHARACTERS),
        "pattern" if keyword == KEYWORD else keyword,
        json_pointer("pattern" if part == KEYWORD else part for part in error.schema_path),
    )


def build_exhausted_problem(exhausted: Exhausted, instance: object) -> SchemaProblem:
    """Word that a pattern was given up, so that nobody knows whether it matches."""
    message = (
        f"the pattern {quote(exhausted.pattern)} takes too long on {quote(exhausted.text)}; whether it matches is not"
        " known: write it without nested repetitions, or bound the text by 'maxLength'"
    )
    pointer = find_text(instance, exhausted.text)
    return SchemaProblem(pointer, clip(message, MAX_MESSAGE_CHARACTERS), "pattern")


def build_compile_problem(error: engine.ValidationError) -> SchemaProblem:
    """Return the message for a schema that our rules allow and the engine refuses."""
    message = clip(error.message.replace(VALUE, "value"), MAX_MESSAGE_CHARACTERS)
    return SchemaProblem(json_pointer(error.instance_path), message)


def build_pattern_problem(unusable: Unusable) -> SchemaProblem:
    """Return the message for an unusable pattern, with a remedy if it is of another language."""
    remedy = next((each for mark, each in _OTHER_SYNTAX if mark.search(unusable.pattern)), "")
    why = remedy or "is not valid, or grows too large; correct it, or use 'maxLength' instead of a repetition"
    message = clip(f"the pattern {quote(unusable.pattern)} {why}", MAX_MESSAGE_CHARACTERS)
    return SchemaProblem(clip(unusable.pointer, 512), message, unusable.keyword)


def build_refusal(refused: JsonRefused) -> SchemaProblem:
    """Word that a document was refused before any schema looked at it."""
    return SchemaProblem(refused.pointer, clip(refused.message, MAX_MESSAGE_CHARACTERS))


def blame_schema(refused: SchemaRefused) -> SchemaProblem:
    """Word that an input cannot be checked because its schema cannot be used."""
    first = refused.problems[0]
    message = clip(f"the schema itself is refused at {first.pointer or '/'}: {first.message}", MAX_MESSAGE_CHARACTERS)
    return SchemaProblem("", message, first.keyword, first.pointer)


def sort_problems(problems: Iterable[SchemaProblem]) -> tuple[SchemaProblem, ...]:
    """Return the problems to report: sorted by pointer, without duplicates, at most as many as fit a status."""
    return tuple(sorted(set(problems))[:MAX_PROBLEMS])


def quote(value: object) -> str:
    """Return a value as a reader knows it again; long ones in part, containers by their size."""
    if isinstance(value, str):
        return json.dumps(clip(value, MAX_QUOTED_CHARACTERS), ensure_ascii=False)
    if isinstance(value, dict):
        return "an object" if value else "an empty object"
    if isinstance(value, list):
        return f"a list of {len(value)} items" if value else "an empty list"
    return clip(json.dumps(value, default=str), MAX_QUOTED_CHARACTERS)


def _explain(error: engine.ValidationError, union: Union | None = None, *, with_branches: bool = True) -> str:
    kind = error.kind
    if isinstance(kind, engine.ValidationErrorKind.AnyOf | engine.ValidationErrorKind.OneOfNotValid):
        forms = _explain_branches(error, union) if with_branches and union is not None else " the allowed forms"
        return f"{quote(error.instance)} fits none of{forms}"
    if isinstance(kind, engine.ValidationErrorKind.OneOfMultipleValid):
        return f"{quote(error.instance)} fits more than one of the forms, and must fit exactly one"
    if isinstance(kind, engine.ValidationErrorKind.Contains):
        return f"{quote(error.instance)} does not contain as many matching items as it must"
    if isinstance(kind, engine.ValidationErrorKind.FalseSchema):
        is_additional = error.schema_path[-1:] == ["additionalProperties"]
        return "no properties are allowed here" if is_additional else "no value is allowed here"
    if isinstance(kind, engine.ValidationErrorKind.PropertyNames) and with_branches:
        return f"the name of a property: {_explain(kind.error, with_branches=False)}"
    if isinstance(kind, engine.ValidationErrorKind.Custom):
        return f"{quote(error.instance)} does not match {quote(kind.message)}"
    message = error.message.replace(VALUE, quote(error.instance))
    return message[:1].lower() + message[1:]


def _explain_branches(error: engine.ValidationError, union: Union) -> str:
    """Return why the value does not match each alternative; of many alternatives only their names."""
    if not union.branches or not all(union.branches):
        return " the allowed forms"
    depth = len(error.instance_path)
    named = zip(union.names, union.branches, strict=True)
    if len(union.branches) > MAX_BRANCHES_SHOWN:
        shown = dict.fromkeys(name or _name_form(branch[0], depth) for name, branch in named)
        return f" the {len(union.branches)} allowed forms: {', '.join(shown)}"
    reasons = (
        (f"{name}: " if name else "")
        + (f"{json_pointer(fault.instance_path[depth:])}: " if len(fault.instance_path) > depth else "")
        + clip(_explain(fault, with_branches=False), MAX_MESSAGE_CHARACTERS // 3)
        for name, fault in ((name, branch[0]) for name, branch in named)
    )
    return f" the allowed forms ({'; or '.join(dict.fromkeys(reasons))})"


def _name_form(fault: engine.ValidationError, depth: int) -> str:
    """Return a few words for an alternative without a name, read off what it first asks for."""
    kind = fault.kind
    if len(fault.instance_path) == depth:
        if isinstance(kind, engine.ValidationErrorKind.Type):
            return " or ".join(kind.types)
        if isinstance(kind, engine.ValidationErrorKind.Constant):
            return quote(kind.expected_value)
        if isinstance(kind, engine.ValidationErrorKind.Enum):
            return _list_options(kind.options)
    return clip(_explain(fault, with_branches=False), MAX_QUOTED_CHARACTERS)


def _list_options(options: Sequence[object]) -> str:
    shown = [quote(option) for option in options]
    return " or ".join((", ".join(shown[:-1]), shown[-1])) if len(shown) > 1 else "".join(shown)
