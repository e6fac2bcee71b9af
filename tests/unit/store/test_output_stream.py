"""A result in pieces is the same text as the result at once, and costs no second copy of it."""

import dataclasses
import json
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from agentic_store.errors import UnstorableOutput
from agentic_store.results import output_stream
from agentic_store.results.output import encode_output
from agentic_store.results.output_stream import OutputStream

MIB = 1024 * 1024


class Level(Enum):
    HIGH = "high"


class Model(BaseModel):
    name: str
    rows: list[int]


@dataclasses.dataclass
class Point:
    x: float
    label: str


class Array:
    """As numpy's: rows on demand."""

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows
        self.ndim = 1
        self.size = len(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, part: slice) -> "Array":
        return Array(self._rows[part])

    def tolist(self) -> list[Any]:
        return list(self._rows)


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.binary()
    | st.sampled_from([Level.HIGH, datetime(2026, 3, 1, tzinfo=UTC), UUID(int=7), {3, 1, 2}, Point(float("nan"), "a")])
    | st.builds(Array, st.lists(st.integers()))
    | st.builds(Model, name=st.text(), rows=st.lists(st.integers()))
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers() | st.booleans(), inner)
    ),
)


@given(value=values, piece=st.sampled_from([1, 7, 100]))
@example(value={"\x00": "\x00"}, piece=1)
@example(value={"\x00": [1, 2], "\ufffd": [3, 4]}, piece=1)
@settings(max_examples=60)
def test_pieces_make_the_same_text_as_the_whole(value: object, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = encode_output(value)
    with monkeypatch.context() as patch:
        patch.setattr(output_stream, "PIECE", piece)
        patch.setattr(output_stream, "_BASE64_PIECE", piece * 3)
        patch.setattr(output_stream._weigh, "__defaults__", (piece,))
        stream = OutputStream(value)
        text = b"".join(stream).decode()
    assert json.loads(text) == json.loads(whole.text)
    assert sorted(stream.replacements, key=str) == sorted(whole.replacements, key=str)


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda: "ä" * (20 * MIB), id="one long text"),
        pytest.param(lambda: {"data": b"x" * (20 * MIB)}, id="bytes"),
        pytest.param(lambda: {"rows": ["r" * 1000 for _ in range(12_000)]}, id="many texts"),
        pytest.param(lambda: [{"id": n, "text": "r" * 100} for n in range(50_000)], id="many objects"),
        pytest.param(lambda: {str(n): "r" * 1000 for n in range(12_000)}, id="one large object"),
        pytest.param(lambda: Array([1.5] * 400_000), id="an array"),
        pytest.param(lambda: {"a": {"b": [["r" * 1000] * 100 for _ in range(120)]}}, id="nested"),
    ],
)
def test_a_large_value_costs_a_few_pieces_beside_itself(build: Callable[[], object]) -> None:
    value = build()
    tracemalloc.start()
    try:
        size = sum(len(piece) for piece in OutputStream(value))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size > 5 * MIB or isinstance(value, Array)
    assert peak < 12 * MIB


def test_a_stream_is_read_again_from_its_start() -> None:
    stream = OutputStream({"a": [float("nan"), "x"]})
    assert b"".join(stream) == b"".join(stream) == b'{"a":[null,"x"]}'
    assert [each.pointer for each in stream.replacements] == ["/a/0"]


def test_what_contains_itself_or_is_too_deep_is_refused() -> None:
    cycle: list[Any] = []
    # Itself first: else its text is written a thousand times before that is noticed.
    cycle += [cycle, "r" * 2 * MIB]
    deep: Any = "r" * 2 * MIB
    for _ in range(3_000):
        deep = [deep]
    for value in (cycle, deep):
        with pytest.raises(UnstorableOutput, match="contains itself or is nested too deep"):
            for _ in OutputStream(value):
                pass
