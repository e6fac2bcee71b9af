"""What retention does to a database, in memory: checkpoints are counted, not kept (see ``PostgresRetention``)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from agentic_core.lifecycle import Phase
from agentic_core.threads import thread_id
from agentic_store.records import SessionRow
from agentic_store.retention import Ended, Gone, KeptCheckpoints, Step, Thread


@dataclass
class Checkpoints:
    """Those of a thread."""

    count: int
    at: datetime
    is_fenced: bool


class MemoryRetention:
    """Checkpoints by thread, beside the rows of a store; each method is one transaction."""

    def __init__(self, rows: dict[str, SessionRow], clock: Callable[[], datetime]) -> None:
        self._rows = rows
        self._clock = clock
        self._kept: dict[str, KeptCheckpoints] = {}
        self.threads: dict[str, Checkpoints] = {}

    def plant(
        self,
        name: str,
        *,
        ended: datetime | None,
        status: Phase = Phase.COMPLETED,
        steps: int = 3,
        has_row: bool = True,
        has_fence: bool = True,
    ) -> str:
        """Plant a session's row and thread; return its thread id."""
        thread, at = thread_id("team", name), ended or self._clock()
        if has_row:
            self._rows[f"uid-team-{name}"] = SessionRow(
                project_name="team",
                session_name=name,
                session_uid=f"uid-team-{name}",
                workflow_name="w",
                status=status,
                thread_id=thread,
                created_at=at - timedelta(hours=1),
                run=1,
                completed_at=ended if status.is_final else None,
                updated_at=at,
            )
        self.save(thread, steps, at, is_fenced=has_fence)
        return thread

    def save(self, thread: str, count: int, at: datetime, *, is_fenced: bool = True) -> None:
        """Have a thread have so many checkpoints."""
        self.threads[thread] = Checkpoints(count, at, is_fenced)

    def count(self, thread: str) -> int:
        """Return how many checkpoints a thread has."""
        return self.threads[thread].count if thread in self.threads else 0

    def forget(self, session_uid: str) -> None:
        """Delete the checkpoints of a session whose row is about to be deleted."""
        if (row := self._rows.get(session_uid)) is not None:
            self.threads.pop(row.thread_id, None)

    async def fetch_clock(self) -> datetime:
        return self._clock()

    async def list_projects(self) -> list[str]:
        return sorted({row.project_name for row in self._rows.values() if self._is_listed(row, None)})

    async def list_ended(
        self,
        project: str,
        *,
        before: datetime,
        kept: KeptCheckpoints,
        workflow: str | None = None,
        after: Ended | None = None,
        limit: int = 100,
    ) -> list[Ended]:
        found = []
        for row in self._rows.values():
            ended = row.completed_at
            if ended is None or ended >= before or row.project_name != project or not self._is_listed(row, kept):
                continue
            if workflow is not None and row.workflow_name != workflow:
                continue
            if after is None or (ended, row.session_uid) > (after.completed_at, after.session_uid):
                thread = self.threads.get(row.thread_id)
                at = None if thread is None else thread.at.isoformat()
                found.append(
                    Ended(row.session_uid, project, row.session_name, row.thread_id, ended, row.updated_at, None, at)
                )
        return sorted(found, key=lambda each: (each.completed_at, each.session_uid))[:limit]

    async def measure(self, session_uids: Sequence[str], *, limit: int) -> dict[str, int]:
        found = (self._rows[uid] for uid in session_uids if uid in self._rows)
        return {row.session_uid: min(self.count(row.thread_id), limit) for row in found}

    async def remove(self, session_uids: Sequence[str], *, rows: int = 1000) -> Step:
        claimed = self._claim(session_uids)
        gone = self._delete([row.thread_id for row in claimed], rows)
        uids = tuple(row.session_uid for row in claimed)
        if gone >= rows:
            return Step(Gone({"checkpoints": gone}), left=uids)
        self._kept |= dict.fromkeys(uids, KeptCheckpoints.NONE)
        return Step(Gone({"checkpoints": gone}), finished=uids)

    async def empty(self, pieces: Sequence[Sequence[str]], *, rest: float = 0.0) -> Step:
        claimed = self._claim([uid for piece in pieces for uid in piece])
        gone = self._delete([row.thread_id for row in claimed], len(self._rows) * 1_000_000)
        uids = tuple(row.session_uid for row in claimed)
        self._kept |= dict.fromkeys(uids, KeptCheckpoints.NONE)
        return Step(Gone({"checkpoints": gone}), finished=uids, rested=rest)

    async def prune(self, session_uid: str, *, rows: int = 1000) -> Step:
        for row in self._claim([session_uid]):
            thread = self.threads.get(row.thread_id)
            gone = min(max(thread.count - 1, 0), rows) if thread is not None else 0
            if thread is not None:
                thread.count -= gone
            if gone >= rows:
                return Step(Gone({"checkpoints": gone}), left=(session_uid,))
            self._kept[session_uid] = KeptCheckpoints.NEEDED
            return Step(Gone({"checkpoints": gone}), finished=(session_uid,))
        return Step()

    async def list_threads(self, *, after: str = "", limit: int = 200) -> list[Thread]:
        return [
            Thread(name, self.threads[name].is_fenced, None, self.threads[name].at.isoformat())
            for name in sorted(self.threads)
            if name > after and self.threads[name].count
        ][:limit]

    async def remove_ownerless(self, threads: Mapping[str, tuple[str, str]], *, rows: int = 1000) -> Step:
        owned = {row.thread_id for row in self._rows.values()}
        claimed = tuple(
            name for name in threads if name in self.threads and name not in owned and not self.threads[name].is_fenced
        )
        if not claimed:
            return Step()
        gone = self._delete(claimed, rows)
        left = gone >= rows
        return Step(Gone({"checkpoints": gone}), finished=() if left else claimed, left=claimed if left else ())

    async def expire_items(self, projects: Sequence[str] | None = None, *, rows: int = 1000) -> int:  # noqa: ARG002
        return 0

    def _is_listed(self, row: SessionRow, kept: KeptCheckpoints | None) -> bool:
        known = self._kept.get(row.session_uid, KeptCheckpoints.ALL)
        return row.completed_at is not None and known is not KeptCheckpoints.NONE and kept in (None, known)

    def _claim(self, session_uids: Sequence[str]) -> list[SessionRow]:
        rows = (self._rows[uid] for uid in session_uids if uid in self._rows)
        return [row for row in rows if self._is_listed(row, None)]

    def _delete(self, threads: Sequence[str], rows: int) -> int:
        gone = 0
        for name in threads:
            taken = min(self.count(name), rows - gone)
            gone += taken
            if taken:
                self.threads[name].count -= taken
        return gone
