"""The parts of a process that leads, made once and handed to each other here."""

import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from agentic_operator.cache.index import Index
from agentic_operator.cache.reads import Reads
from agentic_operator.cache.resync import Resync, keep_results
from agentic_operator.cache.watch import Handlers
from agentic_operator.cache.workqueue import WorkQueue
from agentic_operator.config import Settings
from agentic_operator.controllers.definition import DefinitionReconciler
from agentic_operator.controllers.dependencies import Dependencies
from agentic_operator.controllers.schema_checker import Checker
from agentic_operator.controllers.session import SessionReconciler
from agentic_operator.controllers.start_spans import StartSpans
from agentic_operator.controllers.stuck_pods import StuckPods
from agentic_operator.controllers.workers import run_workers
from agentic_operator.database.event_logs import EventLogs
from agentic_operator.database.result_links import ResultLinks, ResultRemover, Stores
from agentic_operator.database.retention import Retention
from agentic_operator.database.retention_policy import Keep
from agentic_operator.database.session_rows import Recorder
from agentic_operator.database.trail_rows import TrailKeeper
from agentic_operator.database.turn_rows import TurnRecorder
from agentic_operator.kube.client import Kube
from agentic_operator.kube.event_recorder import EventRecorder
from agentic_operator.metrics import Metrics, sample_database
from agentic_operator.namespaces.database_logins import DatabaseLogins
from agentic_operator.namespaces.prepare import Namespaces
from agentic_operator.namespaces.role_cleanup import RoleCleanup
from agentic_operator.namespaces.upkeep import Upkeep
from agentic_operator.sessions.keys import Key
from agentic_operator.sessions.observation import Rules
from agentic_operator.variables import ClusterDefinitions
from agentic_store.database import Database

COUNT_SECONDS: Final = 5.0

Loop: TypeAlias = Callable[[], Coroutine[Any, Any, object]]


@dataclass(frozen=True)
class Rows:
    """What writes to the database and the object store; None if there is none."""

    remove_results: Callable[[str], Awaitable[None]] = keep_results
    recorder: Recorder | None = None
    trails: TrailKeeper | None = None
    turns: TurnRecorder | None = None
    links: ResultLinks | None = None
    retention: Retention | None = None
    event_logs: EventLogs | None = None


class Parts:
    """Makes the parts of a process that leads; lists what runs beside the passes."""

    def __init__(
        self,
        settings: Settings,
        kube: Kube,
        database: Database | None,
        metrics: Metrics,
        checker: Checker,
        start_spans: StartSpans | None = None,
    ) -> None:
        self._start_spans = start_spans
        self._settings = settings
        self._kube = kube
        self._database = database
        self._metrics = metrics
        self._faults = metrics.sources.faults
        self.queue: WorkQueue[Key] = WorkQueue(time.monotonic)
        self.index = Index(
            wake=self.queue.add,
            wake_later=lambda key: self.queue.add_after(key, COUNT_SECONDS),
        )
        self._event_recorder = EventRecorder(
            kube, settings.identity, settings.namespace, faults=self._faults, now=kube.clock.now
        )
        self._rows = self._make_rows()
        self._logins = DatabaseLogins(kube, settings, database.tenants if database is not None else None)
        self._namespaces = Namespaces(kube, settings, self._logins)
        self._stuck_pods = StuckPods(
            kube,
            self.index,
            self.queue,
            self._namespaces,
            kube.clock.now,
            inspection_namespace=settings.inspection_namespace,
            faults=self._faults,
        )
        self._dependencies = self._make_dependencies(checker)
        metrics.sources.index, metrics.sources.queue_length = self.index, self.queue.__len__
        if self._rows.turns is not None:
            metrics.sources.turns = self._rows.turns.counts
        if self._rows.retention is not None:
            metrics.sources.retention = self._rows.retention.progress
        if self._rows.event_logs is not None:
            metrics.sources.event_logs = self._rows.event_logs.progress

    @property
    def has_cluster_definitions(self) -> bool:
        return self._settings.cluster_definitions is not ClusterDefinitions.OFF

    def _make_rows(self) -> Rows:
        settings, database, now = self._settings, self._database, self._kube.clock.now
        stores = Stores(self._kube, settings.namespace) if settings.jobs.has_result_store else None
        links = ResultLinks(self._kube, stores, self._faults, now=now) if stores is not None else None
        if database is None:
            return Rows(links=links)
        remove = ResultRemover(stores, database.sessions).remove if stores is not None else keep_results
        return Rows(
            remove_results=remove,
            recorder=Recorder(database.sessions, remove, self._faults, now=now),
            trails=TrailKeeper(database.trails, self.queue.add, self._faults),
            turns=TurnRecorder(database.turns, self._faults),
            links=links,
            retention=Retention(
                database.retention,
                self._kube,
                self.index,
                self._event_recorder,
                settings.watch_namespaces,
                Keep(settings.jobs.retention_days, settings.prune_days),
                clock=now,
                faults=self._faults,
                trails=database.trails,
                trail_days=settings.audit_days,
            ),
            event_logs=EventLogs(
                database.event_upkeep,
                settings.watch_namespaces,
                max_rows=settings.event_log_rows,
                max_bytes=settings.event_log_bytes,
                faults=self._faults,
            ),
        )

    def _make_dependencies(self, checker: Checker) -> Dependencies:
        settings, database = self._settings, self._database
        return Dependencies(
            kube=self._kube,
            index=self.index,
            queue=self.queue,
            lookup=Reads(self._kube, self.index, self._faults, has_cluster_definitions=self.has_cluster_definitions),
            namespaces=self._namespaces,
            stuck_pods=self._stuck_pods,
            event_recorder=self._event_recorder,
            checker=checker,
            now=self._kube.clock.now,
            faults=self._faults,
            rules=Rules(
                settings.jobs,
                settings.allowed_images,
                settings.allowed_pods,
                self.has_cluster_definitions,
                has_trail=self._rows.trails is not None,
                max_conversations=settings.max_conversations,
            ),
            recorder=self._rows.recorder,
            trails=self._rows.trails,
            turns=self._rows.turns,
            fetch_vector_dims=database.fetch_vector_dims if database is not None else None,
            start_spans=self._start_spans,
        )

    def make_handlers(self) -> Handlers:
        """Return what takes in the events of the watches."""
        recorder, links = self._rows.recorder, self._rows.links
        return Handlers(
            self.index,
            self.queue,
            self._settings.watch_namespaces,
            self._settings.inspection_namespace,
            on_unrun=recorder.forget if recorder is not None else lambda _uid: None,
            on_change=links.see if links is not None else lambda _raw: None,
            faults=self._faults,
        )

    async def run_workers(self) -> None:
        """Run passes over sessions and definitions, for ever."""
        inspects_cluster = self._settings.cluster_definitions is ClusterDefinitions.INSPECT
        await run_workers(
            self._settings.workers,
            self.queue,
            SessionReconciler(self._dependencies),
            DefinitionReconciler(
                self._dependencies, self._settings.inspection_namespace, inspects_cluster=inspects_cluster
            ),
            self._metrics.observe_pass,
        )

    def list_loops(self) -> Iterator[tuple[str, Loop]]:
        """Yield what runs beside the passes, by name: each runs for as long as the process leads."""
        yield "event recorder", self._event_recorder.run
        yield "resync", self._make_resync().run
        yield "stuck pods", self._stuck_pods.run
        yield "namespaces", Upkeep(self._namespaces, self.index, self._faults).run
        if self._database is not None:
            fetch, sources = self._database.fetch_statistics, self._metrics.sources
            yield "database statistics", lambda: sample_database(fetch, sources)
        if self._rows.retention is not None:
            yield "retention", self._rows.retention.run
            yield "expiry", self._rows.retention.run_expiry
        if self._rows.event_logs is not None:
            yield "event logs", self._rows.event_logs.run
        if self._rows.trails is not None:
            yield "trails", self._rows.trails.run
        if self._rows.turns is not None:
            yield "turns", self._rows.turns.run
        if self._rows.recorder is not None:
            yield "recorder", self._rows.recorder.run
            if self._settings.jobs.vault is None:
                yield "role cleanup", self._make_role_cleanup().run
        if self._rows.links is not None:
            yield "result links", self._rows.links.run

    def _make_resync(self) -> Resync:
        return Resync(
            self._kube,
            self.index,
            self.queue,
            self._settings.watch_namespaces,
            self._database.sessions if self._database is not None else None,
            self._rows.remove_results,
            self._faults,
            self._settings.inspection_namespace,
            observed=self._settings.observed_namespaces,
            record_rows=self._rows.recorder.record if self._rows.recorder is not None else None,
            turns=self._database.turns if self._database is not None else None,
            now=self._kube.clock.now,
        )

    def _make_role_cleanup(self) -> RoleCleanup:
        return RoleCleanup(
            self._kube,
            self._logins,
            self._settings.watch_namespaces,
            purges_memory=self._settings.purges_removed_memory,
            faults=self._faults,
            now=self._kube.clock.now,
        )
