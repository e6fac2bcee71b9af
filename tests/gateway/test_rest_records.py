"""Definitions, results, trails, logs, repeated requests, and the right that each route takes."""

import hashlib
import urllib.request
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from agentic_core.lifecycle import Phase
from agentic_core.trail import ChainReader, Trail, append, find_root
from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.records import TrailRow
from agentic_store.results.output import encode_output
from agentic_store.thread_values import ThreadValues
from tests.support.gateway import Gateway, Reply
from tests.support.kube import Space
from tests.support.log_kubelet import Kubelet, a_pod, begin
from tests.support.postgres import PostgresDatabase
from tests.support.streams import start_followed
from tests.trust.roles import Client

Somebody = Callable[..., Client]
Json = dict[str, Any]


@pytest.fixture
async def store(events: PostgresDatabase) -> AsyncIterator[Database]:
    async with open_database(Dsn.parse(events.dsn), application_name="test") as made:
        yield made


@pytest.fixture
def alice(somebody: Somebody) -> Client:
    return somebody("alice", "agentic-view", "agentic-edit", "agentic-audit")


def path_of(space: Space, name: str = "") -> str:
    return f"/api/v1/agentic-sessions/{space.name}" + (f"/{name}" if name else "")


async def complete(store: Database, space: Space, name: str, value: object) -> str:
    uid = await start_followed(space, store, name)
    await store.sessions.finish(uid, 1, Phase.COMPLETED, output=encode_output(value))
    return uid


def read(gateway: Gateway, path: str, token: str, **headers: str) -> tuple[int, bytes, Any]:
    """Return an answer's code, very bytes and headers."""
    sent = {"Authorization": f"Bearer {token}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    request = urllib.request.Request(gateway.address + path, headers=sent)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        return answer.status, answer.read(), answer.headers


async def test_a_result_has_each_digit_and_comes_by_ranges(
    gateway: Gateway, space: Space, alice: Client, store: Database, events: PostgresDatabase
) -> None:
    space.define()
    uid = await complete(store, space, "s1", {})
    exact = '{"b": 1.0, "a": 1e400, "long": 1000000000000000000000000000001, "text": "день 🙂"}'
    events.execute("UPDATE workflow_sessions SET output_data = %s::jsonb WHERE session_uid = %s", [exact, uid])
    ((spelled,),) = events.execute("SELECT output_data::text FROM workflow_sessions WHERE session_uid = %s", [uid])
    whole = spelled.encode()
    path = path_of(space, "s1/result")
    code, body, headers = read(gateway, path, alice.token)
    assert (code, body) == (200, whole)
    assert headers["ETag"] == f'"{hashlib.sha256(whole).hexdigest()}"'
    assert (headers["Accept-Ranges"], headers["Content-Length"]) == ("bytes", str(len(whole)))
    code, body, headers = read(gateway, path, alice.token, Range="bytes=5-14")
    assert (code, body, headers["Content-Range"]) == (206, whole[5:15], f"bytes 5-14/{len(whole)}")
    assert read(gateway, path, alice.token, Range="bytes=-7")[1] == whole[-7:]
    assert read(gateway, path, alice.token, Range="bytes=5-14", If_Range='"another"')[:2] == (200, whole)
    behind = gateway.call("GET", path, token=alice.token, headers={"Range": f"bytes={len(whole)}-"})
    assert (behind.code, behind.headers["content-range"]) == (416, f"bytes */{len(whole)}")
    known = gateway.call("GET", path, token=alice.token, headers={"If-None-Match": headers["ETag"]})
    assert (known.code, known.body) == (304, "")


async def test_five_megabytes_come_whole(gateway: Gateway, space: Space, alice: Client, store: Database) -> None:
    space.define()
    await complete(store, space, "s1", {"text": "я" * 2_700_000})
    _, body, headers = read(gateway, path_of(space, "s1/result"), alice.token)
    assert f'"{hashlib.sha256(body).hexdigest()}"' == headers["ETag"]
    assert len(body) > 5_000_000


def test_a_result_outside_is_a_redirect_that_is_asked_for(
    gateway: Gateway, space: Space, alice: Client, somebody: Somebody
) -> None:
    space.define()
    space.start("s1")
    space.report("s1", phase="Creating", run=1)
    space.report("s1", phase="Running")
    reference = {"size": 1, "sha256": "0" * 64, "url": "s3://bucket/x"}
    link = {"downloadUrl": "https://store.example/x?signature", "downloadExpiresAt": "2199-01-01T00:00:00Z"}
    space.report("s1", phase="Completed", resultRef=reference)
    viewer = somebody("viewer", "agentic-view")
    assert gateway.call("GET", path_of(space, "s1/result"), token=viewer.token).code == 403
    space.report("s1", resultRef={**reference, **link})

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    request = urllib.request.Request(gateway.address + path_of(space, "s1/result"))
    request.add_header("Authorization", f"Bearer {alice.token}")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), Stay())
    with pytest.raises(urllib.error.HTTPError) as answer:
        opener.open(request, timeout=30)
    with answer.value as redirect:
        assert (redirect.code, redirect.headers["Location"]) == (307, link["downloadUrl"])


async def test_a_trail_is_exported_as_the_command_line_does(
    gateway: Gateway, space: Space, alice: Client, somebody: Somebody, store: Database
) -> None:
    space.define()
    uid = space.start("s1")["metadata"]["uid"]
    trail = append(
        Trail(), find_root(space.name, "s1", uid), {"at": "2026-01-01T00:00:00Z", "kind": "Accepted"}, value="1"
    )
    rows = [
        TrailRow(
            project_name=space.name,
            session_name="s1",
            session_uid=uid,
            seq=each.seq,
            entry=each.entry,
            hash=each.hash,
            value=each.value,
        )
        for each in trail.pending
    ]
    await store.trails.store(rows)
    _, body, headers = read(gateway, path_of(space, "s1/audit"), alice.token)
    assert headers["Content-Type"].startswith("application/jsonl")
    reader = ChainReader()
    faults = [fault for line in body.decode().splitlines() for fault in reader.read(line)]
    assert faults + list(reader.finish()) == []
    assert reader.entries == 1
    viewer = somebody("viewer", "agentic-view")
    refused = gateway.call("GET", path_of(space, "s1/audit"), token=viewer.token)
    assert (refused.code, "agenticsessions/audit" in refused.body["detail"]) == (403, True)


def test_logs_are_read_and_followed_in_the_callers_name(
    gateway: Gateway, space: Space, kubelet: Kubelet, somebody: Somebody, alice: Client
) -> None:
    space.define()
    space.start("s")
    path = path_of(space, "s/logs")
    rules = [{"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]}]
    role = {"metadata": {"name": f"{space.name}-logs"}, "rules": rules}
    space.plane.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", role)
    reader = somebody("reader", "agentic-view", f"{space.name}-logs")
    none = gateway.call("GET", path, token=reader.token)
    assert (none.code, "no pod" in none.body["detail"]) == (409, True)
    pod = a_pod(space, 1, session="s")
    begin(space, pod)
    kubelet.write(pod, "one ü")
    kubelet.write(pod, "two")
    assert (
        read(gateway, path, reader.token)[1]
        == "".join(
            f"2026-05-01T10:00:{number:02}.000000000Z {text}\n" for number, text in enumerate(("one ü", "two"))
        ).encode()
    )
    assert gateway.call("GET", path, token=alice.token).code == 403
    kubelet.end(pod)
    assert read(gateway, f"{path}?follow=true&tail=1", reader.token)[1].count(b"\n") == 1
    assert kubelet.asked[-1][1]["follow"] == "true"


def test_a_definition_is_registered_replaced_changed_and_deleted(gateway: Gateway, space: Space, alice: Client) -> None:
    path = f"/api/v1/workflow-definitions/{space.name}"
    body = {"metadata": {"name": "w", "labels": {"a": "1"}}, "spec": {"image": "example/image:1"}}

    def call(method: str, where: str = "/w", sent: object = None, **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return gateway.call(method, path + where, sent, token=alice.token, headers=named)

    assert call("POST", "?dryRun=true", body).code == 201
    assert call("GET").code == 404
    errors = call("POST", "", {**body, "spec": {}}).body["errors"]
    assert {each["pointer"]: each["keyword"] for each in errors}["/spec/image"] == "required"
    made = call("POST", "", body)
    assert made.code == 201, made.body
    tag = made.headers["etag"]
    assert call("GET", If_None_Match=tag).code == 304
    other = {"metadata": {}, "spec": {"image": "example/image:2"}}
    replaced = call("PUT", "/w", other, If_Match=tag)
    assert (replaced.code, replaced.body["spec"]["image"]) == (200, "example/image:2")
    assert "labels" not in replaced.body["metadata"]
    assert call("PUT", "/w", other, If_Match=tag).code == 412
    assert call("PATCH", "/w", {"spec": {"displayName": "W"}}).body["spec"]["displayName"] == "W"
    early = call("GET", "/w/graph")
    assert (early.code, early.body["status"]) == (409, 409)
    assert call("DELETE", "/w", If_Match=tag).code == 412
    assert call("DELETE").code == 202
    assert call("GET").code == 404
    assert gateway.call("GET", "/api/v1/cluster-workflow-definitions", token=alice.token).code == 403


def test_schemas_are_shown_and_checked_without_being_registered(gateway: Gateway, space: Space, alice: Client) -> None:
    schema = {"type": "object", "required": ["a"]}
    space.define(inputSchema=schema, status={"configSchema": {"type": "object"}})
    shown = gateway.call("GET", f"/api/v1/workflow-definitions/{space.name}/report/schemas", token=alice.token).body
    assert (shown["input"], shown["inputIsDeclared"], shown["config"], shown["output"]) == (
        schema,
        True,
        {"type": "object"},
        None,
    )

    def check(**body: Any) -> Any:
        return gateway.call("POST", "/api/v1/schemas/check", body, token=alice.token).body

    assert check(schema=schema) == {"valid": True, "errors": []}
    assert check(schema=schema, instance={})["errors"][0]["keyword"] == "required"
    assert check(schema={"type": "strin"})["errors"][0]["pointer"] == "/schema/type"
    slow = check(schema={"pattern": "^(a+)+$"}, instance="a" * 5000 + "!")
    assert slow["valid"] is False
    assert gateway.call("POST", "/api/v1/schemas/check", {"schema": True}).code == 401


def test_a_request_with_a_key_is_served_once(
    gateway: Gateway, second_gateway: Gateway, space: Space, alice: Client, somebody: Somebody
) -> None:
    space.define()
    body = {"spec": {"workflowRef": {"name": "report"}}}

    def send(server: Gateway, key: str, sent: Json = body, caller: Client = alice) -> Reply:
        return server.call("POST", path_of(space), sent, token=caller.token, headers={"Idempotency-Key": key})

    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda number: send((gateway, second_gateway)[number % 2], "k1"), range(6)))
    assert [reply.code for reply in replies] == [201] * 6, replies
    assert len({reply.body["metadata"]["uid"] for reply in replies}) == 1
    assert len({reply.headers["location"] for reply in replies}) == 1
    assert sum("idempotency-replayed" not in reply.headers for reply in replies) == 1
    assert len(space.sessions()) == 1
    other = send(gateway, "k1", {"spec": {**body["spec"], "displayName": "x"}})
    assert (other.code, other.body["type"].rpartition(":")[2]) == (422, "key-reused")
    assert send(gateway, "k2").body["metadata"]["uid"] != replies[0].body["metadata"]["uid"]
    bob = somebody("bob", "agentic-view", "agentic-edit")
    assert send(gateway, "k1", caller=bob).code == 201
    assert send(gateway, "schlüssel").code == 400
    assert send(gateway, "x" * 256).code == 400
    refused = {"spec": {"workflowRef": {"name": "nowhere"}}}
    assert [send(gateway, "k3", refused).code for _ in range(2)] == [400, 400]


def test_a_turn_with_a_key_is_appended_once(gateway: Gateway, space: Space, alice: Client) -> None:
    space.define()
    space.start("talk", mode="Conversation")
    headers = {"Idempotency-Key": "t1"}
    path = path_of(space, "talk/turns")
    replies = [gateway.call("POST", path, {"input": 1}, token=alice.token, headers=headers) for _ in range(3)]
    assert [reply.code for reply in replies] == [202] * 3, replies
    assert len({reply.body["name"] for reply in replies}) == 1
    assert len(space.session("talk")["spec"]["turns"]) == 1


# For each route that the database alone could answer: the right that it takes, as docs/gateway.md says.
RIGHTS = [
    ("s1/status", ("agenticsessions", "get")),
    ("s1/events", ("agenticsessions", "get")),
    ("s1/turns", ("agenticsessions", "get")),
    ("s1/result", ("agenticsessions", "get")),
    ("s1/checkpoints", ("agenticsessions", "get")),
    ("s1/graph", ("agenticsessions", "get")),
    ("s1/graph", ("workflowdefinitions", "get")),
    ("s1/audit", ("agenticsessions", "get")),
    ("s1/audit", ("agenticsessions/audit", "get")),
    ("s1/state", ("agenticsessions", "get")),
    ("s1/state", ("agenticsessions/state", "get")),
    ("s1/logs", ("agenticsessions", "get")),
    ("s1/logs", ("pods", "list")),
    ("?input=%7B%22a%22%3A1%7D", ("agenticsessions", "list")),
    ("?input=%7B%22a%22%3A1%7D", ("agenticsessions", "get")),
]
ALL = {
    "agenticsessions": (
        "agentic-operator.dev",
        ["get", "list", "watch", "create", "update", "patch", "delete", "respond"],
    ),
    "agenticsessions/audit": ("agentic-operator.dev", ["get"]),
    "agenticsessions/state": ("agentic-operator.dev", ["get"]),
    "workflowdefinitions": ("agentic-operator.dev", ["get", "list", "watch"]),
    "pods": ("", ["get", "list", "watch"]),
    "pods/log": ("", ["get"]),
}


async def test_each_route_takes_its_right_and_all_others_do_not_help(
    gateway: Gateway, space: Space, somebody: Somebody, store: Database, events: PostgresDatabase
) -> None:
    space.define(status={"graph": {"nodes": ["a"], "edges": []}})
    uid = await complete(store, space, "s1", 1)
    events.execute("UPDATE workflow_sessions SET input_data = '{\"a\": 1}' WHERE session_uid = %s", [uid])
    await store.thread_values.write(uid, ThreadValues(run=1, state="{}"), ["a"])
    people: dict[tuple[str, str] | None, Client] = {}
    for number, missing in enumerate([None, *dict.fromkeys(right for _, right in RIGHTS)]):
        rules = [
            {
                "apiGroups": [group],
                "resources": [resource],
                "verbs": [verb for verb in verbs if (resource, verb) != missing],
            }
            for resource, (group, verbs) in ALL.items()
        ]
        name = f"{space.name}-{number}"
        role = {"metadata": {"name": name}, "rules": [rule for rule in rules if rule["verbs"]]}
        space.plane.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", role)
        people[missing] = somebody(f"person-{number}", name)
    for route, missing in RIGHTS:
        path = path_of(space) + (route if route.startswith("?") else f"/{route}")
        expected = 409 if route.endswith("logs") else 200
        everything = gateway.call("GET", path, token=people[None].token)
        assert everything.code == expected, (route, everything.body)
        assert gateway.call("GET", path, token=people[missing].token).code == 403, (route, missing)
