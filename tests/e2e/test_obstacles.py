"""What a kubelet, a quota and the Job controller put in a run's way: told while it lasts, and then the run goes on."""

import re
from typing import Any

import pytest
import yaml
from kubernetes.client import ApiException

from hack.kubectl import ROOT
from tests.e2e.conftest import Project
from tests.support.cluster import CONFIG_MAP, DEFINITION, EVENT, JOB, POD, QUOTA, SECRET, Kind
from tests.support.waiting import wait_for


def is_told(project: Project, reason: str, *texts: str) -> None:
    """Wait until the session's status and an Event say what is in the way."""
    status = project.wait_reason(reason)
    assert status["phase"] == "Creating"
    for text in texts:
        assert text in status["message"]
    wait_for(
        lambda: [event["message"] for event in project.find_all(EVENT, fields=f"reason={reason}")],
        lambda said: any(texts[0] in message for message in said),
        what="the Event",
    )


def completes(project: Project) -> None:
    status = project.wait_phase("Completed")
    assert (status["run"], status["result"]["done"]) == (1, ["hello after 0 s"])
    assert len(project.pods()) == 1


@pytest.mark.parametrize(
    ("kind", "spec", "reason", "said"),
    [
        pytest.param(
            SECRET,
            {"env": [{"name": "W", "valueFrom": {"secretKeyRef": {"name": "wanted", "key": "WANTED"}}}]},
            "ContainerConfigError",
            'CreateContainerConfigError: secret "wanted" not found',
            id="a Secret for a variable",
        ),
        pytest.param(
            SECRET,
            # Mounted, too: the runner masks its values.
            {"envFrom": [{"secretRef": {"name": "wanted"}}]},
            "SecretMissing",
            'secret "wanted" not found',
            id="a Secret for variables",
        ),
        pytest.param(
            CONFIG_MAP,
            {"podTemplate": {"volumes": [{"name": "c", "mountPath": "/mnt/c", "configMap": {"name": "wanted"}}]}},
            "PodNotStarted",
            'configmap "wanted" not found',
            id="a ConfigMap to mount",
        ),
    ],
)
def test_what_the_kubelet_lacks_is_told_and_the_pod_starts_once_it_is_there(
    project: Project, kind: Kind, spec: dict[str, Any], reason: str, said: str
) -> None:
    make_wanted(project, kind)
    project.define("quick", **spec)
    project.wait_ready("quick")
    # The definition was inspected with it; somebody deletes it before the session comes.
    project.cluster.delete(kind, "wanted", project.name)
    project.start("quick", inputs={"seconds": 0})
    is_told(project, reason, said)
    make_wanted(project, kind)
    completes(project)


def make_wanted(project: Project, kind: Kind) -> None:
    """Make the Secret or ConfigMap that a pod needs."""
    project.apply(kind, "wanted", **{"stringData" if kind == SECRET else "data": {"WANTED": "x"}})


def test_a_definition_that_waits_for_its_secret_is_ready_once_it_is_there(project: Project) -> None:
    """Nobody has to touch the definition afterwards."""
    project.define("quick", envFrom=[{"secretRef": {"name": "wanted"}}])
    told = project.wait_condition(DEFINITION, "quick", "Ready", "Unknown", reason="SecretMissing")
    assert 'secret "wanted" not found' in told["message"]
    make_wanted(project, SECRET)
    project.wait_ready("quick")


def test_a_definition_that_cannot_mount_its_configmap_says_so_and_is_ready_once_it_is_there(project: Project) -> None:
    volume = {"name": "c", "mountPath": "/mnt/c", "configMap": {"name": "wanted"}}
    project.define("quick", podTemplate={"volumes": [volume]})
    told = project.wait_condition(DEFINITION, "quick", "Ready", "Unknown", reason="PodNotStarted")
    assert 'configmap "wanted" not found' in told["message"]
    make_wanted(project, CONFIG_MAP)
    project.wait_ready("quick")


def test_a_pod_that_a_quota_holds_back_is_told_and_starts_once_there_is_room(project: Project) -> None:
    project.define("quick")
    project.wait_ready("quick")
    project.apply(QUOTA, "full", spec={"hard": {"pods": "0"}})
    wait_for(lambda: project.get(QUOTA, "full").get("status", {}).get("hard"), bool, what="the quota")
    project.start("quick", inputs={"seconds": 0})
    is_told(project, "QuotaExceeded", "exceeded quota: full", "raise it, or delete what fills it")
    assert project.pods() == []
    project.apply(QUOTA, "full", spec={"hard": {"pods": "1"}})
    completes(project)


def test_a_pod_that_fills_its_disk_is_evicted_and_the_session_says_why(project: Project) -> None:
    """64 MB into a pod that may write 16: the kubelet's words name the folder, and the message the remedy."""
    project.define("fills", resources={"limits": {"ephemeral-storage": "16Mi"}})
    project.start("fills", inputs={"count": 64, "seconds": 600}, retries=0)
    status = project.wait_phase("Failed")
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
    project.wait_ready("steps")
    for job in project.find_all(JOB):
        project.cluster.delete(JOB, job["metadata"]["name"], project.name)
    wait_for(lambda: project.find_all(POD), lambda pods: not pods, what="no pods")
    quota["metadata"]["namespace"] = project.name
    project.cluster.apply({**quota, "spec": {"hard": hard}})

    def used() -> dict[str, str]:
        return dict(project.get(QUOTA, "sessions").get("status", {}).get("used") or {})

    wait_for(used, lambda found: found.keys() == hard.keys(), what="the quota")
    before = used()
    project.start("steps", inputs={"count": 1, "seconds": 60})
    project.wait_phase("Running")
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
    wait_for(used, lambda found: found == expected, what=f"what is used, after {before}")
    # One session is the limit: whoever makes the next is told.
    with pytest.raises(ApiException, match="exceeded quota: sessions"):
        project.start("steps", name="more", inputs={"count": 1})
