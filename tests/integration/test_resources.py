"""The resources against a real API server: what it takes, what it refuses, and the words that it refuses with."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from agentic_core.lifecycle import Phase, is_legal
from agentic_core.run_settings import (
    RESERVED_CONFIGURABLE,
    RESERVED_CONFIGURABLE_PREFIXES,
    RESERVED_METADATA,
    RESERVED_METADATA_PREFIXES,
)
from hack.cluster.controlplane import ControlPlane
from hack.cluster.errors import ClusterError
from hack.kubectl import ROOT, Kubectl
from tests.support.settled import name_account, wait_for_policies, wait_for_rights

GROUP = "/apis/agentic-operator.dev/v1alpha1"
SESSIONS = f"{GROUP}/namespaces/default/agenticsessions"
DEFINITIONS = f"{GROUP}/namespaces/default/workflowdefinitions"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with ControlPlane(tmp_path_factory.mktemp("control-plane")) as server:
        kubectl = Kubectl(server.kubeconfig)
        kubectl.run("apply", "--server-side", "-k", str(ROOT / "crds"))
        kubectl.run("apply", "--server-side", "-f", str(ROOT / "manifests/operator/admission.yaml"))
        for kind in ("workflowdefinitions", "clusterworkflowdefinitions", "agenticsessions"):
            kubectl.run("wait", "--for=condition=Established", f"crd/{kind}.agentic-operator.dev", "--timeout=180s")
        wait_for_policies(server)
        yield server


def a_session(name: str = "s", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "agentic-operator.dev/v1alpha1",
        "kind": "AgenticSession",
        "metadata": {"name": name},
        "spec": {"workflowRef": {"name": "w"}, **spec},
    }


def a_definition(name: str = "w", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "agentic-operator.dev/v1alpha1",
        "kind": "WorkflowDefinition",
        "metadata": {"name": name},
        "spec": {"image": "example/image:1", **spec},
    }


VALID = {
    "the least session": a_session(),
    "a session with a name at the limit": a_session("s" * 52),
    "inputs that are an object": a_session(inputs={"a": [1, 2.5, None, {"b": "ü"}]}),
    "inputs that are a list": a_session(inputs=[1, 2]),
    "inputs that are text": a_session(inputs="text"),
    "a session of a cluster definition": a_session(workflowRef={"name": "w", "kind": "ClusterWorkflowDefinition"}),
    "answers of any JSON": a_session(
        responses=[{"interruptId": "i", "value": {"ok": True}}, {"interruptId": "j", "value": 1}]
    ),
    "limits in both spellings": a_session(resources={"limits": {"cpu": 1, "memory": "512Mi"}}),
    "config and context": a_session(
        config={
            "configurable": {"model": "m", "n": None, "source": "web", "deep": {"thread_id": 1}},
            "recursion_limit": 1_000_000,
            "tags": ["t"],
            "metadata": {"team": "red"},
        },
        context={"thread_id": "mine"},
    ),
    "a conversation without turns": a_session(mode="Conversation"),
    "a conversation with turns": a_session(
        mode="Conversation",
        turns=[
            {"name": "t0001", "input": {"a": None}, "config": {"recursion_limit": 5}, "context": {"a": None}},
            {"name": "t0002", "command": {"goto": "node", "update": {"a": None}}, "preempt": "Rollback"},
            {"name": "t0003", "command": {"goto": ["one", "two"]}, "fromCheckpoint": "1ef"},
            {"name": "t0004"},
        ],
        close=True,
        revision="Pinned",
        idleDeadlineSeconds=60,
    ),
    "one shot, said outright": a_session(mode="OneShot", inputs=1),
    "defaults of config and context": a_definition(
        defaults={"config": {"configurable": {"a": [1]}, "recursion_limit": 5}, "context": {"a": {"b": None}}}
    ),
    "the least definition": a_definition(),
    "a definition with a name at the limit": a_definition("w" * 52),
    "an image by digest": a_definition(image="registry.example.com:5000/team/flow@sha256:" + "a" * 64),
    "a secret as a variable": a_definition(
        env=[{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]
    ),
    "extra volumes": a_definition(
        podTemplate={
            "volumes": [{"name": "models", "mountPath": "/mnt/models", "persistentVolumeClaim": {"claimName": "m"}}]
        }
    ),
    "writable paths": a_definition(
        podTemplate={
            "workingDir": "/deps/outer-app/src",
            "writablePaths": [{"path": "data"}, {"path": ".cache/models", "sizeLimit": "5Gi"}],
        }
    ),
}

INVALID = {
    "a session without a workflow": (
        {**a_session(), "spec": {}},
        "spec.workflowRef: Required value",
    ),
    "a session name over the limit": (a_session("s" * 53), "must be a DNS label of at most 52 characters"),
    "a session name with a dot": (a_session("a.b"), "must be a DNS label of at most 52 characters"),
    "a definition name over the limit": (a_definition("w" * 53), "must be a DNS label of at most 52 characters"),
    "a definition without an image": ({**a_definition(), "spec": {}}, "spec.image: Required value"),
    "an image that looks like an option": (a_definition(image="--privileged"), "spec.image: Invalid value"),
    "an image with a space": (a_definition(image="a b"), "spec.image: Invalid value"),
    "a graph with control characters": (a_definition(graph="a\nb"), "spec.graph: Invalid value"),
    "a negative timeout": (a_session(timeoutSeconds=-1), "spec.timeoutSeconds: Invalid value"),
    "retries without bound": (a_session(retries=101), "spec.retries: Invalid value"),
    "an unknown kind of workflow": (
        a_session(workflowRef={"name": "w", "kind": "Pod"}),
        'supported values: "WorkflowDefinition", "ClusterWorkflowDefinition"',
    ),
    "a variable that belongs to the contract": (
        a_session(env=[{"name": "THREAD_ID", "value": "other"}]),
        "variable is the operator's or the image's to set; choose another name",
    ),
    "a variable that loads code": (
        a_session(env=[{"name": "LD_PRELOAD", "value": "/tmp/x.so"}]),
        "variable is the operator's or the image's to set; choose another name",
    ),
    "a variable twice": (
        a_session(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
        "Duplicate value",
    ),
    "two answers to one interrupt": (
        a_session(responses=[{"interruptId": "i", "value": 1}, {"interruptId": "i", "value": 2}]),
        "Duplicate value",
    ),
    "turns of a session that takes inputs once": (
        a_session(turns=[{"name": "t1"}]),
        "turns is for conversations: make the session with mode Conversation, or leave turns out",
    ),
    **{
        f"{field} of a session that takes inputs once": (a_session(**{field: value}), f"{field} is for conversations")
        for field, value in dict[str, Any](close=True, idleDeadlineSeconds=5, revision="Pinned").items()
    },
    "inputs of a conversation": (
        a_session(mode="Conversation", inputs={"a": 1}),
        "spec.inputs: a conversation takes its inputs in turns",
    ),
    "an input and a command": (
        a_session(mode="Conversation", turns=[{"name": "t1", "input": 1, "command": {"goto": "a"}}]),
        "turn 't1' has an input and a command",
    ),
    "two turns of one name": (
        a_session(mode="Conversation", turns=[{"name": "t1"}, {"name": "t1"}]),
        "Duplicate value",
    ),
    "a turn's name that is no label": (
        a_session(mode="Conversation", turns=[{"name": "T_1"}]),
        "spec.turns[0].name: Invalid value",
    ),
    "too many turns": (
        a_session(mode="Conversation", turns=[{"name": f"t{n}"} for n in range(65)]),
        "must have at most 64 items",
    ),
    "a volume over the root": (
        a_definition(podTemplate={"volumes": [{"name": "v", "mountPath": "/app", "emptyDir": {}}]}),
        "mountPath: Invalid value",
    ),
    "a volume with two sources": (
        a_definition(
            podTemplate={"volumes": [{"name": "v", "mountPath": "/mnt/v", "emptyDir": {}, "configMap": {"name": "c"}}]}
        ),
        "name exactly one source",
    ),
    **{
        f"the writable path {path!r}": (
            a_definition(podTemplate={"writablePaths": [{"path": path}]}),
            "spec.podTemplate.writablePaths[0].path",
        )
        for path in ("..", "../x", "a/../../b", "a/..", "/data", "a//b", "a:ro", "a/", "")
    },
    "a writable path twice": (
        a_definition(podTemplate={"writablePaths": [{"path": "a"}, {"path": "a"}]}),
        "Duplicate value",
    ),
    "a working directory that is not absolute": (
        a_definition(podTemplate={"workingDir": "app"}),
        "spec.podTemplate.workingDir: Invalid value",
    ),
    "a quantity that is none": (a_session(resources={"limits": {"memory": "much"}}), "limits.memory: Invalid value"),
    "a recursion limit of nothing": (
        a_session(config={"recursion_limit": 0}),
        "spec.config.recursion_limit: Invalid value",
    ),
    "a recursion limit without bound": (
        a_session(config={"recursion_limit": 1_000_001}),
        "spec.config.recursion_limit: Invalid value",
    ),
    "a context that is no object": (a_session(context=["a"]), "spec.context: Invalid value"),
    **{
        f"{key} in configurable": (
            a_session(config={"configurable": {"mine": 1, key: "x"}}),
            f"spec.config.configurable.{key} is set by the system or by LangGraph; leave it out",
        )
        for key in (*RESERVED_CONFIGURABLE, *(f"{start}x" for start in RESERVED_CONFIGURABLE_PREFIXES))
    },
    **{
        f"{key} in a definition's metadata": (
            a_definition(defaults={"config": {"metadata": {key: "x"}}}),
            f"spec.defaults.config.metadata.{key} is recorded by the system or by LangGraph",
        )
        for key in (*RESERVED_METADATA, *(f"{start}x" for start in RESERVED_METADATA_PREFIXES))
    },
    "the tag that hides every node": (
        a_session(config={"tags": ["langsmith:hidden"]}),
        "would hide every node from the status",
    ),
    "too many tags": (a_definition(tags=[f"t{n}" for n in range(33)]), "must have at most 32 items"),
}


def said(error: Exception) -> str:
    """Return the answer's words without the escapes of JSON in JSON."""
    return str(error).replace('\\"', '"')


def path_of(body: dict[str, Any]) -> str:
    return SESSIONS if body["kind"] == "AgenticSession" else DEFINITIONS


@pytest.mark.parametrize("case", VALID)
def test_the_api_server_takes(api: ControlPlane, case: str) -> None:
    body = VALID[case]
    made = api.request("POST", f"{path_of(body)}?dryRun=All&fieldValidation=Strict", body)
    assert made["spec"].items() >= body["spec"].items() or "workflowRef" in body["spec"]


@pytest.mark.parametrize("case", INVALID)
def test_the_api_server_refuses(api: ControlPlane, case: str) -> None:
    body, words = INVALID[case]
    with pytest.raises(ClusterError) as refused:
        api.request("POST", f"{path_of(body)}?dryRun=All", body)
    assert words in said(refused.value)


def test_a_host_path_does_not_exist(api: ControlPlane) -> None:
    body = a_definition(podTemplate={"volumes": [{"name": "v", "mountPath": "/mnt/v", "hostPath": {"path": "/"}}]})
    with pytest.raises(ClusterError, match="unknown field"):
        api.request("POST", f"{DEFINITIONS}?dryRun=All&fieldValidation=Strict", body)


@pytest.mark.parametrize(
    ("field", "before", "after"),
    [
        ("inputs", {"a": 1}, {"a": 2}),
        ("inputs", {"a": 1}, None),
        ("inputs", None, {"a": 1}),
        ("config", {"configurable": {"a": {"b": 1}}}, {"configurable": {"a": {"b": 2}}}),
        ("config", {"recursion_limit": 5}, None),
        ("context", {"a": 1}, {"a": 2}),
        ("context", None, {"a": 1}),
        ("timeoutSeconds", 10, 20),
        ("timeoutSeconds", None, 20),
        ("timeoutSeconds", 10, None),
        ("workflowRef", {"name": "w"}, {"name": "v"}),
        ("mode", "Conversation", "OneShot"),
        ("mode", None, "Conversation"),
        ("env", [{"name": "A", "value": "1"}], [{"name": "A", "value": "2"}]),
        ("userContext", {"userId": "ann"}, {"userId": "bob"}),
    ],
)
def test_a_session_keeps_what_it_was_made_with(api: ControlPlane, field: str, before: Any, after: Any) -> None:
    api.request("POST", SESSIONS, a_session("fixed", **({field: before} if before is not None else {})))
    try:
        with pytest.raises(ClusterError, match=f"{field} cannot change once the session exists"):
            api.request("PATCH", f"{SESSIONS}/fixed", {"spec": {field: after}})
    finally:
        api.request("DELETE", f"{SESSIONS}/fixed")


def test_a_session_can_be_stopped_suspended_answered_and_renamed(api: ControlPlane) -> None:
    api.request("POST", SESSIONS, a_session("open", inputs={"a": 1}))
    change = {
        "stop": True,
        "suspend": True,
        "displayName": "new",
        "ttlSecondsAfterFinished": 5,
        "responses": [{"interruptId": "i", "by": "", "value": "yes"}],
    }
    changed = api.request("PATCH", f"{SESSIONS}/open", {"spec": change})
    api.request("DELETE", f"{SESSIONS}/open")
    assert changed["spec"].items() >= change.items()


def test_every_change_of_phase_that_the_table_lacks_is_refused_by_the_server(api: ControlPlane) -> None:
    wrong = []
    for old in Phase:
        for new in Phase:
            api.request("POST", SESSIONS, a_session("phases"))
            api.request("PATCH", f"{SESSIONS}/phases/status", {"status": {"phase": old}})
            answer = "taken"
            try:
                api.request("PATCH", f"{SESSIONS}/phases/status", {"status": {"phase": new, "message": "again"}})
            except ClusterError as error:
                answer = str(error)
            api.request("DELETE", f"{SESSIONS}/phases")
            # CEL lets a final phase be written again; the programs do not (`is_legal`).
            legal = is_legal(old, new) or old is new
            expected = ("taken",) if legal else (": 422 ", f"phase cannot change from {old} to {new}")
            if not all(part in answer for part in expected):
                wrong.append((old, new, answer))
    assert wrong == []


def test_a_phase_cannot_be_taken_away(api: ControlPlane) -> None:
    api.request("POST", SESSIONS, a_session("gone"))
    api.request("PATCH", f"{SESSIONS}/gone/status", {"status": {"phase": "Completed"}})
    with pytest.raises(ClusterError, match="phase cannot change from Completed to nothing"):
        api.request("PATCH", f"{SESSIONS}/gone/status", {"status": {"phase": None}})
    api.request("DELETE", f"{SESSIONS}/gone")


def test_explain_reads_well_and_the_table_has_its_columns(api: ControlPlane) -> None:
    kubectl = Kubectl(api.kubeconfig)
    explained = kubectl.run("explain", "agenticsessions.spec.inputs")
    assert "any JSON that the workflow's input schema takes" in explained
    for field in (
        "phase",
        "reason",
        "message",
        "result",
        "error",
        "error.type",
        "error.message",
        "interrupts",
        "turn",
        "turns",
        "turnEnd",
    ):
        text = kubectl.run("explain", f"agenticsessions.status.{field}")
        described = text.split("DESCRIPTION:")[1].split("FIELDS:")[0].strip()
        assert described, field
        assert "<empty>" not in described, field
    api.request("POST", SESSIONS, a_session("shown"))
    header = kubectl.run("get", "as").splitlines()[0]
    api.request("DELETE", f"{SESSIONS}/shown")
    assert header.split() == ["NAME", "WORKFLOW", "PHASE", "REASON", "NODE", "PROGRESS", "QUESTION", "AGE"]


def test_a_runner_writes_the_status_of_its_own_session_only(api: ControlPlane) -> None:
    """Two sessions whose names are made to be confused: `a`, and `a-r1`, the name of a's first Job."""
    kubectl = Kubectl(api.kubeconfig)
    kubectl.run("apply", "-f", str(ROOT / "manifests/operator/namespace.yaml"))
    kubectl.run("apply", "--server-side", "-f", str(ROOT / "manifests/operator/rbac.yaml"))
    kubectl.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "agentic-runner", "namespace": "default"}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "agentic-runner", "namespace": "default"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "agentic-runner"},
            "subjects": [{"kind": "ServiceAccount", "name": "agentic-runner", "namespace": "default"}],
        },
    )
    wait_for_rights(api, "default", name_account("default", "agentic-runner"))
    tokens = {}
    for name in ("a", "a-r1"):
        api.request("POST", SESSIONS, a_session(name))
        api.request("PATCH", f"{SESSIONS}/{name}/status", {"status": {"phase": "Creating", "jobName": f"{name}-r1"}})
        pod = a_pod(f"{name}-r1-x7z2k")
        uid = api.request("POST", "/api/v1/namespaces/default/pods", pod)["metadata"]["uid"]
        bound = {"apiVersion": "v1", "kind": "Pod", "name": pod["metadata"]["name"], "uid": uid}
        tokens[name] = api.service_account_token("default", "agentic-runner", bound_to=bound)
    tokens["unbound"] = api.service_account_token("default", "agentic-runner")

    patched = {
        (runner, session): patch_status(api, tokens[runner], session)
        for runner in ("a", "a-r1", "unbound")
        for session in ("a", "a-r1")
    }
    refused = {pair for pair, code in patched.items() if code != 200}
    assert refused == {("a", "a-r1"), ("a-r1", "a"), ("unbound", "a"), ("unbound", "a-r1")}
    assert {patched[pair] for pair in refused} == {403}
    # What later pods are made from is not for a workflow's code to choose.
    pinned = {"workflow": {"image": "registry.example.com/other:1"}}
    assert patch_status(api, tokens["a"], "a", pinned) == 403
    for name in ("a", "a-r1"):
        api.request("DELETE", f"{SESSIONS}/{name}")


def test_what_a_runners_token_may_do_is_exactly_this(api: ControlPlane) -> None:
    roles = yaml.safe_load_all((ROOT / "manifests/operator/rbac.yaml").read_text(encoding="utf-8"))
    (runner,) = [
        role for role in roles if role["kind"] == "ClusterRole" and role["metadata"]["name"] == "agentic-runner"
    ]
    assert runner["rules"] == [
        {"apiGroups": ["agentic-operator.dev"], "resources": ["agenticsessions"], "verbs": ["get"]},
        {"apiGroups": ["agentic-operator.dev"], "resources": ["agenticsessions/status"], "verbs": ["patch"]},
    ]


def a_pod(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"serviceAccountName": "agentic-runner", "containers": [{"name": "c", "image": "i"}]},
    }


def patch_status(api: ControlPlane, token: str, session: str, status: dict[str, Any] | None = None) -> int:
    """Patch a status as a runner would; return the HTTP status."""
    request = urllib.request.Request(
        f"{api.server}{SESSIONS}/{session}/status",
        data=json.dumps({"status": status or {"currentNode": "load"}}).encode(),
        method="PATCH",
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/merge-patch+json"},
    )
    try:
        context = ssl.create_default_context(cafile=str(api.ca_file))
        with urllib.request.urlopen(request, context=context) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
