"""What a checkpoint holds is shown as data: nothing that it names is imported or made."""

import dataclasses
import datetime as dt
import enum
import json
import sys
import uuid
from decimal import Decimal
from typing import Any

import numpy as np
import ormsgpack
import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.serde.jsonplus import EXT_CONSTRUCTOR_SINGLE_ARG, JsonPlusSerializer

from agentic_gateway.api.state_values import NotShown, decode_values
from agentic_store.thread_values import ChannelValue


@dataclasses.dataclass
class Order:
    amount: int


class Colour(enum.Enum):
    RED = "red"


def decode(kind: str | None, content: bytes | None) -> Any:
    return decode_values([ChannelValue("c", kind, content)])["c"]


def pack(value: object) -> Any:
    return decode(*JsonPlusSerializer().dumps_typed(value))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param(None, None, id="nothing"),
        pytest.param({"a": [1, 2.5, True, None, "ü"]}, {"a": [1, 2.5, True, None, "ü"]}, id="plain JSON"),
        pytest.param(b"\x00\xff", "AP8=", id="bytes"),
        pytest.param(dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "2026-01-01T00:00:00+00:00", id="a time"),
        pytest.param({3, 1}, [1, 3], id="a set"),
        pytest.param(uuid.UUID(int=1), uuid.UUID(int=1).hex, id="a UUID"),
        pytest.param(Decimal("1.10"), "1.10", id="a decimal"),
        pytest.param(Order(3), {"amount": 3}, id="a dataclass"),
        pytest.param(Colour.RED, "red", id="an enum"),
        pytest.param({(1, 2): "x", 3: "y"}, {"[1, 2]": "x", "3": "y"}, id="keys that are no text"),
        pytest.param(float("nan"), None, id="no number"),
        pytest.param(np.zeros((2, 3)), {"dtype": "<f8", "shape": [2, 3]}, id="an array"),
    ],
)
def test_values_are_shown_as_what_they_were_made_of(value: object, shown: object) -> None:
    found = pack(value)
    assert (sorted(found) if isinstance(value, set) else found) == shown
    json.dumps(found, allow_nan=False)


def test_a_message_is_an_object_of_its_fields() -> None:
    found = pack([AIMessage("hello", id="m1")])
    assert (found[0]["content"], found[0]["id"], found[0]["type"]) == ("hello", "m1", "ai")


def test_nothing_is_imported_or_made() -> None:
    bomb = ormsgpack.packb(("a_module_that_is_nowhere", "Bomb", "harmless"))
    content = ormsgpack.packb({"a": ormsgpack.Ext(EXT_CONSTRUCTOR_SINGLE_ARG, bomb)})
    before = set(sys.modules)
    assert decode("msgpack", content) == {"a": "harmless"}
    system = ormsgpack.packb(("os", "system", "exit 1", "__call__"))
    assert decode("msgpack", ormsgpack.packb(ormsgpack.Ext(3, system))) == "exit 1"
    assert set(sys.modules) == before


def nested(levels: int) -> bytes:
    content = ormsgpack.packb(1)
    for _ in range(levels):
        content = ormsgpack.packb(ormsgpack.Ext(0, ormsgpack.packb(("m", "n", ormsgpack.Ext(7, content)))))
    return content


@pytest.mark.parametrize(
    ("kind", "content", "why"),
    [
        pytest.param(None, None, "larger than 1 MiB", id="too large"),
        pytest.param("msgpack+aes-gcm", b"x", "encrypted", id="sealed"),
        pytest.param("json", b'{"agentic_sealed": "x"}', "encrypted", id="sealed in the checkpoint's own JSON"),
        pytest.param("pickle", b"x", "is not shown", id="another serializer"),
        pytest.param("msgpack", b"\xc1", "cannot be read", id="no MessagePack"),
        pytest.param("msgpack", ormsgpack.packb([1])[:-1], "cannot be read", id="cut off"),
        pytest.param("msgpack", nested(100), "cannot be read", id="objects in objects"),
        pytest.param("json", b"[" * 100 + b"]" * 100, "no JSON", id="lists in lists"),
        pytest.param("json", b"{", "no JSON", id="no JSON"),
    ],
)
def test_what_cannot_be_shown_is_refused_by_name(kind: str | None, content: bytes | None, why: str) -> None:
    with pytest.raises(NotShown, match=why):
        decode(kind, content)


def test_numbers_that_nobody_can_read_are_shown_by_their_size() -> None:
    assert decode("json", b"9" * 5000) == "an integer of 5000 digits"
    assert decode("msgpack", ormsgpack.packb(ormsgpack.Ext(101, (1 << 100).to_bytes(16, "big")))) == 1 << 100
