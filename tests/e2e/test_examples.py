"""The examples as their READMEs say: `kubectl apply -f examples/NAME/`, and nothing of ours on the client."""

from typing import Any

from hack.kubectl import ROOT
from tests.e2e.conftest import Project
from tests.support.openai_stub import KEY
from tests.support.waiting import wait_for


def apply(project: Project, example: str) -> str:
    """Apply a folder of manifests; return the session's name."""
    folder = ROOT / "examples" / example
    project.run("apply", "-f", str(folder))
    return project.run("get", "-f", str(folder / "session.yaml"), "-o", "jsonpath={.metadata.name}")


def test_outliers_runs_on_its_public_data_set_to_a_report(project: Project) -> None:
    session = apply(project, "outliers")
    status = project.wait_phase("Completed", session=session, timeout_seconds=180)
    summary = status["result"]["summary"]
    assert summary["rows"] > 1000
    assert summary["outliers"] > 0
    assert status["progress"] == "100%"


def test_fan_out_continues_after_its_pod_is_killed_and_repeats_no_part_that_was_done(project: Project) -> None:
    session = apply(project, "fanout")
    wait_for(lambda: project.status(session), lambda status: status.get("steps", 0) >= 2, what="a wave of parts")
    (pod,) = project.pods(session)
    project.run("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force")
    status = project.wait_phase("Completed", session=session, timeout_seconds=240)
    assert status["result"]["summary"]["primes"] == 2262


def test_the_agent_answers_with_a_model_that_a_secret_names(project: Project) -> None:
    project.kubectl.apply(*openai_stub(project.name))
    project.run("wait", "--for=condition=Ready", "pod/openai-stub", "--timeout=60s")
    session = apply(project, "agent")
    status = project.wait_phase("Completed", session=session, timeout_seconds=180)
    assert "841" in str(status["result"])


def openai_stub(namespace: str) -> list[dict[str, Any]]:
    """Return the stub server as a pod with its Service, and the Secret that names it."""
    source = (ROOT / "tests" / "support" / "openai_stub.py").read_text(encoding="utf-8")
    meta = {"name": "openai-stub", "namespace": namespace, "labels": {"app": "openai-stub"}}
    secured = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"openai_stub.py": source}},
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": meta,
            "spec": {
                "automountServiceAccountToken": False,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [
                    {
                        "name": "stub",
                        "image": "agentic-operator/runner:dev",
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["python", "/stub/openai_stub.py", "--host", "0.0.0.0", "--port", "8080"],
                        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
                        "securityContext": secured,
                        "volumeMounts": [{"name": "stub", "mountPath": "/stub"}],
                    }
                ],
                "volumes": [{"name": "stub", "configMap": {"name": "openai-stub"}}],
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"selector": {"app": "openai-stub"}, "ports": [{"port": 80, "targetPort": 8080}]},
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "openai", "namespace": namespace},
            "stringData": {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "http://openai-stub/v1"},
        },
    ]
