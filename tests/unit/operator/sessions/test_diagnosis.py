"""From pods and Jobs to reasons."""

from datetime import timedelta

import pytest

from agentic_core.conditions import Reason
from agentic_operator.sessions.children import ObservedPod
from agentic_operator.sessions.diagnosis import (
    START_PATIENCE,
    classify_failure,
    classify_pod,
    clip,
    find_trouble,
    read_message,
)
from tests.support.builders import NOW, a_job, a_pod

LONG_AGO = NOW - START_PATIENCE


@pytest.mark.parametrize(
    ("code", "reason", "is_lost"),
    [
        (1, Reason.RUNNER_LOST, False),
        (2, Reason.RUNNER_MISCONFIGURED, False),
        (3, Reason.GRAPH_ERROR, False),
        (4, Reason.GRAPH_LOAD_FAILED, False),
        (5, Reason.DATABASE_NOT_MIGRATED, False),
        (6, Reason.INVALID_INPUT, False),
        (7, Reason.OUTPUT_TOO_LARGE, False),
        (8, Reason.RUNNER_LOST, True),
        (20, Reason.DATABASE_UNAVAILABLE, False),
        (21, Reason.RUNNER_LOST, False),
        (137, Reason.RUNNER_LOST, False),
        (139, Reason.RUNNER_LOST, False),
        (143, Reason.RUNNER_LOST, True),
        (99, Reason.RUNNER_LOST, False),
    ],
)
def test_every_exit_code_has_its_reason_and_the_runners_last_words(code: int, reason: Reason, is_lost: bool) -> None:
    verdict = classify_pod(a_pod(phase="Failed", exit_code=code, exit_message="last words"))
    assert (verdict.reason, verdict.is_lost) == (reason, is_lost)
    assert verdict.message.endswith("last words")


def test_memory_is_named_before_the_exit_code() -> None:
    verdict = classify_pod(a_pod(phase="Failed", exit_code=137, exit_reason="OOMKilled", memory_limit="64Mi"))
    assert verdict.reason is Reason.OOM_KILLED
    assert "its limit of 64Mi" in verdict.message


def test_a_pod_without_an_exit_code_was_lost_and_says_how() -> None:
    verdict = classify_pod(a_pod(phase="Failed", reason="Evicted", message="low on disk", is_disrupted=True))
    assert (verdict.reason, verdict.message, verdict.is_lost) == (Reason.RUNNER_LOST, "Evicted: low on disk", True)


# As the kubelet writes them.
OVER_ITS_LIMIT = 'Usage of EmptyDir volume "tmp" exceeds the limit "1Gi". '
OVER_ALL_LIMITS = "Pod ephemeral local storage usage exceeds the total limit of containers 10Gi. "
LOW_NODE = "The node was low on resource: ephemeral-storage. Threshold quantity: 1, available: 0. "


@pytest.mark.parametrize("code", [None, 137, 143])
@pytest.mark.parametrize("message", [OVER_ITS_LIMIT, OVER_ALL_LIMITS])
def test_a_pod_that_filled_its_disk_says_so_whatever_its_runner_did_on_the_way_out(
    code: int | None, message: str
) -> None:
    verdict = classify_pod(a_pod(phase="Failed", reason="Evicted", message=message, exit_code=code))
    assert (verdict.reason, verdict.is_lost) == (Reason.EVICTED, False)
    assert "raise resources.limits.ephemeral-storage" in verdict.message
    assert message.strip() in verdict.message


@pytest.mark.parametrize(
    ("message", "is_disrupted"),
    [
        (LOW_NODE, True),
        (f"{LOW_NODE}Container c was using 2Gi, which exceeds its request of 0. ", True),
        (LOW_NODE, False),
    ],
)
def test_a_pod_that_went_for_the_sake_of_its_node_is_lost_and_no_failure_of_its_own(
    message: str, is_disrupted: bool
) -> None:
    verdict = classify_pod(a_pod(phase="Failed", reason="Evicted", message=message, is_disrupted=is_disrupted))
    assert (verdict.reason, verdict.is_lost) == (Reason.RUNNER_LOST, True)


def test_a_failed_job_is_explained_by_its_last_pod_or_itself() -> None:
    old = a_pod(name="a", phase="Failed", exit_code=1, created_at=NOW - timedelta(minutes=2))
    young = a_pod(name="b", phase="Failed", exit_code=5, created_at=NOW - timedelta(minutes=1))
    failed = a_job(failure_reason="BackoffLimitExceeded", failure_message="too many")
    assert classify_failure(failed, [young, old]).reason is Reason.DATABASE_NOT_MIGRATED
    assert classify_failure(failed, []).message == "too many"
    late = a_job(failure_reason="DeadlineExceeded")
    assert classify_failure(late, [young]).reason is Reason.DEADLINE_EXCEEDED


@pytest.mark.parametrize(
    ("pod", "reason", "is_fatal"),
    [
        (a_pod(), None, False),
        (a_pod(waiting_reason="ContainerCreating"), None, False),
        (a_pod(phase="Running", has_started=True), None, False),
        (a_pod(waiting_reason="InvalidImageName"), Reason.IMAGE_PULL_FAILED, True),
        (a_pod(waiting_reason="ErrImageNeverPull"), Reason.IMAGE_PULL_FAILED, True),
        (a_pod(waiting_reason="ErrImagePull"), Reason.IMAGE_PULL_FAILED, False),
        (a_pod(waiting_reason="ImagePullBackOff", created_at=LONG_AGO), Reason.IMAGE_PULL_FAILED, True),
        (a_pod(waiting_reason="CreateContainerConfigError"), Reason.CONTAINER_CONFIG_ERROR, False),
        (
            a_pod(waiting_reason="RunContainerError", created_at=NOW - START_PATIENCE),
            Reason.CONTAINER_CONFIG_ERROR,
            True,
        ),
        # It came to its node late: until then nothing was pulled.
        (
            a_pod(waiting_reason="ErrImagePull", created_at=NOW - timedelta(hours=1), begun_at=NOW),
            Reason.IMAGE_PULL_FAILED,
            False,
        ),
        (
            a_pod(waiting_reason="ErrImagePull", created_at=NOW - timedelta(hours=1), begun_at=LONG_AGO),
            Reason.IMAGE_PULL_FAILED,
            True,
        ),
        (a_pod(unschedulable="no node", created_at=NOW - timedelta(hours=1)), Reason.UNSCHEDULABLE, False),
        (a_pod(phase="Failed", waiting_reason="ErrImagePull"), None, False),
        (a_pod(deleting_since=NOW, waiting_reason="ErrImagePull"), None, False),
    ],
)
def test_why_a_pod_does_not_start(pod: ObservedPod, reason: Reason | None, is_fatal: bool) -> None:
    trouble = find_trouble([pod], NOW)
    assert (trouble.reason if trouble else None) is reason
    assert (trouble.is_fatal if trouble else False) is is_fatal


def test_termination_messages_are_text_or_json() -> None:
    assert read_message("plain") == "plain"
    assert read_message('{"type": "ValueError", "message": "no"}') == "ValueError: no"
    assert read_message('{"message": "no"}') == "no"
    assert read_message('{"other": 1}') == '{"other": 1}'
    assert read_message("{broken") == "{broken"


def test_messages_are_one_bounded_line() -> None:
    assert clip("a\nb\x1b[31m", "c") == "a b\\u001b[31m: c"
    assert len(clip("x" * 10_000)) == 2048
