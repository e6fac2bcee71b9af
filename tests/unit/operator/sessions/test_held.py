"""Runs whose runner has ended while something beside it keeps their pod."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from agentic_core.lifecycle import Phase
from agentic_operator.sessions.children import ObservedPod, observe_pod
from agentic_operator.sessions.decide import decide
from agentic_operator.sessions.held import SIDECAR_GRACE
from agentic_operator.sessions.observation import Observation, Rules
from agentic_operator.sessions.plan import Plan
from tests.support.builders import NOW, SessionBuilder, a_definition, a_job, a_pod, a_session, wire_time

JUST = NOW
LONG = NOW - SIDECAR_GRACE


def held(code: int, ended_at: Any = LONG, run: int = 1, **values: Any) -> ObservedPod:
    return a_pod(run, phase="Running", has_started=True, has_ended=True, exit_code=code, ended_at=ended_at, **values)


def decided(session: SessionBuilder, *pods: ObservedPod, **job: Any) -> Plan:
    jobs = tuple(a_job(run, **job) for run in sorted({int(pod.job.rpartition("-r")[2]) for pod in pods}))
    return decide(session.build(), Observation(definition=a_definition(), jobs=jobs, pods=pods), NOW, Rules())


def outcome(plan: Plan) -> tuple[str | None, str | None]:
    return (plan.status.phase, plan.status.reason) if plan.status is not None else (None, None)


def container(name: str, **state: Any) -> dict[str, Any]:
    return {"name": name, "state": state, "imageID": f"id-of-{name}"}


def a_raw_pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "s-r1-abcde", "uid": "u"}, "status": status}


def test_the_runners_container_is_found_beside_others_and_before_the_pods_phase() -> None:
    ended = {"exitCode": 3, "reason": "Error", "message": "no", "finishedAt": wire_time(NOW)}
    pod = observe_pod(
        a_raw_pod(
            phase="Running",
            containerStatuses=[
                container("istio-proxy", running={"startedAt": wire_time(NOW)}),
                container("runner", terminated=ended),
                container("log-agent", terminated={"exitCode": 0}),
            ],
        )
    )
    assert (pod.has_ended, pod.is_held, pod.is_over) == (True, True, False)
    assert (pod.exit_code, pod.exit_message, pod.ended_at, pod.image_id) == (3, "no", NOW, "id-of-runner")


def test_a_runner_that_goes_on_is_not_held_by_a_sidecar_that_ended() -> None:
    statuses = [container("log-agent", terminated={"exitCode": 1}), container("runner", running={})]
    pod = observe_pod(a_raw_pod(phase="Running", containerStatuses=statuses))
    assert (pod.has_started, pod.has_ended, pod.is_held, pod.exit_code) == (True, False, False, None)


@pytest.mark.parametrize(
    ("state", "waiting", "unprepared"),
    [
        ({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}, "ImagePullBackOff", ""),
        ({"waiting": {"reason": "CrashLoopBackOff"}}, "CrashLoopBackOff", ""),
        ({"terminated": {"exitCode": 1, "message": "iptables"}}, "PodInitializing", "exit code 1: iptables"),
        ({"terminated": {"exitCode": 0}}, "PodInitializing", ""),
        ({"running": {}}, "PodInitializing", ""),
    ],
)
def test_what_an_init_container_of_others_does_is_told_in_its_name(
    state: dict[str, Any], waiting: str, unprepared: str
) -> None:
    runner = container("runner", waiting={"reason": "PodInitializing"})
    inits = [container("istio-init", **state), container("later", waiting={"reason": "PodInitializing"})]
    pod = observe_pod(a_raw_pod(phase="Pending", containerStatuses=[runner], initContainerStatuses=inits))
    assert pod.waiting_reason == waiting
    assert ("istio-init" in pod.waiting_message) is (waiting != "PodInitializing")
    assert unprepared in pod.unprepared
    assert bool(pod.unprepared) is bool(unprepared)


def test_an_answer_is_taken_by_the_next_run_although_a_sidecar_holds_the_pod_that_asked() -> None:
    plan = decided(a_session().waiting("yes?").answered(q1="yes"), held(0, JUST))
    assert plan.job is not None
    assert plan.job["metadata"]["name"] == "s-r2"
    # It may hold the volume that the next one needs.
    assert plan.delete_jobs == ("s-r1",)


def test_a_session_that_waits_lets_go_of_a_held_pod_after_the_sidecars_grace() -> None:
    waiting = a_session().waiting("yes?")
    soon = decided(waiting, held(0, JUST))
    assert (soon.delete_jobs, soon.wake_at) == ((), JUST + SIDECAR_GRACE)
    assert decided(waiting, held(0)).delete_jobs == ("s-r1",)
    assert decided(waiting, held(0, None)).delete_jobs == ("s-r1",)


@pytest.mark.parametrize("phase", [Phase.COMPLETED, Phase.FAILED, Phase.STOPPED])
def test_a_session_that_ended_lets_go_of_a_held_pod_after_the_sidecars_grace(phase: Phase) -> None:
    ended = a_session().ended(phase)
    soon = decided(ended, held(0, JUST))
    assert (soon.delete_jobs, soon.wake_at) == ((), JUST + SIDECAR_GRACE)
    assert decided(ended, held(3)).delete_jobs == ("s-r1",)


def test_a_pod_that_failed_by_its_sidecar_alone_is_not_followed_by_another_after_the_end() -> None:
    failed = replace(held(0), phase="Failed")
    assert decided(a_session().ended(Phase.COMPLETED), failed).delete_jobs == ("s-r1",)
    assert decided(a_session().ended(Phase.COMPLETED), replace(failed, phase="Succeeded")).delete_jobs == ()


@pytest.mark.parametrize(
    ("code", "reason"), [(3, "GraphError"), (4, "GraphLoadFailed"), (5, "DatabaseNotMigrated"), (7, "OutputTooLarge")]
)
def test_a_permanent_exit_code_fails_the_session_at_once_with_the_runners_words(code: int, reason: str) -> None:
    plan = decided(a_session().running(), held(code, JUST, exit_message="why"), retries=3)
    assert outcome(plan) == ("Failed", reason)
    assert plan.delete_jobs == ("s-r1",)
    assert plan.status is not None
    assert (plan.status.message or "").endswith("why")


def test_a_failed_attempt_loses_its_pod_so_that_its_job_follows_it() -> None:
    running = a_session().running()
    soon = decided(running, held(1, JUST, exit_message="ValueError: no"), retries=3)
    assert outcome(soon) == ("Running", "Retrying")
    assert (soon.delete_pods, soon.delete_jobs, soon.wake_at) == ((), (), JUST + SIDECAR_GRACE)
    due = decided(running, held(1), retries=3)
    assert (due.delete_pods, due.delete_jobs, due.job) == (("s-r1-abcde",), (), None)
    told = running.with_status(reason="Retrying", message="attempt 1 of 4 failed: ValueError: no")
    assert decided(told, held(1), retries=3).status == told.build().status


def test_the_last_attempt_fails_the_session_with_its_reason() -> None:
    oom = held(137, JUST, exit_reason="OOMKilled", memory_limit="64Mi")
    assert outcome(decided(a_session().running(), oom, retries=2, failed=2)) == ("Failed", "OOMKilled")
    assert outcome(decided(a_session().running(), oom, retries=2, failed=1)) == ("Running", "Retrying")
    # Until the Job's own word on its retries is seen, none is the last.
    assert outcome(decided(a_session().running(), oom, failed=9)) == ("Running", "Retrying")


def test_a_drained_runner_is_followed_by_its_job_and_is_no_failure() -> None:
    plan = decided(a_session().running(), held(143), retries=0)
    assert outcome(plan) == ("Running", "JobCreated")
    assert (plan.delete_pods, plan.notes) == (("s-r1-abcde",), ())


@pytest.mark.parametrize("code", [0, 8])
def test_a_runner_that_left_no_verdict_is_followed_by_the_next_run(code: int) -> None:
    plan = decided(a_session().running(), held(code, JUST), retries=3)
    assert plan.job is not None
    assert plan.job["metadata"]["name"] == "s-r2"
    assert plan.delete_jobs == ("s-r1",)


def test_a_job_that_failed_by_its_sidecar_alone_is_followed_by_the_next_run() -> None:
    failed = replace(held(0), phase="Failed")
    plan = decided(a_session().running(), failed, failure_reason="BackoffLimitExceeded")
    assert plan.job is not None
    assert plan.job["metadata"]["name"] == "s-r2"


def test_an_older_run_that_is_held_goes_while_the_next_one_is_on() -> None:
    plan = decided(a_session().running(2), held(0, JUST), a_pod(2, phase="Running", has_started=True))
    assert plan.delete_jobs == ("s-r1",)


def test_a_held_pod_that_is_being_deleted_is_left_to_the_kubelet() -> None:
    going = held(1, NOW - timedelta(minutes=1), deleting_since=NOW)
    plan = decided(a_session().running(), going, retries=3)
    assert (plan.delete_pods, plan.delete_jobs, plan.job) == ((), (), None)


@pytest.mark.parametrize("step", ["PodScheduled", "PodReadyToStartContainers", "Initialized"])
def test_patience_counts_from_when_a_pod_came_so_far(step: str) -> None:
    late = {"type": step, "status": "True", "lastTransitionTime": wire_time(NOW)}
    early = {"type": "PodScheduled", "status": "True", "lastTransitionTime": wire_time(LONG)}
    not_yet = {"type": "Initialized", "status": "False", "lastTransitionTime": wire_time(NOW + SIDECAR_GRACE)}
    before = [] if step == "PodScheduled" else [early]
    stuck = {"containerStatuses": [container("runner", waiting={"reason": "ErrImagePull"})]}
    assert observe_pod(a_raw_pod(conditions=[*before, late], **stuck)).begun_at == NOW
    assert observe_pod(a_raw_pod(conditions=[early, not_yet], **stuck)).begun_at == LONG
    assert observe_pod(a_raw_pod(**stuck)).begun_at is None
    # One that starts as it should is no news with every step.
    assert observe_pod(a_raw_pod(conditions=[late])).begun_at is None
