"""Which code runs is what the image holds: not what is mounted into its pod, nor any module that is installed in it."""

import json
from typing import Any

import pytest

from agentic_core.mount_paths import find_reserved
from hack.cluster.errors import ClusterError
from tests.support.builders import definition_body, session_body
from tests.support.kube import GROUP_PATH, Space
from tests.trust.roles import a_user

PROGRAM = "/opt/agentic"


def volume(path: str, **source: Any) -> dict[str, Any]:
    return {"podTemplate": {"volumes": [{"name": "v", "mountPath": path, **(source or {"configMap": {"name": "c"}})}]}}


@pytest.mark.parametrize(
    "path",
    [
        "/data/../opt/agentic/packages/agentic_runner",
        "/data/..",
        "/data/x/../../opt/agentic",
        "/mnt/./x",
        "/mnt//opt/agentic",
        "/cache/",
        "/data/...",
        "/opt/agentic",
        "/opt",
        "/",
        "/app",
        "/tmp/x",
        "/var/run/secrets/agentic/api",
        "/etc/agentic/../../opt/agentic",
        "/etc/ld.so.preload",
        "/etc/ssl/certs",
        "data/x",
        "/data/$(HOME)",
        "/data/x\n/opt/agentic",
        "/DATA/x",
    ],
)
def test_nothing_is_mounted_over_the_program_or_the_project(space: Space, path: str) -> None:
    author = a_user(space.plane, space.name, "agentic-edit")
    body = definition_body("bad", space.name, **volume(path))
    refused = author.request("POST", f"{GROUP_PATH}/namespaces/{space.name}/workflowdefinitions", body)
    assert (refused.code, "mountPath" in refused.message) == (422, True), refused.message


def test_the_programs_folder_is_outside_of_every_path_that_may_be_mounted() -> None:
    assert all(find_reserved(path) for path in (PROGRAM, f"{PROGRAM}/bin/python", "/opt"))


@pytest.mark.parametrize(
    "source",
    [
        {"hostPath": {"path": "/"}},
        {"projected": {"sources": [{"serviceAccountToken": {"path": "t", "audience": "agentic-gateway"}}]}},
        {"csi": {"driver": "secrets-store.csi.k8s.io"}},
        {"ephemeral": {"volumeClaimTemplate": {}}},
        {"image": {"reference": "evil:1"}},
        {"nfs": {"server": "s", "path": "/"}},
        {"downwardAPI": {"items": []}},
        {"configMap": {"name": "c"}, "secret": {"secretName": "s"}},
    ],
    ids=lambda source: "+".join(source),
)
def test_volumes_have_one_of_four_sources(space: Space, source: dict[str, Any]) -> None:
    with pytest.raises(ClusterError, match="name exactly one source"):
        space.define("bad", is_ready=False, **volume("/data", **source))


def test_what_a_definition_says_beside_the_fields_there_are_reaches_no_pod(space: Space) -> None:
    """The API server drops what the schema does not have, and a pod is built of the schema alone."""
    everything: dict[str, Any] = {
        "command": ["sh"],
        "args": ["-c", "id"],
        "hostNetwork": True,
        "hostPID": True,
        "shareProcessNamespace": True,
        "serviceAccountName": "default",
        "automountServiceAccountToken": True,
        "securityContext": {"runAsUser": 0},
        "initContainers": [{"name": "i", "image": "evil:1"}],
        "containers": [{"name": "c", "image": "evil:1"}],
        "ephemeralContainers": [{"name": "e", "image": "evil:1"}],
        "volumeMounts": [{"name": "v", "mountPath": "/opt/agentic"}],
        "volumeDevices": [{"name": "v", "devicePath": "/dev/x"}],
        "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["kubernetes.default.svc"]}],
        "dnsConfig": {"nameservers": ["10.0.0.1"]},
    }
    volumes = [
        {
            "name": "v",
            "mountPath": "/data",
            "emptyDir": {},
            "subPath": "../x",
            "subPathExpr": "$(HOME)",
            "readOnly": False,
        }
    ]
    # An account of a definition's own is another matter: it has to be marked for that.
    unknown = {name: value for name, value in everything.items() if name != "serviceAccountName"}
    space.define(**everything, podTemplate={**unknown, "volumes": volumes})
    space.operator()
    author = a_user(space.plane, space.name, "agentic-edit")
    body = session_body("s", namespace=space.name, **everything, podTemplate=everything)
    assert author.request("POST", f"{GROUP_PATH}/namespaces/{space.name}/agenticsessions", body).is_done
    pod = space.wait_job("s-r1")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert "evil" not in json.dumps(pod)
    assert not {"command", "args", "volumeDevices"} & set(container)
    assert not {"initContainers", "ephemeralContainers", "hostAliases", "dnsConfig", "hostNetwork", "hostPID"} & set(
        pod
    )
    assert (pod["serviceAccountName"], pod.get("shareProcessNamespace")) == ("agentic-runner", None)
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert all(set(mount) <= {"name", "mountPath", "readOnly"} for mount in container["volumeMounts"])
    told = {each["name"]: each.get("value") for each in container["env"]}
    assert told["MOUNTED_PATHS"] == "/tmp:/workspace:/data"


def test_a_session_names_a_graph_of_the_image_and_no_module(space: Space) -> None:
    space.define(graph="team.graphs:main")
    space.operator()
    person = a_user(space.plane, space.name, "agentic-start")
    for name, graph in (("any", "code:interact"), ("other", "other"), ("same", "team.graphs:main")):
        body = session_body(name, namespace=space.name)
        body["spec"]["workflowRef"]["graph"] = graph
        assert person.request("POST", f"{GROUP_PATH}/namespaces/{space.name}/agenticsessions", body).is_done
    status = space.wait_status("any", "Failed", "InvalidSpec")
    assert "/spec/workflowRef/graph" in status["message"]
    # A name without a module is looked up in the image's langgraph.json, by the runner.
    for name in ("other", "same"):
        space.wait_job(f"{name}-r1")


def test_a_session_that_pinned_a_bad_path_gets_no_further_pod(space: Space) -> None:
    """As an earlier version took it, which did not look at the parts of a path."""
    space.define()
    space.start("old")
    spec = {"image": "registry.example.com/team/workflow:1", **volume("/data/../opt/agentic/packages/agentic_runner")}
    at = "2026-01-01T00:00:00Z"
    space.report(
        "old",
        phase="WaitingForInput",
        run=1,
        jobName="old-r1",
        threadId=f"project-{space.name}:session-old",
        workflow={"image": spec["image"], "spec": spec},
        interrupts=[{"id": "q", "value": "go on?", "askedAt": at}],
    )
    space.operator()
    space.change("old", responses=[{"interruptId": "q", "value": True}])
    status = space.wait_status("old", "Failed", "InvalidSpec")
    assert "/spec/podTemplate/volumes/0/mountPath" in status["message"]
    assert space.session_jobs() == []
