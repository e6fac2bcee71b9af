"""The trace of a request goes with the session that it makes: to its annotation, its runs, logs and a collector."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.sync.client import connect

from agentic_core.names import RUNNER_SERVICE_ACCOUNT
from agentic_core.trace_context import derive_trace_id
from hack.cluster.controlplane import ControlPlane
from tests.support.collector import Collector
from tests.support.commands import clean_environment
from tests.support.frames import read_frame
from tests.support.gateway import Gateway, running_gateway
from tests.support.kube import Space
from tests.support.postgres import PostgresDatabase
from tests.support.waiting import PATIENCE_SECONDS, wait_for
from tests.trust.roles import Client

ANNOTATION = "agentic-operator.dev/traceparent"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
LINE = f"00-{TRACE}-00f067aa0ba902b7-01"
OTHER = "00-00000000000000000000000000000001-0000000000000001-01"
GRAPH = """
from typing import TypedDict
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, StateGraph

class Model(GenericFakeChatModel):
    def _get_ls_params(self, stop=None, **kwargs):
        return {"ls_provider": "openai", "ls_model_name": "gpt-test", "ls_model_type": "chat"}

class State(TypedDict, total=False):
    topic: str

USAGE = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
SAYS = AIMessage("what-is-answered", usage_metadata=USAGE)

def think(state):
    Model(messages=iter([SAYS]), disable_streaming=True).invoke("what-is-asked")
    return {"topic": "done"}

graph = StateGraph(State).add_node("think", think).add_edge(START, "think").add_edge("think", END).compile()
"""


@pytest.fixture
def alice(somebody: Callable[..., Client]) -> Client:
    return somebody("alice", "agentic-view", "agentic-edit")


def begin(gateway: Gateway, space: Space, client: Client, name: str, trace: str, **metadata: object) -> dict[str, str]:
    """Ask for a session as part of a trace; return the session's annotations."""
    body = {"metadata": {"name": name, **metadata}, "spec": {"workflowRef": {"name": "report"}, "inputs": {}}}
    path = f"/api/v1/agentic-sessions/{space.name}"
    made = gateway.call("POST", path, body, token=client.token, headers={"traceparent": trace})
    assert made.code == 201, made.body
    return dict(space.session(name)["metadata"].get("annotations") or {})


def read_trace_of_run(space: Space, name: str) -> str:
    (pod,) = [space.wait_job(f"{name}-r1")["spec"]["template"]["spec"]]
    (container,) = [each for each in pod["containers"] if each["name"] == "runner"]
    return str({each["name"]: each.get("value") for each in container["env"]}["TRACEPARENT"] or "")


def test_a_request_s_trace_goes_to_the_session_its_runs_and_the_access_log(
    gateway: Gateway, space: Space, alice: Client
) -> None:
    space.define()
    assert begin(gateway, space, alice, "s1", LINE)[ANNOTATION] == LINE
    # Whoever names another one in the object means that one.
    assert begin(gateway, space, alice, "s2", LINE, annotations={ANNOTATION: OTHER})[ANNOTATION] == OTHER
    space.operator()
    assert read_trace_of_run(space, "s1") == LINE
    assert read_trace_of_run(space, "s2") == OTHER
    assert f"trace_id={TRACE}" in gateway.log


def test_what_is_no_trace_is_passed_over_wherever_it_stands(gateway: Gateway, space: Space, alice: Client) -> None:
    space.define()
    for number, line in enumerate(("no trace", f"00-{TRACE}", LINE.upper(), f"{LINE}-$(POSTGRES)")):
        assert ANNOTATION not in begin(gateway, space, alice, f"s{number}", line)
    begin(gateway, space, alice, "forged", "", annotations={ANNOTATION: f"{LINE}\nx: $(HOME)"})
    space.operator()
    assert read_trace_of_run(space, "forged") == ""
    assert "trace_id=no" not in gateway.log


def run_job(space: Space, name: str, database: PostgresDatabase, project: Path) -> str:
    """Run a session's Job as its pod would, with the variables that the operator gave it; return what it logged."""
    pod = space.wait_job(f"{name}-r1")["spec"]["template"]["spec"]
    (container,) = [each for each in pod["containers"] if each["name"] == "runner"]
    name_of_pod = space.wait_pod(f"{name}-r1")
    (uid,) = [each["metadata"]["uid"] for each in space.pods(f"{name}-r1")]
    bound = {"kind": "Pod", "apiVersion": "v1", "name": name_of_pod, "uid": uid}
    token = space.plane.service_account_token(space.name, RUNNER_SERVICE_ACCOUNT, bound_to=bound)
    files = {"token": token, "dsn": database.dsn}
    for file, text in files.items():
        (project / file).write_text(text)
    given = {each["name"]: each["value"] for each in container["env"] if each.get("value")}
    own = {
        "HOME": str(project),
        "WORKSPACE_DIR": str(project),
        "BACKEND_URL": space.plane.server,
        "API_CA_FILE": str(space.plane.ca_file),
        "TOKEN_FILE": str(project / "token"),
        "POSTGRES_CONNECTION_STRING_FILE": str(project / "dsn"),
        "TERMINATION_LOG": str(project / "termination"),
        # Here the project lies where a pod has its mounted folders.
        "MOUNTED_PATHS": "",
    }
    environment = clean_environment(**(given | own))
    command = [sys.executable, "-m", "agentic_runner"]
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def read_trace_of_stream(gateway: Gateway, space: Space, client: Client, name: str, *wanted: str) -> set[str]:
    """Return the traces that these events name to a client of the session's stream."""
    asked = f"namespace={space.name}&sessionName={name}&after=0"
    address = f"ws{gateway.address.removeprefix('http')}/ws?{asked}"
    headers = {"Authorization": f"Bearer {client.token}"}
    found: dict[str, str] = {}
    with connect(address, additional_headers=headers, proxy=None) as stream:
        while not found.keys() >= set(wanted):
            about = read_frame(stream.recv(PATIENCE_SECONDS))["data"]["metadata"]
            if about.get("event") in wanted:
                found[about["event"]] = about["trace_id"]
    return set(found.values())


def test_one_trace_goes_from_the_request_over_the_operator_to_the_model_s_call(
    control_plane: ControlPlane,
    events: PostgresDatabase,
    gateway: Gateway,
    space: Space,
    alice: Client,
    collector: Collector,
    tmp_path: Path,
) -> None:
    space.define()
    with running_gateway(control_plane, events, tmp_path, **collector.variables()) as traced:
        line = begin(traced, space, alice, "s1", LINE)[ANNOTATION]
        assert f"trace_id={TRACE}" in traced.log
        traced.call("GET", "/healthz")
        traced.call("GET", "/nowhere?token=query-of-a-request", headers={"x-more": "header-of-a-request"})
    space.operator("operator", is_started=True, **collector.variables(TRACES_ENDPOINT=collector.endpoint))
    start = read_trace_of_run(space, "s1")
    project = tmp_path / "project"
    project.mkdir()
    (project / "graph.py").write_text(GRAPH)
    (project / "langgraph.json").write_text('{"graphs": {"main": "./graph.py:graph"}, "dependencies": ["."]}')
    run_job(space, "s1", events, project)
    assert read_trace_of_stream(gateway, space, alice, "s1", "run_started", "completed") == {TRACE}
    spans = collector.wait_for("start run", "chat gpt-test", "invoke_workflow")
    seen = {span.name: span for span in spans}
    chain = [
        seen[name]
        for name in (
            "POST /api/v1/agentic-sessions/{namespace}",
            "start run",
            "invoke_workflow",
            "node think",
            "chat gpt-test",
        )
    ]
    assert [span.parent_id for span in chain] == ["00f067aa0ba902b7", *(span.span_id for span in chain[:-1])]
    assert {span.trace_id for span in chain} == {TRACE}
    assert (line[36:52], start[36:52]) == (chain[0].span_id, chain[1].span_id)
    assert [span.service for span in chain] == ["agentic-gateway", "agentic-operator", *["agentic-runner"] * 3]
    assert (chain[0].kind, chain[0].attributes["http.response.status_code"]) == (2, 201)
    assert chain[0].attributes["k8s.namespace.name"] == space.name
    assert chain[1].attributes["agentic.workflow.name"] == "report"
    assert chain[4].attributes["gen_ai.usage.output_tokens"] == 7

    assert not [span for span in spans if "healthz" in span.name]
    assert seen["GET"].trace_id != TRACE
    sent = b"".join(collector.bodies).decode()
    secrets = ("what-is-asked", "what-is-answered", "query-of-a-request", "header-of-a-request", alice.token)
    assert not [text for text in secrets if text in sent]


def test_a_session_that_no_request_made_has_a_trace_of_its_own(space: Space, collector: Collector) -> None:
    space.define()
    uid = space.start("s1")["metadata"]["uid"]
    space.operator("operator", is_started=True, **collector.variables())
    line = read_trace_of_run(space, "s1")
    (start,) = [span for span in collector.wait_for("start run") if span.attributes["agentic.session.uid"] == uid]
    assert line == f"00-{derive_trace_id(uid)}-{start.span_id}-01"
    assert (start.trace_id, start.parent_id) == (derive_trace_id(uid), "")


def test_a_collector_that_is_away_holds_up_no_request_and_no_run(
    control_plane: ControlPlane, events: PostgresDatabase, space: Space, alice: Client, tmp_path: Path
) -> None:
    space.define()
    away = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_SCHEDULE_DELAY": "10"}
    with running_gateway(control_plane, events, tmp_path, **away) as gateway:
        for number in range(3):
            begin(gateway, space, alice, f"s{number}", LINE)
        wait_for(lambda: gateway.log, lambda log: "the collector of spans" in log, what="the one line")
    assert gateway.log.count("spans") == 1, gateway.log
    operator = space.operator("operator", is_started=True, **away)
    for number in range(3):
        space.wait_job(f"s{number}-r1")
    assert operator.end() == 0
    assert operator.log.count("spans") == 1, operator.log
