"""``/metrics``: what the operator counts, in Prometheus' format.

Labels are bounded: phases, kinds, codes, names of our tables; never a session, namespace or user. What can be read at
the moment of a scrape is read then, so that the work itself is only ever slowed by a few additions.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agentic_core.errors import AgenticError
from agentic_core.lifecycle import Phase
from agentic_core.times import parse_time
from agentic_operator.cache.index import Index
from agentic_operator.database.event_logs import LogProgress
from agentic_operator.database.removal_steps import Progress
from agentic_operator.faults import Faults
from agentic_store.statistics import DatabaseStatistics

_S = TypeVar("_S")

logger: Final = logging.getLogger(__name__)

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# Sessions in these phases wait for the operator or the cluster, and are stuck where they wait for long.
_STUCK_PHASES: Final = (Phase.PENDING, Phase.CREATING)
# What waits on purpose.
_PATIENT_REASONS: Final = frozenset({"Queued", "WorkflowSuspended", "TooManyConversations"})
SAMPLE_SECONDS: Final = 60.0
_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass
class Sources:
    """What a scrape reads; None before the process leads, or without a database."""

    is_leader: bool = False
    index: Index | None = None
    queue_length: Callable[[], int] = field(default=lambda: 0)
    retention: Progress | None = None
    event_logs: LogProgress | None = None
    database: DatabaseStatistics | None = None
    is_database_up: bool | None = None
    turns: Mapping[str, int] | None = None
    """How many turns of conversations ended, by phase."""
    faults: Faults = field(default_factory=Faults)


async def sample_database(
    fetch: Callable[[], Awaitable[DatabaseStatistics]], sources: Sources, *, interval_seconds: float = SAMPLE_SECONDS
) -> None:
    """Ask the database how it is, for ever, and keep the answer for scrapes."""
    while True:
        try:
            sources.database = await fetch()
            sources.is_database_up = True
        except AgenticError as error:
            sources.is_database_up = False
            logger.debug("sampling the database failed: %s", error)
        except Exception as error:  # noqa: BLE001  (what the database holds must not end the process)
            sources.is_database_up = False
            sources.faults.report("sampler", error)
        await asyncio.sleep(interval_seconds)


class Metrics:
    """The metrics of one process; ``sources`` is filled in as its parts come to be."""

    def __init__(self) -> None:
        self.sources = Sources()
        self._collectors = CollectorRegistry()
        self._reconciles = Histogram(
            "agentic_reconcile_duration_seconds",
            "How long passes over an object took.",
            ["kind"],
            registry=self._collectors,
            buckets=_BUCKETS,
        )
        self._requests = Counter(
            "agentic_api_requests", "Answers of the API server.", ["method", "code"], registry=self._collectors
        )
        self._jobs = Counter("agentic_jobs_created", "Jobs that were made.", registry=self._collectors)
        self._errors = Counter(
            "agentic_database_errors", "Operations that the database failed.", ["kind"], registry=self._collectors
        )
        self._passes = {kind: self._reconciles.labels(kind) for kind in ("session", "definition")}
        self._answers: dict[tuple[str, int], Counter] = {}
        ProcessCollector(registry=self._collectors)
        self._collectors.register(_Scrape(self.sources))

    def observe_pass(self, kind: str, seconds: float) -> None:
        """Count a pass over a session or definition."""
        self._passes[kind].observe(seconds)

    def observe_answer(self, method: str, code: int) -> None:
        """Count an answer of the API server."""
        found = self._answers.get((method, code))
        if found is None:
            found = self._answers[method, code] = self._requests.labels(method, str(code))
        found.inc()

    def observe_job(self) -> None:
        """Count a Job that was made."""
        self._jobs.inc()

    def observe_database_error(self, error: AgenticError) -> None:
        """Count an operation that the database failed, by the class of its error."""
        self._errors.labels(type(error).__name__).inc()

    def render(self) -> bytes:
        """Return the text of a scrape."""
        return generate_latest(self._collectors)


class _Scrape(Collector):
    """What is read at the moment of a scrape."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        sources = self._sources
        yield _gauge("agentic_leader", "Whether this replica leads.", sources.is_leader)
        yield _gauge("agentic_queue_length", "Objects that wait for a pass.", sources.queue_length())
        if sources.index is not None:
            yield from self._apart(_collect_sessions, sources.index)
        if sources.retention is not None:
            yield from self._apart(_collect_retention, sources.retention)
        if sources.event_logs is not None:
            yield from self._apart(_collect_event_logs, sources.event_logs)
        if sources.turns is not None:
            counts = {phase: sources.turns.get(phase, 0) for phase in ("Completed", "Failed", "Canceled", "Refused")}
            yield _by("agentic_turns", "Turns of conversations that ended.", "phase", counts, is_counter=True)
        if sources.is_database_up is not None:
            yield _gauge("agentic_database_up", "Whether the database answered last.", sources.is_database_up)
        if sources.database is not None:
            yield from self._apart(_collect_database, sources.database)
        about = "Objects that were left out of a round because of a fault of their own, and rounds cut short."
        yield _by("agentic_faults", about, "loop", dict(sources.faults.counts), is_counter=True)

    def _apart(self, collect: Callable[[_S], Iterable[Metric]], source: _S) -> list[Metric]:
        """Collect a part; one that cannot be read leaves the others to be scraped."""
        with self._sources.faults.apart("metrics"):
            return list(collect(source))
        return []

    def describe(self) -> Iterable[Metric]:
        # Registered before there is anything to collect.
        return ()


def _collect_sessions(index: Index) -> Iterator[Metric]:
    counts = {phase.value: 0 for phase in Phase}
    oldest = {phase.value: "" for phase in _STUCK_PHASES}
    for entry in index.entries():
        phase = entry.phase or Phase.PENDING.value
        if phase in counts:
            counts[phase] += 1
        if phase in oldest and entry.reason not in _PATIENT_REASONS and not entry.is_deleting:
            oldest[phase] = min(oldest[phase] or entry.created, entry.created)
    yield _by("agentic_sessions", "Sessions.", "phase", counts)
    times = {phase: at.timestamp() for phase, text in oldest.items() if (at := parse_time(text)) is not None}
    name = "agentic_sessions_oldest_created_timestamp_seconds"
    yield _by(name, "When the oldest session in a phase that should not last was made.", "phase", times)


def _collect_retention(progress: Progress) -> Iterator[Metric]:
    def rows(name: str, about: str, label: str, values: Mapping[str, float]) -> Metric:
        return _by(f"agentic_retention_{name}", about, label, values, is_counter=True)

    yield rows("removed_rows", "Rows that retention deleted.", "table", progress.gone.rows)
    yield rows("threads", "Threads that retention is done with.", "action", progress.threads)
    yield _count("agentic_retention_freed_bytes", "Bytes of the values deleted.", progress.gone.bytes)
    yield _count("agentic_retention_rounds", "Rounds that went to their end.", progress.rounds)
    yield _count("agentic_retention_failures", "Rounds or steps that did not.", progress.failures)
    yield _gauge("agentic_retention_running", "Whether a round is on.", progress.is_running)
    yield _gauge("agentic_retention_last_end_timestamp_seconds", "When the last round ended.", progress.ended_at)
    yield _gauge("agentic_retention_last_duration_seconds", "How long the last round took.", progress.seconds)


def _collect_event_logs(progress: LogProgress) -> Iterator[Metric]:
    prefix = "agentic_event_logs"
    yield _count(f"{prefix}_joined_messages", "Messages that were joined to a row each.", progress.messages)
    yield _count(f"{prefix}_joined_rows", "Rows that went into joined messages.", progress.joined_rows)
    yield _count(f"{prefix}_removed_rows", "Rows that logs lost because they were too long.", progress.removed_rows)
    yield _count(f"{prefix}_trimmed", "How often a log was too long.", progress.trimmed)
    yield _count(f"{prefix}_rounds", "Rounds that went to their end.", progress.rounds)
    yield _count(f"{prefix}_failures", "Logs that were left to the next round.", progress.failures)


def _collect_database(seen: DatabaseStatistics) -> Iterator[Metric]:
    prefix = "agentic_database"
    yield _gauge(f"{prefix}_schema_version", "Migration that the database is at.", seen.version)
    yield _gauge(f"{prefix}_schema_version_wanted", "Migration that this program needs.", seen.wanted_version)
    yield _gauge(f"{prefix}_bytes", "Size of the database.", seen.bytes)
    tables = seen.tables
    sizes = {table.name: table.bytes for table in tables}
    yield _by(f"{prefix}_table_bytes", "Size of a table with its indexes.", "table", sizes)
    rows = {table.name: table.rows for table in tables}
    yield _by(f"{prefix}_table_rows", "Rows of a table, as the statistics estimate.", "table", rows)
    dead = {table.name: table.dead_rows for table in tables}
    yield _by(f"{prefix}_table_dead_rows", "Rows that wait for vacuum.", "table", dead)
    indexes = {index.name: index.bytes for index in seen.indexes}
    yield _by(f"{prefix}_index_bytes", "Size of an index.", "index", indexes)
    if seen.statements is not None:
        seconds = {each.queryid: each.seconds for each in seen.statements}
        name, about = f"{prefix}_statement_seconds", "Time in the statements that took most, by pg_stat_statements."
        yield _by(name, about, "queryid", seconds, is_counter=True)
        calls = {each.queryid: float(each.calls) for each in seen.statements}
        yield _by(f"{prefix}_statement_calls", "Calls of these.", "queryid", calls, is_counter=True)


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(name, about, value=float(value))


def _count(name: str, about: str, value: float) -> Metric:
    return CounterMetricFamily(name, about, value=float(value))


def _by(name: str, about: str, label: str, values: Mapping[str, float], *, is_counter: bool = False) -> Metric:
    family: CounterMetricFamily | GaugeMetricFamily
    family = (CounterMetricFamily if is_counter else GaugeMetricFamily)(name, about, labels=[label])
    for key, value in values.items():
        family.add_metric([key], float(value))
    return family
