"""A cluster in memory around the operator's real reconcilers: what they find, and who else acts there.

Real: ``SessionReconciler``, ``DefinitionReconciler``, ``Reads``, ``Index``, ``Handlers``, ``Namespaces``,
``Recorder``, ``Resync``, ``Retention``, ``EventRecorder``, the work queue and the client. Played: the API server and
its garbage collector (``fake_api``), the database (its twin in memory), the Job and TTL controllers, a kubelet, runners
that keep the contract, and time, which passes to the next moment that something waits for as soon as nothing else
happens. Kopf is left out: its events are read from the fake's log.
"""

import asyncio
import base64
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final, TypeVar, cast

import aiohttp

from agentic_core.contract import ExitCode
from agentic_core.errors import AgenticError, DatabaseUnavailable, Superseded, TransientError
from agentic_core.inspection import frame_report
from agentic_core.lifecycle import Phase
from agentic_core.names import MANAGED_BY, MANAGED_BY_LABEL, RUNNER_CONTAINER, read_run, read_session_name
from agentic_core.schema.schema import check_instance, check_schema
from agentic_operator.cache.index import Index
from agentic_operator.cache.priming import prime
from agentic_operator.cache.reads import Reads
from agentic_operator.cache.resync import Resync
from agentic_operator.cache.watch import Handlers
from agentic_operator.cache.workqueue import WorkQueue
from agentic_operator.config import Settings
from agentic_operator.controllers.definition import DefinitionReconciler
from agentic_operator.controllers.dependencies import Dependencies
from agentic_operator.controllers.schema_checker import Fault as SchemaFault
from agentic_operator.controllers.session import SessionReconciler
from agentic_operator.controllers.stuck_pods import StuckPods
from agentic_operator.controllers.workers import schedule_retry
from agentic_operator.database.retention import Retention
from agentic_operator.database.retention_policy import Keep
from agentic_operator.database.session_rows import Recorder
from agentic_operator.database.turn_rows import TurnRecorder
from agentic_operator.kube.client import (
    CLAIMS,
    CLUSTER_DEFINITIONS,
    DEFINITIONS,
    JOBS,
    NAMESPACES,
    PODS,
    ROLE_BINDINGS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SESSIONS,
    Json,
    Kind,
)
from agentic_operator.kube.event_recorder import EventRecorder
from agentic_operator.namespaces.database_logins import DatabaseLogins
from agentic_operator.namespaces.prepare import Namespaces
from agentic_operator.parts import COUNT_SECONDS
from agentic_operator.sessions.keys import Key, SessionKey
from agentic_operator.sessions.observation import Rules
from agentic_operator.variables import Tenancy
from agentic_store.protocols import Sessions, Turns
from agentic_store.records import SessionRecord, TurnPhase, TurnRecord, TurnRow
from agentic_store.results.output import encode_output
from agentic_store.retention import PostgresRetention, Step
from tests.support.builders import CHECKED, condition, definition_body, session_body
from tests.support.fake_api import FakeApi, Request, Wire, connect
from tests.support.memory_retention import MemoryRetention
from tests.support.memory_store import MemoryStore

TEAM: Final = "team"
SYSTEM: Final = "agentic-system"
INSPECTIONS: Final = "agentic-inspections"
# Passes of one operator, and actions of everybody else, after which a scenario does not come to rest.
MOST_STEPS: Final = 600
# How much time passes at most until people do the next thing: whatever comes later is not waited for.
STEP_TIME: Final = timedelta(minutes=4)
# What a step of retention deletes: little, so that a session takes several.
RETENTION_ROWS: Final = 8
BEGINNING: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)

T = TypeVar("T")


class Died(BaseException):
    """The operator's process is gone; nothing in it gets to say anything."""


class Fault(Enum):
    """What happens to an operator at one of its writes."""

    DIES = "dies after it"
    CONFLICTS = "conflicts with somebody else's"
    LOSES_ANSWER = "is carried out and not answered"
    OVERTAKEN = "waits while another operator acts"


@dataclass
class Strike:
    """A fault at the ``number``-th write of an operator."""

    fault: Fault | None = None
    number: int = 0
    kinds: Collection[Kind] = (SESSIONS, JOBS, CLAIMS)
    """Of which objects writes count. Without definitions among them, no passes are made over these."""
    overtake: Callable[[], Awaitable[None]] | None = None
    writes: list[str] = field(default_factory=list)
    is_dead: bool = False

    @property
    def has_struck(self) -> bool:
        return bool(self.number) and len(self.writes) >= self.number

    async def pass_write(self, what: str, do: Callable[[], Awaitable[T]], touch: Callable[[], object]) -> T:
        """Do a write, with the fault where it is its turn; ``touch`` is somebody else's write to the same object."""
        self.check_alive()
        self.writes.append(what)
        if len(self.writes) != self.number:
            return await do()
        if self.fault is Fault.CONFLICTS:
            touch()
        if self.fault is Fault.OVERTAKEN and self.overtake is not None:
            await self.overtake()
        done = await do()
        if self.fault is Fault.DIES:
            self.is_dead = True
            raise Died
        if self.fault is Fault.LOSES_ANSWER:
            raise aiohttp.ServerDisconnectedError
        return done

    def check_alive(self) -> None:
        if self.is_dead:
            raise Died


class OperatorWire(Wire):
    """The way of an operator to the API server."""

    def __init__(self, api: FakeApi, strike: Strike) -> None:
        super().__init__(api)
        self._strike = strike

    async def carry(self, request: Request) -> Json | str:
        self._strike.check_alive()
        if not request.is_write or request.resource.kind not in self._strike.kinds:
            return self.api.handle(request)

        async def do() -> Json | str:
            return self.api.handle(request)

        def touch() -> None:
            kind, where = request.resource.kind, (request.namespace, request.name)
            if request.name and self.api.find(kind, *where) is not None:
                self.api.send("PATCH", kind, *where, {"metadata": {"annotations": {"example.com/touched": "x"}}})

        return await self._strike.pass_write(str(request), do, touch)


class OperatorRows:
    """The way of an operator to the database, as far as it goes there."""

    def __init__(self, sessions: Sessions, strike: Strike) -> None:
        self._sessions = sessions
        self._strike = strike

    async def record_sessions(self, records: Sequence[SessionRecord]) -> int:
        # Whether a row was written now or later makes no difference that a pass could see.
        self._strike.check_alive()
        return await self._sessions.record_sessions(records)

    async def delete_session(self, session_uid: str) -> bool:
        try:
            return await self._strike.pass_write(
                "DELETE row", lambda: self._sessions.delete_session(session_uid), lambda: None
            )
        except aiohttp.ClientError as error:
            raise DatabaseUnavailable("the database is away") from error

    async def find_orphans(self, existing_uids: Collection[str], *, min_age_seconds: float = 300) -> list[str]:
        self._strike.check_alive()
        return await self._sessions.find_orphans(existing_uids, min_age_seconds=min_age_seconds)


class OperatorRetention(MemoryRetention):
    """The way of an operator to the checkpoints in the database; each step is a write."""

    def __init__(self, cluster: "PlayedCluster", strike: Strike) -> None:
        self.__dict__.update(vars(cluster.store.retention))
        self._cluster = cluster
        self._strike = strike
        self._is_held = False

    async def fetch_clock(self) -> datetime:
        self._strike.check_alive()
        return await super().fetch_clock()

    async def remove(self, session_uids: Sequence[str], *, rows: int = 1000) -> Step:
        remove = super().remove
        return await self._pass("remove", session_uids, lambda: remove(session_uids, rows=rows))

    async def empty(self, pieces: Sequence[Sequence[str]], *, rest: float = 0.0) -> Step:
        empty = super().empty
        return await self._pass("empty", [uid for piece in pieces for uid in piece], lambda: empty(pieces, rest=rest))

    async def prune(self, session_uid: str, *, rows: int = 1000) -> Step:
        prune = super().prune
        return await self._pass("prune", [session_uid], lambda: prune(session_uid, rows=rows))

    async def remove_ownerless(self, threads: Mapping[str, tuple[str, str]], *, rows: int = 1000) -> Step:
        remove = super().remove_ownerless
        return await self._pass("remove ownerless", (), lambda: remove(threads, rows=rows))

    async def _pass(self, what: str, uids: Sequence[str], do: Callable[[], Awaitable[Step]]) -> Step:
        async def step() -> Step:
            if self._is_held:
                # Somebody else has their rows: they are passed over.
                self._is_held = False
                return Step()
            self._cluster.check_ended(uids)
            return await do()

        def hold() -> None:
            self._is_held = True

        try:
            return await self._strike.pass_write(f"{what} checkpoints", step, hold)
        except aiohttp.ClientError as error:
            raise DatabaseUnavailable("the database is away") from error


class OperatorTurns:
    """The way of an operator to the rows of turns."""

    def __init__(self, turns: Turns, strike: Strike) -> None:
        self._turns = turns
        self._strike = strike

    async def record(self, records: Sequence[TurnRecord]) -> Sequence[tuple[str, int]]:
        self._strike.check_alive()
        return await self._turns.record(records)

    async def notify(self, session_uids: Sequence[str]) -> None:
        self._strike.check_alive()
        await self._turns.notify(session_uids)

    async def find_end(self, session_uid: str, number: int) -> TurnRow | None:
        self._strike.check_alive()
        return await self._turns.find_end(session_uid, number)

    async def find_used_names(self, session_uid: str, names: Collection[str]) -> frozenset[str]:
        self._strike.check_alive()
        return await self._turns.find_used_names(session_uid, names)


class InProcessChecker:
    """The checks of schemas by their real rules, without the process that bounds them."""

    async def check_schema(self, schema: object) -> Sequence[SchemaFault]:
        return check_schema(schema)

    async def check_instance(self, schema: object, instance: object) -> Sequence[SchemaFault]:
        return check_instance(schema, instance)


class PlayedTime:
    """What time it is for everybody; it stands still while anybody has anything to do."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def now(self) -> datetime:
        return BEGINNING + timedelta(seconds=self._seconds)

    def monotonic(self) -> float:
        return self._seconds

    def read(self) -> str:
        """Return the time as objects hold it."""
        return self.now().strftime("%Y-%m-%dT%H:%M:%SZ")

    def jump(self, to: float) -> None:
        """Let time pass to a moment of the monotonic clock, and a little more: nothing happens too early."""
        self._seconds = max(self._seconds, to) + 0.001


class PlayedQueue(WorkQueue[Key]):
    """The work queue, with a look at what it waits for."""

    def find_due(self) -> float | None:
        """Return when the next delayed key is due; None where none is."""
        return min(self._due.values(), default=None)

    def promote(self) -> int:
        """Put in line what is due; return how many are in line."""
        self._promote()
        return len(self)


class PlayedOperator:
    """One process of the operator: all it remembers goes with it."""

    def __init__(self, cluster: "PlayedCluster", strike: Strike | None = None, keep: Keep | None = None) -> None:
        """``keep`` is for how long checkpoints are kept; None where there is no retention."""
        self.strike = strike or Strike()
        self._api = cluster.api
        settings = Settings(namespace=SYSTEM, inspection_namespace=INSPECTIONS, tenancy=Tenancy.OFF)
        kube = connect(OperatorWire(cluster.api, self.strike))
        now, clock = cluster.time.now, cluster.time.monotonic
        self.queue = PlayedQueue(clock)
        self.index = Index(wake=self.queue.add, wake_later=lambda key: self.queue.add_after(key, COUNT_SECONDS))
        rows = cast("Sessions", OperatorRows(cluster.store.sessions, self.strike))
        self._recorder = Recorder(rows, now=now)
        turns = cast("Turns", OperatorTurns(cluster.store.turns, self.strike))
        self._turns = TurnRecorder(turns)
        self._event_recorder = EventRecorder(kube, "operator", SYSTEM, clock=clock, now=now)
        namespaces = Namespaces(kube, settings, DatabaseLogins(kube, settings, None, clock), clock=clock)
        stuck_pods = StuckPods(
            kube, self.index, self.queue, namespaces, now, clock=clock, inspection_namespace=INSPECTIONS
        )
        self.parts = Dependencies(
            kube=kube,
            index=self.index,
            queue=self.queue,
            lookup=Reads(kube, self.index),
            namespaces=namespaces,
            event_recorder=self._event_recorder,
            checker=InProcessChecker(),
            rules=Rules(settings.jobs, settings.allowed_images, settings.allowed_pods),
            stuck_pods=stuck_pods,
            recorder=self._recorder,
            turns=self._turns,
            now=now,
        )
        self._sessions = SessionReconciler(self.parts)
        self._definitions = DefinitionReconciler(self.parts, INSPECTIONS)
        self._retention = (
            None
            if keep is None
            else Retention(
                cast("PostgresRetention", OperatorRetention(cluster, self.strike)),
                kube,
                self.index,
                self._event_recorder,
                (),
                keep,
                rows=RETENTION_ROWS,
                clock=now,
                monotonic=clock,
            )
        )
        self._sweep = Resync(
            kube,
            self.index,
            self.queue,
            (),
            rows,
            inspections=INSPECTIONS,
            record_rows=self._recorder.record,
            now=now,
            turns=turns,
        )
        handlers = Handlers(self.index, self.queue, on_unrun=self._recorder.forget)
        selector = f"{MANAGED_BY_LABEL}={MANAGED_BY}"
        self._watches: tuple[tuple[Kind, Callable[[str | None, Json], None], str], ...] = (
            (SESSIONS, handlers.on_session, ""),
            (DEFINITIONS, handlers.on_definition, ""),
            (CLUSTER_DEFINITIONS, handlers.on_definition, ""),
            (JOBS, handlers.on_job, selector),
            (PODS, handlers.on_pod, selector),
        )
        self._seen = 0
        self._idle_at: int | None = None
        """The version at which there was nothing to do, also for the tasks beside the passes."""
        self._tasks: list[asyncio.Task[None]] = []
        self.failures: list[str] = []

    async def start(self) -> None:
        """Know everything anew, as ``main`` and Kopf's first lists do."""
        self._tasks = [asyncio.create_task(each.run()) for each in (self._event_recorder, self._recorder, self._turns)]
        await prime(self.parts.kube, self.index, self.queue, (), INSPECTIONS, self.parts.faults)
        self._seen = self._api.version
        for kind, handle, selector in self._watches:
            for raw in await self.parts.kube.list_all(kind, selector=selector):
                handle(None, raw)

    async def stop(self) -> None:
        """End without a word."""
        self.strike.is_dead = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def work(self) -> bool:
        """Take in what was told and run one pass; say whether anything was there to do."""
        if self._idle_at == self._api.version and not self.queue.promote():
            self.strike.check_alive()
            return False
        version, self._seen = self._seen, self._api.version
        for kind, handle, selector in self._watches if version < self._seen else ():
            for type_, raw in self._api.read_events(kind, version, selector):
                handle(type_, raw)
        has_worked = False
        while self.queue.promote():
            await self._run_pass()
            has_worked = True
        await self._let_write()
        self._idle_at = None if has_worked or version != self._api.version else version
        return has_worked

    async def go_round(self) -> None:
        """Do what is done every few minutes or hours: the resync, and retention."""
        self._idle_at = None
        await self._sweep.run_once()
        if self._retention is None:
            return
        try:
            await self._retention.run_once()
        except AgenticError as error:
            self.failures.append(f"retention: {error!r}")

    async def _run_pass(self) -> None:
        key = await self.queue.get()
        try:
            if isinstance(key, SessionKey):
                await self._sessions.reconcile(key)
            elif DEFINITIONS in self.strike.kinds:
                await self._definitions.reconcile(key)
            self.queue.succeed(key)
        except Exception as error:  # noqa: BLE001  (as the workers do)
            self.failures.append(f"{key}: {error!r}")
            schedule_retry(self.queue, key, error)
        finally:
            self.queue.done(key)

    async def _let_write(self) -> None:
        """Give the tasks beside the passes their turn."""
        for _ in range(4):
            await asyncio.sleep(0)
        self.strike.check_alive()


class PlayedCluster:
    """Everything but the operator. ``outcomes`` are those of a session's attempts in turn; further ones complete."""

    def __init__(self, outcomes: dict[str, list[str]] | None = None) -> None:
        self.time = PlayedTime()
        self.api = FakeApi(self.time.now)
        self.store = MemoryStore(self.time.now)
        self._outcomes = {name: list(each) for name, each in (outcomes or {}).items()}
        self._of_pods: dict[str, str] = {}
        self._ending: dict[str, int] = {}
        self._lingering: set[str] = set()
        self._warm: dict[str, float] = {}
        """Until when, by the monotonic clock, which pods wait for the next turn."""
        self._made: dict[str, int] = defaultdict(int)
        self._violations: list[str] = []
        self.given: Counter[tuple[str, str]] = Counter()
        """How often the graph acted on a turn, by session and turn."""
        self.checkpoints: dict[str, int] = {}
        """How many checkpoints runs of a session save, by its name; 1 where nothing else is said."""
        for name in (TEAM, SYSTEM, INSPECTIONS):
            self.api.send("POST", NAMESPACES, "", body={"metadata": {"name": name}})
        dsn = base64.b64encode(b"postgresql://runner@db/agentic").decode()
        secret = {"metadata": {"name": "agentic-postgres-runner"}, "data": {"dsn": dsn}}
        self.api.send("POST", SECRETS, SYSTEM, body=secret)

    # -- people

    def define(self, name: str = "report", *, is_ready: bool = True, **spec: Any) -> None:
        """Make a definition; by default as if it had been inspected."""
        self.api.send("POST", DEFINITIONS, TEAM, body=definition_body(name, TEAM, **spec))
        if is_ready:
            conditions = [condition(type_, "True") for type_ in CHECKED]
            status = {"conditions": conditions, "runnerContract": 3}
            self.api.send("PATCH", DEFINITIONS, TEAM, name, {"status": status}, "status")

    def start(self, name: str = "s", **spec: Any) -> None:
        self.api.send("POST", SESSIONS, TEAM, body=session_body(name, "report", TEAM, **spec))

    def change(self, name: str = "s", **spec: Any) -> None:
        self.api.send("PATCH", SESSIONS, TEAM, name, {"spec": spec})

    def add_turn(self, turn: str, name: str = "s", **fields: Any) -> None:
        """Add a turn to a conversation, behind those that are there."""
        turns = self.session(name)["spec"].get("turns", [])
        self.change(name, turns=[*turns, {"name": turn, "input": turn, **fields}])

    def cancel_turn(self, turn: str, name: str = "s") -> None:
        turns = self.session(name)["spec"]["turns"]
        self.change(name, turns=[{**each, "cancel": True} if each["name"] == turn else each for each in turns])

    def delete(self, name: str = "s") -> None:
        self.api.send("DELETE", SESSIONS, TEAM, name)

    def session(self, name: str = "s") -> Json:
        raw = self.api.find(SESSIONS, TEAM, name)
        assert raw is not None, f"session {name} is gone"
        return raw

    def pass_time(self, days: float = 1 / 24) -> None:
        """Let an hour pass, or so many days."""
        self.time.jump(self.time.monotonic() + days * 86_400)

    def check_ended(self, uids: Sequence[str]) -> None:
        """Note the sessions of which checkpoints are removed although they have not ended."""
        for raw in self.api.list_all(SESSIONS):
            phase = (raw.get("status") or {}).get("phase")
            if raw["metadata"]["uid"] in uids and not (phase and Phase(phase).is_final):
                self._violations.append(f"checkpoints removed: session {raw['metadata']['name']} is {phase}")

    # -- controllers and nodes

    async def act(self) -> bool:
        """Let somebody else than operators and people do one thing; say whether there was anything to do."""
        return self.api.collect_garbage() or self._run_jobs() or await self._run_pods()

    def _run_jobs(self) -> bool:
        pods = defaultdict(list)
        for pod in self.api.list_all(PODS):
            for owner in pod["metadata"].get("ownerReferences") or ():
                pods[owner["uid"]].append(pod)
        return any(self._run_job(job, pods[job["metadata"]["uid"]]) for job in self.api.list_all(JOBS))

    def _run_job(self, job: Json, pods: list[Json]) -> bool:
        meta, status = job["metadata"], job.get("status") or {}
        if "deletionTimestamp" in meta:
            return False
        if status.get("conditions"):
            return self._expire_job(job)
        phases = [(pod.get("status") or {}).get("phase", "Pending") for pod in pods]
        failed = [pod for pod, phase in zip(pods, phases, strict=True) if phase == "Failed"]
        counted = [action for pod in failed if (action := _judge(job, pod)) != "Ignore"]
        if "Succeeded" in phases:
            return self._end_job(job, "Complete", "CompletionsReached", len(counted))
        if "FailJob" in counted:
            return self._end_job(job, "Failed", "PodFailurePolicy", len(counted))
        if len(counted) > job["spec"].get("backoffLimit", 6):
            return self._end_job(job, "Failed", "BackoffLimitExceeded", len(counted))
        if self._is_over(_find_deadline(job)):
            return self._stop_job(job, pods, len(counted))
        if len(failed) == len(pods):
            self._make_pod(job)
            began = status.get("startTime") or self.time.read()
            return self._write_job(job, {"active": 1, "failed": len(counted), "startTime": began}) or True
        return False

    def _stop_job(self, job: Json, pods: list[Json], failed: int) -> bool:
        """End a Job whose time is over: first its pods, then it."""
        living = [pod for pod in pods if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")]
        if not living:
            return self._end_job(job, "Failed", "DeadlineExceeded", failed)
        left = [pod["metadata"] for pod in living if "deletionTimestamp" not in pod["metadata"]]
        for meta in left:
            self.api.send("DELETE", PODS, meta["namespace"], meta["name"])
        return bool(left)

    def _expire_job(self, job: Json) -> bool:
        """Delete a Job that ended long ago, as the TTL controller does."""
        if not self._is_over(_find_expiry(job)):
            return False
        self.api.send("DELETE", JOBS, job["metadata"]["namespace"], job["metadata"]["name"])
        return True

    def _is_over(self, at: datetime | None) -> bool:
        return at is not None and self.time.now() >= at

    def find_due(self) -> float | None:
        """Return when, by the monotonic clock, the next Job has to end or to go; None where none has."""
        now, dues = self.time.now(), list[float]()
        for job in self.api.list_all(JOBS):
            at = _find_expiry(job) if (job.get("status") or {}).get("conditions") else _find_deadline(job)
            if at is not None and at > now:
                dues.append(self.time.monotonic() + (at - now).total_seconds())
        dues += [due for due in self._warm.values() if due > self.time.monotonic()]
        return min(dues, default=None)

    def _end_job(self, job: Json, type_: str, reason: str, failed: int) -> bool:
        ended = {"type": type_, "status": "True", "reason": reason, "lastTransitionTime": self.time.read()}
        return self._write_job(job, {"active": None, "failed": failed, "conditions": [ended]})

    def _write_job(self, job: Json, status: Json) -> bool:
        meta = job["metadata"]
        changed = self.api.send("PATCH", JOBS, meta["namespace"], meta["name"], {"status": status}, "status")
        return bool(changed["metadata"]["resourceVersion"] != meta["resourceVersion"])

    def _make_pod(self, job: Json) -> None:
        meta, template = job["metadata"], job["spec"]["template"]
        self._made[meta["uid"]] += 1
        labels = {"batch.kubernetes.io/job-name": meta["name"], "batch.kubernetes.io/controller-uid": meta["uid"]}
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": meta["uid"], "controller": True}
        metadata = {
            "name": f"{meta['name']}-{self._made[meta['uid']]:05}",
            "labels": {**(template["metadata"].get("labels") or {}), **labels},
            "ownerReferences": [owner],
        }
        body = {"metadata": metadata, "spec": {**template["spec"], "nodeName": "node"}}
        self.api.send("POST", PODS, meta["namespace"], body=body)

    async def _run_pods(self) -> bool:
        for pod in self.api.list_all(PODS):
            if await self._run_pod(pod):
                return True
        return False

    async def _run_pod(self, pod: Json) -> bool:
        meta, phase = pod["metadata"], (pod.get("status") or {}).get("phase", "Pending")
        if "deletionTimestamp" in meta:
            options = {"gracePeriodSeconds": 0}
            self.api.send("DELETE", PODS, meta["namespace"], meta["name"], options)
            return True
        if phase == "Pending":
            return self._write_pod(pod, "Running", {"running": {"startedAt": self.time.read()}})
        if phase != "Running":
            return False
        if meta["uid"] in self._lingering:
            return False
        if meta["uid"] in self._ending:
            return self._end_pod(pod, self._ending[meta["uid"]])
        job: str = meta["ownerReferences"][0]["name"]
        if not (session := read_session_name(job)):
            outcome = self._take_outcome(job.split("-")[0], meta["uid"])
            report = {"nodes": ["a"], "edges": [], "mermaid": "graph", "runnerContract": 3, "ignored": []}
            self.api.logs[meta["namespace"], meta["name"]] = frame_report(report) if outcome == "completes" else "?"
            return self._end_pod(pod, 0 if outcome == "completes" else int(ExitCode.GRAPH_NOT_LOADED))
        return await self._run_runner(pod, session, read_run(session, job))

    def _write_pod(self, pod: Json, phase: str, state: Json) -> bool:
        status = {"phase": phase, "containerStatuses": [{"name": RUNNER_CONTAINER, "state": state}]}
        meta = pod["metadata"]
        self.api.send("PATCH", PODS, meta["namespace"], meta["name"], {"status": status}, "status")
        return True

    def _end_pod(self, pod: Json, code: int) -> bool:
        state = {"terminated": {"exitCode": code, "finishedAt": self.time.read()}}
        return self._write_pod(pod, "Failed" if code else "Succeeded", state)

    # -- runners

    async def _run_runner(self, pod: Json, name: str, run: int) -> bool:
        session = self.api.find(SESSIONS, TEAM, name)
        env = pod["spec"]["containers"][0]["env"]
        uid = next(each["value"] for each in env if each["name"] == "SESSION_UID")
        if session is None or session["metadata"]["uid"] != uid or "deletionTimestamp" in session["metadata"]:
            return self._end_pod(pod, ExitCode.SUPERSEDED)
        status = session.get("status") or {}
        phase, newest = status.get("phase"), status.get("run") or 0
        if newest > run or (phase and Phase(phase).is_final):
            return self._end_pod(pod, ExitCode.SUPERSEDED)
        is_conversation = session["spec"].get("mode") == "Conversation"
        if newest < run or phase not in ("Creating", "Running", *(("Idle",) if is_conversation else ())):
            # It waits for the operator's word, or holds back.
            return False
        try:
            if is_conversation:
                return await self._converse(pod, session, run)
            if phase == "Creating":
                await self.store.sessions.start_run(uid, run)
                if (row := await self.store.sessions.get(uid)) is not None:
                    self.store.retention.save(row.thread_id, self.checkpoints.get(name, 1), self.time.now())
                self._write(name, phase="Running", interrupts=_take_answers(status, self.time.read()))
                return True
            return await self._execute(pod, name, uid, run)
        except (TransientError, Superseded):
            return False

    async def _converse(self, pod: Json, session: Json, run: int) -> bool:
        """Take one step with the turn that is on; without one wait for the next, or end."""
        name, uid, status = session["metadata"]["name"], session["metadata"]["uid"], session["status"]
        turn, end, pod_uid = status.get("turn"), status.get("turnEnd") or {}, pod["metadata"]["uid"]
        if turn is None or end.get("number") == turn["number"]:
            if self._warm.get(pod_uid, 0.0) <= self.time.monotonic():
                return self._end_pod(pod, ExitCode.DONE)
            return False
        asked: Json = next((each for each in session["spec"]["turns"] if each["name"] == turn["name"]), {})
        if status["phase"] != "Running":
            await self.store.sessions.start_run(uid, run)
            record = TurnRecord(
                session_uid=uid,
                number=turn["number"],
                name=turn["name"],
                project_name=TEAM,
                session_name=name,
                input=asked.get("input"),
                run=run,
            )
            row = await self.store.turns.begin(record)
            if row.phase.is_over:
                self._tell_end(session, pod_uid, row.phase)
            else:
                self._write(name, phase="Running", interrupts=_take_answers(status, self.time.read()))
            return True
        outcome = self._take_outcome(name, f"{pod_uid}/{turn['number']}")
        known = await self.store.turns.get(uid, turn["number"])
        assert known is not None, "its row was made before it ran"
        if outcome == "works":
            return False
        if outcome == "vanishes":
            return self._end_pod(pod, ExitCode.DONE)
        if not known.phase.is_over:
            phase = TurnPhase.FAILED if outcome == "fails" else TurnPhase.COMPLETED
            await self.store.turns.finish(uid, turn["number"], run, phase, output=encode_output({"said": turn["name"]}))
            self.given[name, turn["name"]] += 1
            if outcome == "dies":
                # Between the stored end and the status that tells it.
                self.let_turn(pod_uid, turn["number"], "completes")
                return self._end_pod(pod, 137)
            known = replace(known, phase=phase)
        self._tell_end(session, pod_uid, known.phase)
        return True

    def _tell_end(self, session: Json, pod_uid: str, phase: TurnPhase) -> None:
        turn = session["status"]["turn"]
        end = {"name": turn["name"], "number": turn["number"], "phase": phase.value.capitalize()}
        self._write(
            session["metadata"]["name"],
            phase="Idle",
            reason=f"Turn{end['phase']}",
            turnEnd={**end, "finishedAt": self.time.read(), "checkpointId": f"c{turn['number']}"},
            result={"said": turn["name"]},
        )
        self._warm[pod_uid] = self.time.monotonic() + (session["spec"].get("keepWarmSeconds") or 0)

    def let_turn(self, pod_uid: str, number: int, outcome: str) -> None:
        """Let a turn end so in a pod."""
        self._of_pods[f"{pod_uid}/{number}"] = outcome

    async def _execute(self, pod: Json, name: str, uid: str, run: int) -> bool:
        outcome, pod_uid = self._take_outcome(name, pod["metadata"]["uid"]), pod["metadata"]["uid"]
        if outcome == "works":
            return False
        if outcome == "asks":
            asked = self.session(name)["status"].get("interrupts") or []
            question = {"id": f"q{len(asked) + 1}", "value": "ok?", "askedAt": self.time.read()}
            await self.store.sessions.change_status(uid, run, Phase.WAITING_FOR_INPUT)
            self._write(name, phase="WaitingForInput", reason="WaitingForInput", interrupts=[*asked, question])
            self._ending[pod_uid] = ExitCode.DONE
        elif outcome in ("completes", "lingers"):
            await self.store.sessions.finish(uid, run, Phase.COMPLETED, output=encode_output({"a": 1}))
            self._write(name, phase="Completed", reason="Completed", completionTime=self.time.read())
            if outcome == "lingers":
                self._lingering.add(pod_uid)
            self._ending[pod_uid] = ExitCode.DONE
        elif outcome == "fails":
            await self.store.sessions.finish(uid, run, Phase.FAILED, error={"type": "E", "message": "m"})
            error = {"type": "E", "message": "m", "retriable": False}
            self._write(name, phase="Failed", reason="GraphFailed", error=error, completionTime=self.time.read())
            self._ending[pod_uid] = ExitCode.GRAPH_FAILED
        elif outcome == "retries":
            self._write(name, phase="Running", reason="Retrying", message="m")
            self._ending[pod_uid] = ExitCode.RETRIABLE
        elif outcome == "vanishes":
            return self._end_pod(pod, ExitCode.DONE)
        else:
            raise ValueError(f"no attempt ends as {outcome!r}")
        return True

    def _take_outcome(self, name: str, pod_uid: str) -> str:
        if pod_uid not in self._of_pods:
            waiting = self._outcomes.get(name)
            self._of_pods[pod_uid] = waiting.pop(0) if waiting else "completes"
        return self._of_pods[pod_uid]

    def let(self, name: str, outcome: str) -> None:
        """Let the attempts of a session that are under way end so."""
        for pod in self.api.list_all(PODS, TEAM):
            if read_session_name(pod["metadata"]["ownerReferences"][0]["name"]) == name:
                self._of_pods[pod["metadata"]["uid"]] = outcome

    def _write(self, name: str, **status: Any) -> None:
        self.api.send("PATCH", SESSIONS, TEAM, name, {"status": status}, "status")

    # -- what is there at the end

    async def describe(self) -> dict[str, Any]:
        """Return everything that is left, without what differs between two undisturbed times: ids, versions, times."""
        found: dict[str, Any] = {"Jobs made": self._list_made()}
        for raw in self.api.list_all(SESSIONS):
            status, uid = raw.get("status") or {}, raw["metadata"]["uid"]
            row = await self.store.sessions.get(uid)
            found[f"session {raw['metadata']['name']}"] = {
                **{key: status.get(key) for key in ("phase", "reason", "run", "restarts", "jobName", "withdrawnRun")},
                "finalizers": raw["metadata"].get("finalizers"),
                "conditions": {
                    each["type"]: (each["status"], each["reason"]) for each in status.get("conditions") or ()
                },
                "interrupts": [
                    (each["id"], each.get("answer"), "resumedAt" in each) for each in status.get("interrupts") or ()
                ],
                "turn": (status.get("turn") or {}).get("name"),
                "turns": [(each["name"], each.get("number"), each["phase"]) for each in status.get("turns") or ()],
                "asked": [each["name"] for each in raw["spec"].get("turns") or ()],
                "turn rows": [
                    (row.number, row.name, row.phase.value)
                    for row in await self.store.turns.list_turns(uid, limit=1000)
                ],
                "given": {turn: times for (name, turn), times in self.given.items() if name == raw["metadata"]["name"]},
                "answers": [(each["interruptId"], each["value"], each["by"]) for each in status.get("answers") or ()],
                "row": row and (row.status, row.run),
                "checkpoints": row and self.store.retention.count(row.thread_id),
            }
        found["rows"] = len(await self.store.sessions.fetch_session_uids())
        found["threads"] = sorted(name for name, each in self.store.retention.threads.items() if each.count)
        for raw in self.api.list_all(DEFINITIONS):
            status = raw.get("status") or {}
            conditions = {each["type"]: (each["status"], each["reason"]) for each in status.get("conditions") or ()}
            found[f"definition {raw['metadata']['name']}"] = conditions
        for raw in self.api.list_all(JOBS):
            ended = [each["type"] for each in (raw.get("status") or {}).get("conditions") or ()]
            found[f"Job {raw['metadata']['name']}"] = ended
        for kind in (PODS, SECRETS, SERVICE_ACCOUNTS, ROLE_BINDINGS, CLAIMS):
            found[kind.plural] = sorted(
                (raw["metadata"]["namespace"], raw["metadata"]["name"]) for raw in self.api.list_all(kind)
            )
        return found

    def _list_made(self) -> list[str]:
        events = (each for each in self.api.events if each.resource.kind is JOBS and each.type == "ADDED")
        return sorted(each.object["metadata"]["name"] for each in events)

    def find_violations(self) -> list[str]:
        """Return what must not happen at any time, whatever becomes of the operator; read from the whole history."""
        made: dict[str, set[str]] = defaultdict(set)
        living: dict[str, dict[str, str]] = defaultdict(dict)
        final: dict[str, set[str]] = defaultdict(set)
        turns: dict[str, set[str]] = defaultdict(set)
        violations = list(self._violations)
        for event in self.api.events:
            meta, kind = event.object["metadata"], event.resource.kind
            if kind is JOBS and event.type == "ADDED":
                owner = meta["ownerReferences"][0]["uid"]
                made[f"{meta['name']} of {owner}"].add(meta["uid"])
            phase = (event.object.get("status") or {}).get("phase")
            if kind is SESSIONS and phase and Phase(phase).is_final:
                final[meta["uid"]].add(phase)
            if kind is SESSIONS:
                records = (event.object.get("status") or {}).get("turns") or []
                for each in records:
                    if each["phase"] != "Running":
                        turns[f"{each['name']} of {meta['uid']}"].add(each["phase"])
                if sum(each["phase"] == "Running" for each in records) > 1:
                    violations.append(f"two turns on: session {meta['uid']}")
            if kind is PODS and (session := read_session_name(meta["ownerReferences"][0]["name"])):
                if event.type == "DELETED" or phase in ("Succeeded", "Failed"):
                    living[session].pop(meta["name"], None)
                else:
                    living[session][meta["name"]] = meta["uid"]
                if len(living[session]) > 1:
                    violations.append(f"pods at once: {sorted(living[session])}")
        violations += [f"made {len(uids)} times: Job {name}" for name, uids in made.items() if len(uids) > 1]
        violations += [f"ended as {sorted(phases)}: session {uid}" for uid, phases in final.items() if len(phases) > 1]
        violations += [f"ended as {sorted(ends)}: turn {name}" for name, ends in turns.items() if len(ends) > 1]
        violations += [f"acted {times} times: turn {name}" for name, times in self.given.items() if times > 1]
        return violations


def _judge(job: Json, pod: Json) -> str:
    """Return what the Job's pod failure policy makes of a failed pod."""
    code = pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"]
    for rule in (job["spec"].get("podFailurePolicy") or {}).get("rules") or ():
        codes = rule.get("onExitCodes")
        if codes and (code in codes["values"]) is (codes["operator"] == "In"):
            return str(rule["action"])
    return "Count"


def _take_answers(status: Json, at: str) -> list[Json]:
    """Mark what was answered as taken."""
    return [
        {**each, "resumedAt": each.get("resumedAt") or at} if "answeredAt" in each else each
        for each in status.get("interrupts") or ()
    ]


def _find_deadline(job: Json) -> datetime | None:
    """Return when a Job has to end by its ``activeDeadlineSeconds``."""
    began, seconds = (job.get("status") or {}).get("startTime"), job["spec"].get("activeDeadlineSeconds")
    return None if began is None or seconds is None else datetime.fromisoformat(began) + timedelta(seconds=seconds)


def _find_expiry(job: Json) -> datetime | None:
    """Return when a Job that ended goes by its ``ttlSecondsAfterFinished``."""
    seconds = job["spec"].get("ttlSecondsAfterFinished")
    if seconds is None:
        return None
    return datetime.fromisoformat(job["status"]["conditions"][0]["lastTransitionTime"]) + timedelta(seconds=seconds)


async def settle(cluster: PlayedCluster, operators: Sequence[PlayedOperator], patience: timedelta = STEP_TIME) -> None:
    """Let everybody act in turn, and time pass, until nobody waits for anything that comes soon."""
    end = cluster.time.monotonic() + patience.total_seconds()
    for _ in range(MOST_STEPS):
        if any([await each.work() for each in operators]) or await cluster.act():
            continue
        dues = (cluster.find_due(), *(each.queue.find_due() for each in operators))
        due = min((each for each in dues if each is not None), default=end)
        if due >= end:
            return
        cluster.time.jump(due)
    last = [f"{each.type} {each.resource.name} {each.object['metadata']['name']}" for each in cluster.api.events[-12:]]
    raise AssertionError(f"no rest: {last}; failures {[each.failures[-5:] for each in operators]}")
