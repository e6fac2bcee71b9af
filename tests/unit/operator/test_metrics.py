"""What a scrape says, and that nothing of a user's is in it."""

import time
from datetime import UTC, datetime

from prometheus_client.parser import text_string_to_metric_families

from agentic_core.errors import DatabaseUnavailable
from agentic_core.lifecycle import Phase
from agentic_operator.cache.index import Index
from agentic_operator.database.event_logs import LogProgress
from agentic_operator.database.removal_steps import Progress
from agentic_operator.metrics import Metrics
from agentic_store.retention import Gone
from agentic_store.statistics import DatabaseStatistics, IndexSize, StatementTime, TableSize
from tests.support.builders import a_session


def read(metrics: Metrics) -> dict[str, float]:
    """Return the samples as ``name{label}`` with their values."""
    return {
        sample.name + ("{" + ",".join(sample.labels.values()) + "}" if sample.labels else ""): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def fill(metrics: Metrics, index: Index) -> None:
    sources = metrics.sources
    sources.index, sources.is_leader, sources.queue_length = index, True, lambda: 7
    sources.event_logs = LogProgress(messages=4, joined_rows=40, removed_rows=7, trimmed=1, rounds=2, failures=3)
    sources.retention = Progress(gone=Gone({"blobs": 3}, 99), ended_at=12.0)
    sources.retention.threads["removed"] += 2
    sources.database = DatabaseStatistics(
        4, 1000, (TableSize("checkpoints", 500, 10, 2),), (IndexSize("i", 8),), (StatementTime("42", 5, 1.5),), 5
    )
    sources.is_database_up = True
    metrics.observe_answer("GET", 200)
    metrics.observe_answer("GET", 200)
    metrics.observe_answer("POST", 409)
    metrics.observe_job()
    metrics.observe_pass("session", 0.02)
    metrics.observe_database_error(DatabaseUnavailable("secret host"))


def test_everything_that_is_promised_is_there() -> None:
    index = Index(lambda _: None, lambda _: None)
    for name, phase in (("a", Phase.RUNNING), ("b", Phase.RUNNING), ("c", Phase.COMPLETED)):
        index.see_session(a_session().named(name).with_status(phase=phase.value).raw())
    index.see_session(a_session().named("new").with_metadata(creationTimestamp="2026-03-01T12:00:00Z").raw())
    queued = a_session().named("queued").with_metadata(creationTimestamp="2025-03-01T12:00:00Z")
    index.see_session(queued.with_status(phase="Pending", reason="Queued").raw())
    metrics = Metrics()
    fill(metrics, index)
    seen = read(metrics)
    created = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
    assert (
        seen.items()
        >= {
            "agentic_leader": 1,
            "agentic_queue_length": 7,
            "agentic_sessions{Running}": 2,
            "agentic_sessions{Completed}": 1,
            "agentic_sessions{Pending}": 2,
            "agentic_sessions{Failed}": 0,
            "agentic_sessions_oldest_created_timestamp_seconds{Pending}": created,
            "agentic_api_requests_total{200,GET}": 2,
            "agentic_api_requests_total{409,POST}": 1,
            "agentic_jobs_created_total": 1,
            "agentic_reconcile_duration_seconds_count{session}": 1,
            "agentic_database_errors_total{DatabaseUnavailable}": 1,
            "agentic_event_logs_joined_messages_total": 4,
            "agentic_event_logs_joined_rows_total": 40,
            "agentic_event_logs_removed_rows_total": 7,
            "agentic_event_logs_trimmed_total": 1,
            "agentic_event_logs_rounds_total": 2,
            "agentic_event_logs_failures_total": 3,
            "agentic_retention_removed_rows_total{blobs}": 3,
            "agentic_retention_freed_bytes_total": 99,
            "agentic_retention_threads_total{removed}": 2,
            "agentic_retention_last_end_timestamp_seconds": 12,
            "agentic_database_up": 1,
            "agentic_database_schema_version": 4,
            "agentic_database_schema_version_wanted": 5,
            "agentic_database_table_bytes{checkpoints}": 500,
            "agentic_database_table_rows{checkpoints}": 10,
            "agentic_database_table_dead_rows{checkpoints}": 2,
            "agentic_database_index_bytes{i}": 8,
            "agentic_database_statement_seconds_total{42}": 1.5,
            "agentic_database_statement_calls_total{42}": 5,
        }.items()
    )
    assert seen["process_resident_memory_bytes"] > 0
    assert "agentic_sessions_oldest_created_timestamp_seconds{Creating}" not in seen


def test_a_replica_that_stands_by_has_metrics_too() -> None:
    seen = read(Metrics())
    assert seen["agentic_leader"] == 0
    assert not any(name.startswith(("agentic_sessions", "agentic_database_")) for name in seen)


def test_no_name_and_no_message_of_anybody_is_in_them() -> None:
    index = Index(lambda _: None, lambda _: None)
    for number in range(100):
        raw = a_session().named(f"canary{number}").raw()
        raw["status"] = {"phase": f'canary"}}\n{number}', "reason": f"canary{number}"}
        index.see_session(raw)
    metrics = Metrics()
    fill(metrics, index)
    text = metrics.render().decode()
    assert "canary" not in text
    assert "team" not in text
    assert "secret host" not in text
    assert len(text.splitlines()) < 200


def test_ten_thousand_sessions_cost_a_scrape_milliseconds() -> None:
    index = Index(lambda _: None, lambda _: None)
    raw = a_session().with_status(phase="Running").raw()
    for number in range(10_000):
        index.see_session({**raw, "metadata": {**raw["metadata"], "name": f"s{number}", "uid": f"u{number}"}})
    metrics = Metrics()
    fill(metrics, index)
    metrics.render()
    began = time.process_time()
    metrics.render()
    assert time.process_time() - began < 0.2
