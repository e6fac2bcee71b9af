"""Sessions over HTTP: the API server decides, the resource is the truth, refusals name the place."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from agentic_core.input_rules import GRAPH_ACCEPTS
from tests.support.gateway import Gateway, Reply
from tests.support.kube import Space
from tests.trust.roles import Client

Somebody = Callable[..., Client]

SCHEMA = {
    "type": "object",
    "properties": {"topic": {"type": "string", "minLength": 3}, "pages": {"type": "integer", "maximum": 9}},
    "required": ["topic"],
}


def test_a_created_session_is_the_resource_that_kubectl_shows(
    gateway: Gateway, space: Space, somebody: Somebody
) -> None:
    space.define(inputSchema=SCHEMA)
    alice = somebody("alice", "agentic-view", "agentic-edit")
    spec = {"workflowRef": {"name": "report"}, "inputs": {"topic": "rivers", "pages": 9}}
    reply = gateway.call(
        "POST",
        f"/api/v1/agentic-sessions/{space.name}",
        {"metadata": {"name": "s1"}, "spec": spec},
        token=alice.token,
    )
    assert reply.code == 201, reply.body
    stored = space.session("s1")
    assert stored["spec"]["inputs"] == spec["inputs"]
    assert stored["spec"]["createdBy"] == f"system:serviceaccount:{space.name}:alice"
    assert reply.body["metadata"]["uid"] == stored["metadata"]["uid"]
    assert reply.headers["location"] == f"/api/v1/agentic-sessions/{space.name}/s1"
    assert reply.headers["etag"] == f'"{stored["metadata"]["resourceVersion"]}"'


def test_a_session_without_a_name_gets_one(gateway: Gateway, space: Space, somebody: Somebody) -> None:
    space.define()
    alice = somebody("alice", "agentic-view", "agentic-edit")
    reply = gateway.call(
        "POST",
        f"/api/v1/agentic-sessions/{space.name}",
        {"spec": {"workflowRef": {"name": "report"}}},
        token=alice.token,
    )
    assert reply.code == 201, reply.body
    assert re.fullmatch("report-[a-z0-9]{5}", reply.body["metadata"]["name"])


def test_refused_inputs_name_each_place_and_create_nothing(gateway: Gateway, space: Space, somebody: Somebody) -> None:
    space.define(inputSchema=SCHEMA)
    alice = somebody("alice", "agentic-view", "agentic-edit")
    reply = gateway.call(
        "POST",
        f"/api/v1/agentic-sessions/{space.name}",
        {"spec": {"workflowRef": {"name": "report"}, "inputs": {"topic": "no", "pages": 10}}},
        token=alice.token,
    )
    assert reply.code == 400
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.body["type"] == "urn:agentic-operator:problem:invalid-input"
    assert [(each["pointer"], each["keyword"]) for each in reply.body["errors"]] == [
        ("/spec/inputs/pages", "maximum"),
        ("/spec/inputs/topic", "minLength"),
    ]
    assert space.sessions() == []


def test_what_the_resource_refuses_is_told_with_pointers(gateway: Gateway, space: Space, somebody: Somebody) -> None:
    space.define()
    alice = somebody("alice", "agentic-view", "agentic-edit")
    spec = {"workflowRef": {"name": "report"}, "timeoutSeconds": 0}
    reply = gateway.call("POST", f"/api/v1/agentic-sessions/{space.name}", {"spec": spec}, token=alice.token)
    assert reply.code == 422
    assert [each["pointer"] for each in reply.body["errors"]] == ["/spec/timeoutSeconds"]


def test_who_has_no_token_a_wrong_one_or_no_right_gets_nothing(
    gateway: Gateway, space: Space, somebody: Somebody
) -> None:
    space.define()
    path = f"/api/v1/agentic-sessions/{space.name}"
    body = {"spec": {"workflowRef": {"name": "report"}}}
    assert gateway.call("GET", path).code == 401
    assert gateway.call("GET", path, token="no-token").code == 401
    assert gateway.call("GET", path, headers={"Authorization": "Basic YTpi"}).code == 401
    viewer = somebody("viewer", "agentic-view")
    assert gateway.call("GET", path, token=viewer.token).code == 200
    assert gateway.call("POST", path, body, token=viewer.token).code == 403
    stranger = somebody("stranger")
    reply = gateway.call("GET", path, token=stranger.token)
    assert reply.code == 403
    assert "cannot list" in reply.body["detail"]
    assert space.sessions() == []


def test_an_answer_is_the_callers_and_the_later_of_two_is_refused(
    gateway: Gateway, space: Space, somebody: Somebody
) -> None:
    space.define()
    space.start("s1")
    question = {"id": "q1", "prompt": "ok?", "schema": {"type": "boolean"}, "askedAt": "2026-01-01T00:00:00Z"}
    space.report("s1", phase="Creating", run=1)
    space.report("s1", phase="Running")
    space.report("s1", phase="WaitingForInput", interrupts=[question])
    alice = somebody("alice", "agentic-view", "agentic-edit")
    path = f"/api/v1/agentic-sessions/{space.name}/s1/responses"
    wrong = gateway.call("POST", path, {"interruptId": "q1", "value": "yes"}, token=alice.token)
    assert (wrong.code, wrong.body["errors"][0]["pointer"]) == (400, "/value")
    assert gateway.call("POST", path, {"interruptId": "q2", "value": True}, token=alice.token).code == 404
    given = gateway.call("POST", path, {"interruptId": "q1", "value": True}, token=alice.token)
    assert given.code == 202, given.body
    assert space.session("s1")["spec"]["responses"] == [{"interruptId": "q1", "by": alice_name(space), "value": True}]
    answered = {**question, "answer": True, "answeredAt": "2026-01-01T00:01:00Z"}
    space.report("s1", interrupts=[answered])
    assert gateway.call("POST", path, {"interruptId": "q1", "value": False}, token=alice.token).code == 409


def alice_name(space: Space) -> str:
    return f"system:serviceaccount:{space.name}:alice"


def test_a_stale_version_gets_412_and_status_in_a_patch_is_ignored(
    gateway: Gateway, space: Space, somebody: Somebody
) -> None:
    space.define()
    made = space.start("s1")
    alice = somebody("alice", "agentic-view", "agentic-edit")
    path = f"/api/v1/agentic-sessions/{space.name}/s1"
    old = f'"{made["metadata"]["resourceVersion"]}"'
    body = {"spec": {"displayName": "Rivers"}, "status": {"phase": "Completed"}}
    reply = gateway.call("PATCH", path, body, token=alice.token, headers={"If-Match": old})
    assert (reply.code, reply.body["spec"]["displayName"]) == (200, "Rivers")
    assert "status" not in space.session("s1")
    stale = gateway.call("PATCH", path, {"spec": {"displayName": "x"}}, token=alice.token, headers={"If-Match": old})
    assert stale.code == 412
    assert gateway.call("POST", f"{path}/stop", token=alice.token).code == 202
    assert space.session("s1")["spec"]["stop"] is True


def test_a_body_that_is_too_large_or_no_json_is_refused_with_a_problem(
    gateway: Gateway, space: Space, somebody: Somebody
) -> None:
    alice = somebody("alice", "agentic-view", "agentic-edit")
    path = f"/api/v1/agentic-sessions/{space.name}"
    large = gateway.call("POST", path, data=b'"' + b"x" * 3_000_000 + b'"', token=alice.token)
    # A client that sends all of its body before it reads is told, too.
    assert (large.code, large.body["status"]) == (413, 413)
    assert gateway.call("POST", path, data=b"x" * 12_000_000, token=alice.token).code == 413
    broken = gateway.call("POST", path, data=b"{", token=alice.token)
    assert (broken.code, broken.headers["content-type"]) == (400, "application/problem+json")
    typo = gateway.call("POST", path, {"specs": {}}, token=alice.token)
    assert {each["pointer"] for each in typo.body["errors"]} == {"/spec", "/specs"}
    assert gateway.call("GET", "/api/v1/nothing", token=alice.token).body["status"] == 404


def test_no_token_is_in_the_log(gateway: Gateway, space: Space, somebody: Somebody) -> None:
    alice = somebody("alice", "agentic-view", "agentic-edit")
    gateway.call("GET", f"/api/v1/agentic-sessions/{space.name}?token={alice.token}", token=alice.token)
    assert alice.token not in gateway.log


def test_turns_are_appended_in_order_under_names_of_their_own_and_can_be_cancelled(
    gateway: Gateway, space: Space, somebody: Somebody
) -> None:
    space.define()
    alice = somebody("alice", "agentic-view", "agentic-edit")
    path = f"/api/v1/agentic-sessions/{space.name}"
    spec = {"workflowRef": {"name": "report"}, "mode": "Conversation"}
    made = gateway.call("POST", path, {"metadata": {"name": "talk"}, "spec": spec}, token=alice.token)
    assert made.code == 201, made.body
    with ThreadPoolExecutor(4) as pool:
        replies = list(
            pool.map(
                lambda number: gateway.call("POST", f"{path}/talk/turns", {"input": number}, token=alice.token),
                range(4),
            )
        )
    assert [reply.code for reply in replies] == [202] * 4, replies
    assert sorted(reply.body["name"] for reply in replies) == ["t0001", "t0002", "t0003", "t0004"]
    turns = space.session("talk")["spec"]["turns"]
    assert [turn["name"] for turn in turns] == ["t0001", "t0002", "t0003", "t0004"]
    assert sorted(turn["input"] for turn in turns) == [0, 1, 2, 3]
    assert {turn["by"] for turn in turns} == {alice_name(space)}
    taken = gateway.call("POST", f"{path}/talk/turns", {"name": "t0002", "input": 1}, token=alice.token)
    assert taken.code == 409
    large = gateway.call("POST", f"{path}/talk/turns", {"input": "x" * 40_000}, token=alice.token)
    assert (large.code, large.body["errors"][0]["pointer"]) == (400, "/input")
    assert gateway.call("POST", f"{path}/talk/turns/t0003/cancel", token=alice.token).code == 202
    cancelled = space.session("talk")["spec"]["turns"][2]
    assert (cancelled["cancel"], cancelled["cancelledBy"]) == (True, alice_name(space))
    assert gateway.call("POST", f"{path}/talk/turns/t0009/cancel", token=alice.token).code == 404
    assert gateway.call("POST", f"{path}/talk/close", token=alice.token).code == 202
    assert gateway.call("POST", f"{path}/talk/turns", {"input": 1}, token=alice.token).code == 409
    space.start("s1")
    refused = gateway.call("POST", f"{path}/s1/turns", {"input": 1}, token=alice.token)
    assert (refused.code, "mode 'Conversation'" in refused.body["detail"]) == (409, True)


def test_a_turn_that_its_workflow_does_not_take_is_refused_with_each_place_and_not_appended(
    gateway: Gateway, space: Space, somebody: Somebody
) -> None:
    schema = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
    accepts = {"required": ["tenant"], "properties": {"tenant": {}, "unit": {}}, "additionalProperties": False}
    space.define(inputSchema=schema, status={"contextSchema": {"type": "object", GRAPH_ACCEPTS: accepts}})
    alice = somebody("alice", "agentic-view", "agentic-edit")
    space.start("talk", mode="Conversation", context={"tenant": "a"})
    path = f"/api/v1/agentic-sessions/{space.name}/talk/turns"

    def refuse(body: dict[str, object]) -> list[str]:
        reply = gateway.call("POST", path, body, token=alice.token)
        assert reply.code == 400, reply.body
        assert "'report' does not take this turn" in reply.body["detail"]
        return [each["pointer"] for each in reply.body["errors"]]

    assert refuse({"input": {"text": 7}}) == ["/input/text"]
    assert refuse({"input": None}) == ["/input"]
    assert refuse({"input": {}, "context": {"wind": 1}}) == ["/context/wind", "/input"]
    assert refuse({"input": {"text": ""}, "config": {"configurable": {"thread_id": "x"}}}) == [
        "/config/configurable/thread_id"
    ]
    assert "turns" not in space.session("talk")["spec"]
    # A command and no input are no inputs; context of the session counts for its turns.
    for fits in ({"input": {"text": "a"}, "context": {"unit": 1}}, {"command": {"goto": "x"}}, {}):
        reply = gateway.call("POST", path, fits, token=alice.token)
        assert reply.code == 202, reply.body


def test_inputs_of_another_graph_than_the_one_that_was_inspected_are_judged_by_the_authors_schema_alone(
    gateway: Gateway, space: Space, somebody: Somebody
) -> None:
    derived = {"type": "object", GRAPH_ACCEPTS: {"type": "object", "required": ["text"]}}
    space.define(graph="main", status={"inputSchema": derived})
    alice = somebody("alice", "agentic-view", "agentic-edit")
    path = f"/api/v1/agentic-sessions/{space.name}"

    def start(graph: str) -> Reply:
        spec = {"workflowRef": {"name": "report", "graph": graph}, "inputs": {}}
        return gateway.call("POST", path, {"metadata": {"generateName": "s-"}, "spec": spec}, token=alice.token)

    assert (start("main").code, start("other").code) == (400, 201)


def test_absent_inputs_are_judged_as_the_operator_judges_them(
    gateway: Gateway, space: Space, somebody: Somebody
) -> None:
    space.define(inputSchema={"type": "null"})
    alice = somebody("alice", "agentic-view", "agentic-edit")
    path = f"/api/v1/agentic-sessions/{space.name}"
    reply = gateway.call("POST", path, {"spec": {"workflowRef": {"name": "report"}}}, token=alice.token)
    assert reply.code == 201, reply.body
    given = {"spec": {"workflowRef": {"name": "report"}, "inputs": {}}}
    assert gateway.call("POST", path, given, token=alice.token).code == 400


def test_a_conversation_begins_without_the_inputs_that_its_turns_need(
    gateway: Gateway, space: Space, somebody: Somebody
) -> None:
    alice = somebody("alice", "agentic-view", "agentic-edit")
    space.define("chat", inputSchema={"type": "object", "required": ["messages"]})
    spec = {"workflowRef": {"name": "chat"}, "mode": "Conversation"}
    path = f"/api/v1/agentic-sessions/{space.name}"
    assert gateway.call("POST", path, {"spec": spec}, token=alice.token).code == 201
    assert gateway.call("POST", path, {"spec": {"workflowRef": {"name": "chat"}}}, token=alice.token).code == 400
