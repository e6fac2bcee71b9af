"""Rows of sessions: a session that was purged gets none again."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from agentic_core.errors import TransientError
from agentic_operator.database.session_rows import Recorder
from agentic_operator.sessions.record import build_record
from agentic_store.records import SessionRecord
from tests.support.builders import NOW, a_session
from tests.support.memory_store import MemorySessions

NAMES = ("a", "b")


class Slow(MemorySessions):
    """Rows whose statements take turns with everything else, before and after their effect; some batches fail."""

    def __init__(self, failures: list[bool]) -> None:
        super().__init__({}, {}, {}, {}, lambda: datetime.now(UTC))
        self._failures = failures

    async def record_sessions(self, records: Sequence[SessionRecord]) -> int:
        await asyncio.sleep(0)
        if self._failures and self._failures.pop():
            raise TransientError("lock timeout")
        written = await super().record_sessions(records)
        await asyncio.sleep(0)
        return written

    async def delete_session(self, session_uid: str) -> bool:
        await asyncio.sleep(0)
        return await super().delete_session(session_uid)


@given(
    pauses=st.lists(st.integers(0, 6), min_size=4, max_size=4),
    failures=st.lists(st.booleans(), max_size=3),
    is_submitted_again=st.booleans(),
    is_listed_before=st.booleans(),
)
def test_whatever_is_on_its_way_a_purged_session_has_no_row(
    pauses: list[int], failures: list[bool], is_submitted_again: bool, is_listed_before: bool
) -> None:
    async def play() -> None:
        rows = Slow(failures)
        recorder = Recorder(rows, now=lambda: NOW)
        running = asyncio.create_task(recorder.run())
        sessions = {name: a_session().named(name).running().build() for name in NAMES}
        for name in NAMES:
            recorder.submit(sessions[name])
            for _ in range(pauses[0]):
                await asyncio.sleep(0)
        for _ in range(pauses[1]):
            await asyncio.sleep(0)
        listed = [build_record(session, datetime.now(UTC)) for session in sessions.values()]
        if is_listed_before:
            # The resync, on its way with a list from before.
            resyncing = asyncio.create_task(recorder.record(listed))
            for _ in range(pauses[3]):
                await asyncio.sleep(0)
        await recorder.purge(sessions["a"].metadata.uid)
        if is_submitted_again:
            # A pass that read the session before its end.
            recorder.submit(sessions["a"])
        if is_listed_before:
            await asyncio.gather(resyncing, return_exceptions=True)
        else:
            with suppress(TransientError):
                await recorder.record(listed)
        for _ in range(pauses[2] + 20):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert await rows.find("team", "a") is None

    asyncio.run(play())


async def test_others_of_the_same_batch_get_their_rows() -> None:
    rows = Slow([])
    recorder = Recorder(rows, now=lambda: NOW)
    running = asyncio.create_task(recorder.run())
    sessions = {name: a_session().named(name).running().build() for name in NAMES}
    for name in NAMES:
        recorder.submit(sessions[name])
    await recorder.purge(sessions["a"].metadata.uid)
    async with asyncio.timeout(10):
        while await rows.find("team", "b") is None:  # noqa: ASYNC110
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
