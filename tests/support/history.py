"""Records what happened to every session while faults were injected, and checks what must always hold.

The record is made beside the parts under test: an own watch as administrator, the node agent's processes, and triggers
in the test's database that write down under which epoch each checkpoint came.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from agentic_core.lifecycle import TRANSITIONS, Phase
from tests.support.apiclient import GROUP_PATH, ApiClient, Json, follow
from tests.support.faultproxy import FaultProxy
from tests.support.postgres import PostgresDatabase

AUDIT = """
CREATE TABLE test_checkpoints (
    n bigserial PRIMARY KEY, thread_id text, ns text, checkpoint_id text, parent_id text, step integer,
    epoch bigint, current_epoch bigint
);
CREATE FUNCTION test_note_checkpoint() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO public.test_checkpoints (thread_id, ns, checkpoint_id, parent_id, step, epoch, current_epoch)
    SELECT NEW.thread_id, NEW.checkpoint_ns, NEW.checkpoint_id, NEW.parent_checkpoint_id,
        (NEW.metadata ->> 'step')::integer,
        nullif(split_part(split_part(current_setting('application_name'), ' fence=', 2), '/', 2), '')::bigint,
        (SELECT epoch FROM public.thread_fences WHERE thread_id = NEW.thread_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER test_note AFTER INSERT ON checkpoints FOR EACH ROW EXECUTE FUNCTION test_note_checkpoint();
CREATE TABLE test_fences (
    n bigserial PRIMARY KEY, thread_id text, session_uid text, epoch bigint, run integer, holder text
);
CREATE FUNCTION test_note_fence() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO public.test_fences (thread_id, session_uid, epoch, run, holder)
    VALUES (NEW.thread_id, NEW.session_uid, NEW.epoch, NEW.run, NEW.holder);
    RETURN NULL;
END
$$;
CREATE TRIGGER test_note AFTER INSERT OR UPDATE OF epoch ON thread_fences
    FOR EACH ROW EXECUTE FUNCTION test_note_fence();
CREATE TABLE test_ends (n bigserial PRIMARY KEY, session_uid text, status text);
CREATE FUNCTION test_note_end() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO public.test_ends (session_uid, status) VALUES (NEW.session_uid, NEW.status);
    RETURN NULL;
END
$$;
CREATE TRIGGER test_note AFTER INSERT OR UPDATE OF status ON workflow_sessions
    FOR EACH ROW EXECUTE FUNCTION test_note_end();
"""


@dataclass(frozen=True)
class Seen:
    """One state of a session, as the API server stored it."""

    phase: Phase | None
    run: int
    steps: int
    checkpoint_id: str | None
    completion_time: str | None
    reason: str | None
    result: Any
    turn_end: tuple[int, str, str | None] | None = None
    """Number, phase and checkpoint of the last turn that a runner ended."""


@dataclass
class Life:
    """All that was seen of one session."""

    uid: str
    namespace: str
    name: str
    states: list[Seen] = field(default_factory=list)
    gaps: set[int] = field(default_factory=set)
    """Indexes of states before which some may be missing."""
    is_deleted: bool = False
    thread_id: str | None = None

    @property
    def last(self) -> Seen:
        return self.states[-1]

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class History:
    """What happened. Filled by :meth:`record`."""

    def __init__(self, client: ApiClient) -> None:
        self.lives: dict[str, Life] = {}
        self.jobs: dict[str, Json] = {}
        """Every Job ever seen, by uid."""
        self.changed = asyncio.Event()
        self._client = client

    @asynccontextmanager
    async def record(self) -> AsyncIterator[Self]:
        """Record until the end of the block."""
        tasks = [asyncio.create_task(self._watch_sessions()), asyncio.create_task(self._watch_jobs())]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def find(self, namespace: str, name: str) -> Life | None:
        """Return the youngest session of this name that exists."""
        found = [
            life
            for life in self.lives.values()
            if (life.namespace, life.name) == (namespace, name) and not life.is_deleted
        ]
        return found[-1] if found else None

    async def _watch_sessions(self) -> None:
        relisted: set[str] | None = None
        async for kind, raw in follow(self._client, f"{GROUP_PATH}/agenticsessions"):
            if kind == "RELIST":
                relisted = set()
            elif kind == "LISTED":
                for life in self.lives.values():
                    if relisted is not None and life.uid not in relisted:
                        life.is_deleted = True
                relisted = None
            else:
                self._see(kind, raw, is_relisted=relisted is not None)
                if relisted is not None:
                    relisted.add(raw["metadata"]["uid"])
            self.changed.set()

    def _see(self, kind: str, raw: Json, *, is_relisted: bool) -> None:
        meta, status = raw["metadata"], raw.get("status") or {}
        life = self.lives.setdefault(meta["uid"], Life(meta["uid"], meta["namespace"], meta["name"]))
        life.is_deleted = kind == "DELETED"
        life.thread_id = status.get("threadId") or life.thread_id
        seen = Seen(
            phase=Phase(status["phase"]) if status.get("phase") else None,
            run=status.get("run") or 0,
            steps=status.get("steps") or 0,
            checkpoint_id=status.get("checkpointId"),
            completion_time=status.get("completionTime"),
            reason=status.get("reason"),
            result=status.get("result"),
            turn_end=_read_turn_end(status),
        )
        if not life.states or life.states[-1] != seen:
            if is_relisted and life.states:
                life.gaps.add(len(life.states))
            life.states.append(seen)

    async def _watch_jobs(self) -> None:
        async for kind, raw in follow(self._client, "/apis/batch/v1/jobs"):
            if kind not in ("RELIST", "LISTED"):
                self.jobs[raw["metadata"]["uid"]] = raw
                self.changed.set()


def _read_turn_end(status: Json) -> tuple[int, str, str | None] | None:
    end = status.get("turnEnd")
    return (end["number"], end["phase"], end.get("checkpointId")) if end else None


async def find_violations(
    history: History,
    client: ApiClient,
    database: PostgresDatabase,
    namespaces: Iterable[str],
    runners: FaultProxy,
    *,
    is_contended: bool = False,
) -> list[str]:
    """Return every breach of what must hold once faults have stopped and sessions have come to rest.

    ``is_contended``: several operators act at once. One of them may make the Job of a session that another is just
    letting go, a second time; the garbage collector takes it, and its runner finds no session.
    """
    wanted = set(namespaces)
    lives = [life for life in history.lives.values() if life.namespace in wanted]
    jobs = [job for job in history.jobs.values() if job["metadata"]["namespace"] in wanted]
    rows = await asyncio.to_thread(_read_rows, database)
    leftovers = [
        *await client.list("/apis/batch/v1/jobs"),
        *await client.list("/api/v1/pods"),
        *await client.list("/api/v1/persistentvolumeclaims"),
    ]
    return [
        *_check_phases(lives),
        *_check_ends(lives),
        *_check_rest(lives),
        *_check_jobs(jobs, {life.uid for life in lives if life.is_deleted} if is_contended else set()),
        *_check_fence(rows),
        *_check_steps(lives, rows),
        *_check_results(lives, rows),
        *_check_deleted(lives, rows, leftovers, wanted),
        *_check_reads(runners),
    ]


@dataclass(frozen=True)
class _Rows:
    checkpoints: Sequence[tuple[Any, ...]]
    audit: Sequence[tuple[Any, ...]]
    fences: Sequence[tuple[Any, ...]]
    sessions: Mapping[str, str]
    ends: Sequence[tuple[Any, ...]]
    uids: Mapping[str, str]


def _read_rows(database: PostgresDatabase) -> _Rows:
    uids: dict[str, str] = {}
    for table in ("workflow_sessions", "session_events", "thread_fences"):
        for (uid,) in database.execute(f"SELECT DISTINCT session_uid FROM {table}"):
            uids[str(uid)] = table
    return _Rows(
        checkpoints=database.execute(
            "SELECT thread_id, checkpoint_id, parent_checkpoint_id, (metadata ->> 'step')::integer FROM checkpoints"
            " WHERE checkpoint_ns = ''"
        ),
        audit=database.execute(
            "SELECT thread_id, checkpoint_id, step, epoch, current_epoch, ns FROM test_checkpoints ORDER BY n"
        ),
        fences=database.execute("SELECT thread_id, session_uid, epoch, run, holder FROM test_fences ORDER BY n"),
        sessions={
            str(uid): str(status)
            for uid, status in database.execute("SELECT session_uid, status FROM workflow_sessions")
        },
        ends=database.execute("SELECT session_uid, status FROM test_ends ORDER BY n"),
        uids=uids,
    )


def _reachable(old: Phase, seen: frozenset[Phase] = frozenset()) -> frozenset[Phase]:
    for new in TRANSITIONS[old]:
        if new not in seen:
            seen = _reachable(new, seen | {new})
    return seen


def _check_phases(lives: Iterable[Life]) -> Iterator[str]:
    """Phases change only as the lifecycle's table allows."""
    for life in lives:
        for index, (old, new) in enumerate(zip(life.states, life.states[1:], strict=False), start=1):
            before, after = old.phase or Phase.PENDING, new.phase or Phase.PENDING
            legal = _reachable(before) if index in life.gaps else TRANSITIONS[before].keys()
            if before is not after and after not in legal:
                yield f"{life}: phase went from {before} to {after}"
            if old.run > new.run:
                yield f"{life}: run went back from {old.run} to {new.run}"


def _check_ends(lives: Iterable[Life]) -> Iterator[str]:
    """A session ends exactly once, and each turn of a conversation; nothing of an end changes afterwards."""
    for life in lives:
        ends = [state for state in life.states if state.phase is not None and state.phase.is_final]
        if len({(end.phase, end.completion_time, end.reason, repr(end.result), end.run) for end in ends}) > 1:
            yield f"{life}: ended more than once: {ends}"
        turns = Counter(number for number, *_ in {state.turn_end for state in life.states if state.turn_end})
        for number in (number for number, count in turns.items() if count > 1):
            yield f"{life}: turn {number} ended more than once: {[state.turn_end for state in life.states]}"


def _check_rest(lives: Iterable[Life]) -> Iterator[str]:
    """Everything is final or waits for somebody."""
    resting = {Phase.WAITING_FOR_INPUT, Phase.SUSPENDED, Phase.IDLE}
    for life in lives:
        phase = life.last.phase
        if not life.is_deleted and (phase is None or not (phase.is_final or phase in resting)):
            yield f"{life}: still {phase} ({life.last.reason})"


def _check_jobs(jobs: Iterable[Json], excused: set[str]) -> Iterator[str]:
    """There was exactly one Job for every run of a session."""
    made: dict[tuple[str, str], set[str]] = defaultdict(set)
    for job in jobs:
        meta = job["metadata"]
        run = (meta.get("labels") or {}).get("agentic-operator.dev/run")
        owners: list[Json] = meta.get("ownerReferences") or []
        owner = str(owners[0]["uid"]) if owners else ""
        if run:
            made[owner, run].add(meta["uid"])
            if not meta["name"].endswith(f"-r{run}"):
                yield f"Job {meta['name']}: does not carry its run {run} in its name"
    for (owner, run), uids in made.items():
        if len(uids) > 1 and owner not in excused:
            yield f"session {owner}: {len(uids)} Jobs for run {run}"


def _check_fence(rows: _Rows) -> Iterator[str]:
    """Only the newest holder of a thread wrote checkpoints, and holders came in the order of their runs."""
    last: dict[str, int] = {}
    for thread, checkpoint, step, epoch, current, _ in rows.audit:
        if epoch is None or epoch != current:
            yield f"{thread}: checkpoint {checkpoint} (step {step}) under epoch {epoch} while {current} held the thread"
        elif epoch < last.get(thread, 0):
            yield f"{thread}: epoch {epoch} wrote after epoch {last[thread]}"
        last[thread] = max(last.get(thread, 0), epoch or 0)
    runs: dict[tuple[str, str], int] = {}
    for thread, uid, epoch, run, holder in rows.fences:
        if run < runs.get((thread, uid), 0):
            yield f"{thread}: {holder} of run {run} took the thread (epoch {epoch}) from run {runs[thread, uid]}"
        runs[thread, uid] = run


def _check_steps(lives: Iterable[Life], rows: _Rows) -> Iterator[str]:
    """Every super-step that a status told of is in the database, once."""
    by_thread: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for row in rows.checkpoints:
        by_thread[row[0]].append(row)
    for thread, found in by_thread.items():
        for step, count in Counter(row[3] for row in found).items():
            if count > 1:
                yield f"{thread}: step {step} is there {count} times"
        for parent, count in Counter(row[2] for row in found).items():
            if count > 1:
                yield f"{thread}: checkpoint {parent} has {count} successors"
    for life in lives:
        if life.is_deleted or life.thread_id is None:
            continue
        known = {row[1] for row in by_thread[life.thread_id]}
        for state in life.states:
            if state.checkpoint_id is not None and state.checkpoint_id not in known:
                yield f"{life}: status told of checkpoint {state.checkpoint_id}, which is not in the database"


def _check_results(lives: Iterable[Life], rows: _Rows) -> Iterator[str]:
    """The database has a row for every session that ran, with the phase that the resource has, ended once."""
    for life in lives:
        if life.is_deleted or life.last.phase is None or not (life.last.run or life.last.phase.is_final):
            continue
        status = rows.sessions.get(life.uid)
        if status != life.last.phase.wire:
            yield f"{life}: {life.last.phase} in the resource, {status!r} in the database"
    finals = {phase.wire for phase in Phase if phase.is_final}
    ended = Counter(uid for uid, status in rows.ends if status in finals)
    named = {life.uid: life for life in lives}
    for uid, count in ended.items():
        if count > 1 and uid in named:
            yield f"{named[uid]} ({uid}): its row was ended {count} times"


def _check_deleted(lives: Iterable[Life], rows: _Rows, leftovers: Iterable[Json], wanted: set[str]) -> Iterator[str]:
    """Nothing is left of a deleted session: no object, no row."""
    living = {life.uid for life in lives if not life.is_deleted}
    gone = {life.uid: life for life in lives if life.is_deleted}
    for item in leftovers:
        for owner in item["metadata"].get("ownerReferences") or ():
            is_ours = owner["kind"] == "AgenticSession" and item["metadata"]["namespace"] in wanted
            if is_ours and owner["uid"] not in living:
                yield f"{item['metadata']['name']}: its session {owner['name']} is gone"
    for uid, table in rows.uids.items():
        if uid in gone:
            yield f"{gone[uid]}: is deleted and has rows in {table}"


def _check_reads(runners: FaultProxy) -> Iterator[str]:
    """A runner asks for its own session alone, in its own namespace."""
    for passed in runners.passed:
        expected = f"{GROUP_PATH}/namespaces/{passed.namespace}/agenticsessions/"
        name = passed.path.removeprefix(expected).split("?")[0].removesuffix("/status")
        if not passed.path.startswith(expected) or not passed.pod.startswith(f"{name}-r"):
            yield f"pod {passed.namespace}/{passed.pod} sent {passed}"
