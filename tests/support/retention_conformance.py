"""What retention of every store must do: run against PostgreSQL and against its twin in memory."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import pytest

from agentic_core.lifecycle import Phase
from agentic_store.retention import Ended, KeptCheckpoints, Step, Thread
from tests.support.threads import days_ago

OPEN = [phase for phase in Phase if not phase.is_final]


class Retains(Protocol):
    """The statements of retention."""

    async def list_projects(self) -> list[str]: ...

    async def list_ended(
        self,
        project: str,
        *,
        before: datetime,
        kept: KeptCheckpoints,
        workflow: str | None = None,
        after: Ended | None = None,
        limit: int = 100,
    ) -> list[Ended]: ...

    async def measure(self, session_uids: Sequence[str], *, limit: int) -> dict[str, int]: ...

    async def remove(self, session_uids: Sequence[str], *, rows: int = 1000) -> Step: ...

    async def empty(self, pieces: Sequence[Sequence[str]], *, rest: float = 0.0) -> Step: ...

    async def prune(self, session_uid: str, *, rows: int = 1000) -> Step: ...

    async def list_threads(self, *, after: str = "", limit: int = 200) -> list[Thread]: ...

    async def remove_ownerless(self, threads: Mapping[str, tuple[str, str]], *, rows: int = 1000) -> Step: ...


class Plot(Protocol):
    """A database in which threads are planted and counted."""

    @property
    def retention(self) -> Retains: ...

    def plant(
        self,
        name: str,
        *,
        ended: datetime | None,
        status: Phase = Phase.COMPLETED,
        steps: int = 3,
        has_row: bool = True,
        has_fence: bool = True,
    ) -> str: ...

    def count(self, thread: str) -> int: ...


async def names(plot: Plot, kept: KeptCheckpoints = KeptCheckpoints.ALL, after: Ended | None = None) -> list[str]:
    listed = await plot.retention.list_ended("team", before=days_ago(30), kept=kept, after=after)
    return [ended.session_name for ended in listed]


class RetentionConformance:
    async def test_listed_are_ended_sessions_of_which_something_is_left_oldest_first(self, plot: Plot) -> None:
        plot.plant("young", ended=days_ago(29))
        plot.plant("old", ended=days_ago(31))
        plot.plant("older", ended=days_ago(32), status=Phase.FAILED)
        plot.plant("running", ended=None, status=Phase.RUNNING)
        assert await names(plot) == ["older", "old"]
        assert await names(plot, KeptCheckpoints.NEEDED) == []
        first = await plot.retention.list_ended("team", before=days_ago(30), kept=KeptCheckpoints.ALL, limit=1)
        assert await names(plot, after=first[0]) == ["old"]
        assert await plot.retention.list_projects() == ["team"]

    @pytest.mark.parametrize("phase", OPEN)
    async def test_a_session_that_has_not_ended_keeps_all(self, plot: Plot, phase: Phase) -> None:
        thread = plot.plant("s", ended=None, status=phase)
        uid = "uid-team-s"
        for step in (
            await plot.retention.remove([uid]),
            await plot.retention.empty([[uid]]),
            await plot.retention.prune(uid),
        ):
            assert (step.gone.total, step.finished, step.left) == (0, (), ())
        assert plot.count(thread) == 3

    async def test_a_step_takes_so_many_rows_and_what_is_half_gone_stays_listed(self, plot: Plot) -> None:
        threads = [plot.plant(name, ended=days_ago(31), steps=25) for name in ("a", "b")]
        left: tuple[str, ...] = ("uid-team-a", "uid-team-b")
        steps = 0
        while left:
            assert await names(plot) == ["a", "b"] or steps == 0
            step = await plot.retention.remove(left, rows=20)
            left, steps = step.left, steps + 1
        assert steps == 2 * 25 // 20 + 1
        assert [plot.count(thread) for thread in threads] == [0, 0]
        assert await names(plot) == []
        assert (await plot.retention.remove(["uid-team-a"])).finished == ()

    async def test_small_sessions_are_measured_up_to_a_limit_and_emptied_at_once(self, plot: Plot) -> None:
        thread = plot.plant("small", ended=days_ago(31), steps=5)
        plot.plant("large", ended=days_ago(31), steps=30)
        sizes = await plot.retention.measure(["uid-team-small", "uid-team-large"], limit=11)
        assert sizes == {"uid-team-small": 5, "uid-team-large": 11}
        step = await plot.retention.empty([["uid-team-small"], ["uid-team-gone"]])
        assert step.finished == ("uid-team-small",)
        assert (plot.count(thread), await names(plot)) == (0, ["large"])

    async def test_pruned_to_its_last_checkpoint_it_is_removed_later(self, plot: Plot) -> None:
        thread = plot.plant("s", ended=days_ago(31), steps=5)
        assert (await plot.retention.prune("uid-team-s")).finished == ("uid-team-s",)
        assert plot.count(thread) == 1
        assert (await names(plot), await names(plot, KeptCheckpoints.NEEDED)) == ([], ["s"])
        assert (await plot.retention.remove(["uid-team-s"])).finished == ("uid-team-s",)
        assert (plot.count(thread), await names(plot, KeptCheckpoints.NEEDED)) == (0, [])

    async def test_a_thread_goes_that_neither_a_session_nor_a_fence_stands_for(self, plot: Plot) -> None:
        lost = plot.plant("lost", ended=days_ago(40), has_row=False, has_fence=False)
        running = plot.plant("running", ended=None, status=Phase.RUNNING, has_row=False)
        unfenced = plot.plant("unfenced", ended=days_ago(40), has_fence=False)
        listed = await plot.retention.list_threads()
        assert [(each.thread_id, each.is_fenced) for each in listed] == [
            (lost, False),
            (running, True),
            (unfenced, False),
        ]
        owners = {thread: ("team", thread.rpartition("-")[2]) for thread in (lost, running, unfenced)}
        assert (await plot.retention.remove_ownerless(owners)).finished == (lost,)
        assert [plot.count(thread) for thread in owners] == [0, 3, 3]
