"""Each dialect by its own rules, words of other dialects with the remedy, and documents with ids offline."""

from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_core.schema.dialects import DIALECTS, DRAFT_4, DRAFT_6, DRAFT_7, DRAFT_2019, DRAFT_2020, Dialect
from agentic_core.schema.schema import check_instance, check_schema

OLD = (DRAFT_4, DRAFT_6, DRAFT_7)
TUPLE = {"items": [{"type": "integer"}], "additionalItems": False}


def named(dialect: Dialect, schema: dict[str, Any]) -> dict[str, Any]:
    return {"$schema": dialect.uri, **schema}


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda each: each.name)
@pytest.mark.parametrize("form", ["{}", "{}#"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_dialect_is_known_by_every_form_of_its_address(dialect: Dialect, form: str, scheme: str) -> None:
    address = form.format(f"{scheme}://{dialect.uri.partition('://')[2]}")
    assert check_schema({"$schema": address, "type": "object"}) == ()
    assert check_instance({"$schema": address, "type": "object"}, 1)


@pytest.mark.parametrize(
    ("dialects", "schema", "instance", "is_valid"),
    [
        pytest.param((*OLD, DRAFT_2019), TUPLE, [1], True, id="a tuple"),
        pytest.param((*OLD, DRAFT_2019), TUPLE, [1, 2], False, id="a longer tuple"),
        pytest.param((DRAFT_4,), {"minimum": 1, "exclusiveMinimum": True}, 1, False, id="a bound of draft 4"),
        pytest.param((DRAFT_4,), {"const": 1}, 2, True, id="a word that draft 4 does not know"),
        pytest.param(OLD, {"dependencies": {"a": ["b"]}}, {"a": 1}, False, id="dependencies"),
        pytest.param(
            OLD,
            {"definitions": {"a": {}}, "properties": {"x": {"$ref": "#/definitions/a", "type": "integer"}}},
            {"x": "text"},
            True,
            id="beside a reference nothing counts",
        ),
        pytest.param(
            (DRAFT_2019, DRAFT_2020),
            {"$defs": {"a": {}}, "properties": {"x": {"$ref": "#/$defs/a", "type": "integer"}}},
            {"x": "text"},
            False,
            id="beside a reference all counts",
        ),
        pytest.param(OLD, {"$ref": "#/$defs/a", "$defs": {"a": {"type": "integer"}}}, "x", False, id="$defs of old"),
        pytest.param(
            (DRAFT_6, DRAFT_7), {"contentMediaType": "application/json"}, "{", True, id="content is an annotation"
        ),
        pytest.param(
            (DRAFT_2019,),
            {
                "$recursiveAnchor": True,
                "properties": {"next": {"$recursiveRef": "#"}},
                "unevaluatedProperties": False,
            },
            {"next": {"other": 1}},
            False,
            id="recursion of 2019-09",
        ),
        pytest.param(DIALECTS, {"not": {"$ref": "#/definitions/a"}, "definitions": {"a": {}}}, 1, False, id="not"),
    ],
)
def test_each_dialect_has_its_own_rules(
    dialects: tuple[Dialect, ...], schema: dict[str, Any], instance: object, is_valid: bool
) -> None:
    for dialect in dialects:
        assert check_schema(named(dialect, schema)) == ()
        assert (check_instance(named(dialect, schema), instance) == ()) is is_valid


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda each: each.name)
def test_a_metaschema_may_be_referred_to_and_is_not_fetched(dialect: Dialect) -> None:
    schema = named(dialect, {"properties": {"schema": {"$ref": dialect.uri}}})
    assert check_schema(schema) == ()
    assert check_instance(schema, {"schema": {"type": 7}})


@pytest.mark.parametrize(
    ("schema", "pointer", "remedy"),
    [
        ({"properties": {"a": {"items": [{}]}}}, "/properties/a/items", "use 'prefixItems', or name the draft"),
        ({"additionalItems": False}, "/additionalItems", "use 'items' beside 'prefixItems'"),
        ({"minimum": 3, "exclusiveMinimum": True}, "/exclusiveMinimum", 'use "exclusiveMinimum": 3 instead of'),
        ({"exclusiveMaximum": False}, "/exclusiveMaximum", "leave it out"),
        ({"dependencies": {}}, "/dependencies", "use 'dependentRequired' or 'dependentSchemas', or name the draft"),
        ({"$recursiveRef": "#"}, "/$recursiveRef", "use '$dynamicRef'"),
        ({"properties": {"a": {"required": True}}}, "/properties/a/required", 'such as ["a"]'),
        ({"type": "any"}, "/type", "leave 'type' out"),
        ({"type": ["any", "null"]}, "/type", "leave 'type' out"),
        ({"type": [{"type": "string"}]}, "/type", "use 'anyOf'"),
        ({"type": "int"}, "/type", "use 'integer'"),
        ({"type": "string", "nullable": True}, "/nullable", 'use "type": ["string", "null"]'),
        ({"$ref": "#/$defs/a", "$defs": {"a": {}}, "nullable": True}, "/nullable", '"anyOf"'),
        ({"divisibleBy": 2}, "/divisibleBy", "use 'multipleOf'"),
        ({"extends": {}}, "/extends", "use 'allOf'"),
        ({"disallow": "string"}, "/disallow", "use 'not'"),
        ({"id": "http://example.com/a"}, "/id", "use '$id', or name the draft"),
        (named(DRAFT_4, {"exclusiveMinimum": 3}), "/exclusiveMinimum", "true or false beside 'minimum'"),
        (named(DRAFT_7, {"minimum": 3, "exclusiveMinimum": True}), "/exclusiveMinimum", 'use "exclusiveMinimum": 3'),
        (named(DRAFT_2019, {"dependencies": {}}), "/dependencies", "use 'dependentRequired'"),
        (named(DRAFT_2020, {"items": [{}]}), "/items", "use 'prefixItems'"),
    ],
)
def test_words_of_another_dialect_are_refused_with_what_to_write(
    schema: dict[str, Any], pointer: str, remedy: str
) -> None:
    problems = check_schema(schema)
    assert [each.pointer for each in problems] == [pointer]
    assert remedy in problems[0].message


@pytest.mark.parametrize(
    "schema",
    [
        {"type": ["string", "null"], "nullable": True},
        {"nullable": False, "type": "string"},
        {"nullable": True},
        {"id": "a-hint-for-forms"},
        {"properties": {name: {"type": "string"} for name in ("id", "nullable", "items", "required", "extends")}},
        {"default": {"type": "any", "required": True}, "enum": [{"items": [{}]}]},
        {"definitions": {"a": {"type": "string"}}, "$ref": "#/definitions/a"},
        named(DRAFT_7, {"nullable": True, "type": "string", "id": "http://example.com/a", "divisibleBy": 2}),
    ],
)
def test_what_only_looks_like_another_dialect_is_accepted(schema: dict[str, Any]) -> None:
    assert check_schema(schema) == ()


BUNDLE = {
    "$id": "https://example.com/forms/order",
    "properties": {"item": {"$ref": "item"}, "size": {"$ref": "/sizes#any"}, "next": {"$ref": "order"}},
    "$defs": {
        "item": {"$id": "item", "$ref": "#/$defs/name", "$defs": {"name": {"type": "string"}}},
        "sizes": {"$id": "/sizes", "$defs": {"any": {"$anchor": "any", "type": "integer"}}},
    },
}


@pytest.mark.parametrize(
    ("schema", "fits", "fails"),
    [
        pytest.param(BUNDLE, {"item": "x", "size": 1}, {"item": 1}, id="a bundle"),
        pytest.param(BUNDLE, {"next": {"size": 1}}, {"next": {"size": "x"}}, id="an anchor in a bundle"),
        pytest.param(
            {"properties": {"a": {"$ref": "urn:x:y"}}, "$defs": {"a": {"$id": "urn:x:y", "type": "integer"}}},
            {"a": 1},
            {"a": "x"},
            id="a name instead of an address",
        ),
        pytest.param(
            {
                "$id": "my form",
                "properties": {"a": {"$ref": "#/$defs/List<a[b]>"}},
                "$defs": {"List<a[b]>": {"type": "integer"}},
            },
            {"a": 1},
            {"a": "x"},
            id="names that are no addresses",
        ),
        pytest.param(
            {"properties": {"a": {"$ref": "other"}}, "$defs": {"a": {"$id": "other", "type": "integer"}}},
            {"a": 1},
            {"a": "x"},
            id="relative to nothing",
        ),
        pytest.param(
            named(
                DRAFT_7,
                {
                    "properties": {"a": {"$ref": "#name"}},
                    "definitions": {"a": {"$id": "#name", "type": "integer"}},
                },
            ),
            {"a": 1},
            {"a": "x"},
            id="an anchor of draft 7",
        ),
        pytest.param(
            named(
                DRAFT_4,
                {
                    "id": "http://example.com/r",
                    "properties": {"a": {"$ref": "part.json#/definitions/n"}},
                    "definitions": {"p": {"id": "part.json", "definitions": {"n": {"type": "integer"}}}},
                },
            ),
            {"a": 1},
            {"a": "x"},
            id="a bundle of draft 4",
        ),
        pytest.param(
            {
                "properties": {"a": {"$ref": "http://example.com/old"}},
                "$defs": {"old": named(DRAFT_7, {"$id": "http://example.com/old", **TUPLE})},
            },
            {"a": [1]},
            {"a": ["x"]},
            id="a document of another dialect",
        ),
        pytest.param(
            {"properties": {"a": {"$ref": "#/x-parts/n"}}, "x-parts": {"n": {"type": "integer"}}},
            {"a": 1},
            {"a": "x"},
            id="a place that only the reference makes a schema",
        ),
        pytest.param(
            {
                "$id": "https://example.com/tree",
                "$dynamicAnchor": "node",
                "properties": {"children": {"items": {"$dynamicRef": "#node"}}, "v": {"type": "integer"}},
            },
            {"children": [{"v": 1}]},
            {"children": [{"children": [{"v": "x"}]}]},
            id="a dynamic anchor",
        ),
    ],
)
def test_ids_bundles_and_anchors_work_offline(schema: dict[str, Any], fits: object, fails: object) -> None:
    assert check_schema(schema) == ()
    assert check_instance(schema, fits) == ()
    assert check_instance(schema, fails)


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        (BUNDLE | {"allOf": [{"$ref": "nowhere"}]}, "/allOf/0/$ref"),
        ({"$defs": {"a": {"$id": "http://e/a", "$ref": "b"}}}, "/$defs/a/$ref"),
        ({"$defs": {"a": {"$id": "http://[bad"}}}, "/$defs/a/$id"),
        ({"$ref": "#/x-part", "x-part": {"type": 7}}, "/x-part/type"),
        ({"$defs": {"old": named(DRAFT_7, {"$id": "http://e/a", "minimum": "x"})}}, "/$defs/old/minimum"),
        (
            {
                "$id": "a",
                "$dynamicAnchor": "n",
                "$ref": "b",
                "$defs": {"b": {"$id": "b", "$defs": {"d": {"$dynamicAnchor": "n"}}, "allOf": [{"$dynamicRef": "#n"}]}},
            },
            "",
        ),
    ],
    ids=[
        "not in the bundle",
        "relative to an embedded document",
        "no address",
        "no schema",
        "against its own metaschema",
        "a cycle",
    ],
)
def test_what_is_wrong_in_a_bundle_is_refused_with_its_place(schema: dict[str, Any], pointer: str) -> None:
    problems = check_schema(schema)
    assert problems
    assert problems[0].pointer.startswith(pointer)


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.5, 1.0, 2**53 + 1, 2**63 - 1])
    | st.text("ab", max_size=3)
)
names = st.sampled_from(["a", "b", "c"])
instances = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
)
types = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
counts = st.integers(0, 3)
REFERENCE = {
    "draft 4": jsonschema.Draft4Validator,
    "draft 6": jsonschema.Draft6Validator,
    "draft 7": jsonschema.Draft7Validator,
    "2019-09": jsonschema.Draft201909Validator,
}


def schemas_of(dialect: Dialect) -> st.SearchStrategy[Any]:
    leaves: st.SearchStrategy[Any] = st.fixed_dictionaries({}, optional={"type": types})
    if dialect is not DRAFT_4:
        leaves |= st.booleans()
    return st.recursive(leaves, lambda inner: objects_of(dialect, inner), max_leaves=8)


def objects_of(dialect: Dialect, schemas: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    some, by_name = st.lists(schemas, min_size=1, max_size=3), st.dictionaries(names, schemas, max_size=3)
    keywords: dict[str, st.SearchStrategy[Any]] = {
        "type": types | st.lists(types, min_size=1, max_size=3, unique=True),
        "enum": st.lists(instances, min_size=1, max_size=3, unique_by=repr),
        "minimum": st.integers(-3, 3),
        "multipleOf": st.sampled_from([1, 2, 0.5]),
        "pattern": st.sampled_from(["a", "^a", "b$", "^(?!a)", r"(a|b)\1"]),
        "items": schemas | some,
        "additionalItems": schemas,
        "required": st.lists(names, min_size=1, max_size=2, unique=True),
        "properties": by_name,
        "patternProperties": st.dictionaries(st.sampled_from(["^a", "^(?!b)"]), schemas, max_size=2),
        "additionalProperties": schemas,
        "allOf": some,
        "anyOf": some,
        "oneOf": some,
        "not": schemas,
    }
    if dialect.is_old:
        needed = st.lists(names, min_size=1, max_size=2, unique=True)
        keywords["dependencies"] = st.dictionaries(names, schemas | needed, max_size=2)
    if dialect is DRAFT_4:
        bounded = {"minimum": keywords.pop("minimum"), "exclusiveMinimum": st.booleans()}
        return st.fixed_dictionaries({}, optional=keywords) | st.fixed_dictionaries(bounded, optional=keywords)
    keywords |= {
        "const": instances,
        "contains": schemas,
        "exclusiveMaximum": st.integers(-3, 3),
        "propertyNames": schemas,
    }
    if dialect is not DRAFT_6:
        keywords |= {"if": schemas, "then": schemas, "else": schemas}
    if dialect is DRAFT_2019:
        keywords |= {"dependentSchemas": by_name, "minContains": counts, "unevaluatedProperties": schemas}
    return st.fixed_dictionaries({}, optional=keywords).map(_drop_pointless_items)


def _drop_pointless_items(schema: dict[str, Any]) -> dict[str, Any]:
    """Drop ``additionalItems`` beside a boolean ``items``: the reference library raises TypeError for it."""
    if isinstance(schema.get("items"), bool):
        schema.pop("additionalItems", None)
    return schema


@pytest.mark.parametrize("dialect", [DRAFT_4, DRAFT_6, DRAFT_7, DRAFT_2019], ids=lambda each: each.name)
@settings(max_examples=60)
@given(data=st.data())
def test_gives_the_verdicts_of_the_reference_library(dialect: Dialect, data: st.DataObject) -> None:
    schema = data.draw(schemas_of(dialect))
    schema = named(dialect, schema) if isinstance(schema, dict) else named(dialect, {"allOf": [schema]})
    instance = data.draw(instances)
    assert check_schema(schema) == ()
    expected = REFERENCE[dialect.name](schema).is_valid(instance)
    assert (check_instance(schema, instance) == ()) is expected
