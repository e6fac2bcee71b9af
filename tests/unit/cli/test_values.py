"""What `-p key=value` means under a schema."""

from typing import Any

import pytest

from agentic_cli.inputs.values import build_inputs, find_schema, find_types, read_value, split_key
from agentic_core.errors import PermanentError

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "count": {"type": "integer"},
        "ratio": {"type": "number"},
        "flag": {"type": "boolean"},
        "list": {"type": "array"},
        "object": {"type": "object"},
        "choice": {"enum": ["1", "two"]},
        "level": {"enum": [1, 2]},
        "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "either": {"type": ["string", "integer"]},
        "free": {},
        "nested": {"$ref": "#/$defs/Nested"},
        "kind": {"const": "a"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "optional_mode": {"anyOf": [{"$ref": "#/$defs/Mode"}, {"type": "null"}]},
    },
    "$defs": {
        "Nested": {"type": "object", "properties": {"deep": {"type": "string"}, "n": {"type": "integer"}}},
        "Mode": {"enum": ["fast", "slow"]},
    },
}


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        pytest.param("text=5", {"text": "5"}, id="digits where the schema wants text"),
        pytest.param("text=a=b", {"text": "a=b"}, id="an equals sign in the value"),
        pytest.param("text=", {"text": ""}, id="empty text"),
        pytest.param("count=5", {"count": 5}, id="an integer"),
        pytest.param("ratio=5", {"ratio": 5}, id="an integer where a number is wanted"),
        pytest.param("ratio=1e3", {"ratio": 1000.0}, id="a number with an exponent"),
        pytest.param("flag=true", {"flag": True}, id="true"),
        pytest.param("flag=No", {"flag": False}, id="a word for false"),
        pytest.param('list=[1,"a"]', {"list": [1, "a"]}, id="a list as JSON"),
        pytest.param('object={"a":{}}', {"object": {"a": {}}}, id="an object as JSON"),
        pytest.param("choice=1", {"choice": "1"}, id="a choice that is text of digits"),
        pytest.param("level=2", {"level": 2}, id="a choice that is a number"),
        pytest.param("maybe=null", {"maybe": None}, id="null where it is allowed"),
        pytest.param("maybe=3", {"maybe": 3}, id="the other alternative"),
        pytest.param("either=3", {"either": 3}, id="JSON first where both fit"),
        pytest.param("either=x", {"either": "x"}, id="else text"),
        pytest.param("free=[1]", {"free": [1]}, id="JSON where the schema says nothing"),
        pytest.param("free=hello world", {"free": "hello world"}, id="text where it is no JSON"),
        pytest.param("unknown=1.5", {"unknown": 1.5}, id="a key that the schema lacks"),
        pytest.param("nested.n=4", {"nested": {"n": 4}}, id="a dotted key through a reference"),
        pytest.param("nested.deep=4", {"nested": {"deep": "4"}}, id="text through a reference"),
        pytest.param(
            "labels.a\\.b/c=1", {"labels": {"a.b/c": "1"}}, id="a dot in a name, typed by additionalProperties"
        ),
        pytest.param("kind=a", {"kind": "a"}, id="a constant"),
        pytest.param("optional_mode=fast", {"optional_mode": "fast"}, id="a reference among alternatives"),
    ],
)
def test_a_value_is_typed_by_the_schema(pair: str, expected: dict[str, Any]) -> None:
    assert build_inputs(None, [pair], SCHEMA) == expected


@pytest.mark.parametrize(
    ("pair", "complaint"),
    [
        pytest.param("count", "'count' is not key=value", id="no equals sign"),
        pytest.param("=5", "'=5' is not key=value", id="no key"),
        pytest.param("a..b=1", "the key 'a..b' has an empty part", id="an empty part"),
        pytest.param("count=five", 'count: "five" is not an integer', id="words for an integer"),
        pytest.param("count=1.5", 'count: "1.5" is not an integer', id="a fraction for an integer"),
        pytest.param("flag=maybe", 'flag: "maybe" is not a boolean', id="no boolean"),
        pytest.param("list=a,b", 'list: "a,b" is not an array; write it as JSON', id="a list without brackets"),
        pytest.param("ratio=NaN", 'ratio: "NaN" is not a number', id="not a number at all"),
        pytest.param('object={"a":1,"a":2}', "the key 'a' occurs twice", id="a doubled key"),
        pytest.param("free=[NaN]", "NaN is not a JSON number", id="NaN within JSON"),
    ],
)
def test_what_means_nothing_is_refused_by_name(pair: str, complaint: str) -> None:
    with pytest.raises(PermanentError, match=r".") as refused:
        build_inputs(None, [pair], SCHEMA)
    assert complaint in str(refused.value)


def test_pairs_go_over_the_file() -> None:
    base = {"count": 1, "nested": {"deep": "x", "n": 1}}
    assert build_inputs(base, ["nested.n=2", "count=3"], SCHEMA) == {"count": 3, "nested": {"deep": "x", "n": 2}}


def test_a_dotted_key_into_what_is_no_object_is_refused() -> None:
    with pytest.raises(PermanentError, match=r"nested: is a string, so 'nested\.n' cannot be set in it"):
        build_inputs({"nested": "text"}, ["nested.n=1"], SCHEMA)
    with pytest.raises(PermanentError, match="the inputs: is an array"):
        build_inputs([1], ["a=1"], SCHEMA)


def test_nothing_given_is_nothing() -> None:
    assert build_inputs(None, [], SCHEMA) is None


@pytest.mark.parametrize(
    ("key", "parts"),
    [("a", ("a",)), ("a.b", ("a", "b")), (r"a\.b", ("a.b",)), (r"a\\.b", ("a\\", "b")), (r"a\n", (r"a\n",))],
)
def test_dotted_keys(key: str, parts: tuple[str, ...]) -> None:
    assert split_key(key) == parts


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        {"$ref": "https://example.com/schema"},
        {"$ref": "#/nowhere"},
        {"allOf": [{"$ref": "#"}, {"$ref": "#"}]},
    ],
)
def test_references_that_lead_nowhere_or_round_and_round_say_nothing(schema: dict[str, Any]) -> None:
    assert find_schema(schema, ("x",)) is None
    assert read_value("5", schema, root=schema) == 5


def test_types_of_alternatives_are_all_found() -> None:
    assert find_types({"anyOf": [{"type": "string"}, {"oneOf": [{"type": "null"}, {"const": 5}]}]}) == {
        "string",
        "null",
        "integer",
    }
