"""Rows in batches: the newest of each key is written last, and one that fails keeps no other from being written."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_core.errors import Conflict, DatabaseUnavailable, PermanentError, TransientError
from agentic_operator.batch_writer import BatchWriter
from agentic_operator.faults import Faults

Row = tuple[str, int]
KEYS = ("a", "b", "c", "d")


@dataclass
class Table:
    """A table of which some rows fail; ``meanwhile`` is done while the first write is on its way."""

    failing: dict[str, Callable[[], Exception]] = field(default_factory=dict)
    meanwhile: list[Callable[[], object]] = field(default_factory=list)
    written: list[Row] = field(default_factory=list)
    calls: int = 0

    async def write(self, rows: Sequence[Row]) -> None:
        self.calls += 1
        while self.meanwhile:
            self.meanwhile.pop(0)()
        for key, _ in rows:
            if key in self.failing:
                raise self._make_error(key)
        self.written += rows

    def _make_error(self, key: str) -> Exception:
        return self.failing[key]()

    def last(self, key: str) -> int | None:
        return next((number for name, number in reversed(self.written) if name == key), None)


def make_writer(table: Table, faults: Faults | None = None, refused: list[Row] | None = None) -> BatchWriter[Row]:
    told = refused if refused is not None else []
    return BatchWriter("rows", table.write, lambda row: {"session": row[0]}, faults, size=3, on_refused=told.append)


FAULTS: dict[str, Callable[[], Exception]] = {
    "passes": lambda: TransientError("lock timeout"),
    "stays": lambda: PermanentError("out of range"),
    "surprises": lambda: OverflowError("date value out of range"),
}

keys = st.sampled_from(KEYS)
change = st.tuples(st.sampled_from(["put", "drop"]), keys)
step = st.tuples(st.dictionaries(keys, st.sampled_from(sorted(FAULTS))), st.lists(change), st.lists(change))


@given(st.lists(step, max_size=6))
def test_what_was_put_last_is_written_last_unless_it_was_dropped_or_refused(
    steps: list[tuple[dict[str, str], list[tuple[str, str]], list[tuple[str, str]]]],
) -> None:
    table, refused, number = Table(), list[Row](), 0
    wanted: dict[str, int] = {}

    async def play() -> None:
        nonlocal number
        writer = make_writer(table, refused=refused)

        def do(kind: str, key: str) -> None:
            nonlocal number
            if kind == "put":
                number += 1
                wanted[key] = number
                assert writer.put(key, (key, number))
            else:
                wanted.pop(key, None)
                writer.drop(key)

        for failing, before, during in steps:
            table.failing = {key: FAULTS[kind] for key, kind in failing.items()}
            for each in before:
                do(*each)
            table.meanwhile = [partial(do, *each) for each in during]
            try:
                await writer.write_batch()
            except TransientError:
                assert len(table.failing) >= 3
            table.meanwhile = []
        table.failing = {}
        for _ in range(len(KEYS)):
            await writer.write_batch()
        assert len(writer) == 0

    asyncio.run(play())
    for key, last in wanted.items():
        assert (key, last) in refused or table.last(key) == last


async def run_until(writer: BatchWriter[Row], is_reached: Callable[[], bool]) -> None:
    running = asyncio.create_task(writer.run())
    try:
        async with asyncio.timeout(10):
            while not is_reached():  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("error", [lambda: Conflict("somebody wrote it"), *FAULTS.values()])
async def test_others_are_written_beside_one_that_fails(error: Callable[[], Exception]) -> None:
    table, faults = Table({"a": error}), Faults()
    writer = make_writer(table, faults)
    for number, key in enumerate(KEYS):
        writer.put(key, (key, number))
    await run_until(writer, lambda: {key for key, _ in table.written} == {"b", "c", "d"})
    assert faults.counts["rows"] >= 1


async def test_an_outage_is_told_once_and_ends_with_everything_written(caplog: pytest.LogCaptureFixture) -> None:
    def is_away() -> Exception:
        if table.calls > 12:
            table.failing = {}
        return DatabaseUnavailable("does not answer")

    table = Table(dict.fromkeys(KEYS, is_away))
    writer = make_writer(table)
    for number, key in enumerate(KEYS):
        writer.put(key, (key, number))
    await run_until(writer, lambda: len(table.written) == len(KEYS))
    assert sum("writing in rows failed" in each.getMessage() for each in caplog.records) == 1
    assert len(writer) == 0


async def test_what_is_too_much_is_dropped_and_what_is_pending_replaced() -> None:
    table = Table()
    writer: BatchWriter[Row] = BatchWriter("rows", table.write, lambda _: {}, most=1)
    assert [writer.put("a", ("a", 1)), writer.put("b", ("b", 2)), writer.put("a", ("a", 3))] == [True, False, True]
    assert await writer.write_batch()
    assert table.written == [("a", 3)]
