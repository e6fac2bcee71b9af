"""Answers on a real API server: the test plays the runner, asks, and looks at what the operator accepts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.builders import wire_time
from tests.support.kube import Json, OperatorProcess, Space
from tests.support.waiting import wait_for

DECISION = {
    "type": "object",
    "required": ["decision"],
    "properties": {"decision": {"enum": ["approve", "keep"]}, "reason": {"type": ["string", "null"]}},
}


def asked(id_: str, *, ago: int = 0, **fields: Any) -> Json:
    return {"id": id_, "value": "ok?", "askedAt": wire_time(datetime.now(UTC) - timedelta(seconds=ago)), **fields}


def waiting_session(space: Space, *questions: Json, **spec: Any) -> OperatorProcess:
    """Bring session ``s`` to its questions, its pod ended."""
    operator, pod = running_session(space, **spec)
    ask(space, pod, *questions)
    return operator


def running_session(space: Space, **spec: Any) -> tuple[OperatorProcess, str]:
    """Start session ``s``; return the operator and the pod."""
    operator = space.operator()
    space.start("s", **spec)
    pod = space.wait_pod("s-r1")
    space.wait_status("s", "Creating")
    space.report("s", phase="Running")
    return operator, pod


def ask(space: Space, pod: str, *questions: Json) -> None:
    """Let the pod of session ``s`` ask, and end: its Job goes with that."""
    space.report("s", phase="WaitingForInput", interrupts=list(questions))
    space.end_pod(pod, 0)


def respond(space: Space, **answers: Any) -> None:
    space.change("s", responses=[{"interruptId": key, "value": value} for key, value in answers.items()])


def verdict(space: Space, status: str, reason: str) -> str:
    """Wait for the condition InputAccepted and return its message."""

    def reads(found: Json) -> bool:
        return (input_accepted(found).get("status"), input_accepted(found).get("reason")) == (status, reason)

    found = wait_for(lambda: space.status("s"), reads, what=f"InputAccepted={status} {reason}", every=0.05)
    message: str = input_accepted(found)["message"]
    return message


def input_accepted(status: Json) -> Json:
    found: Json = next((each for each in status.get("conditions", ()) if each["type"] == "InputAccepted"), {})
    return found


def test_a_wrong_answer_is_refused_by_its_pointer_and_the_right_one_starts_the_next_run(space: Space) -> None:
    space.define()
    waiting_session(space, asked("q", schema=DECISION))
    respond(space, q={"decision": "maybe"})
    assert "/spec/responses/0/value/decision: " in verdict(space, "False", "InvalidAnswer")
    respond(space, q="approve")
    wait_for(lambda: input_accepted(space.status("s")), lambda c: "/value: " in c["message"], what="the next fault")
    assert space.session_jobs() in ([], ["s-r1"])
    assert space.status("s")["phase"] == "WaitingForInput"
    assert "answeredAt" not in space.status("s")["interrupts"][0]
    respond(space, q={"decision": "approve", "reason": "fine"})
    status = space.wait_run("s", 2)
    (answered,) = status["interrupts"]
    assert answered["answer"] == {"decision": "approve", "reason": "fine"}
    assert answered["answeredAt"]
    # Nobody stated whose it is: no name is made up.
    assert "answeredBy" not in answered
    assert verdict(space, "True", "Answered") == ""
    told = wait_for(
        lambda: {reason for reason, _ in space.events()}, lambda reasons: "Answered" in reasons, what="the events"
    )
    assert "InvalidAnswer" in told


def test_an_answer_keeps_its_nulls(space: Space) -> None:
    space.define()
    operator = waiting_session(space, asked("q", schema=DECISION))
    operator.kill()
    # As `kubectl apply` and the API of a client would: a merge patch cannot write a null.
    session = space.session("s")
    session["spec"]["responses"] = [{"interruptId": "q", "value": {"decision": "keep", "reason": None}}]
    path = f"/apis/agentic-operator.dev/v1alpha1/namespaces/{space.name}/agenticsessions/s"
    space.plane.request("PUT", path, session)
    space.operator("later")
    assert space.wait_run("s", 2)["interrupts"][0]["answer"] == {"decision": "keep", "reason": None}


def test_an_answer_to_nothing_is_refused_and_keeps_waiting(space: Space) -> None:
    space.define()
    waiting_session(space, asked("q"))
    respond(space, other=1)
    assert "there is no question 'other'; open: 'q'" in verdict(space, "False", "UnknownInterrupt")
    assert space.status("s")["phase"] == "WaitingForInput"


def test_one_of_two_answers_starts_a_run_and_the_other_question_stays_open(space: Space) -> None:
    space.define()
    waiting_session(space, asked("a", schema={"type": "integer"}), asked("b", schema={"type": "integer"}))
    respond(space, a=1, b="two")
    status = space.wait_run("s", 2)
    assert [each.get("answer") for each in status["interrupts"]] == [1, None]
    assert "/spec/responses/1/value: " in verdict(space, "False", "InvalidAnswer")
    assert status["question"] == "ok?"


def test_the_answer_that_was_accepted_first_stands(space: Space) -> None:
    space.define()
    waiting_session(space, asked("q"))
    respond(space, q="first")
    space.wait_run("s", 2)
    respond(space, q="second")
    assert "was answered" in verdict(space, "False", "AlreadyAnswered")
    assert space.status("s")["interrupts"][0]["answer"] == "first"
    respond(space, q="first")
    verdict(space, "True", "Answered")


def test_of_two_people_who_answer_at_the_same_moment_one_is_told(space: Space) -> None:
    space.define()
    operator = waiting_session(space, asked("q"))
    operator.kill()
    version = space.session("s")["metadata"]["resourceVersion"]
    path = f"/apis/agentic-operator.dev/v1alpha1/namespaces/{space.name}/agenticsessions/s"
    bodies = [
        {"metadata": {"resourceVersion": version}, "spec": {"responses": [{"interruptId": "q", "value": who}]}}
        for who in ("ann", "bob")
    ]
    space.plane.request("PATCH", path, bodies[0])
    with pytest.raises(Exception, match="modified"):
        space.plane.request("PATCH", path, bodies[1])
    space.operator("later")
    assert space.wait_run("s", 2)["interrupts"][0]["answer"] == "ann"


def test_an_answer_given_while_the_operator_is_down_is_taken_when_it_is_back(space: Space) -> None:
    space.define()
    operator = waiting_session(space, asked("q", schema=DECISION))
    operator.kill()
    respond(space, q={"decision": "keep"})
    space.operator("later")
    assert space.wait_run("s", 2)["interrupts"][0]["answer"] == {"decision": "keep"}
    space.settle(1)
    assert "s-r3" not in space.session_jobs()


def test_a_schema_that_cannot_be_used_does_not_keep_a_session_waiting(space: Space) -> None:
    space.define()
    waiting_session(space, asked("q", schema={"type": "nonsense"}))
    respond(space, q=1)
    assert space.wait_run("s", 2)["interrupts"][0]["answer"] == 1


def test_nobody_in_time_fails_the_session_also_when_the_operator_was_down(space: Space) -> None:
    space.define()
    operator = waiting_session(space, asked("q"), inputDeadline={"seconds": 3600})
    operator.kill()
    space.report("s", interrupts=[asked("q", ago=3700)])
    space.operator("later")
    space.wait_status("s", "Failed", "InputDeadlineExceeded")
    respond(space, q=1)
    assert "takes no more answers" in verdict(space, "False", "TooLate")
    assert space.status("s")["phase"] == "Failed"


def test_nobody_in_time_gives_the_default_answer_on_time(space: Space) -> None:
    space.define(deadlineAnswers={"values": [{"decision": "keep"}]})
    questions = [asked("a", schema=DECISION), asked("b")]
    deadline = {"seconds": 2, "onExpiry": "Resume", "value": {"decision": "keep"}}
    waiting_session(space, *questions, inputDeadline=deadline)
    status = space.wait_run("s", 2)
    for each in status["interrupts"]:
        assert (each["answer"], each["answeredBy"]) == ({"decision": "keep"}, "inputDeadline")
    recorded = [(each["interruptId"], each["by"], each["value"]) for each in status["answers"]]
    assert recorded == [(id_, "inputDeadline", {"decision": "keep"}) for id_ in ("a", "b")]
    assert space.session_jobs()[-1] == "s-r2"


def test_a_default_that_is_no_answer_fails_the_session_with_the_reason(space: Space) -> None:
    space.define(deadlineAnswers={"any": True})
    deadline = {"seconds": 1, "onExpiry": "Resume", "value": 7}
    waiting_session(space, asked("q", schema=DECISION), inputDeadline=deadline)
    status = space.wait_status("s", "Failed", "InputDeadlineExceeded")
    assert "/spec/inputDeadline/value: " in status["message"]


def test_a_deadline_that_resumes_with_nothing_is_refused_at_once(space: Space) -> None:
    space.define()
    space.operator()
    space.start("s", inputDeadline={"seconds": 1, "onExpiry": "Resume"})
    assert "/spec/inputDeadline/value" in space.wait_status("s", "Failed", "InvalidSpec")["message"]


def container(space: Space, job: str) -> Json:
    found: Json = space.wait_job(job)["spec"]["template"]["spec"]["containers"][0]
    return found


@pytest.mark.parametrize("change", ["changed", "deleted"])
def test_a_session_that_waits_keeps_its_image_and_its_definition(space: Space, change: str) -> None:
    digest = "registry.example.com/team/workflow@sha256:" + "a" * 64
    space.define(
        status={"imageDigest": digest},
        env=[{"name": "STYLE", "value": "short"}],
        envFrom=[{"secretRef": {"name": "keys", "optional": True}}],
        resources={"limits": {"memory": "300Mi"}},
        podTemplate={
            "nodeSelector": {"disk": "fast"},
            "volumes": [{"name": "d", "mountPath": "/mnt/d", "emptyDir": {}}],
        },
        imagePullPolicy="Never",
        imagePullSecrets=[{"name": "pull"}],
        defaults={"timeoutSeconds": 100, "keepWarmSeconds": 0, "retries": 5},
    )
    _, pod = running_session(space)
    first = space.wait_job("s-r1")
    ask(space, pod, asked("q"))
    path = f"/apis/agentic-operator.dev/v1alpha1/namespaces/{space.name}/workflowdefinitions/report"
    if change == "deleted":
        space.plane.request("DELETE", path)
    else:
        spec = {"image": "registry.example.com/team/workflow:2", "env": [], "defaults": {"timeoutSeconds": 1}}
        space.plane.request("PATCH", path, {"spec": {**spec, "podTemplate": None, "resources": None}})
        moved = {"imageDigest": digest.replace("a" * 64, "b" * 64)}
        space.plane.request("PATCH", f"{path}/status", {"status": moved})
    respond(space, q=1)
    space.wait_run("s", 2)
    second = space.wait_job("s-r2")
    assert container(space, "s-r2")["image"] == digest
    assert furnished(second) == furnished(first)


def furnished(job: Json) -> Json:
    """Return a Job's spec without what names its run."""
    spec: Json = job["spec"]
    for labels in (spec["template"]["metadata"]["labels"], spec["selector"]["matchLabels"]):
        for name in [name for name in labels if "uid" in name or "run" in name or "job-name" in name]:
            del labels[name]
    env = spec["template"]["spec"]["containers"][0]["env"]
    spec["template"]["spec"]["containers"][0]["env"] = [e for e in env if e["name"] not in ("RUN", "JOB_NAME")]
    return spec
