"""Results in the object store from outside their runs: the Secrets of namespaces, links for people, and the end."""

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hack.cluster.errors import ClusterError
from tests.support.kube import SYSTEM, Space
from tests.support.objects import SECRET_KEY, Bucket, ObjectServer, build_secret
from tests.support.person import Person
from tests.support.postgres import PostgresDatabase
from tests.support.waiting import wait_for

RESULT = json.dumps({"rows": ["r" * 1000] * 2000}).encode()
MANAGED = {"app.kubernetes.io/managed-by": "agentic-operator"}


@pytest.fixture
def person(space: Space) -> Person:
    """An administrator whose context names the test's namespace."""
    return Person.using(
        space.plane.kubeconfig_for_user(f"admin-of-{space.name}", groups=["system:masters"], namespace=space.name)
    )


def put_secret(space: Space, namespace: str, name: str, data: dict[str, str]) -> None:
    space.plane.request(
        "POST", f"/api/v1/namespaces/{namespace}/secrets", {"metadata": {"name": name}, "stringData": data}
    )


def secret_in(space: Space, name: str) -> dict[str, Any]:
    found: dict[str, Any] = space.plane.request("GET", f"/api/v1/namespaces/{space.name}/secrets/{name}")
    return found


@pytest.fixture
def shared(space: Space, bucket: Bucket) -> Iterator[Bucket]:
    """A bucket that the operator knows for all namespaces."""
    put_secret(space, SYSTEM, "agentic-results", build_secret(bucket.config))
    yield bucket
    space.plane.request("DELETE", f"/api/v1/namespaces/{SYSTEM}/secrets/agentic-results")


def finish(space: Space, bucket: Bucket, name: str, *, data: bytes = RESULT, key: str = "") -> dict[str, Any]:
    """Bring a session to its end as its runner does, with an object of its own."""
    uid = space.session(name)["metadata"]["uid"]
    key = key or bucket.store.key(space.name, uid, "result-r1-0.json")
    bucket.store.put(key, io.BytesIO(data))
    reference = {"url": bucket.store.url(key), "size": len(data), "sha256": hashlib.sha256(RESULT).hexdigest()}
    space.report(name, phase="Running", reason="Running")
    space.report(
        name, phase="Completed", reason="Completed", resultRef=reference, completionTime="2026-03-01T00:00:00Z"
    )
    return reference


def a_running_session(space: Space, name: str = "s") -> None:
    space.define()
    space.start(name)
    space.wait_status(name, "Creating")


def test_a_result_is_fetched_by_a_link_that_the_operator_makes_and_its_digest_is_checked(
    space: Space, person: Person, shared: Bucket, tmp_path: Path
) -> None:
    operator = space.operator(RESULT_STORE="on")
    a_running_session(space)
    finish(space, shared, "s")
    refused = person.run("result", "s")
    assert refused.returncode == 1
    assert "agentic result s --save FILE" in refused.stderr
    said = person.out("result", "s", "--url")
    assert said.startswith(shared.server.endpoint)
    saved = person.run("result", "s", "--save", str(tmp_path / "result.json"))
    assert saved.returncode == 0, saved.stderr
    assert (tmp_path / "result.json").read_bytes() == RESULT
    reference = space.status("s")["resultRef"]
    assert reference["downloadUrl"] == said.strip()
    assert "X-Amz-Expires=3600" in said
    # The link is asked for once an hour at most.
    assert operator.log.count("created a download link") == 1
    for text in (operator.log, saved.stderr, refused.stderr):
        assert SECRET_KEY not in text
        assert "X-Amz-Signature" not in text


def test_what_is_not_the_result_is_not_saved(space: Space, person: Person, shared: Bucket, tmp_path: Path) -> None:
    space.operator(RESULT_STORE="on")
    a_running_session(space)
    finish(space, shared, "s", data=RESULT[:-2] + b"!!")
    done = person.run("result", "s", "--save", str(tmp_path / "result.json"))
    assert done.returncode == 1
    assert "is not the result" in done.stderr
    assert list(tmp_path.glob("*result.json*")) == []


def test_no_link_is_made_to_what_belongs_to_another_session(space: Space, shared: Bucket) -> None:
    operator = space.operator(RESULT_STORE="on")
    a_running_session(space)
    finish(space, shared, "s", key="another-namespace/another-uid/result-r1-0.json")
    asked = {"agentic-operator.dev/download-requested": "2026-03-01T00:00:00Z"}
    path = f"/apis/agentic-operator.dev/v1alpha1/namespaces/{space.name}/agenticsessions/s"
    space.plane.request("PATCH", path, {"metadata": {"annotations": asked}})
    wait_for(lambda: operator.log, lambda log: "is not where this session's result would be" in log, what="the refusal")
    assert "downloadUrl" not in space.status("s")["resultRef"]


def test_objects_go_with_their_session_and_wait_for_a_store_that_is_away(
    space: Space, shared: Bucket, database: PostgresDatabase, tmp_path: Path, object_server: ObjectServer
) -> None:
    dsn = tmp_path / "dsn"
    dsn.write_text(database.dsn)
    space.operator(RESULT_STORE="on", POSTGRES_CONNECTION_STRING_FILE=str(dsn), TENANCY="off")
    space.define()
    for name in ("s", "other"):
        space.start(name)
        space.wait_status(name, "Creating")
        finish(space, shared, name)

    def rows() -> int:
        count: int = database.execute("SELECT count(*) FROM workflow_sessions WHERE run > 0")[0][0]
        return count

    wait_for(rows, lambda count: count == 2, what="both rows", every=0.05)
    other = space.session("other")["metadata"]["uid"]
    object_server.kill()
    try:
        space.delete("s")
        space.settle(2)
        assert rows() == 2
    finally:
        object_server.start()
    space.wait_gone("s")
    wait_for(rows, lambda count: count == 1, what="the row gone with the objects", every=0.05)
    assert shared.keys == [f"{space.name}/{other}/result-r1-0.json"]


def test_namespaces_get_copies_of_the_secrets_and_keep_their_own(space: Space, shared: Bucket) -> None:
    put_secret(space, space.name, "agentic-encryption", {"keys": "the namespace's own"})
    put_secret(space, SYSTEM, "agentic-encryption", {"keys": "shared"})
    try:
        space.operator(RESULT_STORE="on", ENCRYPTION="on")
        a_running_session(space)
    finally:
        space.plane.request("DELETE", f"/api/v1/namespaces/{SYSTEM}/secrets/agentic-encryption")
    copied = secret_in(space, "agentic-results")
    assert copied["metadata"]["labels"] == MANAGED
    assert set(copied["data"]) == {"endpoint", "bucket", "access-key", "secret-key"}
    assert secret_in(space, "agentic-encryption")["metadata"].get("labels") is None
    pod = space.wait_job("s-r1")["spec"]["template"]["spec"]
    secrets = {v["secret"]["secretName"]: v["secret"]["defaultMode"] for v in pod["volumes"] if "secret" in v}
    assert secrets == {"agentic-postgres": 0o400, "agentic-results": 0o400, "agentic-encryption": 0o400}
    variables = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
    assert variables["RESULT_STORE_DIR"] == "/var/run/secrets/agentic/results"
    assert variables["ENCRYPTION_KEYS_FILE"] == "/var/run/secrets/agentic/encryption/keys"
    assert SECRET_KEY not in json.dumps(pod)


def test_a_secret_that_is_nowhere_is_named_and_no_pod_starts(space: Space) -> None:
    operator = space.operator(ENCRYPTION="on")
    space.define()
    space.start("s")
    wait_for(lambda: operator.log, lambda log: "make Secret 'agentic-encryption'" in log, what="the missing Secret")
    assert space.session_jobs() == []
    with pytest.raises(ClusterError):
        secret_in(space, "agentic-encryption")
