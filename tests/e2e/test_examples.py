"""The examples as their READMEs say: `kubectl apply -f examples/NAME/`, and nothing of ours on the client."""

import json
import subprocess
import sys
from typing import Any

from hack.kubectl import ROOT
from tests.e2e.conftest import Project
from tests.support.cluster import POD
from tests.support.openai_stub import KEY
from tests.support.waiting import PATIENCE_SECONDS


def apply(project: Project, example: str) -> str:
    """Apply a folder of manifests; return the session's name."""
    folder = ROOT / "examples" / example
    project.run_kubectl("apply", "-f", str(folder))
    return project.run_kubectl("get", "-f", str(folder / "session.yaml"), "-o", "jsonpath={.metadata.name}")


def test_outliers_runs_on_its_public_data_set_to_a_report(project: Project) -> None:
    session = apply(project, "outliers")
    status = project.wait_phase("Completed", session=session)
    summary = status["result"]["summary"]
    assert summary["rows"] > 1000
    assert summary["outliers"] > 0
    assert status["progress"] == "100%"


def test_fan_out_continues_after_its_pod_is_killed_and_repeats_no_part_that_was_done(project: Project) -> None:
    session = apply(project, "fanout")
    project.wait_steps(2, session=session)
    (pod,) = project.pods(session)
    project.kill_pod(pod["metadata"]["name"])
    status = project.wait_phase("Completed", session=session)
    assert status["result"]["summary"]["primes"] == 2262


def test_the_agent_answers_with_a_model_that_a_secret_names(project: Project) -> None:
    start_stub(project)
    session = apply(project, "agent")
    status = project.wait_phase("Completed", session=session)
    assert "841" in str(status["result"])


def test_a_program_in_python_drives_a_session_by_the_official_client(project: Project) -> None:
    project.define("asks")
    program = ROOT / "examples" / "python-client" / "drive_session.py"
    arguments = ("asks", "--namespace", project.name, "--answer", '"yes"', "--seconds", str(PATIENCE_SECONDS))
    done = subprocess.run(
        [sys.executable, program, *arguments],
        env=project.kubectl.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["done"] == ["yes"]
    assert "go on?" in done.stderr


def start_stub(project: Project) -> None:
    """Start the server that plays a model, with the Secret that names it."""
    project.cluster.apply(*openai_stub(project.name))
    project.wait_condition(POD, "openai-stub", "Ready")


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
