"""Which schemas are accepted, which inputs fit, and how faults are worded."""

import json
from enum import StrEnum
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from agentic_core.schema.problems import MAX_MESSAGE_CHARACTERS
from agentic_core.schema.schema import MAX_PROBLEMS, SchemaProblem, check_instance, check_schema


def doubled(levels: int) -> dict[str, Any]:
    definitions: dict[str, Any] = {"a0": {"type": "string"}}
    for level in range(1, levels + 1):
        definitions[f"a{level}"] = {"allOf": [{"$ref": f"#/$defs/a{level - 1}"}] * 2}
    return {"$defs": definitions, "$ref": f"#/$defs/a{levels}"}


@pytest.mark.parametrize(
    "schema",
    [
        True,
        {},
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": "https://example.com/form",
            "type": "object",
        },
        {"properties": {"$ref": {"type": "string"}, "$id": {"type": "string"}, "dependencies": {"type": "array"}}},
        {"$defs": {"tree": {"properties": {"children": {"items": {"$ref": "#/$defs/tree"}}}}}, "$ref": "#/$defs/tree"},
        {"items": {"$ref": "#"}},
        {"$ref": "#/$defs/any", "$defs": {"any": True}},
        {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {}}},
        {"$ref": "#name", "$defs": {"a": {"$anchor": "name"}}},
        {"$dynamicRef": "#name", "$defs": {"a": {"$dynamicAnchor": "name"}}},
        {"enum": [{"$ref": "http://example.com/not-a-reference"}], "x-ui": {"$ref": "neither"}},
        {"pattern": r"^\p{L}{1,20}$", "patternProperties": {"^x-": {}}},
        {"properties": {f"p{number}": {} for number in range(4_000)}},
        doubled(10),
    ],
)
def test_accepts_schema(schema: object) -> None:
    assert check_schema(schema) == ()


@pytest.mark.parametrize(
    ("schema", "pointer", "words"),
    [
        pytest.param(3, "", "a schema is an object", id="not a schema"),
        pytest.param({"type": "nope"}, "/type", '"nope" fits none of the allowed forms', id="an unknown type"),
        pytest.param(
            {"properties": {"a": {"minimum": "x"}}}, "/properties/a/minimum", "not of type", id="a text minimum"
        ),
        pytest.param({"items": [{}]}, "/items", "use 'prefixItems', or name the draft", id="a list of items"),
        pytest.param({"$schema": "http://json-schema.org/draft-03/schema#"}, "/$schema", "name a draft", id="draft 3"),
        pytest.param({"$schema": "http://example.com/meta"}, "/$schema", "nothing is fetched", id="a metaschema's own"),
        pytest.param({"$schema": 7}, "/$schema", "is not supported", id="a number as dialect"),
        pytest.param(
            {"dependencies": {}}, "/dependencies", "use 'dependentRequired'", id="a keyword of another dialect"
        ),
        pytest.param(
            {"$defs": {"a": {"$schema": "http://json-schema.org/draft-07/schema#"}}},
            "/$defs/a/$schema",
            "counts only beside an '$id'",
            id="another dialect without a document of its own",
        ),
        pytest.param(
            {"$defs": {"a": {"$id": "x:b"}, "c": {"$id": "x:b"}}}, "/$defs/", "is given twice", id="one id twice"
        ),
        pytest.param(
            {"properties": {"a/b": {"$ref": "http://127.0.0.1/x"}}},
            "/properties/a~1b/$ref",
            "'http://127.0.0.1/x' points outside this schema",
            id="a reference over HTTP",
        ),
        pytest.param({"$ref": "file:///etc/passwd"}, "/$ref", "points outside this schema", id="a reference to a file"),
        pytest.param({"$ref": "other.json#/a"}, "/$ref", "points outside this schema", id="a relative reference"),
        pytest.param({"$ref": "#/nope"}, "/$ref", "names no schema here", id="a reference to nothing"),
        pytest.param({"$ref": "#nope"}, "/$ref", "there is no anchor", id="an anchor that is not there"),
        pytest.param({"$ref": "#/default", "default": {}}, "/$ref", "names no schema", id="a reference into data"),
        pytest.param(
            {"$defs": {"a": {"$anchor": "x"}, "b": {"$anchor": "x"}}}, "", "is defined twice", id="two anchors"
        ),
        pytest.param({"$ref": "#"}, "", "without end", id="a schema that is itself"),
        pytest.param(
            {"anyOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}},
            "/$defs/a",
            "without end",
            id="a cycle",
        ),
        pytest.param({"pattern": "("}, "/pattern", "is not valid", id="an invalid pattern"),
        pytest.param({"pattern": r"\w{1000}{1000}"}, "/pattern", "grows too large", id="a pattern that explodes"),
        pytest.param({"pattern": r"(?=a)\w{1000}{1000}"}, "/pattern", "grows too large", id="one that backtracks, too"),
        pytest.param({"patternProperties": {"a/(": {}}}, "/patternProperties/a~1(", "is not valid", id="in a key"),
        pytest.param({"pattern": r"\Aa\Z"}, "/pattern", "use ^ and $", id="Python's ends of a text"),
        pytest.param({"pattern": r"(?<n>a)\k<n>"}, "/pattern", "by its number", id="a group by its name"),
        pytest.param(
            {"allOf": [{"pattern": "(?!a)"}, {"pattern": r"\w{1000}{1000}"}]},
            "/allOf/1/pattern",
            "grows too large",
            id="beside look-around",
        ),
        pytest.param({"title": "x" * 70_000}, "", "over the limit of 65536", id="too large"),
        pytest.param({"allOf": [{}] * 5_001}, "", "over 5000 subschemas", id="too many subschemas"),
        pytest.param(doubled(16), "/$defs/", "held against over 10000 schemas", id="doubling references"),
        pytest.param(json.loads('{"not":' * 65 + "{}" + "}" * 65), "", "nested more than 64", id="too deep"),
        pytest.param({"default": float("nan")}, "/default", "NaN is not a JSON number", id="NaN"),
        pytest.param({"title": "\0"}, "/title", r"\u0000", id="a NUL"),
    ],
)
def test_refuses_schema(schema: object, pointer: str, words: str) -> None:
    problems = check_schema(schema)
    assert problems
    assert problems[0].pointer.startswith(pointer)
    assert words in problems[0].message


def test_names_every_place_of_a_schema_that_is_wrong() -> None:
    problems = check_schema({"properties": {"b": {"type": "x"}, "a": {"minLength": -1}}, "required": "a"})
    assert [problem.pointer for problem in problems] == ["/properties/a/minLength", "/properties/b/type", "/required"]


@pytest.mark.parametrize(
    ("schema", "instance", "problem"),
    [
        pytest.param(
            {"properties": {"a/b": {"type": "integer"}}},
            {"a/b": "many"},
            SchemaProblem("/a~1b", '"many" is not of type "integer"', "type", "/properties/a~1b/type"),
            id="a type",
        ),
        pytest.param(
            {"required": ["part"]},
            {},
            SchemaProblem("", '"part" is a required property', "required", "/required"),
            id="missing",
        ),
        pytest.param(
            {"properties": {"a": {}}, "additionalProperties": False},
            {"b": 1},
            SchemaProblem(
                "",
                "additional properties are not allowed ('b' was unexpected)",
                "additionalProperties",
                "/additionalProperties",
            ),
            id="a property too many",
        ),
        pytest.param(
            {"properties": {"level": {"enum": ["low", "high"]}}},
            {"level": "mid"},
            SchemaProblem("/level", '"mid" is not one of "low" or "high"', "enum", "/properties/level/enum"),
            id="an enum",
        ),
        pytest.param(
            {"items": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
            [1, "x"],
            SchemaProblem(
                "/1",
                '"x" fits none of the allowed forms ("x" is not of type "integer"; or "x" is not of type "null")',
                "anyOf",
                "/items/anyOf",
            ),
            id="alternatives",
        ),
        pytest.param(
            {"$ref": "http://example.com/"},
            1,
            SchemaProblem(
                "",
                "the schema itself is refused at /$ref: 'http://example.com/' points outside this schema, "
                "and nothing is fetched; copy its target to '$defs'",
                "$ref",
                "/$ref",
            ),
            id="a schema that cannot be used",
        ),
        pytest.param(
            {},
            {"a": float("inf")},
            SchemaProblem("/a", "Infinity is not a JSON number; use null or a string"),
            id="infinity",
        ),
    ],
)
def test_words_a_fault(schema: object, instance: object, problem: SchemaProblem) -> None:
    assert check_instance(schema, instance) == (problem,)


def test_bounds_what_it_says() -> None:
    schema = {"additionalProperties": {"type": "integer", "enum": [10**100, 1]}, "propertyNames": {"maxLength": 3}}
    instance = {f"{number}{'key' * 1000}": "value" * 1000 for number in range(12)}
    problems = check_instance(schema, instance)
    assert len(problems) == MAX_PROBLEMS
    assert list(problems) == sorted(problems)
    assert max(len(problem.message) for problem in problems) <= MAX_MESSAGE_CHARACTERS
    assert max(len(problem.pointer) for problem in problems) <= 512
    assert sum(len(json.dumps(vars_of(problem))) for problem in problems) < 30_000


def vars_of(problem: SchemaProblem) -> list[str]:
    return [problem.pointer, problem.message, problem.keyword, problem.schema_pointer]


@pytest.mark.parametrize(
    ("schema", "instance"),
    [
        pytest.param({"format": "date"}, "not a date", id="format"),
        pytest.param({"contentMediaType": "application/json", "contentEncoding": "base64"}, "{x", id="content"),
        pytest.param({"format": "no-such-format"}, "x", id="an unknown format"),
    ],
)
def test_annotations_are_not_asserted(schema: object, instance: object) -> None:
    assert check_schema(schema) == ()
    assert check_instance(schema, instance) == ()


class Level(StrEnum):
    LOW = "low"
    HIGH = "high"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(ge=0, le=9)


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str] = []


class Form(BaseModel):
    name: str = Field(min_length=1, max_length=20, pattern="^[a-z]+$")
    level: Level = Level.LOW
    limit: float | None = None
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    parts: list["Form"] = []


@pytest.mark.parametrize(
    ("inputs", "pointers"),
    [
        pytest.param({"name": "a", "pet": {"kind": "cat", "lives": 3}}, [], id="fits"),
        pytest.param({"name": "a", "limit": None, "level": "high", "pet": {"kind": "dog"}}, [], id="with null"),
        pytest.param({"name": "A", "pet": {"kind": "dog"}}, ["/name"], id="pattern"),
        pytest.param(
            {"name": "a", "pet": {"kind": "cat", "lives": 10}}, ["/pet/lives"], id="in the chosen alternative"
        ),
        pytest.param({"name": "a", "pet": {"kind": "cow"}}, ["/pet/kind"], id="no alternative"),
        pytest.param({"name": "a", "limit": "x", "pet": {"kind": "dog"}}, ["/limit"], id="neither number nor null"),
        pytest.param(
            {"name": "a", "pet": {"kind": "dog"}, "parts": [{"name": "b", "pet": {"kind": "dog"}}, {}]},
            ["/parts/1", "/parts/1"],
            id="recursion",
        ),
    ],
)
def test_checks_against_a_schema_that_pydantic_wrote(inputs: object, pointers: list[str]) -> None:
    schema = Form.model_json_schema()
    assert check_schema(schema) == ()
    assert [problem.pointer for problem in check_instance(schema, inputs)] == pointers


scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0, -2.5]) | st.text("ab", max_size=3)
names = st.sampled_from(["a", "b", "c"])
instances = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
)
types = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
counts = st.integers(0, 3)


def objects_of(schemas: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    some = st.lists(schemas, min_size=1, max_size=3)
    named = st.dictionaries(names, schemas, max_size=3)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": types | st.lists(types, min_size=1, max_size=3, unique=True),
            "enum": st.lists(instances, min_size=1, max_size=3),
            "const": instances,
            "minimum": st.integers(-3, 3),
            "exclusiveMaximum": st.integers(-3, 3),
            "multipleOf": st.sampled_from([1, 2, 0.5]),
            "minLength": counts,
            "maxLength": counts,
            "pattern": st.sampled_from(["a", "^a", "b$", "^(a|b)*$", "^[^a]+$"]),
            "minItems": counts,
            "maxItems": counts,
            "uniqueItems": st.booleans(),
            "prefixItems": some,
            "items": schemas,
            "contains": schemas,
            "minProperties": counts,
            "maxProperties": counts,
            "required": st.lists(names, max_size=2, unique=True),
            "properties": named,
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "b"]), schemas, max_size=2),
            "additionalProperties": schemas,
            "propertyNames": schemas,
            "dependentRequired": st.dictionaries(names, st.lists(names, max_size=2, unique=True), max_size=2),
            "dependentSchemas": named,
            "allOf": some,
            "anyOf": some,
            "oneOf": some,
            "not": schemas,
            "if": schemas,
            "then": schemas,
            "else": schemas,
            "unevaluatedProperties": schemas,
            "unevaluatedItems": schemas,
        },
    )


schemas = st.recursive(st.booleans() | st.fixed_dictionaries({}, optional={"type": types}), objects_of, max_leaves=10)


@settings(max_examples=400)
@given(schema=schemas, instance=instances)
def test_gives_the_verdicts_of_the_reference_library(schema: Any, instance: Any) -> None:
    assert check_schema(schema) == ()
    expected = jsonschema.Draft202012Validator(schema).is_valid(instance)
    assert (check_instance(schema, instance) == ()) is expected


def a_union(**discriminator: Any) -> dict[str, Any]:
    cat = {"title": "Cat", "properties": {"kind": {"const": "cat"}, "lives": {"maximum": 9}}, "required": ["kind"]}
    dog = {"properties": {"kind": {"enum": ["dog", "wolf"]}, "tricks": {"type": "array"}}, "required": ["kind"]}
    return {
        "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}],
        "$defs": {"Cat": cat, "Dog": dog},
        **discriminator,
    }


UNTAGGED = {
    "$defs": {"A": {"type": "object", "required": ["a"]}, "B": {"type": "object", "required": ["b"]}},
    "anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}, {"type": "null"}],
}
MAPPED = {
    "discriminator": {"propertyName": "kind", "mapping": {"c": "#/$defs/Cat", "d": "#/$defs/Dog"}},
    "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}],
    "$defs": {"Cat": {"required": ["lives"]}, "Dog": {"required": ["tricks"]}},
}


@pytest.mark.parametrize(
    ("schema", "instance", "problems"),
    [
        pytest.param(
            a_union(), {"kind": "cat", "lives": 11}, ["/lives: 11 is greater than the maximum of 9"], id="by a constant"
        ),
        pytest.param(
            a_union(), {"kind": "wolf", "tricks": 1}, ['/tricks: 1 is not of type "array"'], id="by one of several"
        ),
        pytest.param(
            a_union(), {"kind": "cow"}, ['/kind: "cow" is not one of "cat", "dog" or "wolf"'], id="no such tag"
        ),
        pytest.param(
            a_union(),
            {},
            [
                (
                    '/: an empty object fits none of the allowed forms (Cat: "kind" is a required property;'
                    ' or Dog: "kind" is a required property)'
                )
            ],
            id="no tag",
        ),
        pytest.param(MAPPED, {"kind": "d"}, ['/: "tricks" is a required property'], id="by OpenAPI's discriminator"),
        pytest.param(
            {"properties": {"pet": {"anyOf": [a_union(), {"type": "null"}]}}, "$defs": a_union()["$defs"]},
            {"pet": {"kind": "cat", "lives": 11}},
            ["/pet/lives: 11 is greater than the maximum of 9"],
            id="in an optional union",
        ),
        pytest.param(
            UNTAGGED,
            {"c": 1},
            [
                (
                    '/: an object fits none of the allowed forms (A: "a" is a required property; or B: "b" is a'
                    " required property)"
                )
            ],
            id="without a tag, those of its type",
        ),
        pytest.param(
            {"anyOf": [{"type": "object", "properties": {"a": {"type": "integer"}}}, {"type": "null"}]},
            {"a": "x"},
            ['/a: "x" is not of type "integer"'],
            id="the only one of its type",
        ),
        pytest.param(
            {
                "anyOf": [
                    {"type": "integer"},
                    {"const": "auto"},
                    {"enum": [True]},
                    {"type": "null"},
                    {"title": "List", "type": "array"},
                ]
            },
            "x",
            ['/: "x" fits none of the 5 allowed forms: integer, "auto", true, null, List'],
            id="many alternatives",
        ),
    ],
)
def test_a_union_tells_the_alternative_that_was_meant_or_names_all(
    schema: dict[str, Any], instance: object, problems: list[str]
) -> None:
    assert check_schema(schema) == ()
    assert [str(each) for each in check_instance(schema, instance)] == problems
