"""The command against a real API server: sessions made, read, answered and steered; statuses written by the test."""

import json
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentic_cli.interaction.following import Clock
from agentic_cli.interaction.readiness import wait_ready
from agentic_cli.interaction.target import Project
from agentic_cli.kube.client import Api
from agentic_cli.kube.kubeconfig import find_connection
from agentic_cli.model.exit_status import TimedOut
from agentic_cli.model.kinds import SESSIONS
from agentic_core.digests import digest_question
from agentic_core.errors import PermanentError
from agentic_core.names import answer_manager
from hack.cluster.controlplane import ControlPlane
from hack.kubectl import Kubectl
from tests.support.apiclient import definitions_path, sessions_path
from tests.support.kube import GROUP_PATH, Json, Space
from tests.support.person import Person
from tests.support.settled import wait_for_rights
from tests.support.waiting import PATIENCE_SECONDS, wait_for

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["dataset"],
    "additionalProperties": False,
    "properties": {
        "dataset": {"enum": ["cars", "weather"]},
        "threshold": {"type": "number", "exclusiveMinimum": 0},
        "options": {"type": "object", "properties": {"deep": {"type": "boolean"}, "label": {"type": "string"}}},
    },
}
QUESTION = {"id": "q1", "node": "ask", "value": {"prompt": "Approve?", "options": ["approve", "reject"]}}


def responses_of(space: Space, session: str) -> list[Json]:
    """Return the answers given, without the digests of their questions."""
    return [
        {name: each[name] for name in each if name != "digest"} for each in space.session(session)["spec"]["responses"]
    ]


def user_of(space: Space) -> str:
    """Return the name by which the API server knows the person."""
    return f"admin-of-{space.name}"


@pytest.fixture
def person(space: Space) -> Person:
    """An administrator whose context names the test's namespace."""
    return Person.using(
        space.plane.kubeconfig_for_user(user_of(space), groups=["system:masters"], namespace=space.name)
    )


@pytest.fixture
def report(space: Space) -> str:
    """A workflow with a schema."""
    space.define("report", inputSchema=SCHEMA)
    return "report"


# -- run


def test_run_makes_a_session_of_typed_inputs(space: Space, person: Person, report: str) -> None:
    out = person.out("run", report, "-p", "dataset=cars", "-p", "threshold=2", "-p", "options.label=5", "--name", "s")
    assert out == "agenticsession/s created\n"
    spec = space.session("s")["spec"]
    assert spec["inputs"] == {"dataset": "cars", "threshold": 2, "options": {"label": "5"}}
    assert spec["workflowRef"] == {"name": "report", "kind": "WorkflowDefinition"}


def test_run_takes_a_file_from_standard_input_and_pairs_over_it(space: Space, person: Person, report: str) -> None:
    text = "dataset: weather\noptions:\n  deep: true\n"
    name = person.out("run", report, "-f", "-", "-p", "dataset=cars", "-o", "name", stdin=text).strip()
    assert name.startswith("agenticsession.agentic-operator.dev/report-")
    session = space.session(name.rpartition("/")[2])
    assert session["spec"]["inputs"] == {"dataset": "cars", "options": {"deep": True}}


def test_run_hands_over_every_option(space: Space, person: Person, report: str) -> None:
    options = ("--retries", "3", "--run-timeout", "10m", "--ttl", "1d", "--display-name", "My run", "--graph", "other")
    person.out("run", report, "-p", "dataset=cars", "--name", "s", *options)
    spec = space.session("s")["spec"]
    assert spec["workflowRef"]["graph"] == "other"
    assert {key: spec[key] for key in ("retries", "timeoutSeconds", "ttlSecondsAfterFinished", "displayName")} == {
        "retries": 3,
        "timeoutSeconds": 600,
        "ttlSecondsAfterFinished": 86400,
        "displayName": "My run",
    }


def test_a_dry_run_creates_nothing(space: Space, person: Person, report: str) -> None:
    out = person.out("run", report, "-p", "dataset=cars", "--name", "s", "--dry-run", "-o", "yaml")
    assert yaml.safe_load(out)["spec"]["inputs"] == {"dataset": "cars"}
    assert space.find("s") is None


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["-p", "dataset=bikes"], '/dataset: "bikes" is not one of "cars" or "weather"'),
        (["-p", "dataset=cars", "-p", "threshold=0"], "/threshold: 0 is less than or equal to the minimum of 0"),
        (["-p", "dataset=cars", "-p", "threshold=x"], 'threshold: "x" is not a number'),
        (["-p", "dataset=cars", "-p", "colour=red"], "colour"),
        ([], "required inputs are missing: add -p dataset=… or --file"),
        (["-p", "dataset=cars", "--name", "No"], "'No' cannot name a session"),
        (["-p", "dataset=cars", "-f", "/nowhere.yaml"], "'/nowhere.yaml' cannot be read"),
    ],
)
def test_run_refuses_before_anything_is_made(
    space: Space, person: Person, report: str, arguments: list[str], complaint: str
) -> None:
    done = person.run("run", report, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert person.out("list", "-o", "name") == ""


def test_a_workflow_that_is_cluster_wide_is_pointed_at(space: Space, person: Person) -> None:
    path = f"{GROUP_PATH}/clusterworkflowdefinitions"
    name = f"shared-{space.name}"
    space.plane.request(
        "POST",
        path,
        {
            "apiVersion": "agentic-operator.dev/v1alpha1",
            "kind": "ClusterWorkflowDefinition",
            "metadata": {"name": name},
            "spec": {"image": "example/image:1"},
        },
    )
    try:
        done = person.run("run", name)
        assert done.returncode == 1
        assert "there is a ClusterWorkflowDefinition of this name: add --cluster" in done.stderr
        assert person.out("run", name, "--cluster", "--name", "s") == "agenticsession/s created\n"
        assert space.session("s")["spec"]["workflowRef"]["kind"] == "ClusterWorkflowDefinition"
        assert name in person.out("workflows", "--cluster")
        assert "(all: ClusterWorkflowDefinition)" in person.out("workflows", "get", name, "--cluster")
    finally:
        space.plane.request("DELETE", f"{path}/{name}")


def test_a_name_that_is_taken_is_one_line(space: Space, person: Person, report: str) -> None:
    space.start("s")
    done = person.run("run", report, "-p", "dataset=cars", "--name", "s")
    assert done.returncode == 1
    assert done.stderr == f"error: a session 's' exists already in namespace '{space.name}': choose another --name\n"


# -- list, get, result


def test_list_shows_the_columns_of_kubectl(space: Space, person: Person) -> None:
    space.start("a")
    space.start("b", "other")
    space.report("b", phase="Failed", reason="GraphError")
    lines = [line.split() for line in person.out("list").splitlines()]
    assert lines[0] == Kubectl(space.plane.kubeconfig).run("get", "as", "-n", space.name).splitlines()[0].split()
    assert [line[:2] for line in lines[1:]] == [["a", "report"], ["b", "other"]]
    assert person.out("list", "--phase", "Failed", "-o", "name") == "agenticsession.agentic-operator.dev/b\n"
    assert "report" not in person.out("list", "--workflow", "other")
    assert [item["metadata"]["name"] for item in json.loads(person.out("list", "-o", "json"))["items"]] == ["a", "b"]
    assert yaml.safe_load(person.out("list", "-o", "yaml"))["items"][0]["kind"] == "AgenticSession"
    assert "JOB" in person.out("list", "-o", "wide").splitlines()[0]
    everywhere = person.out("list", "-A").splitlines()
    assert everywhere[0].split()[0] == "NAMESPACE"
    assert any(line.split()[:2] == [space.name, "a"] for line in everywhere)


def test_an_empty_list_says_so_and_prints_nothing(space: Space, person: Person) -> None:
    done = person.run("list")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"no sessions in namespace '{space.name}'\n")
    assert json.loads(person.out("list", "-o", "json"))["items"] == []


def test_a_long_list_comes_in_chunks_and_whole(space: Space, person: Person) -> None:
    count = 503
    with Api(find_connection(person.environment)) as api:
        body = {
            "apiVersion": "agentic-operator.dev/v1alpha1",
            "kind": "AgenticSession",
            "spec": {"workflowRef": {"name": "w"}},
        }
        for number in range(count):
            api.create(SESSIONS, space.name, {**body, "metadata": {"name": f"s{number:04}"}})
        pages = [len(page["items"]) for page in api.list_pages(SESSIONS, space.name)]
    assert pages == [500, 3]
    assert len(person.out("list").splitlines()) == count + 1
    assert person.out("list", "-o", "name").count("\n") == count


def test_get_describes_or_prints_the_object(space: Space, person: Person) -> None:
    space.start("s", inputs={"a": 1})
    space.report("s", phase="WaitingForInput", interrupts=[QUESTION])
    text = person.out("get", "s")
    for line in (
        "Phase:       WaitingForInput",
        "Question: Approve?",
        f"answer with: agentic respond s -n {space.name}",
    ):
        assert line in text
    assert json.loads(person.out("get", "s", "-o", "json"))["spec"]["inputs"] == {"a": 1}
    elsewhere = person.run("-n", "elsewhere", "get", "s")
    assert (elsewhere.returncode, "elsewhere" in elsewhere.stderr) == (1, True)
    assert person.out("-n", space.name, "get", "s", "-o", "name") == person.out(
        "get", "s", "-n", space.name, "-o", "name"
    )
    assert person.out("get", "agenticsession/s", "-o", "name") == "agenticsession.agentic-operator.dev/s\n"
    assert person.out("get", "s", "-o", "table").splitlines()[1].split()[:3] == ["s", "report", "WaitingForInput"]
    assert "\x1b" not in text


def test_a_result_for_a_folder_that_is_not_there_is_one_line(space: Space, person: Person, tmp_path: Path) -> None:
    space.start("s")
    space.report("s", phase="Completed", result={"rows": 2})
    missing = tmp_path / "missing" / "result.json"
    done = person.run("result", "s", "--save", str(missing))
    assert done.returncode == 1
    assert done.stderr == f"error: '{missing}' cannot be written: No such file or directory\n"


@pytest.mark.parametrize("value", [{"rows": [1, 2]}, None, "text", 0])
def test_a_result_is_json(space: Space, person: Person, value: Any) -> None:
    space.start("s")
    space.report("s", phase="Completed", **({} if value is None else {"result": value}))
    assert json.loads(person.out("result", "s")) == value


@pytest.mark.parametrize(
    ("status", "exit_status", "complaint"),
    [
        ({"phase": "Running"}, 1, "has no result yet, it is Running: agentic watch s"),
        ({"phase": "WaitingForInput", "interrupts": [QUESTION]}, 4, "it is WaitingForInput: agentic respond s"),
        ({"phase": "Failed", "reason": "GraphError", "message": "boom"}, 1, "it is Failed (GraphError): boom"),
        ({"phase": "Stopped", "reason": "StoppedByUser"}, 3, "it is Stopped (StoppedByUser)"),
        (
            {"phase": "Completed", "resultRef": {"size": 40000, "sha256": "ab", "url": "db://x"}},
            1,
            "the result (40000 bytes, sha256 ab) is too large for the status; it is kept at db://x",
        ),
    ],
)
def test_no_result_is_said_with_a_status(
    space: Space, person: Person, status: dict[str, Any], exit_status: int, complaint: str
) -> None:
    space.start("s")
    space.report("s", **status)
    done = person.run("result", "s")
    assert (done.returncode, done.stdout) == (exit_status, "")
    assert complaint in done.stderr


# -- respond


@pytest.fixture
def waiting(space: Space) -> str:
    """A session that asks one question."""
    space.start("s")
    space.report("s", phase="WaitingForInput", interrupts=[QUESTION])
    return "s"


def test_an_answer_is_checked_and_written(space: Space, person: Person, waiting: str) -> None:
    refused = person.run("respond", waiting, "maybe")
    assert refused.returncode == 1
    assert '"maybe" is not among the options: approve, reject' in refused.stderr
    assert "responses" not in space.session(waiting)["spec"]
    assert person.out("respond", waiting, "approve") == "agenticsession/s answered q1\n"
    session = space.session(waiting)
    assert responses_of(space, waiting) == [{"interruptId": "q1", "by": user_of(space), "value": "approve"}]
    assert session["spec"]["responses"][0]["digest"] == digest_question(None, QUESTION["value"], [], None)
    managers = [
        each["manager"] for each in session["metadata"]["managedFields"] if "f:responses" in str(each["fieldsV1"])
    ]
    assert managers == [answer_manager(user_of(space), "q1")]


def test_a_second_answer_is_refused_unless_it_is_to_replace(space: Space, person: Person, waiting: str) -> None:
    person.out("respond", waiting, "approve")
    for arguments in (["reject"], ["q1", "reject"]):
        done = person.run("respond", waiting, *arguments)
        assert done.returncode == 1
        assert "answer" in done.stderr
    person.out("respond", waiting, "q1", "reject", "--replace")
    assert responses_of(space, waiting) == [{"interruptId": "q1", "by": user_of(space), "value": "reject"}]


def test_of_several_questions_each_is_answered_by_its_id(space: Space, person: Person, tmp_path: Path) -> None:
    form = {"prompt": "?", "schema": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}}
    space.start("s")
    space.report("s", phase="WaitingForInput", interrupts=[QUESTION, {"id": "q2", "value": form}])
    done = person.run("respond", "s", "approve")
    assert done.returncode == 1
    assert "asks 2 questions; say which by its id: q1 (Approve?), q2 (?)" in done.stderr
    answer = tmp_path / "answer.yaml"
    answer.write_text("n: 5\n", encoding="utf-8")
    person.out("respond", "s", "q2", "-f", str(answer))
    person.out("respond", "s", "approve")
    assert responses_of(space, "s") == [
        {"interruptId": "q2", "by": user_of(space), "value": {"n": 5}},
        {"interruptId": "q1", "by": user_of(space), "value": "approve"},
    ]
    assert person.run("respond", "s", "q3", "x").returncode == 1


def test_a_question_is_named_by_the_beginning_of_its_id(space: Space, person: Person) -> None:
    space.start("s")
    asked = [{**QUESTION, "id": id_} for id_ in ("97b63d11aa", "97b6000000", "c0ffee0000")]
    space.report("s", phase="WaitingForInput", interrupts=asked)
    several = person.run("respond", "s", "97b6", "approve")
    assert (several.returncode, "is the beginning of 2 questions" in several.stderr) == (1, True)
    person.out("respond", "s", "97b63d", "approve")
    person.out("respond", "s", "--id", "c0ff", "reject")
    assert [(each["interruptId"], each["value"]) for each in responses_of(space, "s")] == [
        ("97b63d11aa", "approve"),
        ("c0ffee0000", "reject"),
    ]


def test_a_session_that_waits_for_its_workflow_shows_what_keeps_the_inspection(space: Space, person: Person) -> None:
    inspected = {
        "type": "Inspected",
        "status": "Unknown",
        "reason": "Inspecting",
        "message": "its image is being inspected",
        "lastTransitionTime": "2026-05-01T10:00:00Z",
    }
    space.define("report", status={"conditions": [inspected]})
    space.start("s")
    space.report("s", phase="Pending", reason="WorkflowNotReady", message="it is still being checked")
    assert "Inspection:  Inspecting: its image is being inspected" in person.out("get", "s")


def test_a_refused_answer_is_shown_with_its_reason(space: Space, person: Person) -> None:
    space.start("s", responses=[{"interruptId": "q1", "value": "approve"}])
    generation = space.session("s")["metadata"]["generation"]
    refused = {
        "type": "InputAccepted",
        "status": "False",
        "reason": "InvalidAnswer",
        "message": "/decision: is required",
        "lastTransitionTime": "2026-05-01T10:00:00Z",
        "observedGeneration": generation,
    }
    space.report("s", phase="WaitingForInput", interrupts=[QUESTION], conditions=[refused])
    assert "InputAccepted=False (InvalidAnswer): /decision: is required" in person.out("get", "s")
    watched = person.run("watch", "s", "--no-answer")
    assert (watched.returncode, "answer refused (InvalidAnswer): /decision: is required" in watched.stdout) == (4, True)


def test_of_two_answers_at_the_same_moment_one_is_told_that_it_came_late(
    space: Space, person: Person, waiting: str
) -> None:
    with person.start("respond", waiting, "approve") as one, person.start("respond", waiting, "reject") as two:
        statuses = [one.end(), two.end()]
    assert sorted(statuses) == [0, 1]
    late = one if statuses[0] else two
    assert "answer" in late.err
    value = "reject" if late is one else "approve"
    assert responses_of(space, waiting) == [{"interruptId": "q1", "by": user_of(space), "value": value}]


# -- stop, suspend, resume, retry, fork


def test_sessions_are_steered_by_name(space: Space, person: Person) -> None:
    for name in ("a", "b"):
        space.start(name)
    assert person.out("suspend", "a", "agenticsession.agentic-operator.dev/b") == (
        "agenticsession/a suspending\nagenticsession/b suspending\n"
    )
    assert space.session("b")["spec"]["suspend"] is True
    assert person.out("resume", "a") == "agenticsession/a resuming\n"
    assert person.out("resume", "a") == "agenticsession/a is not suspended\n"
    assert space.session("a")["spec"]["suspend"] is False
    assert person.out("stop", "a") == "agenticsession/a stopping\n"
    assert space.session("a")["spec"]["stop"] is True
    done = person.run("suspend", "a", "nope", "b")
    assert done.returncode == 1
    assert done.stdout == "agenticsession/b was told so already\n"
    assert "session 'a' is being stopped; no session 'nope'" in done.stderr


def test_sessions_are_steered_by_what_they_are(space: Space, person: Person) -> None:
    for name in ("a", "b", "ended", "other"):
        space.start(name)
        labels = {"team": "loans" if name == "other" else "risk"}
        space.plane.request("PATCH", sessions_path(space.name, name), {"metadata": {"labels": labels}})
    space.report("ended", phase="Failed")
    would_be = person.run("stop", "-l", "team=risk", "--dry-run")
    assert (would_be.returncode, would_be.stdout) == (
        0,
        "agenticsession/a stopping (dry run)\nagenticsession/b stopping (dry run)\n",
    )
    assert not any(space.session(name)["spec"].get("stop") for name in ("a", "b"))
    assert person.out("stop", "-l", "team=risk") == "agenticsession/a stopping\nagenticsession/b stopping\n"
    assert [bool(space.session(name)["spec"].get("stop")) for name in ("a", "b", "ended", "other")] == [1, 1, 0, 0]
    again = person.run("stop", "-l", "team=risk")
    assert (again.returncode, again.stdout, "no such sessions" in again.stderr) == (0, "", True)
    assert (
        person.out("delete", "--phase", "Failed", "--workflow", "report", "--yes") == "agenticsession/ended deleted\n"
    )
    for wrong in (
        ["stop"],
        ["stop", "a", "-l", "team=risk"],
        ["suspend", "-l", "", "--phase", "Pending"],
        ["retry"],
        ["retry", "--phase", "Failed", "--watch"],
    ):
        assert person.run(*wrong).returncode == 2, wrong
    assert not space.session("other")["spec"].get("suspend")
    assert person.run("stop", "-l", "team in (").returncode == 1


def test_a_session_is_steered_as_the_one_that_was_read(space: Space, person: Person) -> None:
    """One that was made under the name since is another one."""
    space.start("a")
    with Api(find_connection(person.environment)) as api:
        project = Project(api, space.name)
        read = project.fetch_session("a")
        space.delete("a")
        space.start("a")
        with pytest.raises(PermanentError, match="uid"):
            project.patch_session("a", {"metadata": {"uid": read.uid}, "spec": {"stop": True}})
    assert "stop" not in space.session("a")["spec"]


def test_what_failed_is_retried_once_however_often_that_is_asked(space: Space, person: Person) -> None:
    for name in ("one", "two", "hopeless", "done", "runs"):
        space.start(name, inputs={"a": 1})
    for name in ("one", "two"):
        space.report(name, phase="Failed", startTime="2026-05-01T10:00:00Z")
    space.report("hopeless", phase="Failed", reason="InvalidInput")
    space.report("done", phase="Completed")
    retry = ("retry", "--phase", "Failed", "--workflow", "report")
    assert person.run(*retry, "--dry-run").stdout.count("created (dry run)") == 2
    first = person.run(*retry)
    assert (first.returncode, first.stdout.count("created")) == (0, 2), first.stderr
    assert "left out: session 'hopeless' failed with InvalidInput" in first.stderr
    origins = [each["spec"].get("forkFrom", {}).get("session") for each in space.sessions()]
    assert sorted(origin for origin in origins if origin) == ["one", "two"]
    again = person.run(*retry)
    assert (again.returncode, again.stdout) == (0, "")
    assert "no such sessions that can be retried" in again.stderr
    several = person.run("retry", "one", "runs")
    assert (several.returncode, several.stdout.count("created")) == (1, 1)
    assert "only one that ended can be retried" in several.stderr


def test_a_failed_session_is_retried_as_a_new_one(space: Space, person: Person) -> None:
    space.start("bad", inputs={"a": 1}, retries=2)
    assert "only one that ended can be retried" in person.run("retry", "bad").stderr
    space.report("bad", phase="Failed", startTime="2026-05-01T10:00:00Z")
    before = space.session("bad")
    assert person.out("retry", "bad", "--name", "again") == "agenticsession/again created\n"
    spec = space.session("again")["spec"]
    assert (spec["forkFrom"], spec["retries"], "inputs" in spec) == ({"session": "bad"}, 2, False)
    assert space.session("bad") == before
    generated = person.out("retry", "bad", "-o", "json")
    assert json.loads(generated)["metadata"]["name"].startswith("bad-")


def test_a_session_that_never_ran_is_retried_from_its_inputs(space: Space, person: Person) -> None:
    space.start("bad", inputs={"a": 1})
    space.report("bad", phase="Failed", reason="ImagePullFailed")
    done = person.run("retry", "bad", "--name", "again")
    assert (done.returncode, done.stderr) == (0, "bad never ran: its retry starts from its inputs\n")
    assert "forkFrom" not in space.session("again")["spec"]


def test_a_fork_starts_from_a_checkpoint_with_changed_values(space: Space, person: Person) -> None:
    space.start("s", inputs={"a": 1})
    checkpoint = "1f1eb7c9-85a3-6d21-8000-000000000001"
    history = [{"id": checkpoint, "step": 1, "node": "detect"}]
    space.report("s", phase="Completed", startTime="2026-05-01T10:00:00Z", history=history)
    person.out(
        "fork", "s", "--checkpoint", "1f1eb7c9-85a3", "--set", "threshold=3", "--set", "nested.on=true", "--name", "f"
    )
    assert space.session("f")["spec"]["forkFrom"] == {
        "session": "s",
        "checkpointId": checkpoint,
        "values": {"threshold": 3, "nested": {"on": True}},
    }
    unknown = person.run("fork", "s", "--checkpoint", "2f", "--name", "g")
    assert (unknown.returncode, "lists no checkpoint '2f'" in unknown.stderr) == (1, True)


# -- workflows, completion, the plugin


def test_workflows_are_listed_and_shown(space: Space, person: Person, report: str) -> None:
    lines = person.out("workflows").splitlines()
    assert lines[0].split()[:2] == ["NAME", "READY"]
    assert lines[1].split()[:2] == ["report", "True"]
    assert "dataset" in person.out("workflows", "get", report)
    assert json.loads(person.out("workflows", "get", report, "-o", "schema")) == SCHEMA
    assert person.out("workflows", "list", "-o", "name") == "workflowdefinition.agentic-operator.dev/report\n"


def test_names_are_completed(space: Space, person: Person, report: str) -> None:
    for name in ("alpha", "beta"):
        space.start(name)
    space.report("beta", phase="WaitingForInput", interrupts=[QUESTION])

    def complete(*words: str) -> list[str]:
        done = subprocess.run(
            [Path(sys.executable).with_name("kubectl_complete-agentic"), *words],
            env=dict(person.environment),
            capture_output=True,
            text=True,
            check=True,
        )
        *items, directive = done.stdout.splitlines()
        assert (directive, done.stderr) == (":4", "")
        return items

    assert complete("get", "") == ["alpha", "beta"]
    assert complete("get", "b") == ["beta"]
    assert complete("run", "") == [report]
    assert complete("respond", "") == ["beta"]
    assert complete("respond", "beta", "") == ["approve", "reject"]
    assert complete("run", report, "-p", "") == ["dataset=", "options=", "threshold="]
    assert complete("run", report, "-p", "dataset=") == ["dataset=cars", "dataset=weather"]
    assert complete("run", report, "-p", "dataset=cars", "-p", "th") == ["threshold="]
    space.report("alpha", phase="Running", history=[{"id": "1f1eb7c9"}, {"id": "1f1eb7d0"}])
    assert complete("fork", "alpha", "--checkpoint", "") == ["1f1eb7d0", "1f1eb7c9"]
    assert space.name in complete("list", "-n", "")
    assert complete("get", "-n", "no-such-namespace", "") == []


def test_kubectl_finds_it_as_a_plugin(space: Space, person: Person) -> None:
    space.start("s")
    folder = str(Path(sys.executable).parent)
    environment = {**person.environment, "PATH": f"{folder}:{person.environment['PATH']}"}
    for arguments, words in ((["list"], "s "), (["get", "--help"], "Usage: kubectl agentic get")):
        done = subprocess.run(
            ["kubectl", "agentic", *arguments], env=environment, capture_output=True, text=True, check=True
        )
        assert words in done.stdout


# -- refusals


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["get", "nope"], "no session 'nope' in namespace '{ns}': `agentic list -n {ns}` shows what there is"),
        (["watch", "nope"], "no session 'nope' in namespace '{ns}'"),
        (["logs", "nope"], "no session 'nope' in namespace '{ns}'"),
        (["stop", "nope"], "no session 'nope' in namespace '{ns}'"),
        (["respond", "nope", "x"], "no session 'nope' in namespace '{ns}'"),
        (["get", "../../pods"], "'../../pods' does not name a session"),
        (
            ["run", "nope"],
            "no workflow 'nope' in namespace '{ns}': `agentic workflows list -n {ns}` shows what there is",
        ),
        (["workflows", "get", "nope"], "no workflow 'nope'"),
        (["list", "-n", "A/b"], "'A/b' cannot be a namespace"),
        (["list", "--context", "nope"], "no context 'nope'"),
    ],
)
def test_what_is_not_there_is_one_line_with_what_to_run(
    space: Space, person: Person, arguments: list[str], complaint: str
) -> None:
    done = person.run(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert complaint.format(ns=space.name) in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_missing_right_is_named(space: Space) -> None:
    nobody = Person.using(space.plane.kubeconfig_for_user(f"nobody-{space.name}", namespace=space.name))
    for arguments, verb, resource in (
        (["list"], "list", "agenticsessions of agentic-operator.dev"),
        (["get", "s"], "get", "agenticsessions of agentic-operator.dev"),
        (["workflows"], "list", "workflowdefinitions of agentic-operator.dev"),
    ):
        done = nobody.run(*arguments)
        assert done.returncode == 1
        assert f"not allowed: needs the right '{verb}' on {resource} in namespace '{space.name}'" in done.stderr
        assert f"user 'nobody-{space.name}'" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_who_may_start_but_not_read_definitions_is_told_that_nothing_was_checked(space: Space, report: str) -> None:
    user = f"starter-{space.name}"
    rules = [{"apiGroups": ["agentic-operator.dev"], "resources": ["agenticsessions"], "verbs": ["create"]}]
    roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space.name}"
    space.plane.request("POST", f"{roles}/roles", {"metadata": {"name": "starter"}, "rules": rules})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "starter"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
    body = {"metadata": {"name": "starter"}, "roleRef": role, "subjects": [subject]}
    space.plane.request("POST", f"{roles}/rolebindings", body)
    wait_for_rights(space.plane, space.name, user)
    starter = Person.using(space.plane.kubeconfig_for_user(user, namespace=space.name))
    done = starter.run("run", report, "-p", "anything=5", "--name", "s")
    assert done.returncode == 0
    assert "its inputs are sent unchecked" in done.stderr
    assert space.session("s")["spec"]["inputs"] == {"anything": 5}


def test_what_the_api_server_refuses_is_said_in_its_words(space: Space, person: Person, report: str) -> None:
    done = person.run("run", report, "-p", "dataset=cars", "--run-timeout", "0", "--name", "s")
    assert done.returncode == 1
    assert "refuses to create the session: spec.timeoutSeconds: Invalid value" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_cluster_without_the_operator_says_how_to_install_it(tmp_path: Path) -> None:
    with ControlPlane(tmp_path / "plane") as plane:
        done = Person.using(plane.kubeconfig).run("list")
    assert done.returncode == 1
    assert "has no agenticsessions.agentic-operator.dev: the operator is not installed there" in done.stderr
    assert "kubectl apply --server-side -k crds/" in done.stderr


# -- deploy


def test_what_the_api_server_refuses_is_refused_before_anything_is_built(person: Person, tmp_path: Path) -> None:
    (tmp_path / "langgraph.json").write_text('{"graphs": {"agent": "./agent.py:graph"}}')
    person.out("init", str(tmp_path))
    assert person.out("deploy", str(tmp_path), "--dry-run") == "workflowdefinition/agent can be applied (dry run)\n"
    assert person.out("workflows", "-o", "name") == ""
    file = tmp_path / "kubernetes/workflow.yaml"
    file.write_text(file.read_text() + "  imagge: typo\n")
    refused = person.run("deploy", str(tmp_path))
    assert refused.returncode == 1
    assert "imagge" in refused.stderr
    assert "building" not in refused.stderr


def test_a_project_does_not_take_the_place_of_another_ones_definition(
    space: Space, person: Person, tmp_path: Path
) -> None:
    (tmp_path / "langgraph.json").write_text('{"graphs": {"agent": "./agent.py:graph"}}')
    person.out("init", str(tmp_path), "-t", "registry.example.com/team/weather:1")
    space.define("agent", image="registry.example.com/team/weather@sha256:" + "a" * 64)
    assert "can be applied" in person.out("deploy", str(tmp_path), "--dry-run")
    space.plane.request(
        "PATCH", definitions_path(space.name, "agent"), {"spec": {"image": "registry.example.com/team/travel:7"}}
    )
    refused = person.run("deploy", str(tmp_path), "--dry-run")
    assert refused.returncode == 1
    assert "'agent' with the image 'registry.example.com/team/travel:7': give this one another name" in refused.stderr
    assert "can be applied" in person.out("deploy", str(tmp_path), "--dry-run", "--replace")


def test_a_definition_is_waited_for_through_its_reasons(space: Space, person: Person) -> None:
    space.define(is_ready=False)
    space.check(Inspected="ImagePullFailed", Ready="NotReady")
    told: list[str] = []

    def report(line: str) -> None:
        told.append(line)
        # What is told comes before it changes.
        if len(told) == 1:
            space.check(Inspected="InspectionFailed", Ready="NotReady")
        else:
            space.check()

    with Api(find_connection(person.environment)) as api:
        raw = wait_ready(Project(api, space.name), "report", Clock.with_timeout(PATIENCE_SECONDS), report)
    assert told == ["report: ImagePullFailed", "report: InspectionFailed"]
    assert raw["metadata"]["name"] == "report"


def test_waiting_ends_where_it_does_not_help_and_at_its_time(space: Space, person: Person) -> None:
    space.define(is_ready=False)
    space.check(Inspected="ImagePullFailed", Ready="NotReady")
    with Api(find_connection(person.environment)) as api:
        project = Project(api, space.name)
        with pytest.raises(TimedOut, match="not ready in time; last: ImagePullFailed"):
            wait_ready(project, "report", Clock.with_timeout(0.5), lambda _line: None)
        space.check(Inspected="GraphLoadFailed", Ready="NotReady")
        with pytest.raises(PermanentError, match="report is refused: GraphLoadFailed"):
            wait_ready(project, "report", Clock.with_timeout(PATIENCE_SECONDS), lambda _line: None)


# -- delete, version


def test_a_session_is_deleted_only_where_that_was_said(space: Space, person: Person, report: str) -> None:
    person.out("run", report, "-p", "dataset=cars", "--name", "s")
    assert person.run("delete", "s").returncode == 2
    assert space.find("s") is not None
    assert person.out("delete", "s", "--yes") == "agenticsession/s deleted\n"
    assert space.find("s") is None
    assert "no session 's'" in person.run("delete", "s", "--yes").stderr


def test_versions_are_those_of_client_and_of_the_operators_to_be_seen(space: Space, person: Person) -> None:
    assert person.out("version", "--client").startswith("client  ")
    none = person.run("version", "-n", space.name)
    assert (none.returncode, none.stdout.count("\n")) == (1, 1)
    assert "no operator is to be seen" in none.stderr


# -- the newest session, the list as it changes, what a fork would be


def test_latest_is_the_session_that_was_made_last(space: Space, person: Person, report: str) -> None:
    assert "so none is @latest" in person.run("get", "@latest").stderr
    person.out("run", report, "-p", "dataset=cars", "--name", "b")
    made = space.session("b")["metadata"]["creationTimestamp"]
    # The API server keeps whole seconds.
    wait_for(lambda: datetime.now(UTC).isoformat(), lambda now: now[:19] > made[:19], what="the next second")
    person.out("run", report, "-p", "dataset=cars", "--name", "a")
    assert person.out("get", "@latest", "-o", "name") == "agenticsession.agentic-operator.dev/a\n"
    assert person.out("stop", "@latest") == "agenticsession/a stopping\n"
    assert person.out("delete", "@latest", "--yes") == "agenticsession/a deleted\n"


def test_a_list_that_is_watched_prints_each_session_again_when_it_changes(
    space: Space, person: Person, report: str
) -> None:
    person.out("run", report, "-p", "dataset=cars", "--name", "first")
    with person.start("list", "-w") as running:
        running.expect("first")
        person.out("run", report, "-p", "dataset=cars", "--name", "second")
        running.expect("second")
        space.report("first", phase="Creating", reason="JobCreated")
        running.expect("JobCreated")
        space.report("second", phase="Creating", reason="JobCreated")
        running.expect("second  report    Creating")
        person.out("delete", "second", "--yes")
        running.expect("(deleted)")
        running.send(signal.SIGINT)
        assert running.end() == 130
    lines = running.out.splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "first", "second", "first", "second", "second"]
    assert "-w prints a table" in person.run("list", "-w", "-o", "json").stderr


def test_a_fork_and_a_retry_can_be_looked_at_before_they_are_made(space: Space, person: Person, report: str) -> None:
    person.out("run", report, "-p", "dataset=cars", "--name", "s")
    space.report("s", phase="Failed", reason="GraphError", startTime="2026-05-01T10:00:00Z")
    out = person.out("fork", "s", "--set", "threshold=3", "--name", "other", "--dry-run", "-o", "json")
    assert json.loads(out)["spec"]["forkFrom"] == {"session": "s", "values": {"threshold": 3}}
    assert person.out("retry", "s", "--name", "again", "--dry-run") == "agenticsession/again created (dry run)\n"
    assert space.find("other") is None
    assert space.find("again") is None
