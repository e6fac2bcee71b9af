"""The store in memory: the same contract as the database's, for tests and for running without one.

What it does not have is what only PostgreSQL can do: the trigger that refuses a superseded writer's checkpoints.
"""

import copy
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from agentic_core.contract import MAX_INLINE_RESULT_BYTES
from agentic_core.errors import Conflict, Superseded, TransientError
from agentic_core.lifecycle import Phase
from agentic_store.event_numbers import compute_numbers
from agentic_store.fences import decide_take, refuse_unless_held
from agentic_store.records import (
    Event,
    Fence,
    Json,
    NewEvent,
    PageKey,
    SessionRecord,
    SessionRow,
    TrailRow,
    TurnPhase,
    TurnRecord,
    TurnRow,
)
from agentic_store.results.output import EncodedOutput, encode_json
from agentic_store.searches import check_limit, check_version, contains, encode_search
from agentic_store.sessions import NoSuchParent, check_path, explain_missing_parent, explain_refusal
from agentic_store.signals import LocalSignals, hint_for
from agentic_store.transitions import sources_of
from agentic_store.turns import drop_replaced, refuse_other_end
from tests.support.memory_retention import MemoryRetention

Clock = Callable[[], datetime]


class MemoryStore:
    """Sessions, turns, events and fences of one process; ``clock`` says what the time is."""

    def __init__(self, clock: Clock = lambda: datetime.now(UTC)) -> None:
        rows: dict[str, SessionRow] = {}
        logs: dict[str, list[Event]] = {}
        fences: dict[str, _HeldFence] = {}
        turns: dict[tuple[str, int], TurnRow] = {}
        self.signals = LocalSignals()
        self.sessions = MemorySessions(rows, logs, fences, turns, clock)
        self.turns = MemoryTurns(self.sessions, turns, clock)
        self.events = MemoryEventLog(rows, logs, self.signals, clock)
        self.fences = MemoryFences(fences, clock)
        self.trails = MemoryTrails(rows, clock)
        self.retention = MemoryRetention(rows, clock)
        self.sessions.on_delete = self.retention.forget


class _HeldFence:
    def __init__(self, fence: Fence, taken_at: datetime) -> None:
        self.fence = fence
        self.taken_at = taken_at


class MemorySessions:
    """See ``protocols.Sessions``."""

    def __init__(
        self,
        rows: dict[str, SessionRow],
        logs: dict[str, list[Event]],
        fences: dict[str, _HeldFence],
        turns: dict[tuple[str, int], TurnRow],
        clock: Clock,
    ) -> None:
        self._rows = rows
        self._logs = logs
        self._fences = fences
        self._turns = turns
        self._clock = clock
        self.on_delete: Callable[[str], object] = lambda _: None

    async def record_session(self, record: SessionRecord) -> bool:
        same = self._rows.get(record.session_uid)
        if same is not None and (same.project_name, same.session_name) != (record.project_name, record.session_name):
            self._remove(record.session_uid)
        known = self._find(record.project_name, record.session_name)
        if known is not None and known.session_uid != record.session_uid:
            if known.created_at > record.created_at:
                return False
            self._remove(known.session_uid)
            known = None
        if known is None:
            self._rows[record.session_uid] = self._build(record)
            return True
        if known.run > record.run or known.status not in sources_of(record.status):
            return False
        changed = replace(
            self._build(record),
            created_at=known.created_at,
            started_at=known.started_at or record.started_at,
            output_data=known.output_data,
        )
        if replace(changed, updated_at=known.updated_at) == known:
            return False
        self._rows[record.session_uid] = changed
        return True

    async def record_sessions(self, records: Sequence[SessionRecord]) -> int:
        return sum([await self.record_session(record) for record in records])

    async def start_run(self, session_uid: str, run: int) -> None:
        if session_uid not in self._rows:
            raise TransientError(f"session {session_uid!r} is not recorded yet")
        row = self._open_row(session_uid, run, Phase.RUNNING)
        now = self._clock()
        self._rows[session_uid] = replace(
            row, status=Phase.RUNNING, run=run, started_at=row.started_at or now, updated_at=now
        )

    async def change_status(self, session_uid: str, run: int, status: Phase) -> None:
        if status.is_final:
            raise ValueError(f"{status.wire!r} is final: use finish()")
        row = self._open_row(session_uid, run, status)
        self._rows[session_uid] = replace(row, status=status, run=run, updated_at=self._clock())

    async def finish(
        self,
        session_uid: str,
        run: int,
        status: Phase,
        *,
        output: EncodedOutput | None = None,
        error: Mapping[str, Json] | None = None,
    ) -> None:
        if not status.is_final:
            raise ValueError(f"{status.wire!r} is not final: use change_status()")
        known = self._rows.get(session_uid)
        if known is not None and (known.status, known.run) == (status, run):
            return
        row = self._open_row(session_uid, run, status)
        now = self._clock()
        self._rows[session_uid] = replace(
            row,
            status=status,
            run=run,
            output_data=row.output_data if output is None else output.value(),
            error=None if error is None else _stored(error),
            completed_at=now,
            updated_at=now,
        )

    async def get(self, session_uid: str, *, with_output: bool = False) -> SessionRow | None:
        return _shown(self._rows.get(session_uid), with_output)

    async def find(self, project_name: str, session_name: str, *, with_output: bool = False) -> SessionRow | None:
        return _shown(self._find(project_name, session_name), with_output)

    async def update_output(self, session_uid: str, run: int, path: Sequence[str], value: object) -> None:
        path = check_path(path)
        row = self._rows.get(session_uid)
        if row is None or row.run > run or row.status.is_final:
            state = None if row is None else (row.status, row.run)
            raise Superseded(explain_refusal(session_uid, run, Phase.RUNNING, state))
        output: Any = {} if row.output_data is None else copy.deepcopy(row.output_data)
        parent = output
        for key in path[:-1]:
            parent = _step(parent, key)
        if not isinstance(parent, dict):
            raise NoSuchParent(explain_missing_parent(session_uid, path))
        parent[path[-1]] = _stored(value)
        self._rows[session_uid] = replace(row, run=run, output_data=output, updated_at=self._clock())

    async def list_by_project(
        self,
        project_name: str,
        *,
        limit: int = 100,
        before: PageKey | None = None,
        workflow_version: str | None = None,
    ) -> list[SessionRow]:
        check_limit(limit)
        if workflow_version is None:
            return self._page(project_name, limit, before, lambda _: True)
        check_version(workflow_version)
        return self._page(project_name, limit, before, lambda row: row.workflow_version == workflow_version)

    async def search(
        self,
        project_name: str,
        containing: Mapping[str, Json],
        *,
        limit: int = 100,
        before: PageKey | None = None,
        patience_seconds: float = 5.0,  # noqa: ARG002  (nothing takes long here)
    ) -> list[SessionRow]:
        check_limit(limit)
        part = json.loads(encode_search(containing))
        return self._page(project_name, limit, before, lambda row: contains(row.input_data, part))

    def _page(
        self, project_name: str, limit: int, before: PageKey | None, is_wanted: Callable[[SessionRow], bool]
    ) -> list[SessionRow]:
        found = [row for row in self._rows.values() if row.project_name == project_name and is_wanted(row)]
        if before is not None:
            found = [row for row in found if _order(row) < (before.created_at, before.session_name)]
        page = sorted(found, key=_order, reverse=True)[:limit]
        return [replace(row, input_data=None, output_data=None) for row in page]

    async def delete_session(self, session_uid: str) -> bool:
        had_fence = [thread for thread, held in self._fences.items() if held.fence.session_uid == session_uid]
        for thread in had_fence:
            del self._fences[thread]
        return self._remove(session_uid) or bool(had_fence)

    async def fetch_session_uids(self) -> frozenset[str]:
        return frozenset(self._touched())

    async def find_orphans(self, existing_uids: Collection[str], *, min_age_seconds: float = 300) -> list[str]:
        limit = self._clock() - timedelta(seconds=min_age_seconds)
        return sorted(uid for uid, at in self._touched().items() if uid not in existing_uids and at < limit)

    def _touched(self) -> dict[str, datetime]:
        touched = {uid: row.updated_at for uid, row in self._rows.items()}
        for held in self._fences.values():
            uid = held.fence.session_uid
            touched[uid] = max(held.taken_at, touched.get(uid, held.taken_at))
        return touched

    def _find(self, project_name: str, session_name: str) -> SessionRow | None:
        for row in self._rows.values():
            if (row.project_name, row.session_name) == (project_name, session_name):
                return row
        return None

    def _open_row(self, session_uid: str, run: int, status: Phase) -> SessionRow:
        row = self._rows.get(session_uid)
        if row is None or row.run > run or row.status not in sources_of(status):
            state = None if row is None else (row.status, row.run)
            raise Superseded(explain_refusal(session_uid, run, status, state))
        return row

    def _remove(self, session_uid: str) -> bool:
        self._logs.pop(session_uid, None)
        for key in [key for key in self._turns if key[0] == session_uid]:
            del self._turns[key]
        self.on_delete(session_uid)
        return self._rows.pop(session_uid, None) is not None

    def _build(self, record: SessionRecord) -> SessionRow:
        now = self._clock()
        known: dict[str, Any] = {field.name: getattr(record, field.name) for field in fields(SessionRecord)}
        known["input_data"] = _stored(record.input_data)
        known["error"] = None if record.error is None else _stored(record.error)
        known["completed_at"] = (record.completed_at or now) if record.status.is_final else None
        inputs = known["input_data"]
        version = inputs.get("workflow_version") if isinstance(inputs, dict) else None
        return SessionRow(**known, updated_at=now, workflow_version=_as_text(version))


class MemoryTurns:
    """See ``protocols.Turns``."""

    def __init__(self, sessions: MemorySessions, turns: dict[tuple[str, int], TurnRow], clock: Clock) -> None:
        self._sessions = sessions
        self._turns = turns
        self._clock = clock
        self.told: list[tuple[str, int]] = []
        """The turns that were told to whoever listens, by session and number."""

    async def record(self, records: Sequence[TurnRecord]) -> Sequence[tuple[str, int]]:
        missing = []
        for record in drop_replaced(records):
            key = record.session_uid, record.number
            if await self._sessions.get(record.session_uid) is None:
                missing.append(key)
                continue
            self._refuse_other_name(record)
            known = self._turns.get(key)
            if known is not None and (known.phase.is_over or (not record.phase.is_over and known.run >= record.run)):
                continue
            if known is None:
                self._turns[key] = self._build(record)
            elif known.name == record.name:
                self._turns[key] = replace(
                    known,
                    phase=record.phase,
                    error=known.error or record.error,
                    checkpoint_id=known.checkpoint_id or record.checkpoint_id,
                    run=max(known.run, record.run),
                    started_at=known.started_at or record.started_at,
                    finished_at=(record.finished_at or self._clock()) if record.phase.is_over else None,
                )
            if not record.phase.is_over:
                self.told.append(key)
        return missing

    async def notify(self, session_uids: Sequence[str]) -> None:
        self.told += [(uid, 0) for uid in session_uids]

    async def begin(self, record: TurnRecord) -> TurnRow:
        if await self._sessions.get(record.session_uid) is None:
            raise TransientError(f"session {record.session_uid!r} is not recorded yet")
        key = record.session_uid, record.number
        known = self._turns.get(key)
        if known is None:
            self._refuse_other_name(record)
            known = self._build(replace(record, started_at=self._clock()))
        elif not known.phase.is_over:
            known = replace(known, run=max(known.run, record.run), started_at=known.started_at or self._clock())
        self._turns[key] = known
        return replace(known, output=None)

    async def finish(
        self,
        session_uid: str,
        number: int,
        run: int,
        phase: TurnPhase,
        *,
        output: EncodedOutput | None = None,
        error: Mapping[str, Json] | None = None,
        checkpoint_id: str | None = None,
    ) -> None:
        if not phase.is_over:
            raise ValueError("a turn that runs has not ended")
        known = self._turns.get((session_uid, number))
        if known is None or known.phase.is_over or known.run > run:
            refuse_other_end(session_uid, number, run, phase, known)
            return
        await self._sessions.change_status(session_uid, run, Phase.IDLE)
        self._turns[session_uid, number] = replace(
            known,
            phase=phase,
            run=run,
            output=None if output is None else output.value(),
            error=None if error is None else _stored(error),
            checkpoint_id=checkpoint_id,
            started_at=known.started_at or self._clock(),
            finished_at=self._clock(),
        )

    async def get(self, session_uid: str, number: int, *, with_output: bool = False) -> TurnRow | None:
        found = self._turns.get((session_uid, number))
        return found if found is None or with_output else replace(found, output=None)

    async def find_end(self, session_uid: str, number: int) -> TurnRow | None:
        found = self._turns.get((session_uid, number))
        if found is None or not found.phase.is_over:
            return None
        is_small = len(encode_json(found.output)) <= MAX_INLINE_RESULT_BYTES
        return replace(found, input=None, command=None, output=found.output if is_small else None)

    async def list_turns(self, session_uid: str, *, after: int = 0, limit: int = 100) -> list[TurnRow]:
        check_limit(limit)
        found = [row for (uid, number), row in self._turns.items() if uid == session_uid and number > after]
        return [replace(row, output=None) for row in sorted(found, key=lambda row: row.number)[:limit]]

    async def find_used_names(self, session_uid: str, names: Collection[str]) -> frozenset[str]:
        return frozenset(row.name for (uid, _), row in self._turns.items() if uid == session_uid and row.name in names)

    def _refuse_other_name(self, record: TurnRecord) -> None:
        for (uid, number), row in self._turns.items():
            if uid == record.session_uid and number != record.number and row.name == record.name:
                raise Conflict(f"another turn is named {record.name!r}")

    def _build(self, record: TurnRecord) -> TurnRow:
        now = self._clock()
        known: dict[str, Any] = {field.name: getattr(record, field.name) for field in fields(TurnRecord)}
        for name in ("input", "command", "error"):
            known[name] = None if known[name] is None else _stored(known[name])
        known["finished_at"] = (record.finished_at or now) if record.phase.is_over else None
        return TurnRow(**known, created_at=now)


class MemoryEventLog:
    """See ``protocols.EventLog``."""

    def __init__(
        self, rows: dict[str, SessionRow], logs: dict[str, list[Event]], signals: LocalSignals, clock: Clock
    ) -> None:
        self._rows = rows
        self._logs = logs
        self._signals = signals
        self._clock = clock

    async def append(self, session_uid: str, run: int, events: Sequence[NewEvent], *, floor: int = 0) -> int:
        if not events:
            raise ValueError("no events to append")
        if session_uid not in self._rows:
            raise Superseded(f"session {session_uid!r} is gone: it was deleted or replaced")
        known = self._logs.setdefault(session_uid, [])
        numbers = compute_numbers(known[-1].seq if known else 0, floor, len(events))
        if numbers.missing is not None:
            told: dict[str, Json] = {"from": numbers.missing[0], "to": numbers.missing[1], "reason": "lost"}
            known.append(Event(session_uid, numbers.first - 1, run, self._clock(), "gap", told, events[0].turn))
        for seq, event in enumerate(events, numbers.first):
            at = event.at or self._clock()
            known.append(Event(session_uid, seq, run, at, event.type, _stored(event.data), event.turn))
        self._signals.notify(hint_for(session_uid))
        return numbers.last

    async def read(self, session_uid: str, *, after: int = 0, limit: int = 1000) -> list[Event]:
        return [event for event in self._logs.get(session_uid, []) if event.seq > after][:limit]


class MemoryFences:
    """See ``protocols.Fences``."""

    def __init__(self, fences: dict[str, _HeldFence], clock: Clock) -> None:
        self._fences = fences
        self._clock = clock
        self._epochs = count(1)

    async def take(
        self, thread_id: str, session_uid: str, run: int, holder: str, *, session_created_at: datetime | None = None
    ) -> Fence:
        take = decide_take(self._held(thread_id), session_uid, session_created_at, run)
        fence = Fence(thread_id, session_uid, next(self._epochs), run, take.failures, holder, session_created_at)
        self._fences[thread_id] = _HeldFence(fence, self._clock())
        return fence

    async def record_failure(self, fence: Fence) -> int:
        await self.verify(fence)
        held = self._fences[fence.thread_id]
        held.fence = replace(held.fence, failures=held.fence.failures + 1)
        return held.fence.failures

    async def verify(self, fence: Fence) -> None:
        refuse_unless_held(fence, self._held(fence.thread_id))

    def _held(self, thread_id: str) -> Fence | None:
        held = self._fences.get(thread_id)
        return None if held is None else held.fence


class MemoryTrails:
    """See ``protocols.Trails``."""

    def __init__(self, sessions: dict[str, SessionRow], clock: Clock) -> None:
        self._sessions = sessions
        self._clock = clock
        self._chains: dict[str, dict[int, tuple[TrailRow, datetime]]] = {}

    async def store(self, rows: Sequence[TrailRow]) -> Mapping[str, int]:
        others: dict[str, int] = {}
        for row in rows:
            known, _ = self._chains.setdefault(row.session_uid, {}).setdefault(row.seq, (row, self._clock()))
            if known.hash != row.hash:
                others[row.session_uid] = min(row.seq, others.get(row.session_uid, row.seq))
        return others

    async def remove_old(self, days: int, projects: Sequence[str] | None = None, *, limit: int = 100) -> int:
        before = self._clock() - timedelta(days=days)
        old = [
            uid
            for uid, chain in self._chains.items()
            if uid not in self._sessions
            and all(at < before and (projects is None or row.project_name in projects) for row, at in chain.values())
        ]
        for uid in old[:limit]:
            del self._chains[uid]
        return len(old[:limit])

    def read(self, session_uid: str) -> list[TrailRow]:
        """Return the entries of a session, in order."""
        return [row for _, (row, _) in sorted(self._chains.get(session_uid, {}).items())]


def _stored(value: object) -> Any:
    """Return a value as it comes back from JSON."""
    return json.loads(encode_json(value))


def _as_text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else encode_json(value)


def _step(value: Any, key: str) -> Any:
    """Return what is at a key of an object or a place of a list, None where there is nothing."""
    if isinstance(value, list):
        return value[int(key)] if key.isdecimal() and int(key) < len(value) else None
    return value.get(key) if isinstance(value, dict) else None


def _shown(row: SessionRow | None, with_output: bool) -> SessionRow | None:
    return row if row is None or with_output else replace(row, output_data=None)


def _order(row: SessionRow) -> tuple[datetime, str]:
    return row.created_at, row.session_name
