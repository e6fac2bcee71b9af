"""One object's fault stays its own, in every loop over objects."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agentic_core.errors import Conflict, DatabaseUnavailable, PermanentError, TransientError
from agentic_core.resources import AgenticSession
from agentic_operator.cache.index import Index
from agentic_operator.cache.watch import Handlers
from agentic_operator.cache.workqueue import WorkQueue
from agentic_operator.controllers.stuck_pods import StuckPods
from agentic_operator.database.result_links import wants_link
from agentic_operator.database.session_rows import Recorder
from agentic_operator.faults import Faults, Outage, Quiet, repeat
from agentic_operator.kube.event_recorder import EventRecorder
from agentic_operator.kube.events import Event
from agentic_operator.kube.leader_election import LeaseRecord, count_transition, read_lease
from agentic_operator.metrics import Metrics, Sources, sample_database
from agentic_operator.namespaces.role_cleanup import RoleCleanup
from agentic_operator.sessions.keys import Key, SessionKey
from agentic_store.records import SessionRecord
from agentic_store.tenants import TenantRole
from tests.support.builders import NOW, a_job, a_session, wire_time
from tests.support.memory_store import MemorySessions
from tests.support.waiting import PATIENCE_SECONDS


def test_a_fault_is_told_counted_and_over(caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults()
    done = []
    for name in ("a", "b", "c"):
        with faults.apart("sweep", session=name):
            if name == "b":
                raise OverflowError("date value out of range")
            done.append(name)
    assert (done, faults.counts) == (["a", "c"], {"sweep": 1})
    (record,) = caplog.records
    assert (record.levelno, vars(record)["session"]) == (logging.ERROR, "b")


def test_what_is_wrong_in_an_object_is_told_without_what_it_holds(caplog: pytest.LogCaptureFixture) -> None:
    with Faults().apart("sweep"):
        AgenticSession.model_validate({"kind": "AgenticSession", "metadata": {"name": "s"}, "spec": "hunter2"})
    assert "spec: " in caplog.text
    assert "hunter2" not in caplog.text


def test_several_in_a_row_are_an_outage_and_one_now_and_then_is_not() -> None:
    faults, outage = Faults(), Outage()

    def go(error: Exception | None) -> None:
        with faults.apart("sweep", outage):
            if error is not None:
                raise error

    for error in (TransientError("x"), TransientError("x"), None, TransientError("x"), TransientError("x")):
        go(error)
    with pytest.raises(DatabaseUnavailable):
        go(DatabaseUnavailable("away"))
    assert faults.counts["sweep"] == 4


def test_what_never_passes_is_never_an_outage() -> None:
    faults, outage = Faults(), Outage()
    for _ in range(10):
        with faults.apart("sweep", outage):
            raise PermanentError("integer out of range")
    assert faults.counts["sweep"] == 10


async def test_a_loop_goes_on_after_any_error() -> None:
    rounds, enough, faults = [0], asyncio.Event(), Faults()

    async def run_once() -> None:
        rounds[0] += 1
        if rounds[0] == 4:
            enough.set()
        raise [OverflowError("x"), TransientError("x"), KeyError("x"), ValueError("x")][(rounds[0] - 1) % 4]

    running = asyncio.create_task(repeat("sweep", run_once, faults, first_seconds=0, seconds=0))
    await asyncio.wait_for(enough.wait(), PATIENCE_SECONDS)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert faults.counts["sweep"] >= 4


def test_what_may_pass_is_told_once_and_then_ever_less_often(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    faults = Faults(quiet=Quiet(lambda: now[0]))
    told: list[int] = []
    for second in range(0, 1000, 3):
        now[0] = float(second)
        caplog.clear()
        with caplog.at_level(logging.INFO), faults.apart("stuck pods", namespace="team"):
            raise TransientError("the API server does not answer")
        if caplog.records:
            told.append(second)
    assert told == [0, 60, 180, 420, 900]
    assert faults.counts["stuck pods"] == 334
    # Another object's is told, and what never passes by itself each time.
    for about, error in (("other", TransientError("x")), ("team", PermanentError("x")), ("team", PermanentError("x"))):
        caplog.clear()
        with faults.apart("stuck pods", namespace=about):
            raise error
        assert len(caplog.records) == 1


async def test_an_outage_is_told_when_it_begins_and_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    rounds, over = [0], asyncio.Event()

    async def run_once() -> None:
        rounds[0] += 1
        if rounds[0] in range(2, 40):
            raise TransientError("the API server does not answer")
        if rounds[0] == 42:
            over.set()

    with caplog.at_level(logging.INFO):
        running = asyncio.create_task(repeat("stuck pods", run_once, Faults(), first_seconds=0, seconds=0))
        await asyncio.wait_for(over.wait(), PATIENCE_SECONDS)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert [each.getMessage() for each in caplog.records] == [
        "stuck pods interrupted, continuing in the next round: the API server does not answer",
        "rounds of stuck pods go on again, after 38 that were cut short",
    ]


class Picky(MemorySessions):
    """Rows, of which those of one session fail."""

    def __init__(self, refused: str, error: Callable[[], Exception]) -> None:
        super().__init__({}, {}, {}, {}, lambda: datetime.now(UTC))
        self._refused = refused
        self._error = error

    async def record_session(self, record: SessionRecord) -> bool:
        if record.session_name == self._refused:
            raise self._error()
        return await super().record_session(record)


ROW_FAULTS: dict[str, Callable[[], Exception]] = {
    "refused for good": lambda: PermanentError("integer out of range"),
    "another session's uid": lambda: Conflict("somebody else wrote the same row"),
    "held by somebody": lambda: TransientError("lock timeout"),
    "one row that the database fails for": lambda: DatabaseUnavailable("did not answer"),
    "nothing that anybody thought of": lambda: OverflowError("date value out of range"),
}


@pytest.mark.parametrize("error", ROW_FAULTS.values(), ids=ROW_FAULTS)
async def test_the_rows_of_others_are_written_beside_one_that_fails(error: Callable[[], Exception]) -> None:
    rows, faults = Picky("b", error), Faults()
    recorder = Recorder(rows, faults=faults, now=lambda: NOW)
    for name in ("a", "b", "c", "d", "e"):
        recorder.submit(a_session().named(name).running().build())
    recorder.forget("uid-gone")
    running = asyncio.create_task(recorder.run())

    async def written() -> None:
        while [name for name in ("a", "c", "d", "e") if await rows.find("team", name) is None]:  # noqa: ASYNC110
            await asyncio.sleep(0)

    await asyncio.wait_for(written(), PATIENCE_SECONDS)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert faults.counts["recorder"] >= 1


def test_a_session_is_seen_whatever_a_link_to_its_result_says() -> None:
    """Those who ask for links read what a runner wrote; the session itself is looked at before."""
    queue: WorkQueue[Key] = WorkQueue(lambda: 0.0)
    index, faults = Index(lambda _: None, lambda _: None), Faults()

    def fail(_raw: Any) -> None:
        raise OverflowError("date value out of range")

    handlers = Handlers(index, queue, on_change=fail, faults=faults)
    handlers.on_session("ADDED", a_session().running().raw())
    assert index.find(SessionKey("team", "s")) is not None
    assert (len(queue), faults.counts["events"]) == (1, 1)


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0000-01-01T00:00:00Z", "never"])
def test_a_link_of_any_time_is_read(at: str) -> None:
    raw = {
        "metadata": {"annotations": {"agentic-operator.dev/download-requested": "2026-03-01T12:00:00Z"}},
        "status": {"resultRef": {"url": "s3://b/k", "downloadExpiresAt": at}},
    }
    assert wants_link(raw, datetime(2026, 3, 1, 12, tzinfo=UTC)) == (not at.startswith("9999"))


def test_a_part_that_cannot_be_read_leaves_the_others_to_be_scraped() -> None:
    metrics = Metrics()
    index = Index(lambda _: None, lambda _: None)
    index.see_session(a_session().with_metadata(creationTimestamp="0000-01-01T00:00:00Z").raw())
    metrics.sources.index = index
    metrics.sources.database = object()  # type: ignore[assignment]  # what cannot be read
    families = {each.name: each for each in text_string_to_metric_families(metrics.render().decode())}
    assert {sample.labels["loop"]: sample.value for sample in families["agentic_faults"].samples} == {"metrics": 1.0}
    assert "agentic_leader" in families


def test_a_lease_holds_no_longer_than_any_of_us_may_hold_it() -> None:
    spec = {"holderIdentity": "x", "renewTime": "9999-99-99", "leaseDurationSeconds": 2_147_483_647}
    record = read_lease({"metadata": {"resourceVersion": "1"}, "spec": {**spec, "leaseTransitions": 2_147_483_647}})
    assert record.duration_seconds == 600
    assert count_transition(record, is_new=True) == 0
    assert count_transition(LeaseRecord("x", "", 15, 7), is_new=True) == 8


class Logins:
    """Roles of three namespaces, of which one cannot be rotated and another's memory not be purged."""

    def __init__(self) -> None:
        self.rotated: list[str] = []
        self.purged: list[str] = []
        self.dropped: list[str] = []

    async def find_tenants(self) -> "Logins":
        return self

    async def settle_roles(self) -> list[str]:
        raise PermanentError("the database is not migrated")

    async def list_roles(self) -> list[TenantRole]:
        names = ("gone-a", "gone-b", "gone-c")
        return [TenantRole(f"role-{name}", name, is_valid=True, retired_at=None, seen_at=None) for name in names]

    async def drop_role(self, role_name: str) -> bool:
        if role_name == "role-gone-a":
            raise OverflowError("date value out of range")
        self.dropped.append(role_name)
        return True

    async def purge_memory(self, namespace: str) -> int:
        if namespace == "gone-b":
            raise ValueError("what nobody thought of")
        self.purged.append(namespace)
        return 1

    async def rotate(self, namespace: str, _request: str) -> str | None:
        if namespace == "b":
            raise KeyError("data")
        self.rotated.append(namespace)
        return None


class Cluster:
    """Namespaces, and Events of which some are of no time."""

    def __init__(self) -> None:
        self.posted: list[str] = []

    async def list_all(self, *_: object, **__: object) -> list[dict[str, Any]]:
        annotations = {"agentic-operator.dev/rotate-credentials": "now"}
        return [{"metadata": {"name": name, "annotations": annotations}} for name in ("a", "b", "c")]

    async def list_pages(self, _kind: object, namespace: str, **_: object) -> AsyncIterator[list[dict[str, Any]]]:
        if namespace == "b":
            raise RecursionError("nested too deep")
        yield [
            an_event(namespace, "0000-01-01T00:00:00Z"),
            an_event(namespace, "soon"),
            an_event(namespace, wire_time(NOW)),
        ]

    async def create(self, _kind: object, namespace: str, _body: object) -> dict[str, Any]:
        if namespace == "b":
            raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")
        self.posted.append(namespace)
        return {}


def an_event(namespace: str, at: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "e", "namespace": namespace, "creationTimestamp": at},
        "eventTime": at,
        "reason": "FailedCreate",
        "note": "Error creating: pods is forbidden: exceeded quota: q",
        "regarding": {"kind": "Job", "name": "s-r1"},
    }


async def test_the_database_roles_of_others_are_looked_after_beside_one_that_fails() -> None:
    logins, faults = Logins(), Faults()
    cluster: Any = Cluster()
    keeper = RoleCleanup(cluster, logins, (), purges_memory=True, faults=faults, now=lambda: NOW)  # type: ignore[arg-type]  # a small one
    await keeper.run_once()
    assert (logins.rotated, sorted(logins.purged)) == (["a", "c"], ["gone-a", "gone-c"])
    assert logins.dropped == ["role-gone-b", "role-gone-c"]
    assert faults.counts["database roles"] == 4


async def test_what_keeps_the_pods_of_others_is_found_beside_a_namespace_that_fails() -> None:
    index, faults = Index(lambda _: None, lambda _: None), Faults()
    queue: WorkQueue[Key] = WorkQueue(lambda: 0.0)
    for namespace in ("a", "b", "c"):
        session = a_session().running().with_metadata(namespace=namespace)
        index.see_session(session.raw())
        index.see_job(SessionKey(namespace, "s"), a_job())
    cluster: Any = Cluster()
    nobody: Any = None
    stuck_pods = StuckPods(cluster, index, queue, nobody, lambda: NOW, faults=faults)
    await stuck_pods.run_once()
    found = [stuck_pods.find(SessionKey(name, "s"), (a_job(),), ()) for name in ("a", "b", "c")]
    assert [stuck_pod.reason if stuck_pod else None for stuck_pod in found] == ["QuotaExceeded", None, "QuotaExceeded"]
    assert faults.counts["stuck pods"] == 1


async def test_the_events_of_others_are_posted_beside_one_that_cannot_be() -> None:
    cluster: Any = Cluster()
    faults = Faults()
    event_recorder = EventRecorder(cluster, "operator", "system", faults=faults, now=lambda: NOW)
    for namespace in ("a", "b", "c"):
        event_recorder.announce(
            a_session().named(namespace).with_metadata(namespace=namespace).build(), Event("X", "x")
        )
    running = asyncio.create_task(event_recorder.run())

    async def posted() -> None:
        while cluster.posted != ["a", "c"]:  # noqa: ASYNC110  (nothing tells of it)
            await asyncio.sleep(0)

    await asyncio.wait_for(posted(), PATIENCE_SECONDS)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert faults.counts["announcer"] == 1


async def test_the_database_is_sampled_again_after_any_error() -> None:
    sources, times = Sources(), [0]

    async def fetch() -> Any:
        times[0] += 1
        if times[0] < 3:
            raise [OverflowError("x"), DatabaseUnavailable("away")][times[0] - 1]
        return "statistics"

    running = asyncio.create_task(sample_database(fetch, sources, interval_seconds=0))

    async def sampled() -> None:
        while sources.database is None:  # noqa: ASYNC110  (nothing tells of it)
            await asyncio.sleep(0)

    await asyncio.wait_for(sampled(), PATIENCE_SECONDS)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (sources.is_database_up, sources.faults.counts["sampler"]) == (True, 1)
