"""How the faults of inputs and schemas are worded: short, with a pointer, the value quoted only in part."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

import jsonschema_rs as engine

from agentic_core.strict_json import JsonRefused, clip, json_pointer

MAX_PROBLEMS = 20
MAX_MESSAGE_CHARACTERS = 300
MAX_QUOTED_CHARACTERS = 60
MAX_BRANCHES_SHOWN = 4

# Stands in the engine's messages where it would quote the whole value.
VALUE = "\x1a"

_LOOK_AROUND = re.compile(r"\(\?<?[=!]")
_BACKREFERENCE = re.compile(r"(?<!\\)(?:\\\\)*\\(?:[1-9]|k<)")


@dataclass(frozen=True, order=True, slots=True)
class SchemaProblem:
    """One fault of an input or of a schema, small enough for a status.

    ``pointer`` (RFC 6901) leads into the document that was checked, the input or the schema; ``schema_pointer`` to the
    rule it breaks, and is empty where the rule is ours. ``keyword`` is the JSON Schema keyword, or empty.
    """

    pointer: str
    message: str
    keyword: str = ""
    schema_pointer: str = ""

    def __str__(self) -> str:
        return f"{self.pointer or '/'}: {self.message}"


class SchemaRefused(ValueError):
    """A schema that cannot be used; ``problems`` says why, with pointers into the schema."""

    def __init__(self, problems: Iterable[SchemaProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


def build_problem(error: engine.ValidationError) -> SchemaProblem:
    """Word one fault that the engine found in an input."""
    keyword = str(next((part for part in reversed(error.schema_path) if isinstance(part, str)), ""))
    return SchemaProblem(
        json_pointer(error.instance_path),
        clip(_explain(error), MAX_MESSAGE_CHARACTERS),
        keyword if error.kind.name == "falseSchema" else error.kind.name,
        json_pointer(error.schema_path),
    )


def build_compile_problem(error: engine.ValidationError) -> SchemaProblem:
    """Word what the engine refuses in a schema that its metaschema allows: patterns, nearly always."""
    path = error.instance_path
    if error.kind.name != "format" or not path:
        return SchemaProblem(json_pointer(path), clip(error.message.replace(VALUE, "value"), MAX_MESSAGE_CHARACTERS))
    is_key = len(path) > 1 and path[-2] == "patternProperties"
    pattern = str(path[-1]) if is_key else str(error.instance)
    if _LOOK_AROUND.search(pattern):
        why = "uses look-around; patterns run in linear time and have none"
    elif _BACKREFERENCE.search(pattern):
        why = "uses a back-reference; patterns run in linear time and have none"
    else:
        why = "is not valid, or grows too large; correct it, or use 'maxLength' instead of a repetition"
    message = f"the pattern {quote(pattern)} {why}"
    return SchemaProblem(json_pointer(path), message, "patternProperties" if is_key else "pattern")


def build_refusal(refused: JsonRefused) -> SchemaProblem:
    """Word that a document was refused before any schema looked at it."""
    return SchemaProblem(refused.pointer, clip(refused.message, MAX_MESSAGE_CHARACTERS))


def blame_schema(refused: SchemaRefused) -> SchemaProblem:
    """Word that an input cannot be checked because its schema cannot be used."""
    first = refused.problems[0]
    message = clip(f"the schema itself is refused at {first.pointer or '/'}: {first.message}", MAX_MESSAGE_CHARACTERS)
    return SchemaProblem("", message, first.keyword, first.pointer)


def sort_problems(problems: Iterable[SchemaProblem]) -> tuple[SchemaProblem, ...]:
    """Return the problems a reader gets: sorted by pointer, each once, no more than fit a status."""
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


def _explain(error: engine.ValidationError, *, with_branches: bool = True) -> str:
    kind = error.kind
    if isinstance(kind, engine.ValidationErrorKind.AnyOf | engine.ValidationErrorKind.OneOfNotValid):
        branches = _explain_branches(error, kind.context) if with_branches else ""
        return f"{quote(error.instance)} fits none of the allowed forms{branches}"
    if isinstance(kind, engine.ValidationErrorKind.OneOfMultipleValid):
        return f"{quote(error.instance)} fits more than one of the forms, and must fit exactly one"
    if isinstance(kind, engine.ValidationErrorKind.Contains):
        return f"{quote(error.instance)} does not contain as many matching items as it must"
    if isinstance(kind, engine.ValidationErrorKind.FalseSchema):
        is_additional = error.schema_path[-1:] == ["additionalProperties"]
        return "no properties are allowed here" if is_additional else "no value is allowed here"
    if isinstance(kind, engine.ValidationErrorKind.PropertyNames) and with_branches:
        return f"the name of a property: {_explain(kind.error, with_branches=False)}"
    message = error.message.replace(VALUE, quote(error.instance))
    return message[:1].lower() + message[1:]


def _explain_branches(error: engine.ValidationError, context: list[list[engine.ValidationError]]) -> str:
    """Return, for few alternatives, what keeps the value from each of them."""
    if len(context) > MAX_BRANCHES_SHOWN or not all(context):
        return ""
    depth = len(error.instance_path)
    reasons = (
        (f"{json_pointer(fault.instance_path[depth:])}: " if len(fault.instance_path) > depth else "")
        + clip(_explain(fault, with_branches=False), MAX_MESSAGE_CHARACTERS // 3)
        for fault in (branch[0] for branch in context)
    )
    return f" ({'; or '.join(dict.fromkeys(reasons))})"
