"""Versions, retries, forks, checkpoints, graphs, lists and the inbox, over HTTP and a real API server."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.gateway import Gateway, Reply
from tests.support.kube import Space
from tests.trust.roles import Client

Somebody = Callable[..., Client]
Json = dict[str, Any]


@pytest.fixture
def alice(somebody: Somebody) -> Client:
    return somebody("alice", "agentic-view", "agentic-edit")


def path_of(space: Space, name: str = "") -> str:
    return f"/api/v1/agentic-sessions/{space.name}" + (f"/{name}" if name else "")


def finish(space: Space, name: str, phase: str = "Failed", **status: Any) -> None:
    space.report(name, phase="Creating", run=1, startTime="2026-01-01T00:00:00Z")
    space.report(name, phase="Running")
    space.report(name, phase=phase, **status)


def test_an_object_that_is_known_is_not_sent_again(gateway: Gateway, space: Space, alice: Client) -> None:
    space.define()
    space.start("s1")
    first = gateway.call("GET", path_of(space, "s1"), token=alice.token)
    tag = first.headers["etag"]
    again = gateway.call("GET", path_of(space, "s1"), token=alice.token, headers={"If-None-Match": f"W/{tag}"})
    assert (again.code, again.body, again.headers["etag"]) == (304, "", tag)
    space.change("s1", displayName="Rivers")
    changed = gateway.call("GET", path_of(space, "s1"), token=alice.token, headers={"If-None-Match": tag})
    assert (changed.code, changed.body["spec"]["displayName"]) == (200, "Rivers")


def test_a_write_is_for_the_version_that_was_read(gateway: Gateway, space: Space, alice: Client) -> None:
    space.define()
    made = space.start("s1")
    old = made["metadata"]["resourceVersion"]
    new = space.change("s1", displayName="Rivers")["metadata"]["resourceVersion"]

    def call(method: str, tag: str, body: Json | None = None) -> Reply:
        return gateway.call(method, path_of(space, "s1"), body, token=alice.token, headers={"If-Match": tag})

    patch = {"spec": {"displayName": "Lakes"}}
    for tag in (f'"{old}"', f'W/"{new}"', '"x"', f'"{old}", "1"'):
        assert call("PATCH", tag, patch).code == 412
        assert call("DELETE", tag).code == 412
    stale = gateway.call(
        "PATCH", path_of(space, "s1"), {**patch, "metadata": {"resourceVersion": old}}, token=alice.token
    )
    assert stale.code == 409
    assert space.session("s1")["spec"]["displayName"] == "Rivers"
    assert call("PATCH", f'"{old}", "{new}"', patch).code == 200
    assert call("DELETE", "*").code == 202
    assert space.find("s1") is None


def test_a_patch_says_what_it_changes(gateway: Gateway, space: Space, alice: Client) -> None:
    space.define()
    space.start("s1")
    for body in ({"metadata": 1}, {"metadata": {"resourceVersion": 7}}, {"spec": {"retries": 1e400}}, [1]):
        reply = gateway.call("PATCH", path_of(space, "s1"), body, token=alice.token)
        assert (reply.code, reply.body["status"]) == (400, 400), body
    typo = gateway.call("PATCH", path_of(space, "s1"), {"spce": {}}, token=alice.token)
    assert (typo.code, typo.body["errors"][0]["pointer"]) == (400, "/spce")
    text = gateway.call("PATCH", path_of(space, "s1"), {}, token=alice.token, headers={"Content-Type": "text/plain"})
    assert text.code == 415


def test_a_failed_session_is_retried_as_a_new_one(gateway: Gateway, space: Space, alice: Client) -> None:
    space.define()
    space.start("s1", inputs={"a": 1}, displayName="Rivers")
    early = gateway.call("POST", path_of(space, "s1/retry"), token=alice.token)
    assert (early.code, "only one that ended" in early.body["detail"]) == (409, True)
    finish(space, "s1", reason="NodeFailed")
    made = gateway.call("POST", path_of(space, "s1/retry"), {"name": "s2"}, token=alice.token)
    assert made.code == 201, made.body
    spec = space.session("s2")["spec"]
    assert spec["forkFrom"] == {"session": "s1"}
    assert (spec["displayName"], spec["createdBy"]) == ("Rivers", f"system:serviceaccount:{space.name}:alice")
    assert "inputs" not in spec
    assert made.headers["location"] == path_of(space, "s2")
    unnamed = gateway.call("POST", path_of(space, "s1/retry"), token=alice.token)
    assert unnamed.body["metadata"]["name"].startswith("s1-")


def test_what_a_retry_would_repeat_is_not_retried(gateway: Gateway, space: Space, alice: Client) -> None:
    space.define()
    space.start("s1", inputs={"a": 1})
    space.report("s1", phase="Failed", reason="InvalidInput", message="wrong")
    refused = gateway.call("POST", path_of(space, "s1/retry"), {}, token=alice.token)
    assert (refused.code, "force" in refused.body["detail"]) == (409, True)
    forced = gateway.call("POST", path_of(space, "s1/retry"), {"force": True}, token=alice.token)
    assert (forced.code, forced.body["spec"]["inputs"]) == (201, {"a": 1})


def test_a_fork_starts_from_a_checkpoint_with_other_values(gateway: Gateway, space: Space, alice: Client) -> None:
    space.define(inputSchema={"type": "object", "required": ["topic"]})
    space.start("s1", inputs={"topic": "x"}, config={"recursion_limit": 5})
    none = gateway.call("POST", path_of(space, "s1/fork"), token=alice.token)
    assert (none.code, "no checkpoint" in none.body["detail"]) == (409, True)
    finish(space, "s1", "Completed", history=[{"id": "c1", "step": 1}])
    body = {"name": "s2", "checkpoint": "c1", "values": {"n": 3}, "asNode": "plan", "config": {"tags": ["t"]}}
    made = gateway.call("POST", path_of(space, "s1/fork"), body, token=alice.token)
    assert made.code == 201, made.body
    spec = space.session("s2")["spec"]
    assert spec["forkFrom"] == {"session": "s1", "checkpointId": "c1", "values": {"n": 3}, "asNode": "plan"}
    assert spec["config"] == {"recursion_limit": 5, "tags": ["t"]}
    bad = gateway.call("POST", path_of(space, "s1/fork"), {"inputs": {}}, token=alice.token)
    assert (bad.code, bad.body["errors"][0]["pointer"], bad.body["errors"][0]["keyword"]) == (
        400,
        "/inputs",
        "required",
    )
    good = gateway.call("POST", path_of(space, "s1/fork"), {"inputs": {"topic": "y"}}, token=alice.token)
    assert (good.code, good.body["spec"]["inputs"]) == (201, {"topic": "y"})


def test_checkpoints_and_graph_show_where_a_session_is(gateway: Gateway, space: Space, alice: Client) -> None:
    drawn = {"nodes": ["plan", "write"], "edges": ["plan -> write"]}
    space.define(status={"graph": drawn})
    space.start("s1")
    space.report("s1", phase="Creating", run=1)
    entry = {"id": "c1", "step": 1, "node": "plan", "next": "write", "at": "2026-01-01T00:00:00Z"}
    space.report("s1", phase="Running", currentNode="write", history=[entry], checkpointId="c1")
    found = gateway.call("GET", path_of(space, "s1/checkpoints"), token=alice.token)
    assert found.body == {"items": [{**entry, "turn": None}], "last": "c1"}
    graph = gateway.call("GET", path_of(space, "s1/graph"), token=alice.token).body
    assert (graph["nodes"], graph["done"], graph["currentNode"]) == (drawn["nodes"], ["plan"], "write")


def test_sessions_are_listed_by_phase_workflow_label_and_creator(
    gateway: Gateway, space: Space, alice: Client, somebody: Somebody
) -> None:
    for name in ("report", "audit"):
        space.define(name)
    bob = somebody("bob", "agentic-view", "agentic-edit")
    for name, workflow, caller, labels in (
        ("s1", "report", alice, {}),
        ("s2", "audit", alice, {"team": "x"}),
        ("s3", "report", bob, {}),
    ):
        body = {"metadata": {"name": name, "labels": labels}, "spec": {"workflowRef": {"name": workflow}}}
        made = gateway.call("POST", path_of(space), body, token=caller.token)
        assert made.code == 201, made.body
    space.report("s1", phase="Creating", run=1)

    def names(query: str) -> list[str]:
        reply = gateway.call("GET", f"{path_of(space)}?{query}", token=alice.token)
        assert reply.code == 200, reply.body
        return [each["metadata"]["name"] for each in reply.body["items"]]

    assert names("") == ["s1", "s2", "s3"]
    assert names("phase=Creating") == ["s1"]
    assert names("phase=Pending") == ["s2", "s3"]
    assert names("workflow=audit") == ["s2"]
    assert names("labelSelector=team%3Dx") == ["s2"]
    assert names(f"createdBy=system:serviceaccount:{space.name}:bob") == ["s3"]
    assert names("workflow=report&phase=Pending") == ["s3"]
    assert names("workflow=a%2Cb%3Dc%5C&createdBy=x%2Cstatus.phase%3DCreating") == []
    assert gateway.call("GET", f"{path_of(space)}?phase=running", token=alice.token).code == 400
    assert gateway.call("GET", f"{path_of(space)}?labelSelector=%21%21", token=alice.token).code == 400
    assert gateway.call("GET", f"{path_of(space)}?continue=x", token=alice.token).code in (400, 410)
    assert gateway.call("GET", f"{path_of(space)}?limit=1000000", token=alice.token).code == 400
    assert gateway.call("GET", "/api/v1/agentic-sessions", token=alice.token).code == 403


def test_pages_of_a_list_have_each_session_once(gateway: Gateway, space: Space, alice: Client) -> None:
    space.define()
    names = sorted(f"s{number:03}" for number in range(25))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(space.start, names))
    seen: list[str] = []
    following = ""
    while True:
        query = f"?limit=10&phase=Pending&continue={quote(following)}"
        page = gateway.call("GET", path_of(space) + query, token=alice.token).body
        seen += [each["metadata"]["name"] for each in page["items"]]
        following = page["metadata"].get("continue") or ""
        if not following:
            break
        assert len(page["items"]) == 10
    assert seen == names


@pytest.fixture
def waiting(space: Space) -> Callable[..., None]:
    def make(name: str, *questions: Json, approvals: list[Json] | None = None, **spec: Any) -> None:
        space.start(name, **spec)
        space.report(name, phase="Creating", run=1)
        space.report(name, phase="Running")
        space.report(name, phase="WaitingForInput", interrupts=list(questions), approvals=approvals or [])

    return make


def asked(id_: str, at: str = "2026-01-01T00:00:00Z", **more: Any) -> Json:
    return {"id": id_, "prompt": f"{id_}?", "askedAt": at, **more}


def test_the_inbox_has_the_questions_that_one_may_answer_by_deadline(
    gateway: Gateway, space: Space, somebody: Somebody, alice: Client, waiting: Callable[..., None]
) -> None:
    space.define()
    schema = {"type": "boolean"}
    waiting("later", asked("q1", schema=schema))
    waiting("sooner", asked("q2"), asked("q3", answeredAt="2026-01-01T00:00:01Z"), inputDeadline={"seconds": 60})
    waiting("other", asked("q4"), approvals=[{"interruptId": "q4", "rule": {"groups": [["board"]]}}])
    space.start("quiet")
    query = f"?namespace={space.name}"
    found = gateway.call("GET", f"/api/v1/inbox{query}", token=alice.token)
    assert found.code == 200, found.body
    assert [(each["session"], each["interruptId"]) for each in found.body["items"]] == [
        ("sooner", "q2"),
        ("later", "q1"),
    ]
    sooner, later = found.body["items"]
    assert (sooner["deadline"], sooner["onExpiry"]) == ("2026-01-01T00:01:00Z", "Fail")
    assert (later["schema"], later["prompt"], later["deadline"]) == (schema, "q1?", None)
    way = later["answer"]
    given = gateway.call(way["method"], way["href"], {**way["body"], "value": True}, token=alice.token)
    assert given.code == 202, given.body
    left = gateway.call("GET", f"/api/v1/inbox{query}", token=alice.token).body["items"]
    assert [each["interruptId"] for each in left] == ["q2"]
    page = gateway.call("GET", f"/api/v1/inbox{query}&limit=1", token=alice.token).body
    assert (len(page["items"]), page["last"]) == (1, None)
    reader = somebody("reader", "agentic-view")
    assert gateway.call("GET", f"/api/v1/inbox{query}", token=reader.token).body["items"] == []
    stranger = somebody("stranger")
    assert gateway.call("GET", f"/api/v1/inbox{query}", token=stranger.token).body["items"] == []


def test_the_inbox_goes_over_namespaces_and_pages(
    gateway: Gateway, space: Space, alice: Client, waiting: Callable[..., None], record: Callable[..., None]
) -> None:
    space.define()
    waiting("s1", *(asked(f"q{number}", f"2026-01-01T00:00:0{number}Z") for number in range(5)))
    # Whoever may not list the cluster is asked for where somebody waits, by the database's record.
    record("s1", "waiting_for_input")
    seen: list[str] = []
    after = ""
    while True:
        page = gateway.call("GET", f"/api/v1/inbox?limit=2&after={quote(after)}", token=alice.token).body
        seen += [each["interruptId"] for each in page["items"]]
        assert {each["namespace"] for each in page["items"]} == {space.name}
        after = page["last"]
        if after is None:
            break
    assert seen == [f"q{number}" for number in range(5)]


@pytest.fixture
def record(space: Space, events: Any) -> Iterator[Callable[..., None]]:
    """Writes the row of a session, as the operator does."""

    def make(name: str, status: str, **columns: Any) -> None:
        uid = space.session(name)["metadata"]["uid"]
        events.execute(
            "INSERT INTO workflow_sessions (session_uid, project_name, session_name, workflow_name, status, thread_id,"
            " run, created_at, input_data) VALUES (%s, %s, %s, 'report', %s, %s, 1, now(), %s::jsonb)",
            [uid, space.name, name, status, f"project-{space.name}:session-{name}", columns.get("inputs", "null")],
        )

    yield make
    events.execute("DELETE FROM workflow_sessions WHERE project_name = %s", [space.name])


def test_sessions_are_found_by_what_their_inputs_hold(
    gateway: Gateway, space: Space, alice: Client, record: Callable[..., None], events: Any
) -> None:
    space.define()
    for name, inputs in (
        ("s1", '{"file_path": "/a", "n": 1}'),
        ("s2", '{"file_path": "/b"}'),
        ("s3", '{"file_path": "/a"}'),
    ):
        space.start(name)
        record(name, "pending", inputs=inputs)
    events.execute(
        "INSERT INTO workflow_sessions (session_uid, project_name, session_name, workflow_name, status, thread_id, run,"
        " created_at, input_data) VALUES (%s, %s, 's1', 'report', 'pending', 't', 1, now(), %s::jsonb)",
        [f"twin-of-{space.name}", f"twin-{space.name}", '{"file_path": "/a"}'],
    )

    def find(wanted: str, more: str = "") -> Reply:
        return gateway.call("GET", f"{path_of(space)}?input={quote(wanted)}{more}", token=alice.token)

    found = find('{"file_path": "/a"}')
    assert found.code == 200, found.body
    assert sorted((each["metadata"]["namespace"], each["metadata"]["name"]) for each in found.body["items"]) == [
        (space.name, "s1"),
        (space.name, "s3"),
    ]
    first = find('{"file_path": "/a"}', "&limit=1").body
    second = find('{"file_path": "/a"}', f"&limit=1&continue={quote(first['metadata']['continue'])}").body
    assert {first["items"][0]["metadata"]["name"], second["items"][0]["metadata"]["name"]} == {"s1", "s3"}
    assert find('{"file_path": "/a"}', "&phase=Running").body["items"] == []
    assert [each["metadata"]["name"] for each in find('{"n": 1}').body["items"]] == ["s1"]
    space.delete("s3")
    assert [each["metadata"]["name"] for each in find('{"file_path": "/a"}').body["items"]] == ["s1"]
    for hostile in (
        "{}", "[]", "1", '{"a": NaN}', '{"a": 1e999}', '{"\\u0000": 1}', "{" * 5000, '{"a": ' + "9" * 9000 + "}",
        "'; DROP TABLE workflow_sessions; --", '$.file_path ? (@ == "/a")', '{"a": "\\ud800"}',
    ):  # fmt: skip
        reply = find(hostile)
        assert (reply.code, reply.headers["content-type"]) == (400, "application/problem+json"), hostile
    for harmless in (
        '{"\'; DROP TABLE x; --": 1}',
        '{"a": "%s $1 \\\\"}',
        '{"ключ": "🙂"}',
        '{"a": 1e400}'[:-6] + "1}",
    ):
        assert find(harmless).body["items"] == [], harmless
    assert find('{"n": 1}', "&labelSelector=a").code == 400
    assert find('{"n": 1}', "&continue=abc").code == 400


CONTEXT = {
    "type": "object",
    "properties": {"model": {"type": "string"}, "user": {"type": "string"}},
    "required": ["user"],
    "x-graph-accepts": {
        "type": "object",
        "properties": {"model": {}, "user": {}},
        "required": ["user"],
        "additionalProperties": False,
    },
}


@pytest.mark.parametrize(
    ("spec", "pointers"),
    [
        pytest.param({}, ["/spec/context/user"], id="a needed field is missing"),
        pytest.param({"context": {"user": "ann", "modle": "x"}}, ["/spec/context/modle"], id="one that is not known"),
        pytest.param({"context": {"user": "ann"}}, [], id="what the graph takes"),
        pytest.param({"config": {"configurable": {"user": "ann"}}}, [], id="as graphs took it before contexts"),
        pytest.param(
            {"context": {"user": "ann"}, "config": {"configurable": {"thread_id": "t"}, "metadata": {"step": 1}}},
            ["/spec/config/configurable/thread_id", "/spec/config/metadata/step"],
            id="what no graph may be given",
        ),
        pytest.param({"context": {"user": "x" * 40_000}}, ["/spec/context"], id="too much"),
        pytest.param(
            {"context": {"user": "ann"}, "config": {"recursion_limit": 0}},
            ["/spec/config/recursion_limit"],
            id="the API server's own refusal",
        ),
        pytest.param({"context": {}, "workflowRef": {"name": "report", "graph": "other"}}, [], id="another graph"),
    ],
)
def test_a_config_or_context_that_the_graph_does_not_take_starts_nothing(
    gateway: Gateway, space: Space, alice: Client, spec: Json, pointers: list[str]
) -> None:
    space.define(status={"contextSchema": CONTEXT, "configSchema": CONTEXT})
    body = {"spec": {"workflowRef": {"name": "report"}, **spec}}
    reply = gateway.call("POST", path_of(space), body, token=alice.token)
    if not pointers:
        assert reply.code == 201
        return
    assert reply.code in (400, 422)
    assert [each["pointer"] for each in reply.body["errors"]] == pointers
    assert space.sessions() == []


def test_what_the_definition_gives_need_not_be_given_again(gateway: Gateway, space: Space, alice: Client) -> None:
    space.define(defaults={"context": {"user": "ann"}}, status={"contextSchema": CONTEXT})
    body = {"spec": {"workflowRef": {"name": "report"}}}
    assert gateway.call("POST", path_of(space), body, token=alice.token).code == 201
