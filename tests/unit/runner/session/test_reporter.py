"""Reporting to an API server that is slow, away, or changed by others: the fake is a dictionary with a version."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agentic_core.conditions import Reason
from agentic_core.errors import Conflict, Superseded, TransientError
from agentic_core.lifecycle import Phase
from agentic_core.resources.session import AgenticSession, SessionStatus
from agentic_runner.config import RunConfig, TokenSource
from agentic_runner.execution.tracking import Progress
from agentic_runner.session import reporter as reporting
from agentic_runner.session import status as statuses
from agentic_runner.session.reporter import (
    ApiRetriesExhausted,
    Reporter,
    SessionSuspended,
    check_ours,
    compute_delay,
    persist,
)
from agentic_runner.session.status import Result, RunFailure
from tests.support.waiting import PATIENCE_SECONDS

CONFIG = RunConfig(
    session_name="s",
    session_uid="u",
    namespace="n",
    run=1,
    thread_id="t",
    job_name="s-r1",
    backend_url="https://api",
    token=TokenSource(value="token"),
    api_ca_file=Path("/ca"),
    api_patience_seconds=5.0,
)
RESULT = Result(size=2, sha256="x", url="db://x", value=1)


class FakeApi:
    """One stored session; ``faults`` are raised, one a call, before anything is done."""

    def __init__(self, **status: Any) -> None:
        self.session = AgenticSession.model_validate(
            {
                "metadata": {"name": "s", "uid": "u", "resourceVersion": "1"},
                "spec": {"workflowRef": {"name": "w"}},
                "status": {"phase": "Creating", "run": 1, **status},
            }
        )
        self.faults: list[Exception] = []
        self.writes: list[SessionStatus] = []
        self.written = asyncio.Event()
        self.on_fetch: Callable[[], None] = lambda: None
        self.answer: Callable[[], Awaitable[None]] = self._answer_at_once
        """Awaited between a write and its answer."""

    def change(self, metadata: dict[str, Any] | None = None, **status: Any) -> None:
        """Let somebody else write."""
        meta = self.session.metadata
        version = {"resource_version": str(int(meta.resource_version) + 1), **(metadata or {})}
        self.session = self.session.model_copy(
            update={
                "metadata": meta.model_copy(update=version),
                "status": self.session.status.model_copy(update=status),
            }
        )

    async def fetch(self) -> AgenticSession:
        self._fail()
        self.on_fetch()
        return self.session

    async def write_status(self, session: AgenticSession, status: SessionStatus) -> AgenticSession:
        if not statuses.build_patch(session, status):
            return session
        self._fail()
        if session.metadata.resource_version != self.session.metadata.resource_version:
            raise Conflict("changed")
        self.session = session.model_copy(update={"status": status})
        self.change()
        self.writes.append(status)
        self.written.set()
        stored = self.session
        await self.answer()
        return stored

    async def _answer_at_once(self) -> None: ...

    def _fail(self) -> None:
        if self.faults:
            raise self.faults.pop(0)

    @property
    def phases(self) -> list[Phase | None]:
        return [status.phase for status in self.writes]


def _reporter(api: FakeApi, on_lost: Callable[[Superseded], None] = lambda _: None) -> Reporter:
    return Reporter(api, CONFIG, api.session, on_lost, interval_seconds=0.01)  # type: ignore[arg-type]  # the fake


def _completed(session: AgenticSession, now: datetime) -> SessionStatus:
    return statuses.completed(session, now, RESULT, Progress())


async def _wait_for(api: FakeApi, holds: Callable[[SessionStatus], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds(api.session.status):
            api.written.clear()
            await api.written.wait()


async def test_the_phases_are_told_in_order_and_progress_in_between() -> None:
    api = FakeApi()
    reporter = _reporter(api)
    reporter.start(statuses.running)
    await _wait_for(api, lambda status: status.phase is Phase.RUNNING)
    reporter.update(Progress(current_node="a", steps=1))
    await _wait_for(api, lambda status: status.steps == 1)
    await reporter.conclude(_completed)
    assert api.phases == [Phase.RUNNING, Phase.RUNNING, Phase.COMPLETED]


async def test_a_run_that_ends_before_it_could_be_told_goes_by_way_of_running() -> None:
    api = FakeApi()
    reporter = _reporter(api)
    await reporter.conclude(_completed)
    assert api.phases == [Phase.RUNNING, Phase.COMPLETED]


async def test_a_load_failure_needs_no_running() -> None:
    api = FakeApi()
    verdict = RunFailure(Reason.GRAPH_LOAD_FAILED, "GraphLoadError", "no")
    await _reporter(api).conclude(lambda session, now: statuses.failed(session, now, verdict, Progress()))
    assert api.phases == [Phase.FAILED]


async def test_much_progress_in_a_moment_is_one_write() -> None:
    api = FakeApi()
    reporter = _reporter(api)
    reporter.start(statuses.running)
    await _wait_for(api, lambda status: status.phase is Phase.RUNNING)
    for step in range(1, 100):
        reporter.update(Progress(steps=step))
    await _wait_for(api, lambda status: status.steps == 99)
    await reporter.close()
    assert len(api.writes) == 2


async def test_a_write_that_lost_a_race_is_made_again_on_what_the_other_wrote() -> None:
    api = FakeApi(phase="Running")
    reporter = _reporter(api)
    api.change(thread_id="somebody else's")
    await reporter.conclude(_completed)
    assert api.session.status.thread_id == "somebody else's"
    assert api.phases == [Phase.COMPLETED]


async def test_faults_that_pass_are_outwaited() -> None:
    api = FakeApi(phase="Running")
    api.faults = [TransientError("503"), Conflict("409"), TransientError("reset")]
    await _reporter(api).conclude(_completed)
    assert api.phases == [Phase.COMPLETED]


async def test_an_api_server_that_stays_away_ends_the_patience() -> None:
    api = FakeApi(phase="Running")
    api.faults = [TransientError("no route")] * 100
    with pytest.raises(ApiRetriesExhausted, match="no route"):
        await _reporter(api).conclude(_completed, patience_seconds=0.3)


async def test_a_session_that_is_pending_still_is_waited_for() -> None:
    api = FakeApi(phase="Pending")
    api.on_fetch = lambda: api.change(phase=Phase.CREATING)
    await _reporter(api).conclude(_completed)
    assert api.phases == [Phase.RUNNING, Phase.COMPLETED]


async def test_a_suspended_session_is_left_to_the_operator() -> None:
    api = FakeApi(phase="Suspended")
    with pytest.raises(SessionSuspended):
        await _reporter(api).conclude(_completed)
    assert api.writes == []


async def test_a_final_phase_of_somebody_else_is_not_overwritten() -> None:
    api = FakeApi(phase="Running")
    reporter = _reporter(api)
    api.change(phase=Phase.STOPPED)
    with pytest.raises(Superseded, match="Stopped already"):
        await reporter.conclude(_completed)
    assert api.writes == []


async def test_our_own_write_whose_answer_was_lost_is_taken_as_done() -> None:
    api = FakeApi(phase="Running")
    reporter = _reporter(api)
    api.change(phase=Phase.COMPLETED)
    await reporter.conclude(_completed)
    assert api.writes == []


async def _never() -> None:
    await asyncio.Event().wait()


async def _late() -> None:
    await asyncio.sleep(0.05)


async def _lost() -> None:
    raise TransientError("reset")


@pytest.mark.parametrize("answer", [_never, _late, _lost])
async def test_a_trouble_is_reported_again_after_progress_whose_answer_is_missing(
    answer: Callable[[], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session as it was last read has that trouble already: the server has not."""
    monkeypatch.setattr(reporting, "_ANSWER_PATIENCE", 0.2, raising=False)
    api = FakeApi(phase="Running", reason="DatabaseUnavailable", message="full")
    reporter = _reporter(api)
    reporter.start(lambda session, _: session.status)
    api.answer = answer
    reporter.update(Progress(current_node="second", steps=1))
    await _wait_for(api, lambda status: status.reason == "Running")
    api.answer = api._answer_at_once
    await reporter.conclude(lambda session, _: statuses.troubled(session, Reason.DATABASE_UNAVAILABLE, "full"))
    assert (api.session.status.reason, api.session.status.message) == ("DatabaseUnavailable", "full")


async def test_a_write_on_its_way_is_answered_before_the_last_one_is_made() -> None:
    """Abandoned, it would arrive at the server at any time later."""
    api = FakeApi(phase="Running", reason="DatabaseUnavailable", message="full")
    reporter = _reporter(api)
    reporter.start(lambda session, _: session.status)
    under_way, arrives = asyncio.Event(), asyncio.Event()
    write_status = api.write_status

    async def arrive(session: AgenticSession, status: SessionStatus) -> AgenticSession:
        await arrives.wait()
        return await write_status(session, status)

    async def delay(session: AgenticSession, status: SessionStatus) -> AgenticSession:
        if not statuses.build_patch(session, status):
            return session
        under_way.set()
        return await asyncio.shield(asyncio.ensure_future(arrive(session, status)))

    api.write_status = delay  # type: ignore[method-assign]
    reporter.update(Progress(current_node="second", steps=1))
    await under_way.wait()
    concluding = asyncio.create_task(
        reporter.conclude(lambda session, _: statuses.troubled(session, Reason.DATABASE_UNAVAILABLE, "full"))
    )
    await asyncio.sleep(0)
    arrives.set()
    await concluding
    assert [status.reason for status in api.writes] == ["Running", "DatabaseUnavailable"]


async def test_a_session_lost_during_the_run_is_told_once() -> None:
    api, lost = FakeApi(), asyncio.Queue[Superseded]()
    reporter = _reporter(api, lost.put_nowait)
    reporter.start(statuses.running)
    await _wait_for(api, lambda status: status.phase is Phase.RUNNING)
    api.change({"uid": "another"})
    reporter.update(Progress(steps=1))
    assert "made again" in str(await asyncio.wait_for(lost.get(), PATIENCE_SECONDS))
    await reporter.close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"metadata": {"uid": "other"}}, "deleted and made again"),
        ({"metadata": {"deletion_timestamp": datetime(2026, 1, 1, tzinfo=UTC)}}, "is being deleted"),
        ({"run": 2}, "run 2 of session n/s is on"),
        ({"phase": Phase.FAILED}, "is Failed already"),
    ],
)
def test_a_session_is_ours_only_by_uid_run_and_phase(change: dict[str, Any], words: str) -> None:
    api = FakeApi()
    check_ours(api.session, CONFIG)
    api.change(**change)
    with pytest.raises(Superseded, match=words):
        check_ours(api.session, CONFIG)


def test_delays_double_up_to_a_bound_and_keep_the_server_s_wish() -> None:
    assert [compute_delay(n, None, 0.5) for n in (1, 2, 3, 99)] == [0.2, 0.4, 0.8, 5.0]
    assert compute_delay(1, 7, 0.5) == 7
    assert compute_delay(1, 9999, 0.5) == 60


async def test_persisting_hands_through_what_will_not_pass() -> None:
    async def gone() -> None:
        raise Superseded("gone")

    with pytest.raises(Superseded):
        await persist(gone, 1.0)
