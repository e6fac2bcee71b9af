"""What becomes of a graph's result on its way into JSON."""

import base64
import dataclasses
import hashlib
import json
from collections import OrderedDict, namedtuple
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from pydantic import BaseModel

from agentic_core.errors import OutputTooLarge
from agentic_store.errors import UnstorableOutput
from agentic_store.results.output import encode_json, encode_output


class Colour(Enum):
    RED = "red"


class Size(IntEnum):
    BIG = 3


class Mood(StrEnum):
    GOOD = "good"


@dataclasses.dataclass
class Part:
    name: str
    made: date


class Report(BaseModel):
    title: str
    parts: list[Part]


class Array:
    """What numpy's arrays and scalars offer."""

    def __init__(self, content: Any) -> None:
        self._content = content

    def tolist(self) -> Any:
        return self._content


class Opaque:
    def __str__(self) -> str:
        return "an opaque thing"


Point = namedtuple("Point", "x y")

STORED = [
    pytest.param({"a": [1, 2.5, True, None, "ä"]}, {"a": [1, 2.5, True, None, "ä"]}, id="plain JSON"),
    pytest.param((1, (2,)), [1, [2]], id="tuples"),
    pytest.param(Point(1, 2), [1, 2], id="a named tuple"),
    pytest.param({"p": Point(date(2026, 1, 2), 2)}, {"p": ["2026-01-02", 2]}, id="a named tuple among others"),
    pytest.param(OrderedDict(b=1, a=2), {"b": 1, "a": 2}, id="an ordered dict"),
    pytest.param({1: "a", None: "b", 2.5: "c"}, {"1": "a", "null": "b", "2.5": "c"}, id="keys that are no text"),
    pytest.param({(1, 2): date(2026, 1, 2)}, {"[1,2]": "2026-01-02"}, id="keys that are tuples"),
    pytest.param(datetime(2026, 3, 1, 12, 30, tzinfo=UTC), "2026-03-01T12:30:00+00:00", id="a datetime, by ISO 8601"),
    pytest.param([date(2026, 3, 1), time(12, 30)], ["2026-03-01", "12:30:00"], id="a date and a time"),
    pytest.param(timedelta(minutes=1.5), 90.0, id="a duration, in seconds"),
    pytest.param(b"\x00\xff", base64.b64encode(b"\x00\xff").decode(), id="bytes, by base64"),
    pytest.param({3, 1, 2}, [1, 2, 3], id="a set, sorted"),
    pytest.param([Colour.RED, Size.BIG, Mood.GOOD], ["red", 3, "good"], id="enums"),
    pytest.param(UUID(int=1), "00000000-0000-0000-0000-000000000001", id="a UUID"),
    pytest.param([Decimal("1.10"), PurePosixPath("a/b")], ["1.10", "a/b"], id="a decimal and a path"),
    pytest.param(Part("x", date(2026, 1, 2)), {"name": "x", "made": "2026-01-02"}, id="a dataclass"),
    pytest.param(
        Report(title="t", parts=[Part("x", date(2026, 1, 2))]),
        {"title": "t", "parts": [{"name": "x", "made": "2026-01-02"}]},
        id="a pydantic model with dataclasses",
    ),
    pytest.param([Array([1, 2]), Array(2.5)], [[1, 2], 2.5], id="arrays and their scalars"),
    pytest.param(10**30, 10**30, id="an integer of any size"),
    pytest.param("\\u0000 written out", "\\u0000 written out", id="text that looks like an escape"),
    pytest.param("😀", "😀", id="a character outside of the first plane"),
]


@pytest.mark.parametrize(("value", "expected"), STORED)
def test_it_is_stored(value: object, expected: object) -> None:
    encoded = encode_output(value)

    assert encoded.value() == expected
    assert encoded.replacements == ()


REPLACED = [
    pytest.param({"a": [1.0, float("nan")]}, {"a": [1.0, None]}, ["/a/1"], "nan is no JSON", id="NaN"),
    pytest.param(float("-inf"), None, [""], "-inf is no JSON", id="infinity at the top"),
    pytest.param({"x/y": {"~": "a\x00b"}}, {"x/y": {"~": "a\ufffdb"}}, ["/x~1y/~0"], "U+0000", id="NUL in text"),
    pytest.param({"a\x00": 1}, {"a\ufffd": 1}, [""], "U+0000", id="NUL in a key"),
    pytest.param(["\ud83d"], ["\ufffd"], ["/0"], "surrogate", id="half a surrogate pair"),
    pytest.param({"n": 10**5000}, {"n": None}, ["/n"], "4300 digits", id="a number PostgreSQL would choke on"),
    pytest.param({"o": Opaque()}, {"o": "an opaque thing"}, ["/o"], "a Opaque is no JSON", id="an unknown object"),
    pytest.param({"t": Opaque}, {"t": str(Opaque)}, ["/t"], "a type is no JSON value", id="a class"),
]


@pytest.mark.parametrize(("value", "expected", "pointers", "reason"), REPLACED)
def test_it_is_replaced_and_noted(value: object, expected: object, pointers: list[str], reason: str) -> None:
    encoded = encode_output(value)

    assert [replacement.pointer for replacement in encoded.replacements] == pointers
    assert reason in encoded.replacements[0].reason
    assert encoded.value() == expected


def test_langchain_messages_keep_their_content_and_kind() -> None:
    state = {"messages": [HumanMessage("how many?", id="1"), AIMessage("3 rows", id="2")]}

    value: Any = encode_output(state).value()

    assert [(message["type"], message["content"]) for message in value["messages"]] == [
        ("human", "how many?"),
        ("ai", "3 rows"),
    ]


def test_size_and_digest_are_those_of_the_bytes() -> None:
    encoded = encode_output({"a": "ä"})

    assert encoded.text == '{"a":"ä"}'
    assert encoded.size == len('{"a":"ä"}'.encode()) == 10
    assert encoded.sha256 == hashlib.sha256('{"a":"ä"}'.encode()).hexdigest()


def test_the_limit_is_exact() -> None:
    assert encode_output("x" * 97, limit_bytes=100).size == 99
    with pytest.raises(OutputTooLarge, match=r"^output data exceeds 100MB limit$"):
        encode_output("x" * 98, limit_bytes=100)


def test_what_contains_itself_or_is_too_deep_is_refused() -> None:
    loop: list[object] = []
    loop.append(loop)
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]

    for value in (loop, deep):
        with pytest.raises(UnstorableOutput, match="contains itself or is nested too deep"):
            encode_output(value)


def test_the_list_of_replacements_is_bounded() -> None:
    assert len(encode_output([float("nan")] * 1000).replacements) == 100


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary() | st.datetimes(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()) | st.integers(), inner) | st.tuples(inner),
    max_leaves=20,
)


@given(ANY_JSON)
def test_anything_becomes_json_that_postgresql_takes(value: object) -> None:
    text = encode_json(value)

    text.encode("utf-8")
    assert "\x00" not in json.dumps(json.loads(text), ensure_ascii=False).replace("\\\\u0000", "")
    assert json.loads(text, parse_constant=pytest.fail) == json.loads(encode_json(json.loads(text)))
