"""The real cluster loses parts while sessions run: the operator, the API server, the database, a pod."""

import json
import os
import random
import re
import signal
import subprocess
import sys
from collections import Counter

import pytest

from hack.kubectl import ROOT, KubectlError
from tests.e2e.conftest import FINAL, Project
from tests.support.waiting import wait_for

SYSTEM = ("-n", "agentic-system")


def pid_of(part: str) -> int:
    """Return the process of a part of the local cluster, as its tool shows it."""
    status = subprocess.run(
        [sys.executable, "-m", "hack.cluster", "status"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout
    found = re.search(rf"^{part}\s+(\d+)", status, re.MULTILINE)
    if found is None:
        pytest.fail(f"the local cluster has no process of its own named {part}: these tests need the one-node cluster")
    return int(found.group(1))


def test_an_api_server_killed_during_a_run_loses_nothing(project: Project) -> None:
    project.define("steps", workspace={"size": "1Gi"})
    project.start("steps", inputs={"count": 6, "seconds": 1.5})
    wait_for(project.status, lambda status: status.get("steps", 0) >= 1, what="a super-step")
    os.kill(pid_of("kube-apiserver"), signal.SIGKILL)
    subprocess.run([sys.executable, "-m", "hack.cluster", "up"], cwd=ROOT, check=True, capture_output=True)
    status = project.wait_phase("Completed", timeout_seconds=180)
    assert status["result"]["done"] == [str(n) for n in range(1, 7)]
    ends = [line for line in status["result"]["journal"] if line.startswith("end")]
    assert len(ends) == len(set(ends)) == 6


def test_a_database_replaced_during_a_run_loses_no_step(project: Project) -> None:
    project.define("steps", workspace={"size": "1Gi"})
    project.start("steps", inputs={"count": 6, "seconds": 1.5}, retries=5)
    wait_for(project.status, lambda status: status.get("steps", 0) >= 1, what="a super-step")
    project.kubectl.run(*SYSTEM, "delete", "pod", "postgres-0", "--grace-period=0", "--force")
    status = project.wait_phase("Completed", timeout_seconds=240)
    assert status["result"]["done"] == [str(n) for n in range(1, 7)]
    project.kubectl.run(*SYSTEM, "rollout", "status", "statefulset/postgres", "--timeout=120s", timeout_seconds=130)


def test_an_evicted_pod_saves_and_is_not_counted_as_a_failure(project: Project) -> None:
    project.define("steps", workspace={"size": "1Gi"})
    project.start("steps", inputs={"count": 5, "seconds": 2}, retries=0)
    wait_for(project.status, lambda status: status.get("steps", 0) >= 1, what="a super-step")
    (pod,) = project.pods()
    name = pod["metadata"]["name"]
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": project.name},
    }
    path = f"/api/v1/namespaces/{project.name}/pods/{name}/eviction"
    project.kubectl.run("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    status = project.wait_phase("Completed", timeout_seconds=180)
    assert status["result"]["done"] == ["1", "2", "3", "4", "5"]
    starts = [line for line in status["result"]["journal"] if line.startswith("start")]
    assert len(starts) == 5, "a drained super-step is finished, not repeated"


def test_a_drained_node_costs_no_session_and_no_saved_step(project: Project) -> None:
    """Everything goes: runners, operators, the database. A session runs, another waits; no retry is left to use up."""
    project.define("steps", workspace={"size": "1Gi"})
    project.define("asks", workspace={"size": "1Gi"})
    project.start("asks", name="waits", inputs={}, retries=0)
    (question,) = project.wait_phase("WaitingForInput", session="waits")["interrupts"]
    project.start("steps", inputs={"count": 6, "seconds": 2}, retries=0)
    wait_for(project.status, lambda status: status.get("steps", 0) >= 1, what="a super-step")
    (node,) = project.kubectl.run("get", "nodes", "-o", "name").split()
    drain = ("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=150s")
    # Here all goes at once: on the only node, the budget would wait for a replica that has nowhere to start.
    budget = project.kubectl.get(*SYSTEM, "poddisruptionbudget", "agentic-operator")
    assert budget is not None
    project.kubectl.run(*SYSTEM, "delete", "poddisruptionbudget", "agentic-operator")
    try:
        project.kubectl.run(*drain, timeout_seconds=170)
        assert not [pod for pod in project.pods() if pod["status"]["phase"] == "Running"]
        assert project.status()["phase"] not in FINAL
    finally:
        project.kubectl.run("uncordon", node)
        kept = {key: budget["metadata"][key] for key in ("name", "namespace", "labels")}
        project.kubectl.apply({**{key: budget[key] for key in ("apiVersion", "kind", "spec")}, "metadata": kept})
    for kind, name in (("statefulset", "postgres"), ("deployment", "agentic-operator")):
        project.kubectl.run(*SYSTEM, "rollout", "status", f"{kind}/{name}", "--timeout=150s", timeout_seconds=160)

    status = project.wait_phase("Completed", timeout_seconds=240)
    assert status["result"]["done"] == [str(n) for n in range(1, 7)]
    starts = Counter(line for line in status["result"]["journal"] if line.startswith("start"))
    assert sum(starts.values()) <= 7, f"one super-step was under way, and no other may run again: {starts}"
    answer = {"spec": {"responses": [{"interruptId": question["id"], "value": "yes"}]}}
    project.run("patch", "agenticsession", "waits", "--type=merge", "-p", json.dumps(answer))
    status = project.wait_phase("Completed", session="waits", timeout_seconds=180)
    assert (status["result"]["done"], status["result"]["journal"]) == (["yes"], ["before"])


def test_a_drain_takes_one_replica_of_the_operator_at_a_time(project: Project) -> None:
    kubectl, label = project.kubectl, "app.kubernetes.io/name=agentic-operator"
    kubectl.run(*SYSTEM, "rollout", "status", "deployment/agentic-operator", "--timeout=150s", timeout_seconds=160)

    def allowed() -> int:
        budget = kubectl.get(*SYSTEM, "poddisruptionbudget", "agentic-operator") or {}
        return int(budget.get("status", {}).get("disruptionsAllowed", 0))

    def evict(name: str) -> None:
        metadata = {"name": name, "namespace": "agentic-system"}
        path = f"/api/v1/namespaces/agentic-system/pods/{name}/eviction"
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
        kubectl.run("create", "--raw", path, "-f", "-", stdin=json.dumps(body))

    wait_for(allowed, lambda number: number == 1, what="the budget")
    pods = json.loads(kubectl.run(*SYSTEM, "get", "pods", "-l", label, "-o", "json"))["items"]
    first, second = (pod["metadata"]["name"] for pod in pods)
    evict(first)
    with pytest.raises(KubectlError, match="disruption budget"):
        evict(second)
    # Once its successor is ready, the next one may go.
    wait_for(allowed, lambda number: number == 1, what="the successor", timeout_seconds=90)
    project.define("quick")
    project.start("quick", inputs={"seconds": 0})
    project.wait_phase("Completed")


def test_operators_killed_at_random_moments_end_every_session_once(project: Project) -> None:
    """Ten sessions; both operator pods are killed without warning four times while they run."""
    seed = int(os.environ.get("AGENTIC_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"seed {seed} (set AGENTIC_TEST_SEED to repeat)")
    dice = random.Random(seed)
    project.define("quick")
    names = [f"s{n}" for n in range(10)]
    kills = sorted(dice.sample(range(1, len(names)), 4))
    for number, name in enumerate(names):
        project.start("quick", name=name, inputs={"seconds": dice.random()})
        if number in kills:
            project.kubectl.run(
                *SYSTEM, "delete", "pod", "-l", "app.kubernetes.io/name=agentic-operator",
                "--grace-period=0", "--force",
            )  # fmt: skip
    for name in names:
        status = project.wait_phase("Completed", session=name, timeout_seconds=240)
        assert status["run"] == 1
    jobs = json.loads(project.run("get", "jobs", "-l", "agentic-operator.dev/session", "-o", "json"))["items"]
    assert sorted(job["metadata"]["name"] for job in jobs) == sorted(f"{name}-r1" for name in names)
    found = json.loads(project.run("get", "agenticsessions", "-o", "json"))["items"]
    assert {session["status"]["phase"] for session in found} <= FINAL
