"""Who may only start sessions decides what a workflow is asked: not which code runs, nor with whose keys."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from hack.cluster.errors import ClusterError
from tests.support.builders import definition_body, session_body
from tests.support.kube import GROUP_PATH, Space
from tests.trust.roles import Client, a_user

CURRENT = {"runnerContract": 2}
ATTACK = [
    {"name": "PYTHONWARNINGS", "value": "all:0:antigravity.x:0:0"},
    {"name": "BROWSER", "value": "sh -c 'cat /var/run/secrets/agentic/postgres/dsn'"},
]
SECRET = {"secretKeyRef": {"name": "agentic-postgres", "key": "dsn"}}


def start(person: Client, space: Space, name: str, env: list[dict[str, Any]]) -> None:
    path = f"{GROUP_PATH}/namespaces/{space.name}/agenticsessions"
    answer = person.request("POST", path, session_body(name, namespace=space.name, env=env))
    assert answer.is_done, answer.message


def starter(space: Space) -> Client:
    return a_user(space.plane, space.name, "agentic-start")


def env_of(job: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each for each in job["spec"]["template"]["spec"]["containers"][0]["env"]}


def test_who_starts_sessions_does_nothing_else(space: Space) -> None:
    person = starter(space)
    for method, path, body in (
        ("POST", "workflowdefinitions", definition_body("mine", space.name)),
        ("PATCH", "agenticsessions/s", {"spec": {"stop": True}}),
        ("PATCH", "agenticsessions/s/status", {"status": {"phase": "Completed"}}),
        ("DELETE", "agenticsessions/s", None),
    ):
        assert person.request(method, f"{GROUP_PATH}/namespaces/{space.name}/{path}", body).code == 403, path
    assert person.request("GET", f"/api/v1/namespaces/{space.name}/secrets").code == 403


@pytest.mark.parametrize(
    ("env", "said"),
    [
        (ATTACK, ("/spec/env/0/name", "/spec/env/1/name", "sessionEnv")),
        ([{"name": "OPENAI_BASE_URL", "value": "http://evil"}], ("/spec/env/0/name", "is set by")),
        ([{"name": "STYLE", "valueFrom": SECRET}], ("/spec/env/0/valueFrom",)),
        ([{"name": "STYLE", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}], ("/spec/env/0/valueFrom",)),
        ([{"name": "STYLE", "value": "long"}, {"name": "style", "value": "x"}], ("/spec/env/1/name",)),
    ],
    ids=["what the interpreter reads", "what the definition sets", "a Secret", "a ConfigMap", "another case"],
)
def test_a_session_sets_what_its_definition_lists_and_nothing_else(
    space: Space, env: list[dict[str, Any]], said: tuple[str, ...]
) -> None:
    key = {"name": "OPENAI_API_KEY", "valueFrom": {"secretKeyRef": {"name": "llm", "key": "k"}}}
    base = {"name": "OPENAI_BASE_URL", "value": "https://models.example.com"}
    space.define(env=[key, base], sessionEnv=["STYLE"], status=CURRENT)
    space.operator()
    start(starter(space), space, "s", env)
    status = space.wait_status("s", "Failed", "EnvNotAllowed")
    assert all(word in status["message"] for word in said), status["message"]
    assert space.session_jobs() == []


def test_the_values_of_a_session_never_reach_a_pods_environment(space: Space) -> None:
    # Whatever an author lists: none of these is there when the interpreter, TLS or libpq starts.
    listed = ["STYLE", "PYTHONWARNINGS", "BROWSER", "PGHOST", "SSL_CERT_FILE", "HTTPS_PROXY", "OPENSSL_CONF"]
    space.define(env=[{"name": "A", "value": "1"}], sessionEnv=listed, status=CURRENT)
    space.operator()
    start(starter(space), space, "s", [{"name": name, "value": f"of-the-session-{name}"} for name in listed])
    job = space.wait_job("s-r1")
    assert "of-the-session" not in json.dumps(job)
    assert env_of(job)["SESSION_ENV"]["value"] == ",".join(listed)
    assert not set(listed) & set(env_of(job))


def test_an_image_whose_runner_takes_no_variables_is_named(space: Space) -> None:
    space.define(sessionEnv=["STYLE"])
    space.operator()
    start(starter(space), space, "s", [{"name": "STYLE", "value": "long"}])
    status = space.wait_status("s", "Failed", "EnvNotAllowed")
    assert "current base image" in status["message"]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"sessionEnv": ["A"], "env": [{"name": "A", "value": "1"}]}, "what the definition sets stands"),
        ({"sessionEnv": ["HOME"]}, "to set; choose another name"),
        ({"sessionEnv": ["LD_PRELOAD"]}, "to set; choose another name"),
        ({"sessionEnv": ["SESSION_ENV"]}, "to set; choose another name"),
        ({"env": [{"name": "LD_PRELOAD", "value": "/data/x.so"}]}, "to set; choose another name"),
        ({"env": [{"name": "LANGSERVE_GRAPHS", "value": "{}"}]}, "to set; choose another name"),
    ],
)
def test_a_definition_cannot_list_what_is_not_its_to_give(space: Space, spec: dict[str, Any], said: str) -> None:
    with pytest.raises(ClusterError, match=said):
        space.define("bad", is_ready=False, **spec)
    # The longest lists that there may be are within the API server's budget for rules.
    names = [f"N{number}".ljust(128, "x") for number in range(128)]
    space.define(
        "long", is_ready=False, sessionEnv=names[:64], env=[{"name": name, "value": ""} for name in names[64:]]
    )


def test_a_session_that_was_accepted_before_keeps_its_variables(space: Space) -> None:
    """As an earlier version left it: pinned, waiting for an answer, with variables that nobody listed."""
    space.define(env=[{"name": "A", "value": "definition"}])
    env = [{"name": "A", "value": "session"}, {"name": "B", "valueFrom": SECRET}]
    space.start("old", env=env)
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    accepted = {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": at}
    spec = {"image": "registry.example.com/team/workflow:1", "env": [{"name": "A", "value": "definition"}]}
    space.report(
        "old",
        phase="WaitingForInput",
        run=1,
        jobName="old-r1",
        threadId=f"project-{space.name}:session-old",
        conditions=[accepted],
        workflow={"image": spec["image"], "spec": spec},
        interrupts=[{"id": "q", "value": "go on?", "askedAt": at}],
    )
    space.operator()
    space.change("old", responses=[{"interruptId": "q", "value": True}])
    variables = env_of(space.wait_job("old-r2"))
    assert (variables["A"]["value"], variables["B"]["valueFrom"]) == ("session", SECRET)
    assert variables["SESSION_ENV"].get("value", "") == ""
