"""JSON Schema: checks schemas by our rules, and inputs by a schema.

A document is judged by the rules of the dialect that ``$schema`` names, from draft 4 on; without it, by 2020-12.
Pure functions over a compiled engine that never fetches anything. ``format``, ``contentEncoding`` and
``contentMediaType`` are annotations, as the specification has it by default; ``pattern`` is the keyword that checks.
The size of what they are given is bounded here, their time is not: whoever checks the input of strangers uses
``agentic_core.schema.sandbox``, which runs these same functions in a process with a CPU limit.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from typing import Any

import jsonschema_rs as engine

from agentic_core.schema.dialects import DIALECTS, DRAFT_2020, Dialect, find_dialect, refuse_dialect
from agentic_core.schema.patterns import BACKTRACKING, KEYWORD, LINEAR, Patterns, Unusable, take_out
from agentic_core.schema.problems import (
    MAX_MESSAGE_CHARACTERS,
    MAX_PROBLEMS,
    VALUE,
    SchemaProblem,
    SchemaRefused,
    blame_schema,
    build_compile_problem,
    build_exhausted_problem,
    build_pattern_problem,
    build_problems,
    build_refusal,
    sort_problems,
)
from agentic_core.schema.shape import Node, Shape, ShapeProblem, find_reference_problems, find_shape, locate
from agentic_core.strict_json import (
    MAX_INSTANCE_BYTES,
    MAX_SCHEMA_BYTES,
    JsonRefused,
    clip,
    encode_json,
    escape_part,
    parse_strict_json,
)

__all__ = [
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
    "preload",
]

# Draft 6 and 7 let an engine check these; here they are annotations in every dialect.
_ANNOTATIONS = ("contentEncoding", "contentMediaType")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known so far: valid if there are no problems; ``is_final`` when no more problems will be added."""

    problems: tuple[SchemaProblem, ...]
    is_final: bool


class CompiledSchema:
    """An accepted schema, ready to check any number of inputs.

    ``nodes`` are its subschemas; patterns among them that backtrack are taken out of the document, in place.
    """

    def __init__(
        self, schema: dict[str, Any] | bool, dialect: Dialect = DRAFT_2020, nodes: Iterable[Node] = ()
    ) -> None:
        self._schema = schema
        self._patterns: Patterns | None = None
        known = list(nodes)
        for node in known:
            if node.dialect.is_old:
                for keyword in _ANNOTATIONS:
                    node.schema.pop(keyword, None)
        try:
            self._validator = _compile_by(dialect, schema, LINEAR)
        except engine.ValidationError as error:
            if error.kind.name != "format":
                raise
            self._patterns = take_out(known)
            keywords = {KEYWORD: self._patterns.build_keyword()}
            self._validator = _compile_by(dialect, schema, BACKTRACKING, keywords)

    def judge(self, value: object) -> Iterator[Verdict]:
        """Yield the verdict with the first fault met, then with all of them.

        The engine collects every fault before it returns the first of the list, which hostile input makes expensive;
        the first verdict is cheap, and enough to refuse.
        """
        if self._patterns is None:
            yield from self._judge(value)
            return
        exhausted = self._patterns.begin(value)
        for verdict in self._judge(value):
            if exhausted.pattern:
                yield Verdict((build_exhausted_problem(exhausted, value),), is_final=True)
                return
            yield verdict

    def _judge(self, value: object) -> Iterator[Verdict]:
        try:
            self._validator.validate(value)
        except engine.ValidationError as error:
            yield Verdict(sort_problems(build_problems(error, self._schema)), is_final=False)
            faults = islice(self._validator.iter_errors(value), 5 * MAX_PROBLEMS)
            problems = (each for fault in faults for each in build_problems(fault, self._schema))
            yield Verdict(sort_problems(problems), is_final=True)
        else:
            yield Verdict((), is_final=True)


def _compile_by(
    dialect: Dialect,
    schema: dict[str, Any] | bool,
    patterns: "engine.PatternOptionsType",
    keywords: "dict[str, type[engine.KeywordValidator]] | None" = None,
) -> engine.Validator:
    return dialect.validator(
        schema, pattern_options=patterns, keywords=keywords, validate_formats=False, offline=True, mask=VALUE
    )


@cache
def _metaschema(dialect: Dialect) -> CompiledSchema:
    return CompiledSchema({"$ref": dialect.uri}, dialect)


def preload() -> None:
    """Compile what every check of a schema needs, once for all processes that are forked later."""
    for dialect in DIALECTS:
        _metaschema(dialect)


def check_schema(schema: object) -> tuple[SchemaProblem, ...]:
    """Return why ``schema`` is refused; nothing when inputs can be checked against it."""
    try:
        text = encode_json(schema)
    except JsonRefused as refused:
        return (build_refusal(refused),)
    return _last(judge_schema(text))


def check_instance(schema: object, instance: object) -> tuple[SchemaProblem, ...]:
    """Return the problems of ``instance``, sorted by pointer; none if ``schema`` allows it.

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
            dialect, shape = _find_shape(schema)
            for verdict in _metaschema(dialect).judge(_prune(schema, dialect, shape)):
                if verdict.problems:
                    yield verdict
            if verdict.problems:
                return
            _compile(schema, dialect, shape)
    except SchemaRefused as refused:
        yield Verdict(refused.problems, is_final=True)
    else:
        yield Verdict((), is_final=True)


def judge_instance(compiled: CompiledSchema, text: bytes) -> Iterator[Verdict]:
    """Yield the verdicts over an input, given as the text that ``encode_json`` wrote."""
    try:
        value = parse_strict_json(text, max_bytes=MAX_INSTANCE_BYTES, unique_keys=False, as_stored=True)
    except JsonRefused as refused:
        yield Verdict((build_refusal(refused),), is_final=True)
    else:
        yield from compiled.judge(value)


def compile_schema(text: bytes) -> CompiledSchema:
    """Compile a schema, given as the text that ``encode_json`` wrote; raises ``SchemaRefused``."""
    schema = _parse_schema(text)
    if isinstance(schema, bool):
        return CompiledSchema(schema)
    dialect, shape = _find_shape(schema)
    if (first := next(_metaschema(dialect).judge(_prune(schema, dialect, shape)))).problems:
        raise SchemaRefused(first.problems)
    return _compile(schema, dialect, shape)


def _parse_schema(text: bytes) -> dict[str, Any] | bool:
    try:
        schema = parse_strict_json(text, max_bytes=MAX_SCHEMA_BYTES, unique_keys=False)
    except JsonRefused as refused:
        raise SchemaRefused((build_refusal(refused),)) from None
    if isinstance(schema, dict | bool):
        return schema
    raise SchemaRefused((SchemaProblem("", "a schema is an object (or true or false)", "type"),))


def _find_shape(schema: dict[str, Any]) -> tuple[Dialect, Shape]:
    dialect = find_dialect(schema["$schema"]) if "$schema" in schema else DRAFT_2020
    if dialect is None:
        raise SchemaRefused((SchemaProblem("/$schema", refuse_dialect(schema["$schema"]), "$schema"),))
    shape = find_shape(schema, dialect)
    _refuse(shape.problems)
    return dialect, shape


def _prune(schema: dict[str, Any], dialect: Dialect, shape: Shape) -> dict[str, Any]:
    """Return the document without what other dialects rule in it."""
    foreign = {node.pointer for node in shape.documents if node.dialect is not dialect}
    pruned: dict[str, Any] = _without(schema, "", foreign) if foreign else schema
    return pruned


def _without(value: Any, pointer: str, places: set[str]) -> Any:
    if pointer in places:
        return {}
    if isinstance(value, dict):
        return {name: _without(each, f"{pointer}/{escape_part(name)}", places) for name, each in value.items()}
    if isinstance(value, list):
        return [_without(each, f"{pointer}/{index}", places) for index, each in enumerate(value)]
    return value


def _compile(schema: dict[str, Any], dialect: Dialect, shape: Shape) -> CompiledSchema:
    """Compile a schema that the metaschema allows."""
    _refuse(find_reference_problems(shape))
    for node in shape.documents:
        if (first := next(_metaschema(node.dialect).judge(node.schema))).problems:
            raise SchemaRefused(replace(each, pointer=f"{node.pointer}{each.pointer}") for each in first.problems)
    try:
        return CompiledSchema(schema, dialect, shape.nodes.values())
    except Unusable as unusable:
        raise SchemaRefused((build_pattern_problem(unusable),)) from None
    except engine.ValidationError as error:
        problem = build_compile_problem(error)
        raise SchemaRefused((replace(problem, pointer=problem.pointer or locate(shape, error.message)),)) from None


def _refuse(faults: list[ShapeProblem]) -> None:
    if faults:
        raise SchemaRefused(
            sort_problems(
                SchemaProblem(clip(fault.pointer, 512), clip(fault.message, MAX_MESSAGE_CHARACTERS), fault.keyword)
                for fault in faults
            )
        )


def _last(verdicts: Iterator[Verdict]) -> tuple[SchemaProblem, ...]:
    problems: tuple[SchemaProblem, ...] = ()
    for verdict in verdicts:
        problems = verdict.problems
    return problems
