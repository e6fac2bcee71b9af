"""When a waiting process looks at its session: at each hint, now and then without, never after its time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agentic_core.errors import TransientError
from agentic_runner.drain import Drain
from agentic_runner.running.warm_wait import WarmWait
from agentic_store.session_channel import SessionChannel

LONG = 60.0


class Waiting:
    """A warm wait on a channel in this process, and how often the session was looked at."""

    def __init__(self, seconds: float = LONG, *, is_listening: bool = True, reading_seconds: float = LONG) -> None:
        self.channel = SessionChannel()
        self.channel.is_listening = is_listening
        self.drain = Drain()
        self.looks: list[bool | Exception | None] = []
        self.looked = 0
        self._news = asyncio.Condition()
        self.warm = WarmWait(seconds, self.drain, self._listen, listening_seconds=LONG, reading_seconds=reading_seconds)

    @asynccontextmanager
    async def _listen(self) -> AsyncIterator[SessionChannel]:
        yield self.channel

    async def look(self) -> bool | None:
        self.looked += 1
        async with self._news:
            self._news.notify_all()
        found = self.looks.pop(0) if self.looks else False
        if isinstance(found, Exception):
            raise found
        return found

    async def until_looked(self, times: int) -> None:
        async with asyncio.timeout(LONG), self._news:
            await self._news.wait_for(lambda: self.looked >= times)


@pytest.mark.parametrize(("found", "expected"), [(True, True), (None, False)])
async def test_what_is_there_already_is_found_at_once(found: bool | None, expected: bool) -> None:
    waiting = Waiting()
    waiting.looks = [found]
    assert await waiting.warm.wait(waiting.look) is expected
    assert waiting.looked == 1


async def test_a_hint_makes_it_look() -> None:
    waiting = Waiting()
    waiting.looks = [False, True]
    task = asyncio.create_task(waiting.warm.wait(waiting.look))
    await waiting.until_looked(1)
    waiting.channel.changed.set()
    async with asyncio.timeout(LONG / 2):
        assert await task
    assert waiting.looked == 2


async def test_many_hints_make_few_looks() -> None:
    waiting = Waiting(seconds=0.5)
    task = asyncio.create_task(waiting.warm.wait(waiting.look))
    while not task.done():
        waiting.channel.changed.set()
        await asyncio.sleep(0.001)
    assert waiting.looked <= 7


async def test_where_nobody_listens_it_looks_by_itself() -> None:
    waiting = Waiting(is_listening=False, reading_seconds=0.01)
    waiting.looks = [False, TransientError("the API server is away"), True]
    assert await waiting.warm.wait(waiting.look)
    assert waiting.looked == 3


async def test_a_drain_ends_the_wait_at_once() -> None:
    waiting = Waiting()
    task = asyncio.create_task(waiting.warm.wait(waiting.look))
    await waiting.until_looked(1)
    waiting.drain.request("SIGTERM")
    async with asyncio.timeout(LONG / 2):
        assert not await task


async def test_the_time_is_for_all_waits_together_until_it_is_renewed() -> None:
    waiting = Waiting(seconds=0.2)
    assert not await waiting.warm.wait(waiting.look)
    looked = waiting.looked
    assert not await waiting.warm.wait(waiting.look)
    assert waiting.looked == looked
    waiting.warm.renew()
    waiting.looks = [True]
    assert await waiting.warm.wait(waiting.look)


async def test_it_looks_once_more_when_the_time_is_up() -> None:
    waiting = Waiting(seconds=0.05)
    waiting.looks = [False, True]
    assert await waiting.warm.wait(waiting.look)


async def test_without_any_time_it_does_not_look() -> None:
    waiting = Waiting(seconds=0)
    assert not await waiting.warm.wait(waiting.look)
    assert waiting.looked == 0
