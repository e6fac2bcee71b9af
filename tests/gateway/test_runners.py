"""Runners that report to the gateway: each with its own pod's token, about its own session, within the contract."""

import threading
from typing import Any

import pytest

from tests.support.gateway import Gateway, Reply
from tests.support.kube import Space
from tests.support.postgres import PostgresDatabase
from tests.support.waiting import wait_for
from tests.trust.roles import an_account
from tests.trust.test_runner_status import make_pod

Json = dict[str, Any]
AUDIENCE = "agentic-gateway"
AT = "2026-01-01T00:00:00Z"


def a_token(space: Space, pod: str, uid: str, *, audience: str = AUDIENCE, seconds: int = 3600) -> str:
    bound = {"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": uid}
    return space.plane.service_account_token(
        space.name, "agentic-runner", bound_to=bound, audiences=[audience], seconds=seconds
    )


class Runner:
    """What a shell script with curl can do: requests with the token of its pod."""

    def __init__(self, gateway: Gateway, space: Space, session: str, pod: str) -> None:
        self.gateway, self.space, self.session, self.pod = gateway, space, session, pod
        self.uid = make_pod(space, pod)
        self.token = a_token(space, pod, self.uid)

    def call(self, method: str, part: str, body: object = None, *, session: str = "", token: str = "") -> Reply:
        path = f"/api/v1/agentic-sessions/{self.space.name}/{session or self.session}/{part}"
        return self.gateway.call(method, path, body, token=token or self.token)

    def report(self, **status: Any) -> Reply:
        return self.call("POST", "status", status)


@pytest.fixture
def runner(gateway: Gateway, space: Space) -> Runner:
    """A session ``s`` that is being created, and its pod."""
    return a_run(gateway, space, "s")


def a_run(gateway: Gateway, space: Space, session: str) -> Runner:
    if not space.sessions():
        space.define(reportsTo="Gateway")
    space.start(session, inputs={"pages": 3})
    made = Runner(gateway, space, session, f"{session}-r1-abcde")
    space.report(session, phase="Creating", run=1, jobName=f"{session}-r1", podUids=[made.uid])
    return made


def test_a_session_is_reported_from_its_start_over_a_question_to_its_end(runner: Runner, space: Space) -> None:
    assert runner.report(phase="Running").code == 200
    asked = runner.report(phase="WaitingForInput", interrupts=[{"id": "q1", "prompt": "pay?"}])
    assert (asked.code, asked.body["phase"], asked.body["reason"]) == (200, "WaitingForInput", "WaitingForInput")
    given = {"interruptId": "q1", "value": "yes", "by": "alice", "at": AT, "digest": "a" * 64}
    question = {**asked.body["interrupts"][0], "answeredAt": AT}
    space.report("s", interrupts=[question], answers=[given])
    found = runner.call("GET", "input?interruptId=q1&wait=10")
    assert found.code == 200
    assert found.body["inputs"] == {"pages": 3}
    assert [each["value"] for each in found.body["answers"]] == ["yes"]
    assert runner.report(phase="Running").body["interrupts"][0]["resumedAt"]
    assert runner.call("PATCH", "status", {"progress": "50%"}).code == 200
    assert runner.report(phase="Completed", result={"paid": True}).code == 200
    status = space.status("s")
    assert (status["phase"], status["result"], status["progress"]) == ("Completed", {"paid": True}, "50%")
    assert status["startTime"]
    assert status["completionTime"]
    assert runner.report(phase="Running").code == 409


@pytest.mark.parametrize(
    ("phase", "code"),
    [("Completed", 409), ("WaitingForInput", 409), ("Stopped", 409), ("Pending", 409), ("Failed", 200)],
)
def test_only_legal_changes_of_the_phase_pass(runner: Runner, phase: str, code: int) -> None:
    assert runner.report(phase=phase).code == code


def test_what_is_the_operators_is_refused_with_its_place(runner: Runner, space: Space) -> None:
    refused = runner.report(phase="Running", podUids=[])
    assert (refused.code, refused.body["errors"][0]["pointer"]) == (400, "/podUids")
    # What the gateway lets through the policy refuses: the question of somebody who is asked.
    runner.report(phase="Running")
    runner.report(phase="WaitingForInput", interrupts=[{"id": "q1", "prompt": "pay 1?"}])
    changed = runner.report(interrupts=[{"id": "q1", "prompt": "pay 1000?"}])
    assert (changed.code, "what was asked stays as it was asked" in changed.body["detail"]) == (403, True)
    assert runner.report(steps=-1).code == 422
    assert space.status("s")["interrupts"][0]["prompt"] == "pay 1?"


@pytest.mark.parametrize("id_", [["q1"], {"q": 1}, 1, True, "", None])
def test_a_question_without_a_text_for_its_id_is_refused(runner: Runner, id_: Any) -> None:
    runner.report(phase="Running")
    refused = runner.report(phase="WaitingForInput", interrupts=[{"id": id_, "prompt": "pay?"}])
    assert (refused.code, refused.body["errors"][0]["pointer"]) == (400, "/interrupts")


def test_one_sessions_token_is_nothing_to_another(runner: Runner, gateway: Gateway, space: Space) -> None:
    other = a_run(gateway, space, "other")
    for method, part, body in (
        ("POST", "status", {"phase": "Running"}),
        ("PATCH", "status", {"phase": "Running"}),
        ("POST", "events", {"data": {}}),
        ("GET", "input", None),
    ):
        assert runner.call(method, part, body, session="other").code == 403, (method, part)
        assert runner.call(method, part, body, session="missing").code == 404, (method, part)
    assert space.status("other")["phase"] == "Creating"
    assert other.report(phase="Running").code == 200


def test_a_pod_of_another_namespace_learns_not_even_what_is_there(
    runner: Runner, gateway: Gateway, space: Space
) -> None:
    for session in ("s", "missing"):
        path = f"/api/v1/agentic-sessions/default/{session}/status"
        assert gateway.call("POST", path, {"phase": "Running"}, token=runner.token).code == 403


def test_the_last_number_is_in_the_status_with_the_runners_next_news(runner: Runner, row: str, space: Space) -> None:
    last = runner.call("POST", "events", {"data": {"n": 1}}).body["last"]
    assert runner.report(phase="Running").code == 200
    assert space.status("s")["lastSeq"] == last


def test_a_pod_that_the_operator_did_not_record_writes_nothing(gateway: Gateway, space: Space, runner: Runner) -> None:
    uid = make_pod(space, "s-r1-zzzzz")
    refused = runner.call("POST", "status", {"phase": "Running"}, token=a_token(space, "s-r1-zzzzz", uid))
    # It may be the next attempt's, a moment before it is recorded.
    assert (refused.code, refused.headers["retry-after"]) == (503, "1")
    uid = make_pod(space, "mine")
    assert runner.call("POST", "status", {"phase": "Running"}, token=a_token(space, "mine", uid)).code == 403
    assert space.status("s")["phase"] == "Creating"


def test_other_tokens_are_none(runner: Runner, space: Space) -> None:
    of_api_server = a_token(space, runner.pod, runner.uid, audience="https://kubernetes.default.svc.cluster.local")
    of_vault = a_token(space, runner.pod, runner.uid, audience="vault")
    unbound = space.plane.service_account_token(space.name, "agentic-runner", audiences=[AUDIENCE])
    head, body, signature = runner.token.split(".")
    for token, code in (
        (of_api_server, 401),
        (of_vault, 401),
        (f"{head}.{body}.{signature[::-1]}", 401),
        ("nonsense", 401),
        (unbound, 403),
    ):
        assert runner.call("POST", "status", {"phase": "Running"}, token=token).code == code
    assert runner.gateway.call("POST", f"/api/v1/agentic-sessions/{space.name}/s/status", {}).code == 401


def test_a_token_is_worth_nothing_once_its_pod_is_gone(runner: Runner, space: Space) -> None:
    assert runner.report(phase="Running").code == 200
    space.plane.request("DELETE", f"/api/v1/namespaces/{space.name}/pods/{runner.pod}", {"gracePeriodSeconds": 0})
    # The API server takes it for a moment longer than the pod is there.
    wait_for(lambda: runner.report(progress="90%").code, lambda code: code == 401, what="the token refused")
    assert runner.call("GET", "input").code == 401
    assert runner.call("POST", "events", {"data": {}}).code == 401


def test_a_runners_token_is_nothing_to_the_routes_of_people(runner: Runner, space: Space) -> None:
    for part in ("", "/events", "/result"):
        path = f"/api/v1/agentic-sessions/{space.name}/s{part}"
        assert runner.gateway.call("GET", path, token=runner.token).code == 401


def test_the_gateways_own_account_may_write_what_a_runner_may_and_no_more(runner: Runner, space: Space) -> None:
    own = an_account(space.plane, "agentic-system", "agentic-gateway")
    path = f"/apis/agentic-operator.dev/v1alpha1/namespaces/{space.name}/agenticsessions/s"
    assert own.request("PATCH", f"{path}/status", {"status": {"phase": "Running"}}).is_done
    refused: tuple[Json, ...] = (
        {"podUids": ["x"]},
        {"answers": []},
        {"run": 7},
        {"phase": "Stopped"},
        {"threadId": "t"},
    )
    for status in refused:
        assert own.request("PATCH", f"{path}/status", {"status": status}).code == 403, status
    for body in ({"spec": {"stop": True}}, {"metadata": {"labels": {"a": "b"}}}):
        assert own.request("PATCH", path, body).code == 403
    assert own.request("DELETE", path).code == 403
    assert own.request("GET", f"/api/v1/namespaces/{space.name}/secrets").code == 403
    # Nor where no pod was recorded.
    space.start("fresh")
    space.report("fresh", phase="Creating", run=1, jobName="fresh-r1")
    fresh = path.removesuffix("/s") + "/fresh/status"
    assert own.request("PATCH", fresh, {"status": {"phase": "Running"}}).code == 403


def test_an_answer_that_comes_ends_the_wait_for_it(runner: Runner, space: Space) -> None:
    runner.report(phase="Running")
    asked = runner.report(phase="WaitingForInput", interrupts=[{"id": "q1", "prompt": "ok?"}]).body["interrupts"][0]
    assert runner.call("GET", "input?wait=1").code == 204
    found: list[Reply] = []
    waiting = threading.Thread(target=lambda: found.append(runner.call("GET", "input?interruptId=q1&wait=30")))
    waiting.start()
    given = {"interruptId": "q1", "value": 7, "by": "alice", "at": AT, "digest": "a" * 64}
    space.report("s", interrupts=[{**asked, "answeredAt": AT}], answers=[given])
    waiting.join(30)
    assert [(each.code, each.body["answers"][0]["value"]) for each in found] == [(200, 7)]


def test_a_stop_ends_the_wait(runner: Runner, space: Space) -> None:
    runner.report(phase="Running")
    found: list[Reply] = []
    waiting = threading.Thread(target=lambda: found.append(runner.call("GET", "input?wait=30")))
    waiting.start()
    space.change("s", stop=True)
    waiting.join(30)
    assert [(each.code, each.body["ends"]) for each in found] == [(200, True)]


@pytest.fixture
def row(runner: Runner, space: Space, events: PostgresDatabase) -> str:
    """The session's row, as the operator makes it."""
    uid = str(space.session("s")["metadata"]["uid"])
    events.execute(
        "INSERT INTO workflow_sessions (project_name, session_name, session_uid, workflow_name, status, thread_id, run)"
        " VALUES (%s, 's', %s, 'report', 'running', %s, 1)",
        [space.name, uid, f"project-{space.name}:session-s"],
    )
    return uid


def test_events_of_a_runner_are_in_the_sessions_log(runner: Runner, row: str, events: PostgresDatabase) -> None:
    assert runner.call("POST", "events", {"type": "progress", "data": {"progress": 0.5}}).body == {"last": 1}
    many = [{"data": {"n": number}} for number in range(3)]
    assert runner.call("POST", "events", many).body == {"last": 4}
    found = events.execute("SELECT seq, run, type, data FROM session_events WHERE session_uid = %s ORDER BY seq", [row])
    assert found == [(1, 1, "progress", {"progress": 0.5}), *((n + 2, 1, "custom", {"n": n}) for n in range(3))]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([], 400),
        ({"type": "completed", "data": {}}, 400),
        ({"data": "text"}, 400),
        ({"data": {}, "seq": 9}, 400),
        ({"data": {"text": "x" * 9000}}, 413),
        ([{"data": {}}] * 101, 400),
    ],
)
def test_what_is_no_event_is_refused(runner: Runner, row: str, body: Any, code: int) -> None:
    assert runner.call("POST", "events", body).code == code


def test_events_of_a_session_without_a_row_may_be_sent_again(runner: Runner) -> None:
    refused = runner.call("POST", "events", {"data": {}})
    assert (refused.code, refused.headers["retry-after"]) == (503, "1")


def test_no_token_is_in_the_log(runner: Runner) -> None:
    runner.report(phase="Running")
    pod = f"pod {runner.space.name}/{runner.pod}"
    # The line comes after the answer.
    wait_for(lambda: pod in runner.gateway.log, bool, what="line of the request")
    assert runner.token not in runner.gateway.log
