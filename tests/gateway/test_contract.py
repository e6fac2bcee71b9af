"""The whole OpenAPI document, tried from outside by Schemathesis against a real gateway.

Whatever it sends, no answer is the server's fault, each is one that the document describes, and nobody is let in
without a token.
"""

import os
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agentic_core.lifecycle import Phase
from agentic_store.database import open_database
from agentic_store.dsn import Dsn
from agentic_store.results.output import encode_output
from hack.cluster.controlplane import ControlPlane
from tests.gateway.test_openapi import DOCUMENT
from tests.gateway.test_runners import a_run
from tests.support.builders import definition_body
from tests.support.commands import clean_environment
from tests.support.gateway import Gateway, running_gateway
from tests.support.kube import GROUP_PATH, Space
from tests.support.openapi_tools import find_tool
from tests.support.postgres import PostgresDatabase
from tests.support.streams import append, record_running
from tests.trust.roles import Client

Json = dict[str, Any]

RBAC = "/apis/rbac.authorization.k8s.io/v1"
# Those of which every failure is the gateway's: others ask that any value that a schema allows be taken, or that none
# that it does not allow is, and it is the API server and the author's own schema that decide on objects and inputs.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "missing_required_header",
    "ignored_auth",
    "unsupported_method",
)
IS_LONG = os.environ.get("GATEWAY_LONG") == "1"
# The seed of the short form is fixed: what it finds, it finds again.
SHORT = ("--phases", "fuzzing", "--max-examples", "6", "--seed", "7")
# Ten minutes, a third each: values at and beyond each limit of a schema (there are about 11,000, and a busy machine
# comes to half of them), what chance finds, and requests that follow from each other's answers.
LONG = ("--phases", "coverage,fuzzing,stateful", "--max-examples", "100", "--max-time", "600")
# Most requests are for objects that are there, each route's for those that it has most to do with; a stream is over
# after its first messages, and a runner waits for nothing.
CONFIG = """\
request-timeout = 30
cache.enabled = false
generation = {{ database = "none", with-security-parameters = false }}
auth.openapi.token.bearer = "{token}"

[dictionaries]
namespaces.values = ["{namespace}"]
sessions.values = ["done", "asks", "talks", "runs"]
workflows.values = ["report"]
questions.values = ["q1"]
turns.values = ["t1"]

[parameters]
"path.namespace" = {{ dictionary = "namespaces", probability = 0.9 }}
"path.name" = {{ dictionary = "sessions", probability = 0.9 }}
"path.turn" = {{ dictionary = "turns", probability = 0.9 }}
"body.spec.workflowRef.name" = {{ dictionary = "workflows", probability = 0.9 }}
"body.interruptId" = {{ dictionary = "questions", probability = 0.9 }}

[[operations]]
include-tag = "workflows"
parameters = {{ "path.name" = {{ dictionary = "workflows", probability = 0.9 }} }}

[[operations]]
include-method = "DELETE"
parameters = {{ "path.name" = "gone" }}

[[operations]]
include-operation-id = ["respond"]
parameters = {{ "path.name" = "asks", "path.namespace" = "{namespace}" }}

[[operations]]
include-operation-id = ["create_turn", "create_cancel"]
parameters = {{ "path.name" = "talks", "path.namespace" = "{namespace}" }}

[[operations]]
include-operation-id = ["fork_session", "get_result", "list_checkpoints"]
parameters = {{ "path.name" = "done", "path.namespace" = "{namespace}" }}

[[operations]]
include-tag = "runners"
headers = {{ Authorization = "Bearer {runner}" }}
parameters = {{ "path.name" = "runs", "path.namespace" = "{namespace}", "query.wait" = 0 }}

[[operations]]
include-tag = "streams"
max-stream-events = 2
request-timeout = 1
parameters = {{ "path.name" = "done", "path.namespace" = "{namespace}" }}
"""


@dataclass(frozen=True)
class Stage:
    """A gateway with objects in every state, and who asks for them."""

    gateway: Gateway
    config: str


@pytest.fixture
async def stage(
    control_plane: ControlPlane,
    events: PostgresDatabase,
    space: Space,
    somebody: Callable[..., Client],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Stage]:
    alice = somebody(
        "alice", "agentic-view", "agentic-edit", "agentic-audit", "agentic-state", "system:aggregate-to-view"
    )
    _let_define_for_the_cluster(space, alice)
    with running_gateway(
        control_plane,
        events,
        tmp_path_factory.mktemp("contract"),
        REQUESTS_PER_SECOND="100000",
        REQUESTS_BURST="1000000",
    ) as gateway:
        runner = a_run(gateway, space, "runs")
        async with open_database(Dsn.parse(events.dsn), application_name="test") as store:
            await record_running(store, space, space.session("runs")["metadata"]["uid"], "runs")
            done = str(space.start("done")["metadata"]["uid"])
            await record_running(store, space, done, "done")
            await append(store, done, range(5))
            await store.sessions.finish(done, 1, Phase.COMPLETED, output=encode_output({"a": [1, 2]}))
            _run(space, "done", phase="Completed", history=[{"id": "c1", "step": 1}], result={"a": [1, 2]})
            await record_running(store, space, str(space.start("asks")["metadata"]["uid"]), "asks")
            _run(space, "asks", phase="WaitingForInput", interrupts=[{"id": "q1", "prompt": "pay?"}])
        space.start("talks", mode="Conversation", turns=[{"name": "t1", "input": {"text": "hello"}}])
        yield Stage(gateway, CONFIG.format(token=alice.token, runner=runner.token, namespace=space.name))


def _run(space: Space, name: str, **end: Any) -> None:
    space.report(name, phase="Creating", run=1, startTime="2026-01-01T00:00:00Z")
    space.report(name, phase="Running")
    space.report(name, **end)


def _let_define_for_the_cluster(space: Space, person: Client) -> None:
    name = f"cluster-definer-{space.name}"
    rules = [{"apiGroups": ["agentic-operator.dev"], "resources": ["clusterworkflowdefinitions"], "verbs": ["*"]}]
    space.plane.request("POST", f"{RBAC}/clusterroles", {"metadata": {"name": name}, "rules": rules})
    binding = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "alice", "namespace": space.name}],
    }
    space.plane.request("POST", f"{RBAC}/clusterrolebindings", binding)
    body = definition_body("report", "")
    body["kind"] = "ClusterWorkflowDefinition"
    body["metadata"].pop("namespace")
    space.plane.request("POST", f"{GROUP_PATH}/clusterworkflowdefinitions", body)


def test_no_request_breaks_the_gateway_and_each_answer_is_as_documented(stage: Stage, tmp_path: Path) -> None:
    config = tmp_path / "schemathesis.toml"
    config.write_text(stage.config, encoding="utf-8")
    done = subprocess.run(
        [
            *(find_tool("schemathesis"), "--config-file", config, "run", DOCUMENT, "--url", stage.gateway.address),
            *("--checks", ",".join(CHECKS), "--continue-on-failure", "--warnings", "off"),
            *(LONG if IS_LONG else SHORT),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=clean_environment(HOME=str(tmp_path), NO_COLOR="1"),
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    print(done.stdout)
    assert "Traceback" not in stage.gateway.log
    assert '"ERROR"' not in stage.gateway.log
