"""Sessions on the real cluster: from `kubectl apply` to a result, and the ways in which a run can go wrong."""

import base64

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.e2e.conftest import SYSTEM, Project, read_everything, read_logs
from tests.support.cluster import DEFINITION, JOB, POD, SECRET, SESSION
from tests.support.waiting import wait_for


def test_a_session_runs_to_its_result_in_a_restricted_pod(project: Project) -> None:
    project.define("quick")
    project.start("quick", inputs={"seconds": 0})
    status = project.wait_phase("Completed")
    assert status["result"]["done"] == ["hello after 0 s"]
    assert status["threadId"] == f"project-{project.name}:session-s"
    assert (status["run"], status["jobName"], status["reason"]) == (1, "s-r1", "Completed")
    assert status["workflow"]["image"] == "agentic-operator/e2e:dev"
    (pod,) = project.pods()
    container = pod["spec"]["containers"][0]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"]
    assert pod["spec"]["automountServiceAccountToken"] is False


def test_a_plain_typed_dict_works_from_registration_to_result(project: Project) -> None:
    project.define("plain")
    project.wait_ready("plain")
    schema = project.get(DEFINITION, "plain")["status"]["inputSchema"]
    assert set(schema["properties"]) == {"topic", "draft", "words"}
    project.start("plain", inputs={"topic": "spring is here"})
    status = project.wait_phase("Completed")
    assert status["result"] == {"topic": "spring is here", "draft": "Dear reader, spring is here.", "words": 5}
    assert "InputsKnown" not in {condition["type"] for condition in status["conditions"]}


def test_the_definition_is_inspected_and_drawn(project: Project) -> None:
    project.define("steps")
    project.wait_ready("steps")
    status = project.get(DEFINITION, "steps")["status"]
    assert {"step", "finish"} <= set(status["graph"]["nodes"])
    assert "step" in status["graph"]["mermaid"]
    assert status["inputSchema"]["properties"]["count"]
    assert status["langgraphVersion"].startswith("1.")


def test_a_runner_of_another_kind_needs_a_definition_and_nothing_else(project: Project) -> None:
    project.define("words", image="agentic-operator/e2e-foreign:dev")
    project.start("words", inputs={"text": "to be or not to be"})
    status = project.wait_phase("Completed")
    assert status["result"] == {"to": 2, "be": 2, "or": 1, "not": 1}
    assert status["run"] == 1
    assert project.get(DEFINITION, "words")["status"]["graph"]["nodes"] == ["count"]


def test_a_pod_killed_in_the_middle_is_continued_from_the_last_super_step(project: Project) -> None:
    project.define("steps", workspace={"size": "1Gi"})
    project.start("steps", inputs={"count": 5, "seconds": 2})
    project.wait_steps(3)
    (pod,) = project.pods()
    project.kill_pod(pod["metadata"]["name"])
    result = project.wait_phase("Completed")["result"]
    assert result["done"] == ["1", "2", "3", "4", "5"]
    starts = [line for line in result["journal"] if line.startswith("start")]
    ends = [line for line in result["journal"] if line.startswith("end")]
    assert len(ends) == len(set(ends)) == 5
    assert len(starts) <= 6


def test_parts_of_a_fan_out_that_were_done_do_not_run_again(project: Project) -> None:
    project.define("fork", workspace={"size": "1Gi"})
    project.start("fork", inputs={"count": 5, "seconds": 3})

    def finished() -> int:
        return sum(project.read_log(pod["metadata"]["name"]).count("journal: end") for pod in project.pods())

    project.wait_phase("Running")
    wait_for(finished, lambda count: count >= 2, what="two parts done")
    (pod,) = project.pods()
    project.kill_pod(pod["metadata"]["name"])
    result = project.wait_phase("Completed")["result"]
    assert sorted(result["done"]) == ["0", "1", "2", "3", "4"]
    starts = [line for line in result["journal"] if line.startswith("start")]
    assert starts.count("start 0") == 1
    assert starts.count("start 1") == 1
    ends = [line for line in result["journal"] if line.startswith("end")]
    assert len(ends) == len(set(ends)) == 5


def test_a_failing_node_is_tried_again_as_often_as_the_session_says(project: Project) -> None:
    project.define("flaky", workspace={"size": "1Gi"})
    project.start("flaky", inputs={"count": 2}, retries=2)
    result = project.wait_phase("Completed")["result"]
    assert result["journal"] == ["try", "try"]


def test_a_graph_that_raises_fails_with_its_error_and_its_node(project: Project) -> None:
    project.define("raises")
    project.start("raises", inputs={"count": 1}, retries=0)
    status = project.wait_phase("Failed")
    assert status["reason"] == "GraphError"
    assert status["error"]["type"] == "ZeroDivisionError"
    assert status["error"]["node"] == "divide"
    assert "integer division" in status["message"]


def test_a_pod_over_its_memory_is_told_as_such(project: Project) -> None:
    project.define("hog", resources={"limits": {"memory": "256Mi"}, "requests": {"memory": "256Mi"}})
    project.start("hog", inputs={}, retries=0)
    status = project.wait_phase("Failed")
    assert status["reason"] == "OOMKilled"
    assert "resources.limits.memory" in status["message"]


def test_a_run_over_its_time_is_told_as_such(project: Project) -> None:
    project.define("steps")
    project.start("steps", inputs={"count": 100, "seconds": 1}, timeoutSeconds=8)
    assert project.wait_phase("Failed")["reason"] == "DeadlineExceeded"


def test_an_image_that_does_not_exist_fails_within_two_minutes(project: Project) -> None:
    project.define("quick", name="absent", image="localhost:1/nobody/nothing:1", imagePullPolicy="Always")
    project.start("absent", inputs={})
    status = project.wait_phase("Failed", timeout_seconds=120)
    assert status["reason"] == "ImagePullFailed"
    assert "localhost:1/nobody/nothing:1" in status["message"]


def test_a_graph_that_cannot_be_imported_is_found_when_it_is_registered(project: Project) -> None:
    project.define("broken")
    condition = project.wait_condition(DEFINITION, "broken", "Inspected", "False", reason="GraphLoadFailed")
    assert "a_module_that_nobody_installed" in condition["message"]
    project.start("broken", inputs={})
    assert project.wait_phase("Failed")["reason"] == "GraphLoadFailed"


def test_inputs_that_break_the_schema_start_no_pod_and_name_the_place(project: Project) -> None:
    schema = {"type": "object", "properties": {"count": {"type": "integer", "minimum": 1}}, "required": ["count"]}
    project.define("steps", inputSchema=schema)
    project.start("steps", inputs={"count": 0})
    assert project.wait_phase("Failed")["reason"] == "InvalidInput"
    assert "/inputs/count" in project.condition(SESSION, "s", "Accepted")["message"]
    assert project.pods() == []


def test_stop_ends_even_a_pod_that_ignores_sigterm(project: Project) -> None:
    project.define("stubborn")
    project.start("stubborn", inputs={"seconds": 600})
    project.wait_phase("Running")
    project.change(stop=True)
    assert project.wait_phase("Stopped")["reason"] == "StoppedByUser"
    project.wait_no_pod()


def test_suspend_frees_the_pod_and_unsuspending_continues(project: Project) -> None:
    project.define("steps", workspace={"size": "1Gi"})
    project.start("steps", inputs={"count": 5, "seconds": 1.5})
    project.wait_steps(2)
    project.change(suspend=True)
    project.wait_phase("Suspended")
    project.wait_no_pod()
    project.change(suspend=False)
    status = project.wait_phase("Completed")
    assert status["result"]["done"] == ["1", "2", "3", "4", "5"]
    assert status["run"] == 2
    ends = [line for line in status["result"]["journal"] if line.startswith("end")]
    assert len(ends) == len(set(ends)) == 5


def test_an_interrupt_waits_without_a_pod_and_an_answer_resumes_after_the_question(project: Project) -> None:
    project.define("asks", workspace={"size": "1Gi"})
    project.start("asks", inputs={})
    status = project.wait_phase("WaitingForInput")
    (question,) = status["interrupts"]
    assert question["value"] == {"prompt": "go on?", "options": ["yes", "no"]}
    project.wait_no_pod()
    project.answer({question["id"]: "yes"})
    result = project.wait_phase("Completed")["result"]
    assert result["done"] == ["yes"]
    assert result["journal"] == ["before"]


@pytest.mark.parametrize("phase", ["Pending", "Running", "Completed"])
def test_a_session_can_be_deleted_in_any_phase_and_leaves_nothing(project: Project, phase: str) -> None:
    if phase != "Pending":
        project.define("steps")
    project.start("steps", inputs={"count": 100 if phase == "Running" else 1, "seconds": 0.5})
    project.wait_phase(phase)
    project.delete_session()
    label = "agentic-operator.dev/session=s"
    wait_for(
        lambda: [*project.find_all(JOB, labels=label), *project.find_all(POD, labels=label)],
        lambda left: not left,
        what="no Job and no pod left",
    )


def test_a_session_made_again_under_its_name_starts_from_the_beginning(project: Project) -> None:
    project.define("steps", workspace={"size": "1Gi"})
    for _ in range(2):
        project.start("steps", inputs={"count": 2, "seconds": 0})
        result = project.wait_phase("Completed")["result"]
        assert result["done"] == ["1", "2"]
        assert len(result["journal"]) == 4
        project.delete_session()


def test_no_secret_is_in_any_place_that_people_read(project: Project) -> None:
    """The graph raises an error that quotes its token and its connection string."""
    project.define("leaks")
    project.start("leaks", inputs={}, retries=0)
    project.wait_phase("Failed")
    secret = project.get(SECRET, "agentic-postgres")
    password = str(conninfo_to_dict(base64.b64decode(secret["data"]["dsn"]).decode())["password"])
    places = [
        read_everything(project.cluster, project.name),
        project.run_kubectl("describe", "agenticsessions,workflowdefinitions,jobs,pods"),
        project.run_kubectl("get", "events", "-o", "wide"),
        *read_logs(project.cluster, SYSTEM, labels="app.kubernetes.io/name=agentic-operator"),
    ]
    shown = "".join(places)
    assert len(password) > 20
    assert password not in shown
    assert "eyJhbGciOi" not in shown


def test_a_workflow_deleted_while_its_session_runs_does_no_harm(project: Project) -> None:
    project.define("steps")
    project.start("steps", inputs={"count": 4, "seconds": 1})
    project.wait_phase("Running")
    project.cluster.delete(DEFINITION, "steps", project.name)
    assert project.wait_phase("Completed")["result"]["done"] == ["1", "2", "3", "4"]


def test_sessions_over_the_limit_of_their_workflow_queue_in_order(project: Project) -> None:
    project.define("steps", maxActiveSessions=1)
    for name in ("first", "second"):
        project.start("steps", name=name, inputs={"count": 2, "seconds": 1})
        wait_for(lambda name=name: project.status(name), bool, what=f"{name} is seen")  # type: ignore[misc]  # mypy: lambda default
    project.wait_reason("Queued", session="second")
    first = project.wait_phase("Completed", session="first")
    second = project.wait_phase("Completed", session="second")
    assert first["completionTime"] <= second["completionTime"]
