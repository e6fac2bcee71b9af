"""Watchers are told at most once in an interval, the last time included, and a database that is away costs a hint."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from agentic_core.errors import DatabaseUnavailable
from agentic_store.announcements import Announcer


class Server:
    """Notes when it was asked to notify."""

    def __init__(self) -> None:
        self.sent: list[tuple[float, str]] = []
        self.is_away = False
        self.asked = asyncio.Semaphore(0)

    @asynccontextmanager
    async def connections(self) -> AsyncIterator[Any]:
        if self.is_away:
            raise DatabaseUnavailable("away")
        yield self

    async def execute(self, statement: bytes, params: dict[str, str]) -> None:
        assert b"pg_notify" in statement
        self.sent.append((asyncio.get_running_loop().time(), params["hint"]))
        self.asked.release()


async def test_watchers_are_told_once_an_interval_and_of_the_last() -> None:
    server = Server()
    announcer = Announcer(server.connections, interval_seconds=0.05)
    begun = asyncio.get_running_loop().time()
    last = begun
    while (last := asyncio.get_running_loop().time()) < begun + 0.3:
        announcer.announce("a")
        await asyncio.sleep(0.001)
    await announcer.close()
    times = [at for at, _ in server.sent]
    # However long it took: one at first, one for each interval since, and the one that closing sends before its time.
    assert len(times) <= (times[-1] - begun) / 0.05 + 2
    assert times[-1] >= last


async def test_sessions_do_not_wait_for_each_other() -> None:
    server = Server()
    announcer = Announcer(server.connections, interval_seconds=60)
    for hint in ("a", "b", "a", "c"):
        announcer.announce(hint)
    async with asyncio.timeout(5):
        for _ in range(3):
            await server.asked.acquire()
    assert sorted(hint for _, hint in server.sent) == ["a", "b", "c"]
    announcer.announce("a")
    # What is due in a minute goes now: the process ends.
    await announcer.close()
    assert [hint for _, hint in server.sent].count("a") == 2


async def test_a_database_that_is_away_costs_a_hint_and_nothing_else() -> None:
    server = Server()
    announcer = Announcer(server.connections, interval_seconds=0.01)
    server.is_away = True
    announcer.announce("a")
    await asyncio.sleep(0.02)
    server.is_away = False
    announcer.announce("a")
    await announcer.close()
    assert len(server.sent) == 1
