"""What a kubelet, a quota and the Job controller put in a run's way: told while it lasts, and then the run goes on."""

import re
from typing import Any

import pytest
import yaml

from hack.kubectl import ROOT, KubectlError
from tests.e2e.conftest import Project
from tests.support.waiting import wait_for


def is_told(project: Project, reason: str, *texts: str) -> None:
    """Wait until the session's status and an Event say what is in the way."""
    status = wait_for(project.status, lambda status: status.get("reason") == reason, what=reason, timeout_seconds=45)
    assert status["phase"] == "Creating"
    for text in texts:
        assert text in status["message"]
    wait_for(
        lambda: project.run("get", "events", "--field-selector", f"reason={reason}", "-o", "jsonpath={..message}"),
        lambda said: texts[0] in said,
        what="the Event",
    )


def completes(project: Project) -> None:
    status = project.wait_phase("Completed", timeout_seconds=180)
    assert (status["run"], status["result"]["done"]) == (1, ["hello after 0 s"])
    assert len(project.pods()) == 1


@pytest.mark.parametrize(
    ("kind", "spec", "reason", "said"),
    [
        pytest.param(
            "Secret",
            {"env": [{"name": "W", "valueFrom": {"secretKeyRef": {"name": "wanted", "key": "WANTED"}}}]},
            "ContainerConfigError",
            'CreateContainerConfigError: secret "wanted" not found',
            id="a Secret for a variable",
        ),
        pytest.param(
            "Secret",
            # Mounted, too: the runner masks its values.
            {"envFrom": [{"secretRef": {"name": "wanted"}}]},
            "SecretMissing",
            'secret "wanted" not found',
            id="a Secret for variables",
        ),
        pytest.param(
            "ConfigMap",
            {"podTemplate": {"volumes": [{"name": "c", "mountPath": "/mnt/c", "configMap": {"name": "wanted"}}]}},
            "PodNotStarted",
            'configmap "wanted" not found',
            id="a ConfigMap to mount",
        ),
    ],
)
def test_what_the_kubelet_lacks_is_told_and_the_pod_starts_once_it_is_there(
    project: Project, kind: str, spec: dict[str, Any], reason: str, said: str
) -> None:
    body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "wanted", "namespace": project.name}}
    wanted = {**body, "stringData" if kind == "Secret" else "data": {"WANTED": "x"}}
    project.kubectl.apply(wanted)
    project.define("quick", **spec)
    project.wait_condition("workflowdefinition/quick", "Ready", "True")
    # The definition was inspected with it; somebody deletes it before the session comes.
    project.run("delete", kind.lower(), "wanted")
    project.start("quick", inputs={"seconds": 0})
    is_told(project, reason, said)
    project.kubectl.apply(wanted)
    completes(project)


def test_a_definition_that_waits_for_its_secret_is_ready_once_it_is_there(project: Project) -> None:
    """Nobody has to touch the definition afterwards."""
    project.define("quick", envFrom=[{"secretRef": {"name": "wanted"}}])
    told = wait_for(
        lambda: project.condition("workflowdefinition/quick", "Ready"),
        lambda condition: condition.get("reason") == "SecretMissing",
        what="the reason",
        timeout_seconds=45,
    )
    assert (told["status"], 'secret "wanted" not found' in told["message"]) == ("Unknown", True)
    project.run("create", "secret", "generic", "wanted", "--from-literal=WANTED=x")
    project.wait_condition("workflowdefinition/quick", "Ready", "True")


def test_a_definition_that_cannot_mount_its_configmap_says_so_and_is_ready_once_it_is_there(project: Project) -> None:
    volume = {"name": "c", "mountPath": "/mnt/c", "configMap": {"name": "wanted"}}
    project.define("quick", podTemplate={"volumes": [volume]})
    told = wait_for(
        lambda: project.condition("workflowdefinition/quick", "Ready"),
        lambda condition: condition.get("reason") == "PodNotStarted",
        what="the reason",
        timeout_seconds=45,
    )
    assert (told["status"], 'configmap "wanted" not found' in told["message"]) == ("Unknown", True)
    project.run("create", "configmap", "wanted", "--from-literal=WANTED=x")
    project.wait_condition("workflowdefinition/quick", "Ready", "True")


def test_a_pod_that_a_quota_holds_back_is_told_and_starts_once_there_is_room(project: Project) -> None:
    project.define("quick")
    project.wait_condition("workflowdefinition/quick", "Ready", "True")
    project.run("create", "quota", "full", "--hard=pods=0")
    wait_for(
        lambda: project.get("quota", "full"), lambda quota: quota and quota["status"].get("hard"), what="the quota"
    )
    project.start("quick", inputs={"seconds": 0})
    is_told(project, "QuotaExceeded", "exceeded quota: full", "raise it, or delete what fills it")
    assert project.pods() == []
    project.run("patch", "quota", "full", "--type=merge", "-p", '{"spec":{"hard":{"pods":"1"}}}')
    completes(project)


def test_a_pod_that_fills_its_disk_is_evicted_and_the_session_says_why(project: Project) -> None:
    """64 MB into a pod that may write 16: the kubelet's words name the folder, and the message the remedy."""
    project.define("fills", resources={"limits": {"ephemeral-storage": "16Mi"}})
    project.start("fills", inputs={"count": 64, "seconds": 600}, retries=0)
    status = project.wait_phase("Failed", timeout_seconds=300)
    assert status["reason"] == "Evicted"
    assert "raise resources.limits.ephemeral-storage" in status["message"]
    assert re.search(
        r'EmptyDir volume "tmp" exceeds the limit|ephemeral local storage usage exceeds', status["message"]
    )
    # The same fits where the definition says so.
    project.define("fills", name="fits", resources={"limits": {"ephemeral-storage": "256Mi"}})
    project.start("fits", name="fits", inputs={"count": 64, "seconds": 0})
    assert project.wait_phase("Completed", session="fits")["result"]["done"] == ["filled"]


def read_quota() -> dict[str, Any]:
    """Return the example of the guide."""
    page = (ROOT / "docs" / "hardening.md").read_text(encoding="utf-8")
    blocks = (yaml.safe_load(block) for block in re.findall(r"^```yaml\n(apiVersion: .*?)^```", page, re.M | re.S))
    (quota,) = (block for block in blocks if block["kind"] == "ResourceQuota")
    return dict(quota)


def test_a_session_takes_of_a_quota_what_the_guide_says(project: Project) -> None:
    quota = read_quota()
    counts = {
        "count/jobs.batch": "50",
        "count/secrets": "50",
        "count/serviceaccounts": "50",
        "count/rolebindings.rbac.authorization.k8s.io": "50",
        "count/networkpolicies.networking.k8s.io": "50",
    }
    hard = {**quota["spec"]["hard"], **counts, "count/agenticsessions.agentic-operator.dev": "1"}
    project.define("steps", workspace={"size": "1Gi"})
    project.wait_condition("workflowdefinition/steps", "Ready", "True")
    project.run("delete", "jobs", "--all", "--wait")
    wait_for(lambda: project.get("pods"), lambda found: not (found or {}).get("items"), what="no pods")
    quota["metadata"]["namespace"] = project.name
    project.kubectl.apply({**quota, "spec": {"hard": hard}})

    def used() -> dict[str, str]:
        found = project.get("quota", "sessions") or {}
        return dict(found.get("status", {}).get("used") or {})

    wait_for(used, lambda found: found.keys() == hard.keys(), what="the quota")
    before = used()
    project.start("steps", inputs={"count": 1, "seconds": 60})
    wait_for(project.status, lambda status: status.get("phase") == "Running", what="the run", timeout_seconds=90)
    expected = {
        "pods": "1",
        "requests.cpu": "100m",
        "requests.memory": "256Mi",
        "requests.ephemeral-storage": "256Mi",
        "limits.cpu": "2",
        "limits.memory": "1Gi",
        "limits.ephemeral-storage": "10Gi",
        "persistentvolumeclaims": "1",
        "requests.storage": "1Gi",
        "count/agenticsessions.agentic-operator.dev": "1",
        "count/jobs.batch": "1",
        "count/secrets": "1",
        # The inspector's, `default`, which every namespace has, and the runner's.
        "count/serviceaccounts": "3",
        "count/rolebindings.rbac.authorization.k8s.io": "1",
        "count/networkpolicies.networking.k8s.io": "1",
    }
    wait_for(used, lambda found: found == expected, what=f"what is used, after {before}", timeout_seconds=60)
    # One session is the limit: whoever makes the next is told.
    with pytest.raises(KubectlError, match="exceeded quota: sessions"):
        project.start("steps", name="more", inputs={"count": 1})
