"""JSON Schema 2020-12: which schemas are accepted, and what is wrong with an input.

Pure functions over a compiled, linear-time engine that never fetches anything. ``format``, ``contentEncoding`` and
``contentMediaType`` are annotations, as the specification has it by default; ``pattern`` is the keyword that checks.
The size of what they are given is bounded here, their time is not: whoever checks the input of strangers uses
``agentic_core.bounded``, which runs these same functions in a process with a CPU limit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import jsonschema_rs as engine

from agentic_core.schema_problems import (
    MAX_PROBLEMS,
    VALUE,
    SchemaProblem,
    SchemaRefused,
    blame_schema,
    build_compile_problem,
    build_problem,
    build_refusal,
    sort_problems,
)
from agentic_core.schema_shape import DIALECT, find_shape_problems
from agentic_core.strict_json import (
    MAX_INSTANCE_BYTES,
    MAX_SCHEMA_BYTES,
    JsonRefused,
    clip,
    encode_json,
    parse_strict_json,
)

__all__ = [
    "DIALECT",
    "MAX_INSTANCE_BYTES",
    "MAX_PROBLEMS",
    "MAX_SCHEMA_BYTES",
    "CompiledSchema",
    "SchemaProblem",
    "SchemaRefused",
    "Verdict",
    "check_instance",
    "check_schema",
    "compile_schema",
    "judge_instance",
    "judge_schema",
]

_PATTERNS = engine.RegexOptions(size_limit=1024 * 1024, dfa_size_limit=1024 * 1024)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known so far: valid where there are no problems; ``is_final`` when no more problems will be added."""

    problems: tuple[SchemaProblem, ...]
    is_final: bool


class CompiledSchema:
    """An accepted schema, ready to check any number of inputs."""

    def __init__(self, schema: dict[str, object] | bool) -> None:
        self._validator = engine.Draft202012Validator(
            schema, pattern_options=_PATTERNS, validate_formats=False, offline=True, mask=VALUE
        )

    def judge(self, value: object) -> Iterator[Verdict]:
        """Yield the verdict with the first fault met, then with all of them.

        The engine collects every fault before it returns the first of the list, which hostile input makes expensive;
        the first verdict is cheap, and enough to refuse.
        """
        try:
            self._validator.validate(value)
        except engine.ValidationError as error:
            yield Verdict((build_problem(error),), is_final=False)
            faults = islice(self._validator.iter_errors(value), 5 * MAX_PROBLEMS)
            yield Verdict(sort_problems(map(build_problem, faults)), is_final=True)
        else:
            yield Verdict((), is_final=True)


_METASCHEMA = CompiledSchema({"$ref": DIALECT})


def check_schema(schema: object) -> tuple[SchemaProblem, ...]:
    """Return why ``schema`` is refused; nothing when inputs can be checked against it."""
    try:
        text = encode_json(schema)
    except JsonRefused as refused:
        return (build_refusal(refused),)
    return _last(judge_schema(text))


def check_instance(schema: object, instance: object) -> tuple[SchemaProblem, ...]:
    """Return what is wrong with ``instance``, sorted by pointer; nothing when ``schema`` allows it.

    A schema that is itself refused allows nothing, and the one problem says so.
    """
    try:
        compiled = compile_schema(encode_json(schema))
        text = encode_json(instance)
    except SchemaRefused as refused:
        return (blame_schema(refused),)
    except JsonRefused as refused:
        return (build_refusal(refused),)
    return _last(judge_instance(compiled, text))


def judge_schema(text: bytes) -> Iterator[Verdict]:
    """Yield the verdicts over a schema, given as the text that ``encode_json`` wrote."""
    try:
        schema = _parse_schema(text)
        if isinstance(schema, dict):
            for verdict in _METASCHEMA.judge(schema):
                if verdict.problems:
                    yield verdict
            if verdict.problems:
                return
        _compile(schema)
    except SchemaRefused as refused:
        yield Verdict(refused.problems, is_final=True)
    else:
        yield Verdict((), is_final=True)


def judge_instance(compiled: CompiledSchema, text: bytes) -> Iterator[Verdict]:
    """Yield the verdicts over an input, given as the text that ``encode_json`` wrote."""
    try:
        value = parse_strict_json(text, max_bytes=MAX_INSTANCE_BYTES, unique_keys=False)
    except JsonRefused as refused:
        yield Verdict((build_refusal(refused),), is_final=True)
    else:
        yield from compiled.judge(value)


def compile_schema(text: bytes) -> CompiledSchema:
    """Compile a schema, given as the text that ``encode_json`` wrote; raises ``SchemaRefused``."""
    schema = _parse_schema(text)
    if isinstance(schema, dict) and (first := next(_METASCHEMA.judge(schema))).problems:
        raise SchemaRefused(first.problems)
    return _compile(schema)


def _parse_schema(text: bytes) -> dict[str, object] | bool:
    try:
        schema = parse_strict_json(text, max_bytes=MAX_SCHEMA_BYTES, unique_keys=False)
    except JsonRefused as refused:
        raise SchemaRefused((build_refusal(refused),)) from None
    if isinstance(schema, dict):
        # Its identity matters to nobody here, and as a base address it could change what a local reference means.
        schema.pop("$id", None)
        return schema
    if isinstance(schema, bool):
        return schema
    raise SchemaRefused((SchemaProblem("", "a schema is an object (or true or false)", "type"),))


def _compile(schema: dict[str, object] | bool) -> CompiledSchema:
    """Compile what the metaschema allows."""
    if isinstance(schema, dict) and (faults := find_shape_problems(schema)):
        raise SchemaRefused(
            sort_problems(SchemaProblem(clip(fault.pointer, 512), fault.message, fault.keyword) for fault in faults)
        )
    try:
        return CompiledSchema(schema)
    except engine.ValidationError as error:
        raise SchemaRefused((build_compile_problem(error),)) from None


def _last(verdicts: Iterator[Verdict]) -> tuple[SchemaProblem, ...]:
    problems: tuple[SchemaProblem, ...] = ()
    for verdict in verdicts:
        problems = verdict.problems
    return problems
