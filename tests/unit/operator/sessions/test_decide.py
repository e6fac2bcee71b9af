"""Every decision about a session, as a table of what was seen and what is wanted."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from agentic_core.conditions import Reason, find_condition
from agentic_core.lifecycle import Actor, Phase, is_legal
from agentic_core.names import FINALIZER
from agentic_operator.images import AllowedImages
from agentic_operator.sessions.admission import Queue, Refused
from agentic_operator.sessions.children import ObservedPod, StuckPod
from agentic_operator.sessions.decide import decide, needs_input_check
from agentic_operator.sessions.ending import DELETION_PATIENCE, LINGER
from agentic_operator.sessions.observation import Observation, Rules
from agentic_operator.sessions.plan import Plan
from agentic_operator.sessions.running import MAX_RESTARTS
from tests.support.builders import (
    NOW,
    READY,
    SessionBuilder,
    a_definition,
    a_job,
    a_pod,
    a_session,
    condition,
    wire_time,
)

RULES = Rules()
READY_SEEN = Observation(definition=a_definition())


def decided(session: SessionBuilder, seen: Observation = READY_SEEN, rules: Rules = RULES) -> Plan:
    built = session.build()
    plan = decide(built, seen, NOW, rules)
    if plan.status is not None and not (built.status.phase or Phase.PENDING).is_final:
        assert plan.status.phase is not None
        assert is_legal(built.status.phase, plan.status.phase, Actor.OPERATOR)
        assert plan.status.observed_generation == built.metadata.generation
    return plan


def outcome(plan: Plan) -> tuple[str | None, str | None]:
    return (plan.status.phase, plan.status.reason) if plan.status is not None else (None, None)


# -- before the first run


def test_a_new_session_of_a_ready_workflow_gets_its_job_its_finalizer_and_a_pinned_workflow() -> None:
    digest = "registry.example.com/team/workflow@sha256:" + "a" * 64
    seen = Observation(definition=a_definition(status={"imageDigest": digest}))
    plan = decided(a_session(), seen)
    assert outcome(plan) == ("Creating", "JobCreated")
    assert plan.job is not None
    assert plan.job["metadata"]["name"] == "s-r1"
    assert plan.add_finalizer
    assert plan.status is not None
    assert plan.status.workflow is not None
    assert plan.status.workflow.image_digest == digest
    assert (plan.status.run, plan.status.job_name) == (1, "s-r1")
    assert plan.status.thread_id == "project-team:session-s"
    accepted = find_condition(plan.status.conditions, "Accepted")
    assert accepted is not None
    assert (accepted.status, accepted.reason) == ("True", "Accepted")


def test_a_private_session_has_its_users_thread() -> None:
    plan = decided(a_session().with_spec(userContext={"userId": "ann:1", "private": True}))
    assert plan.status is not None
    assert plan.status.thread_id == "project-team:user-ann%3A1:session-s"


def test_a_pass_after_a_crash_adopts_the_job_that_is_there() -> None:
    plan = decided(a_session(), replace(READY_SEEN, jobs=(a_job(),), queue=Queue(active=99)))
    assert plan.job is None
    assert plan.add_finalizer
    assert outcome(plan) == ("Creating", "JobCreated")


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        pytest.param(None, ("Pending", "WorkflowNotFound"), id="no workflow"),
        pytest.param(a_definition(conditions=()), ("Pending", "WorkflowNotReady"), id="not looked at"),
        pytest.param(
            a_definition(conditions=tuple({**c, "observedGeneration": 0} for c in READY)),
            ("Pending", "WorkflowNotReady"),
            id="looked at before the last change",
        ),
        pytest.param(
            a_definition(conditions=(*READY[:2], condition("Inspected", "Unknown"))),
            ("Pending", "WorkflowNotReady"),
            id="being inspected",
        ),
        pytest.param(a_definition(suspend=True), ("Pending", "WorkflowSuspended"), id="suspended workflow"),
        pytest.param(
            a_definition(reportsTo="Gateway"), ("Pending", "GatewayNotConfigured"), id="a gateway that is not there"
        ),
        pytest.param(
            a_definition(conditions=(condition("SchemaValid", "False", "InvalidSchema", "bad"), *READY[1:])),
            ("Failed", "InvalidSchema"),
            id="broken schema",
        ),
        pytest.param(
            a_definition(conditions=(*READY[:2], condition("Inspected", "Unknown", "ImagePullFailed", "not found"))),
            ("Pending", "ImagePullFailed"),
            id="image that cannot be pulled so far",
        ),
        pytest.param(
            a_definition(conditions=(*READY[:2], condition("Inspected", "Unknown", "SecretMissing", "no secret"))),
            ("Pending", "WorkflowNotReady"),
            id="inspection that lacks a Secret: in the line, so that the definition wakes it",
        ),
        pytest.param(
            a_definition(conditions=(*READY[:2], condition("Inspected", "False", "ImagePullFailed", "no such image"))),
            ("Pending", "ImagePullFailed"),
            id="image that cannot be pulled",
        ),
        pytest.param(
            a_definition(conditions=(*READY[:2], condition("Inspected", "False", "SomethingNew", "?"))),
            ("Failed", "NotReady"),
            id="reason of a later version",
        ),
    ],
)
def test_a_workflow_that_cannot_run_holds_or_fails_its_sessions(definition: Any, expected: tuple[str, str]) -> None:
    plan = decided(a_session(), Observation(definition=definition))
    assert outcome(plan) == expected
    assert plan.job is None
    assert not plan.add_finalizer


PULLS: Any = {
    status: Observation(
        definition=a_definition(conditions=(*READY[:2], condition("Inspected", status, "ImagePullFailed", "not found")))
    )
    for status in ("Unknown", "False")
}


@pytest.mark.parametrize("status", ["Unknown", "False"])
def test_a_session_says_what_keeps_its_workflow_from_being_ready(status: str) -> None:
    plan = decided(a_session(), PULLS[status])
    assert plan.status is not None
    assert "WorkflowDefinition 'report'" in (plan.status.message or "")
    assert "not found" in (plan.status.message or "")
    scheduled = find_condition(plan.status.conditions, "Scheduled")
    assert scheduled is not None
    assert (scheduled.status, scheduled.reason, scheduled.last_transition_time) == ("False", "ImagePullFailed", NOW)
    assert [(note.reason, note.type) for note in plan.notes] == [(Reason.IMAGE_PULL_FAILED, "Warning")]


def test_a_session_whose_workflow_may_recover_fails_after_a_minute_and_says_how_to_run_it_again() -> None:
    fresh = decided(a_session(), PULLS["False"])
    assert (outcome(fresh), fresh.wake_at) == (("Pending", "ImagePullFailed"), NOW + timedelta(seconds=60))
    young = decided(held_for_pull(timedelta(seconds=59)), PULLS["False"])
    assert (outcome(young), young.wake_at) == (("Pending", "ImagePullFailed"), NOW + timedelta(seconds=1))
    # Told while the pull was tried: that minute counts.
    old = decided(held_for_pull(timedelta(seconds=60)), PULLS["False"])
    assert outcome(old) == ("Failed", "ImagePullFailed")
    assert old.status is not None
    assert "`agentic retry s`" in (old.status.message or "")
    assert outcome(decided(held_for_pull(timedelta(seconds=60)), PULLS["Unknown"]))[0] == "Pending"


def test_a_session_starts_when_its_workflow_recovers_and_owes_nothing_for_the_time_before() -> None:
    plan = decided(held_for_pull(timedelta(seconds=59)))
    assert outcome(plan) == ("Creating", "JobCreated")
    assert plan.status is not None
    assert find_condition(plan.status.conditions, "Scheduled") is None
    # Being checked anew, it has its whole minute again.
    anew = decided(held_for_pull(timedelta(hours=1)), Observation(definition=a_definition(conditions=())))
    assert outcome(anew) == ("Pending", "WorkflowNotReady")
    assert anew.status is not None
    assert find_condition(anew.status.conditions, "Scheduled") is None


def held_for_pull(ago: timedelta) -> SessionBuilder:
    told = {**condition("Scheduled", "False", "ImagePullFailed"), "lastTransitionTime": wire_time(NOW - ago)}
    return a_session().with_status(phase="Pending", reason="ImagePullFailed", message="so", conditions=[told])


def test_a_list_of_images_that_became_stricter_refuses_a_ready_workflow() -> None:
    rules = Rules(allowed=AllowedImages.parse("docker.io/other"))
    assert outcome(decided(a_session(), rules=rules)) == ("Failed", "ImageNotAllowed")
    again = a_session().with_spec(suspend=False).accepted(Phase.SUSPENDED)
    assert outcome(decided(again, rules=rules)) == ("Failed", "ImageNotAllowed")


def test_refused_inputs_fail_the_session_with_the_pointer_and_no_pod() -> None:
    refused = Refused(Reason.INVALID_INPUT, "/spec/inputs/threshold: 'x' is not of type 'number'")
    plan = decided(a_session(), replace(READY_SEEN, refused_inputs=refused))
    assert outcome(plan) == ("Failed", "InvalidInput")
    assert plan.job is None
    assert plan.status is not None
    assert plan.status.completion_time == NOW
    accepted = find_condition(plan.status.conditions, "Accepted")
    assert accepted is not None
    assert (accepted.status, accepted.message) == ("False", refused.message)


@pytest.mark.parametrize(
    ("limit", "active", "ahead", "starts"),
    [(None, 500, 500, True), (2, 1, 0, True), (2, 2, 0, False), (2, 1, 1, False), (2, 0, 1, True), (0, 0, 0, False)],
)
def test_a_full_workflow_queues_the_younger_sessions(limit: int | None, active: int, ahead: int, starts: bool) -> None:
    spec: dict[str, Any] = {} if limit is None else {"maxActiveSessions": limit}
    plan = decided(a_session(), Observation(definition=a_definition(**spec), queue=Queue(active, ahead)))
    assert (plan.job is not None) is starts
    if not starts:
        assert outcome(plan) == ("Pending", "Queued")


def test_a_waiting_session_is_not_written_again_while_nothing_changes() -> None:
    seen = Observation(definition=a_definition(maxActiveSessions=1), queue=Queue(active=1))
    first = decided(a_session(), seen)
    assert first.status is not None
    again = decided(a_session().with_status(**first.status.to_wire()), seen)
    assert again.status == first.status


def test_inputs_are_checked_only_right_before_the_first_run() -> None:
    ready, waiting = a_definition(), a_definition(conditions=())
    assert needs_input_check(a_session().build(), ready, RULES)
    assert not needs_input_check(a_session().build(), waiting, RULES)
    assert not needs_input_check(a_session().build(), None, RULES)
    assert not needs_input_check(a_session().running().build(), ready, RULES)
    assert not needs_input_check(a_session().with_spec(suspend=True).build(), ready, RULES)
    assert not needs_input_check(a_session().with_spec(stop=True).build(), ready, RULES)


# -- while it runs

OVER_ITS_LIMIT = 'Usage of EmptyDir volume "tmp" exceeds the limit "1Gi". '


def test_an_active_job_needs_nothing() -> None:
    for session in (a_session().accepted(), a_session().running()):
        plan = decided(session, replace(READY_SEEN, jobs=(a_job(),), pods=(a_pod(phase="Running", has_started=True),)))
        assert plan == Plan(status=session.build().status)


@pytest.mark.parametrize("phase", [Phase.CREATING, Phase.RUNNING])
@pytest.mark.parametrize(
    ("job", "pods", "reason"),
    [
        pytest.param(a_job(failure_reason="DeadlineExceeded"), (), "DeadlineExceeded", id="deadline"),
        pytest.param(
            a_job(failure_reason="BackoffLimitExceeded"),
            (a_pod(phase="Failed", exit_code=137, exit_reason="OOMKilled"),),
            "OOMKilled",
            id="memory",
        ),
        pytest.param(
            a_job(failure_reason="BackoffLimitExceeded"),
            (a_pod(phase="Failed", exit_code=137, reason="Evicted", message=OVER_ITS_LIMIT),),
            "Evicted",
            id="disk",
        ),
        pytest.param(
            a_job(failure_reason="PodFailurePolicy"),
            (a_pod(phase="Failed", exit_code=5, exit_message="at version 1, wants 3"),),
            "DatabaseNotMigrated",
            id="database not migrated",
        ),
        pytest.param(a_job(), (a_pod(waiting_reason="InvalidImageName"),), "ImagePullFailed", id="hopeless image"),
        pytest.param(
            a_job(failure_reason="BackoffLimitExceeded"),
            (a_pod(phase="Failed", exit_code=137, exit_reason="Error"),),
            "RunnerLost",
            id="killed",
        ),
    ],
)
def test_a_run_that_ends_without_its_runners_word_fails_with_the_reason(
    phase: Phase, job: Any, pods: tuple[Any, ...], reason: str
) -> None:
    plan = decided(a_session().accepted(phase), replace(READY_SEEN, jobs=(job,), pods=pods))
    assert outcome(plan) == ("Failed", reason)
    assert plan.job is None
    # What still runs goes after the verdict is written.
    assert plan.delete_jobs == (() if job.failure_reason else (job.name,))
    assert plan.status is not None
    assert plan.status.error is not None
    assert plan.status.error.type == reason


def told_since(reason: str, ago: timedelta, phase: Phase = Phase.CREATING) -> SessionBuilder:
    told = {**condition("Scheduled", "False", reason), "lastTransitionTime": wire_time(NOW - ago)}
    return a_session().accepted(phase).with_status(conditions=[told], reason=reason)


@pytest.mark.parametrize("phase", [Phase.CREATING, Phase.RUNNING])
def test_a_pull_that_fails_is_shown_at_once_and_fatal_once_it_was_told_for_a_minute(phase: Phase) -> None:
    old = timedelta(hours=1)
    pod = a_pod(waiting_reason="ErrImagePull", waiting_message="not found", created_at=NOW - old, begun_at=NOW - old)
    seen = replace(READY_SEEN, jobs=(a_job(),), pods=(pod,))
    plan = decided(a_session().accepted(phase), seen)
    assert outcome(plan) == (phase, "ImagePullFailed")
    assert plan.wake_at == NOW + timedelta(seconds=60)
    assert decided(told_since("ImagePullFailed", timedelta(seconds=59), phase), seen).wake_at == NOW + timedelta(
        seconds=1
    )
    failed = decided(told_since("ImagePullFailed", timedelta(seconds=60), phase), seen)
    assert outcome(failed) == ("Failed", "ImagePullFailed")
    assert failed.delete_jobs == ("s-r1",)
    # Told of a pod before this one.
    young = replace(seen, pods=(replace(pod, created_at=NOW),))
    assert outcome(decided(told_since("ImagePullFailed", old, phase), young))[0] == phase


def test_patience_with_a_cause_begins_when_another_one_is_over() -> None:
    pod = a_pod(waiting_reason="ErrImagePull", created_at=NOW - timedelta(hours=1))
    session = told_since("Unschedulable", timedelta(hours=1))
    plan = decided(session, replace(READY_SEEN, jobs=(a_job(),), pods=(pod,)))
    assert (outcome(plan), plan.wake_at) == (("Creating", "ImagePullFailed"), NOW + timedelta(seconds=60))
    assert plan.status is not None
    told = find_condition(plan.status.conditions, "Scheduled")
    assert told is not None
    assert (told.reason, told.last_transition_time) == ("ImagePullFailed", NOW)


@pytest.mark.parametrize(
    "said", ['secret "llm" not found', 'configmap "c" not found', "couldn't find key key in Secret team/llm"]
)
def test_what_a_variable_needs_is_waited_for_however_late_it_comes(said: str) -> None:
    pod = a_pod(waiting_reason="CreateContainerConfigError", waiting_message=said, created_at=NOW - timedelta(hours=1))
    session = told_since("ContainerConfigError", timedelta(hours=1))
    plan = decided(session, replace(READY_SEEN, jobs=(a_job(),), pods=(pod,)))
    assert outcome(plan) == ("Creating", "ContainerConfigError")
    assert plan.status is not None
    assert said in (plan.status.message or "")
    other = replace(pod, waiting_message="container has runAsNonRoot and image will run as root")
    failed = decided(session, replace(READY_SEEN, jobs=(a_job(),), pods=(other,)))
    assert outcome(failed) == ("Failed", "ContainerConfigError")


def test_a_pull_that_lacks_its_secret_is_waited_for() -> None:
    pod = a_pod(waiting_reason="ImagePullBackOff", created_at=NOW - timedelta(hours=1))
    stuck_pod = StuckPod(
        "s-r1", pod.name, Reason.SECRET_MISSING, "Unable to retrieve some image pull secrets (regcred)"
    )
    seen = replace(READY_SEEN, jobs=(a_job(),), pods=(pod,), stuck_pod=stuck_pod)
    plan = decided(told_since("SecretMissing", timedelta(hours=1)), seen)
    assert outcome(plan) == ("Creating", "SecretMissing")
    hopeless = replace(seen, pods=(replace(pod, waiting_reason="InvalidImageName"),))
    assert outcome(decided(told_since("SecretMissing", timedelta(hours=1)), hopeless)) == ("Failed", "ImagePullFailed")


def test_an_unschedulable_pod_is_shown_and_waited_for_and_forgotten_once_it_starts() -> None:
    stuck = replace(READY_SEEN, jobs=(a_job(),), pods=(a_pod(unschedulable="0/3 nodes"),))
    plan = decided(a_session().accepted(), stuck)
    assert outcome(plan) == ("Creating", "Unschedulable")
    assert plan.status is not None
    shown = a_session().accepted().with_status(**plan.status.to_wire())
    assert decided(shown, stuck).status == plan.status
    after = decided(shown, replace(READY_SEEN, jobs=(a_job(),), pods=(a_pod(),)))
    assert outcome(after) == ("Creating", "JobCreated")


@pytest.mark.parametrize(
    ("jobs", "pods"),
    [
        pytest.param((), (), id="job deleted by hand"),
        pytest.param((a_job(is_complete=True),), (), id="ended without a verdict"),
        pytest.param(
            (a_job(failure_reason="PodFailurePolicy"),), (a_pod(phase="Failed", exit_code=8),), id="superseded"
        ),
        pytest.param(
            (a_job(failure_reason="BackoffLimitExceeded"),), (a_pod(phase="Failed", reason="NodeLost"),), id="node lost"
        ),
    ],
)
def test_a_run_without_a_verdict_is_followed_by_the_next_but_not_for_ever(
    jobs: tuple[Any, ...], pods: tuple[Any, ...]
) -> None:
    seen = replace(READY_SEEN, jobs=jobs, pods=pods, queue=Queue(active=1000))
    plan = decided(a_session().running(), seen)
    assert outcome(plan) == ("Creating", "JobCreated")
    assert plan.job is not None
    assert plan.job["metadata"]["name"] == "s-r2"
    assert plan.status is not None
    assert (plan.status.run, plan.status.restarts) == (2, 1)
    last = decided(a_session().running().with_status(restarts=MAX_RESTARTS), seen)
    assert outcome(last) == ("Failed", "RunnerLost")


def test_a_loss_counts_also_where_the_operator_died_between_the_next_job_and_the_status() -> None:
    seen = replace(READY_SEEN, jobs=(a_job(1, is_complete=True, active=0), a_job(2)))
    plan = decided(a_session().running().with_status(restarts=2), seen)
    assert plan.status is not None
    assert (plan.status.run, plan.status.restarts, plan.job) == (2, 3, None)


def test_a_pod_that_filled_its_disk_and_saved_on_the_way_out_is_not_repeated_without_end() -> None:
    """Its Job ignores that end, as of any pod that drained, and makes the next pod for as long as the run may take."""
    drained = a_pod(phase="Failed", exit_code=143, reason="Evicted", message=OVER_ITS_LIMIT)
    young = a_pod(name="s-r1-fresh", phase="Running", has_started=True, created_at=NOW)
    for pods in ((drained,), (drained, young)):
        seen = replace(READY_SEEN, jobs=(a_job(),), pods=pods)
        plan = decided(a_session().running(), seen)
        assert plan.status is not None
        assert (plan.status.run, plan.status.restarts, plan.delete_jobs) == (2, 1, ("s-r1",))
        last = decided(a_session().running().with_status(restarts=MAX_RESTARTS), seen)
        assert outcome(last) == ("Failed", "Evicted")
        assert last.status is not None
        assert "exceeds the limit" in (last.status.message or "")
    disrupted = replace(drained, is_disrupted=True)
    plan = decided(a_session().running(), replace(READY_SEEN, jobs=(a_job(),), pods=(disrupted, young)))
    assert plan.status is not None
    assert (plan.status.run, plan.delete_jobs) == (1, ())


def test_the_next_run_uses_the_pinned_workflow_even_if_the_definition_is_gone_or_changed() -> None:
    for definition in (None, a_definition(image="registry.example.com/team/workflow:2")):
        plan = decided(a_session().running(), Observation(definition=definition))
        assert plan.job is not None
        container = plan.job["spec"]["template"]["spec"]["containers"][0]
        assert container["image"] == "registry.example.com/team/workflow:1"


def test_a_job_made_just_before_a_crash_is_adopted_as_the_next_run() -> None:
    plan = decided(a_session().running(), replace(READY_SEEN, jobs=(a_job(1, is_complete=True), a_job(2))))
    assert plan.job is None
    assert plan.status is not None
    assert (plan.status.phase, plan.status.run, plan.status.job_name) == ("Creating", 2, "s-r2")


def test_a_job_that_is_being_deleted_is_waited_for() -> None:
    plan = decided(a_session().running(), replace(READY_SEEN, jobs=(a_job(is_deleting=True),)))
    assert plan.status is None
    assert plan.job is None
    assert plan.wake_at is not None


def test_a_run_whose_pod_hangs_in_its_deletion_is_given_up_after_a_minute() -> None:
    pod = a_pod(phase="Running", has_started=True, deleting_since=NOW)
    seen = replace(READY_SEEN, jobs=(a_job(),), pods=(pod,))
    waits = decided(a_session().running(), seen)
    assert (waits.job, waits.wake_at) == (None, NOW + timedelta(seconds=60))
    seen = replace(seen, pods=(replace(pod, deleting_since=NOW - timedelta(seconds=60)),))
    given_up = decided(a_session().running(), seen)
    assert given_up.job is not None
    assert given_up.job["metadata"]["name"] == "s-r2"
    assert given_up.delete_jobs == ("s-r1",)
    followed = replace(seen, pods=(*seen.pods, a_pod(name="s-r1-two", phase="Running", has_started=True)))
    assert decided(a_session().running(), followed).job is None


def test_a_failed_attempt_with_retries_left_is_told_until_the_next_one_starts() -> None:
    failed = a_pod(name="s-r1-one", phase="Failed", exit_code=1, exit_message="ValueError: no")
    young = a_pod(name="s-r1-two", created_at=NOW)
    seen = replace(READY_SEEN, jobs=(a_job(failed=1),), pods=(failed, young))
    plan = decided(a_session().running(), seen)
    assert outcome(plan) == ("Running", "Retrying")
    assert plan.status is not None
    assert plan.status.message is not None
    assert "ValueError: no" in plan.status.message
    started = replace(seen, pods=(failed, replace(young, phase="Running", has_started=True)))
    assert outcome(decided(a_session().running(), started)) == ("Running", "JobCreated")


@pytest.mark.parametrize(("code", "reason"), [(1, "Retrying"), (20, "DatabaseUnavailable")])
def test_what_the_runner_said_of_a_failed_attempt_stands(code: int, reason: str) -> None:
    session = a_session().running().with_status(reason=reason, message="attempt 1 of 3 failed: ValueError: no")
    seen = replace(READY_SEEN, jobs=(a_job(failed=1),), pods=(a_pod(phase="Failed", exit_code=code),))
    plan = decided(session, seen)
    assert plan.status == session.build().status
    killed = replace(seen, pods=(a_pod(phase="Failed", exit_code=137),))
    assert outcome(decided(session, killed)) == ("Running", "Retrying")


# -- stop and suspend


@pytest.mark.parametrize(("word", "phase"), [("stop", "Stopped"), ("suspend", "Suspended")])
def test_stop_and_suspend_record_that_they_delete_the_job_and_write_the_phase_when_the_pods_are_gone(
    word: str, phase: str
) -> None:
    session = a_session().running().with_spec(**{word: True})
    plan = decided(session, replace(READY_SEEN, jobs=(a_job(),), pods=(a_pod(phase="Running"),)))
    assert plan.delete_jobs == ("s-r1",)
    assert plan.status is not None
    assert (plan.status.phase, plan.status.withdrawn_run) == ("Running", 1)
    draining = decided(session, replace(READY_SEEN, pods=(a_pod(phase="Running", deleting_since=NOW),)))
    assert draining.status is not None
    assert draining.status.phase == "Running"
    lost = a_pod(phase="Running", deleting_since=NOW - timedelta(minutes=5))
    for pods in ((), (a_pod(phase="Failed"),), (lost,)):
        assert decided(session, replace(READY_SEEN, pods=pods)).status is not None
        assert outcome(decided(session, replace(READY_SEEN, pods=pods)))[0] == phase


@pytest.mark.parametrize("session", [a_session(), a_session().accepted(Phase.SUSPENDED), a_session().waiting("?")])
def test_what_holds_no_pod_is_stopped_at_once(session: SessionBuilder) -> None:
    plan = decided(session.with_spec(stop=True))
    assert outcome(plan) == ("Stopped", "StoppedByUser")
    assert plan.status is not None
    assert plan.status.completion_time == NOW


def test_a_session_created_suspended_waits_and_then_starts() -> None:
    assert outcome(decided(a_session().with_spec(suspend=True))) == ("Suspended", "Suspended")
    plan = decided(a_session().with_status(phase="Suspended", reason="Suspended").with_spec(suspend=False))
    assert outcome(plan) == ("Creating", "JobCreated")


def test_a_suspended_run_goes_on_as_the_next_run_and_a_suspended_question_waits_again() -> None:
    plan = decided(a_session().accepted(Phase.SUSPENDED))
    assert plan.job is not None
    assert plan.job["metadata"]["name"] == "s-r2"
    asking = a_session().waiting("approve?").with_status(phase="Suspended")
    assert outcome(decided(asking)) == ("WaitingForInput", "WaitingForInput")
    assert outcome(decided(asking.answered(q1=True)))[0] == "Creating"
    interrupted = a_session().waiting("a?", "b?").answered(q1=1)
    on = [
        {**each, "resumedAt": each["answeredAt"]} if "answeredAt" in each else each
        for each in interrupted.status["interrupts"]
    ]
    conditions = [condition("WaitingForInput", "False", "Running")]
    drained = interrupted.with_status(phase="Suspended", interrupts=on, conditions=conditions)
    assert outcome(decided(drained))[0] == "Creating"


@pytest.mark.parametrize("seconds", [30, 90], ids=["over while it was suspended", "still to come"])
def test_a_suspended_question_that_waits_again_is_looked_at_at_its_deadline(seconds: int) -> None:
    asking = a_session().waiting("approve?").with_status(phase="Suspended")
    plan = decided(asking.with_spec(inputDeadline={"seconds": seconds}))
    assert outcome(plan) == ("WaitingForInput", "WaitingForInput")
    assert plan.wake_at == NOW + timedelta(seconds=seconds) - timedelta(minutes=1)


# -- waiting for people


def test_an_answer_starts_the_next_run_once_the_last_one_ended() -> None:
    session = a_session().waiting("approve?")
    assert decided(session, READY_SEEN).job is None
    warm = decided(session.answered(q1="yes"), replace(READY_SEEN, jobs=(a_job(),)))
    assert warm == Plan(status=warm.status)
    for ended in (
        replace(READY_SEEN, jobs=(a_job(is_complete=True),)),
        replace(READY_SEEN, jobs=(a_job(),), pods=(a_pod(phase="Succeeded"),)),
        replace(READY_SEEN, jobs=(a_job(),), pods=(a_pod(phase="Failed"),)),
        replace(READY_SEEN, jobs=(a_job(is_deleting=True),)),
    ):
        done = decided(session.answered(q1="yes"), ended)
        assert done.job is not None
        assert done.job["metadata"]["name"] == "s-r2"
    assert decided(session.answering(other="yes")).job is None


def test_what_ended_is_deleted_while_the_session_waits_and_a_warm_runner_is_left_alone() -> None:
    waiting = a_session().waiting("approve?", run=2)

    def deleted(*pods: ObservedPod, **job: Any) -> tuple[str, ...]:
        jobs = (a_job(1, is_complete=True), a_job(2, **job))
        return decided(waiting, replace(READY_SEEN, jobs=jobs, pods=pods)).delete_jobs

    assert deleted(a_pod(2, phase="Running")) == ("s-r1",)
    assert deleted(is_complete=True) == ("s-r1", "s-r2")
    assert deleted(failure_reason="BackoffLimitExceeded") == ("s-r1", "s-r2")
    # Seen a second before the Job says so.
    assert deleted(a_pod(2, phase="Succeeded")) == ("s-r1", "s-r2")
    # Killed after it had asked: the next attempt could only ask the same.
    assert deleted(a_pod(2, phase="Failed")) == ("s-r1", "s-r2")
    assert deleted(a_pod(2, phase="Failed"), a_pod(2, name="s-r2-again", phase="Running")) == ("s-r1",)
    # Left of a session that had this name before.
    assert deleted(a_pod(2, phase="Succeeded", created_at=NOW - timedelta(hours=1))) == ("s-r1",)
    assert deleted(a_pod(2, phase="Succeeded", deleting_since=NOW)) == ("s-r1",)
    assert deleted(is_complete=True, is_deleting=True) == ("s-r1",)


def test_the_digest_that_the_first_pod_ran_is_pinned_where_the_inspection_told_none() -> None:
    moved = a_pod(2, image_id="registry.example.com/team/workflow@sha256:" + "b" * 64, created_at=NOW)
    first = a_pod(1, image_id="registry.example.com/team/workflow@sha256:" + "a" * 64)
    loaded = a_pod(1, image_id="sha256:" + "c" * 64)
    session = a_session().waiting("?")
    assert decided(session, replace(READY_SEEN, pods=(loaded,))).status == decided(session).status
    plan = decided(session, replace(READY_SEEN, pods=(moved, first)))
    assert plan.status is not None
    assert plan.status.workflow is not None
    assert plan.status.workflow.image_digest == "registry.example.com/team/workflow@sha256:" + "a" * 64


def test_an_answer_waits_its_turn_in_a_full_workflow() -> None:
    seen = Observation(definition=a_definition(maxActiveSessions=1), queue=Queue(active=1))
    plan = decided(a_session().waiting("approve?").answered(q1="yes"), seen)
    assert outcome(plan) == ("WaitingForInput", "Queued")


def test_a_question_past_its_deadline_fails_the_session() -> None:
    session = a_session().waiting("approve?")
    late = decided(session.with_spec(inputDeadline={"seconds": 30}))
    assert outcome(late) == ("Failed", "InputDeadlineExceeded")
    early = decided(session.with_spec(inputDeadline={"seconds": 90}))
    assert early.wake_at == NOW + timedelta(seconds=30)


# -- after the end


@pytest.mark.parametrize("phase", [Phase.COMPLETED, Phase.FAILED, Phase.STOPPED])
def test_a_finished_session_is_left_alone_whatever_its_spec_says(phase: Phase) -> None:
    for session in (a_session().ended(phase), a_session().ended(phase).with_spec(stop=True, suspend=True)):
        assert decided(session) == Plan()


def test_a_finished_session_without_completion_time_is_left_alone() -> None:
    assert decided(a_session().with_status(phase="Completed", observedGeneration=1)) == Plan()


@pytest.mark.parametrize("phase", Phase)
def test_every_pass_observes_the_generation_with_all_conditions_also_after_the_end(phase: Phase) -> None:
    session = a_session().accepted(phase).with_status(completionTime=wire_time(NOW), reason="Because")
    plan = decided(session.with_metadata(generation=7), replace(READY_SEEN, jobs=(a_job(),)))
    assert plan.status is not None
    assert plan.status.observed_generation == 7
    assert plan.status.conditions
    assert {each.observed_generation for each in plan.status.conditions} == {7}


def test_a_finished_session_goes_after_its_ttl() -> None:
    session = a_session().with_spec(ttlSecondsAfterFinished=60)
    assert decided(session.ended(Phase.COMPLETED, timedelta(seconds=60))).delete_session
    assert decided(session.ended(Phase.COMPLETED, timedelta(seconds=20))) == Plan(wake_at=NOW + timedelta(seconds=40))
    by_definition = Observation(definition=a_definition(defaults={"ttlSecondsAfterFinished": 0}))
    assert decided(a_session().ended(Phase.FAILED), by_definition).delete_session


def test_a_runner_that_hangs_after_its_last_word_is_ended() -> None:
    seen = replace(READY_SEEN, jobs=(a_job(),))
    assert decided(a_session().ended(Phase.COMPLETED), seen).wake_at == NOW - timedelta(seconds=1) + LINGER
    assert decided(a_session().ended(Phase.COMPLETED, LINGER), seen) == Plan(delete_jobs=("s-r1",))


@pytest.mark.parametrize(
    "session", [a_session(), a_session().running(), a_session().waiting("?"), a_session().ended(Phase.COMPLETED)]
)
def test_a_deleted_session_loses_job_and_rows_and_is_not_held_longer_than_its_patience(session: SessionBuilder) -> None:
    session = session.with_metadata(finalizers=[FINALIZER]).deleting()
    plan = decided(session, replace(READY_SEEN, jobs=(a_job(),)))
    assert plan == Plan(delete_jobs=("s-r1",), purge=True, wake_at=NOW + DELETION_PATIENCE)


def test_a_deleted_session_that_others_hold_is_none_of_our_business() -> None:
    session = a_session().running().with_metadata(finalizers=["example.com/other"]).deleting()
    assert decided(session, replace(READY_SEEN, jobs=(a_job(),))) == Plan()


@pytest.mark.parametrize("at", ["2199-12-31T23:59:59Z", "2026-03-01T12:06:00Z", None])
def test_a_question_of_a_time_that_nobody_believes_was_asked_when_it_was_seen(at: str | None) -> None:
    asked = [{"id": "q1", "value": "?", **({"askedAt": at} if at else {})}]
    session = a_session().waiting("?").with_status(interrupts=asked).with_spec(inputDeadline={"seconds": 30})
    plan = decided(session)
    assert plan.status is not None
    assert plan.status.interrupts[0].asked_at == NOW
    # It was believed from then on, and time goes on from there.
    written = session.with_status(**plan.status.to_wire())
    assert decided(written).wake_at == NOW + timedelta(seconds=30)
    late = decide(written.build(), Observation(), NOW + timedelta(seconds=31), Rules())
    assert late.status is not None
    assert late.status.reason == "InputDeadlineExceeded"


@pytest.mark.parametrize(("ago", "is_fresh", "is_believed"), [(29, True, True), (31, True, False), (31, False, True)])
def test_a_question_from_before_it_could_be_seen_was_asked_when_it_was_seen(
    ago: int, is_fresh: bool, is_believed: bool
) -> None:
    at = NOW - timedelta(seconds=ago)
    asked = [{"id": "q1", "value": "?", "askedAt": wire_time(at)}]
    session = a_session().waiting("?").with_status(interrupts=asked).with_spec(inputDeadline={"seconds": 60})
    plan = decided(session, Observation(fresh=frozenset({"q1"} if is_fresh else ())))
    assert plan.wake_at == (at if is_believed else NOW) + timedelta(seconds=60)
    if not is_believed:
        assert plan.status is not None
        assert plan.status.interrupts[0].asked_at == NOW
    # Without a deadline its time decides nothing.
    free = decided(session.with_spec(inputDeadline=None), Observation(fresh=frozenset({"q1"})))
    assert free.status is None or free.status.interrupts[0].asked_at == at


def test_a_question_of_a_time_that_may_be_is_left_alone() -> None:
    session = a_session().waiting("?").with_spec(inputDeadline={"seconds": 90})
    plan = decided(session)
    assert plan.status is None or plan.status.interrupts == session.build().status.interrupts


def test_an_end_that_is_still_to_come_is_now() -> None:
    session = a_session().ended(Phase.COMPLETED, timedelta(days=-3650)).with_spec(ttlSecondsAfterFinished=60)
    plan = decided(session)
    assert plan.status is not None
    assert plan.status.completion_time == NOW
    assert decided(session.with_status(**plan.status.to_wire())).wake_at == NOW + timedelta(seconds=60)
