"""The real cluster loses parts while sessions run: the operator, the API server, the database, a pod."""

import os
import random
import re
import signal
import subprocess
import sys
from collections import Counter

import pytest
from kubernetes.client import ApiException

from hack.kubectl import ROOT
from tests.e2e.conftest import FINAL, SYSTEM, Project
from tests.support.cluster import DEPLOYMENT, DISRUPTION_BUDGET, JOB, NODE, POD, SESSION, STATEFUL_SET
from tests.support.waiting import wait_for

OPERATOR_PODS = "app.kubernetes.io/name=agentic-operator"


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
    project.wait_steps(1)
    os.kill(pid_of("kube-apiserver"), signal.SIGKILL)
    subprocess.run([sys.executable, "-m", "hack.cluster", "up"], cwd=ROOT, check=True, capture_output=True)
    status = project.wait_phase("Completed")
    assert status["result"]["done"] == [str(n) for n in range(1, 7)]
    ends = [line for line in status["result"]["journal"] if line.startswith("end")]
    assert len(ends) == len(set(ends)) == 6


def test_a_database_replaced_during_a_run_loses_no_step(project: Project) -> None:
    project.define("steps", workspace={"size": "1Gi"})
    project.start("steps", inputs={"count": 6, "seconds": 1.5}, retries=5)
    project.wait_steps(1)
    project.cluster.delete(POD, "postgres-0", SYSTEM, grace_seconds=0)
    status = project.wait_phase("Completed")
    assert status["result"]["done"] == [str(n) for n in range(1, 7)]
    project.cluster.wait_rolled_out(STATEFUL_SET, "postgres", SYSTEM)


def test_an_evicted_pod_saves_and_is_not_counted_as_a_failure(project: Project) -> None:
    project.define("steps", workspace={"size": "1Gi"})
    project.start("steps", inputs={"count": 5, "seconds": 2}, retries=0)
    project.wait_steps(1)
    (pod,) = project.pods()
    project.cluster.evict(pod["metadata"]["name"], project.name)
    status = project.wait_phase("Completed")
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
    project.wait_steps(1)
    (node,) = (found["metadata"]["name"] for found in project.cluster.find_all(NODE))
    drain = ("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=150s")
    # Here all goes at once: on the only node, budgets would wait for a replica that has nowhere to start.
    budgets = [project.cluster.get(DISRUPTION_BUDGET, name, SYSTEM) for name in ("agentic-operator", "agentic-gateway")]
    for budget in budgets:
        project.cluster.delete(DISRUPTION_BUDGET, budget["metadata"]["name"], SYSTEM)
    try:
        project.kubectl.run(*drain, timeout_seconds=170)
        assert not [pod for pod in project.pods() if pod["status"]["phase"] == "Running"]
        assert project.status()["phase"] not in FINAL
    finally:
        project.kubectl.run("uncordon", node)
        for budget in budgets:
            kept = {key: budget["metadata"][key] for key in ("name", "namespace", "labels")}
            project.cluster.apply({**{key: budget[key] for key in ("apiVersion", "kind", "spec")}, "metadata": kept})
    project.cluster.wait_rolled_out(STATEFUL_SET, "postgres", SYSTEM)
    for name in ("agentic-operator", "agentic-gateway"):
        project.cluster.wait_rolled_out(DEPLOYMENT, name, SYSTEM)

    status = project.wait_phase("Completed")
    assert status["result"]["done"] == [str(n) for n in range(1, 7)]
    starts = Counter(line for line in status["result"]["journal"] if line.startswith("start"))
    assert sum(starts.values()) <= 7, f"one super-step was under way, and no other may run again: {starts}"
    project.answer({question["id"]: "yes"}, session="waits")
    status = project.wait_phase("Completed", session="waits")
    assert (status["result"]["done"], status["result"]["journal"]) == (["yes"], ["before"])


def test_a_drain_takes_one_replica_of_the_operator_at_a_time(project: Project) -> None:
    cluster = project.cluster
    cluster.wait_rolled_out(DEPLOYMENT, "agentic-operator", SYSTEM)

    def allowed() -> int:
        budget = cluster.find(DISRUPTION_BUDGET, "agentic-operator", SYSTEM) or {}
        return int(budget.get("status", {}).get("disruptionsAllowed", 0))

    wait_for(allowed, lambda number: number == 1, what="the budget")
    first, second = (pod["metadata"]["name"] for pod in cluster.find_all(POD, SYSTEM, labels=OPERATOR_PODS))
    cluster.evict(first, SYSTEM)
    with pytest.raises(ApiException, match="disruption budget"):
        cluster.evict(second, SYSTEM)
    # Once its successor is ready, the next one may go.
    wait_for(allowed, lambda number: number == 1, what="the successor")
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
            for pod in project.cluster.find_all(POD, SYSTEM, labels=OPERATOR_PODS):
                project.cluster.delete(POD, pod["metadata"]["name"], SYSTEM, grace_seconds=0)
    for name in names:
        status = project.wait_phase("Completed", session=name)
        assert status["run"] == 1
    jobs = project.find_all(JOB, labels="agentic-operator.dev/session")
    assert sorted(job["metadata"]["name"] for job in jobs) == sorted(f"{name}-r1" for name in names)
    assert {session["status"]["phase"] for session in project.find_all(SESSION)} <= FINAL
