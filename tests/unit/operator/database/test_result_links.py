"""Links to results and their removal: who gets one, how often, and what waits for a store that is away."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agentic_core.errors import TransientError
from agentic_core.lifecycle import Phase
from agentic_operator.config import JobDefaults
from agentic_operator.database.result_links import ResultRemover, Stores, wants_link
from agentic_operator.namespaces.shared_secrets import find_names
from agentic_store.records import SessionRecord
from agentic_store.results.objects import ObjectStore
from tests.support.memory_store import MemoryStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = {"endpoint": "http://127.0.0.1:9", "bucket": "results", "access-key": "a", "secret-key": "b"}


def a_session(*, asked: str = "", url: str = "s3://b/k", expires_at: datetime | None = None) -> dict[str, Any]:
    reference = {"url": url, "size": 1, "sha256": "0"}
    if expires_at is not None:
        reference["downloadExpiresAt"] = expires_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    annotations = {"agentic-operator.dev/download-requested": asked} if asked else {}
    return {"metadata": {"annotations": annotations}, "status": {"resultRef": reference}}


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        pytest.param(a_session(), False, id="nobody asked"),
        pytest.param({"metadata": {}}, False, id="nothing at all"),
        pytest.param(a_session(asked="2026-03-01T11:59:59Z"), True, id="asked for the first time"),
        pytest.param(a_session(asked="2026-03-01T13:59:59+02:00"), True, id="asked in another time zone"),
        pytest.param(a_session(asked="please"), False, id="no time"),
        pytest.param(a_session(asked="2026-03-01T12:00:00"), False, id="a time of nowhere"),
        pytest.param(a_session(asked="2026-03-02T12:00:00Z"), False, id="asked tomorrow"),
        pytest.param(a_session(asked="2026-03-01T11:59:59Z", url="db://x"), False, id="a result in the database"),
        pytest.param(
            a_session(asked="2026-03-01T11:59:59Z", expires_at=NOW + timedelta(minutes=59)), False, id="made just now"
        ),
        pytest.param(
            a_session(asked="2026-03-01T11:59:59Z", expires_at=NOW - timedelta(minutes=1)),
            True,
            id="asked after it ended",
        ),
        pytest.param(
            a_session(asked="2026-03-01T09:00:00Z", expires_at=NOW - timedelta(hours=1)), False, id="answered and over"
        ),
    ],
)
def test_a_link_is_made_for_whoever_asks_after_the_last_one(session: dict[str, Any], expected: bool) -> None:
    assert wants_link(session, NOW) == expected


class FakeKube:
    """Secrets by namespace; counts how often one is read."""

    def __init__(self, **secrets: dict[str, str]) -> None:
        self.secrets = secrets
        self.reads = 0

    async def find(self, _kind: object, namespace: str, _name: str) -> dict[str, Any] | None:
        self.reads += 1
        data = self.secrets.get(namespace)
        return data and {"data": {k: base64.b64encode(v.encode()).decode() for k, v in data.items()}}


def stores(kube: FakeKube) -> Stores:
    return Stores(kube, "home", lambda: 0.0)  # type: ignore[arg-type]  # `find` alone is called


def bucket_of(store: ObjectStore | None) -> str | None:
    return store.url("").removeprefix("s3://").rstrip("/") if store is not None else None


async def test_a_namespaces_own_store_comes_before_that_of_all_and_is_remembered_for_a_while() -> None:
    kube = FakeKube(home=SECRET, own={**SECRET, "bucket": "theirs"})
    found = stores(kube)
    assert bucket_of(await found.find("own")) == "theirs"
    assert bucket_of(await found.find("other")) == "results"
    reads = kube.reads
    await found.find("own")
    assert kube.reads == reads
    assert await stores(FakeKube()).find("own") is None


async def test_a_secret_that_is_wrong_is_named() -> None:
    with pytest.raises(TransientError, match=r"Secret 'agentic-results' in 'home'.*'bucket' is missing"):
        await stores(FakeKube(home={**SECRET, "bucket": ""})).find("other")


async def test_a_session_that_never_ran_asks_no_store_and_one_that_did_waits_for_it() -> None:
    rows = MemoryStore()

    def record(uid: str, run: int) -> SessionRecord:
        return SessionRecord(
            project_name="team",
            session_name=uid,
            session_uid=uid,
            workflow_name="w",
            status=Phase.CREATING,
            thread_id=uid,
            created_at=NOW,
            run=run,
        )

    await rows.sessions.record_sessions([record("never", 0), record("ran", 1)])
    remover = ResultRemover(stores(FakeKube(home=SECRET)), rows.sessions)
    await remover.remove("never")
    await remover.remove("unknown")
    with pytest.raises(TransientError, match="results of session 'ran' stay for now"):
        await remover.remove("ran")
    await ResultRemover(stores(FakeKube()), rows.sessions).remove("ran")


def test_only_the_secrets_that_are_used_are_handed_out() -> None:
    assert find_names(JobDefaults()) == ()
    assert find_names(JobDefaults(has_encryption=True)) == ("agentic-encryption",)
    assert find_names(JobDefaults(has_result_store=True, has_encryption=True)) == (
        "agentic-results",
        "agentic-encryption",
    )
