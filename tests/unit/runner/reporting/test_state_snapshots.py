"""Snapshots of the state: at most once a second, the last one always, and no fault of theirs reaches the run."""

import asyncio
from collections.abc import Sequence
from typing import Any

from agentic_core.errors import DatabaseUnavailable
from agentic_runner.output.redaction import Redactor
from agentic_runner.reporting.state_snapshots import StateSnapshots
from agentic_store.thread_values import ThreadValues


class Store:
    """Remembers what is written; may be away."""

    def __init__(self) -> None:
        self.written: list[ThreadValues] = []
        self.channels: tuple[str, ...] = ()
        self.wrote = asyncio.Event()
        self.is_away = False
        self.may_write = asyncio.Event()
        self.may_write.set()

    async def write(self, session_uid: str, values: ThreadValues, channels: Sequence[str]) -> None:
        assert session_uid == "u"
        await self.may_write.wait()
        if self.is_away:
            raise DatabaseUnavailable("away")
        self.written.append(values)
        self.channels = tuple(channels)
        self.wrote.set()


def a_keeper(store: Store, *, seconds: float = 3600, secrets: Sequence[str] = ()) -> StateSnapshots:
    redactor = Redactor()
    redactor.add(*secrets)
    return StateSnapshots(store, "u", 1, redactor, keeps_history=True, seconds=seconds)


async def test_of_many_steps_the_first_and_the_last_are_written_and_none_between() -> None:
    store = Store()
    keeper = a_keeper(store)
    keeper.channels = ("x",)
    keeper.start()
    keeper.see({"x": 0}, "c0", 0)
    async with asyncio.timeout(10):
        await store.wrote.wait()
    for number in range(1, 500):
        keeper.see({"x": number}, f"c{number}", 3)
        await asyncio.sleep(0)
    assert [each.state for each in store.written] == ['{"x":0}']
    await keeper.settle()
    await keeper.close()
    last = ThreadValues(run=1, turn=3, checkpoint_id="c499", keeps_history=True, state='{"x":499}')
    assert (store.written[1:], store.channels) == ([last], ("x",))


async def test_what_was_seen_meanwhile_is_written_after_the_pause() -> None:
    store = Store()
    keeper = a_keeper(store, seconds=0)
    keeper.start()
    async with asyncio.timeout(10):
        for number in range(3):
            store.wrote.clear()
            keeper.see(number, None, 0)
            await store.wrote.wait()
    await keeper.close()
    assert [each.state for each in store.written] == ["0", "1", "2"]


async def test_a_database_that_does_not_answer_holds_up_no_turn_for_longer_than_a_moment() -> None:
    store = Store()
    store.may_write.clear()
    keeper = a_keeper(store)
    keeper.see(1, None, 0)
    await keeper.settle(0.01)
    assert store.written == []
    store.may_write.set()
    await keeper.close()
    assert [each.state for each in store.written] == ["1"]


async def test_no_fault_of_a_snapshot_reaches_the_run() -> None:
    class Bad:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    loop: list[Any] = []
    loop.append(loop)
    store = Store()
    keeper = a_keeper(store)
    for value in (Bad(), loop):
        keeper.see(value, None, 0)
        await keeper.settle()
    store.is_away = True
    keeper.see(1, None, 0)
    await keeper.settle()
    store.is_away = False
    keeper.see({"text": "x" * 1_100_000}, None, 0)
    await keeper.settle()
    keeper.see("the password is hunter2-and-more", None, 0)
    await keeper.close()
    assert store.written[-2].state is None
    assert "hunter2" in str(store.written[-1].state)


async def test_secrets_are_masked() -> None:
    store = Store()
    keeper = a_keeper(store, secrets=["hunter2-and-more"])
    keeper.see({"a": ["hunter2-and-more!"]}, None, 0)
    await keeper.close()
    assert "hunter2" not in str(store.written[0].state)
