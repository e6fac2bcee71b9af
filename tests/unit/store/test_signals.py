"""Following a log by signals, with the store in memory."""

import asyncio

from agentic_store.records import Event, NewEvent
from agentic_store.signals import follow, hint_for
from tests.support.memory_store import MemoryStore
from tests.support.store_conformance import a_record
from tests.support.waiting import PATIENCE_SECONDS

UID = "uid-team-report"


async def test_a_follower_gets_what_was_there_and_then_what_comes() -> None:
    store = MemoryStore()
    await store.sessions.record_session(a_record())
    await store.events.append(UID, 1, [NewEvent("x", {"n": number}) for number in range(3)])
    seen: list[Event] = []
    enough = asyncio.Event()

    async def watch() -> None:
        async for event in follow(store.events, store.signals, UID, after=1, poll_seconds=3600):
            seen.append(event)
            if len(seen) == 4:
                enough.set()

    watching = asyncio.create_task(watch())
    for number in range(3, 5):
        await store.events.append(UID, 1, [NewEvent("x", {"n": number})])
    async with asyncio.timeout(PATIENCE_SECONDS):
        await enough.wait()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)

    assert [event.seq for event in seen] == [2, 3, 4, 5]


async def test_a_hint_that_never_came_is_made_up_for_by_looking() -> None:
    store = MemoryStore()
    await store.sessions.record_session(a_record())
    deaf = MemoryStore().signals

    following = asyncio.ensure_future(anext(follow(store.events, deaf, UID, poll_seconds=0.01)))
    await store.events.append(UID, 1, [NewEvent("x", {})])

    async with asyncio.timeout(PATIENCE_SECONDS):
        assert (await following).seq == 1


async def test_subscribers_leave_nothing_behind() -> None:
    signals = MemoryStore().signals

    with signals.subscribe(UID) as first, signals.subscribe(UID) as second:
        signals.notify(hint_for(UID))
        signals.notify(hint_for("another"))
        assert first.is_set()
        assert second.is_set()
        first.clear()
        signals.notify_all()
        assert first.is_set()

    assert not signals._subscribers
