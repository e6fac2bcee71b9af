"""Diagnosis of a run from its Job and pods: why it does not start, and why it ended.

Pure; the table of causes is the test. A runner that could speak has written its verdict itself: this speaks for those
that could not.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from agentic_core.conditions import Reason
from agentic_core.contract import MAX_MESSAGE_LENGTH, ExitCode
from agentic_core.display import cut, show_line
from agentic_core.times import add
from agentic_operator.sessions.children import ObservedJob, ObservedPod

# How long a pod may fail to start for a cause that sometimes passes, before its session is failed. It counts from when
# the cause was first seen, which the session's condition `Scheduled` keeps.
START_PATIENCE: Final = timedelta(seconds=60)

# What is quoted of others, where a remedy follows that must not be cut off.
MAX_SAID: Final = 1600
PULL_REMEDY: Final = (
    "push the image to its registry or load it onto the nodes, correct its name in the definition's spec.image, or name"
    " imagePullSecrets there where the registry needs a login"
)

_HOPELESS_WAITS: Final = frozenset({"InvalidImageName", "ErrImageNeverPull"})
_PULL_WAITS: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed"}
)
_CONFIG_WAITS: Final = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreStartHookError"}
)

_EXIT_REASONS: Final = {
    ExitCode.CONFIGURATION: Reason.RUNNER_MISCONFIGURED,
    ExitCode.GRAPH_FAILED: Reason.GRAPH_ERROR,
    ExitCode.GRAPH_NOT_LOADED: Reason.GRAPH_LOAD_FAILED,
    ExitCode.SCHEMA_MISMATCH: Reason.DATABASE_NOT_MIGRATED,
    ExitCode.INPUT_REFUSED: Reason.INVALID_INPUT,
    ExitCode.OUTPUT_TOO_LARGE: Reason.OUTPUT_TOO_LARGE,
    ExitCode.DATABASE_UNAVAILABLE: Reason.DATABASE_UNAVAILABLE,
    ExitCode.RESULTS_UNAVAILABLE: Reason.RESULT_STORE_UNAVAILABLE,
}
_EXIT_TEXTS: Final = {
    ExitCode.DONE: "its runner ended without a verdict",
    ExitCode.RETRIABLE: "the runner failed",
    ExitCode.CONFIGURATION: "the runner is not configured as its contract says",
    ExitCode.GRAPH_FAILED: "the graph failed",
    ExitCode.GRAPH_NOT_LOADED: "the graph could not be loaded",
    ExitCode.SCHEMA_MISMATCH: "the database is not at the migration that the runner needs",
    ExitCode.INPUT_REFUSED: "the graph does not take these inputs",
    ExitCode.OUTPUT_TOO_LARGE: "output data exceeds 100MB limit",
    ExitCode.SUPERSEDED: "a newer run owns the thread",
    ExitCode.DATABASE_UNAVAILABLE: "the database could not be reached",
    ExitCode.API_UNAVAILABLE: "the API server could not be reached",
    ExitCode.RESULTS_UNAVAILABLE: "the result could not be stored; its last checkpoint has it",
    ExitCode.DRAINED: "the runner was asked to stop",
}


_EVICTED: Final = (
    "the pod wrote more to its node's disk than it may: raise resources.limits.ephemeral-storage or the sizeLimit of"
    " the folder, or give the definition a workspace"
)


@dataclass(frozen=True)
class Trouble:
    """Why a pod does not start, or did not go on."""

    reason: Reason
    message: str
    is_fatal: bool = False
    fatal_at: datetime | None = None
    """When it becomes fatal if nothing changes; None if waiting is right, or hopeless."""

    @property
    def is_hopeless(self) -> bool:
        """Whether no time is left to it at all."""
        return self.is_fatal and self.fatal_at is None


@dataclass(frozen=True)
class Diagnosis:
    """Why a run ended without a word of its runner."""

    reason: Reason
    message: str
    is_lost: bool = False
    """Whether the next run may simply go on from the last checkpoint."""


def newest(pods: Iterable[ObservedPod]) -> ObservedPod | None:
    """Return the pod made last."""
    return max(pods, key=lambda pod: (pod.created_at is not None, pod.created_at, pod.name), default=None)


def find_spent(jobs: Iterable[ObservedJob], pods: Collection[ObservedPod]) -> tuple[ObservedJob, ...]:
    """Return the Jobs of a waiting session whose work is done: finished, or about to be, or between two attempts.

    A pod that asked and was killed then has nothing left to do for the next one, and one whose runner has ended none
    for this one, whatever keeps it.
    """

    def is_spent(job: ObservedJob) -> bool:
        own = [pod for pod in pods if pod.deleting_since is None and _made(job, pod)]
        has_done = any(pod.phase == "Succeeded" or (pod.has_ended and pod.exit_code == 0) for pod in own)
        is_over = has_done or (bool(own) and all(pod.is_over or pod.has_ended for pod in own))
        return job.is_finished or is_over

    return tuple(filter(is_spent, jobs))


def _made(job: ObservedJob, pod: ObservedPod) -> bool:
    """Return whether a pod is this Job's, and not of one that had its name before."""
    is_younger = job.created_at is None or pod.created_at is None or pod.created_at >= job.created_at
    return pod.job == job.name and is_younger


def find_trouble(
    pods: Iterable[ObservedPod], now: datetime, told: Mapping[str, datetime] | None = None
) -> Trouble | None:
    """Return why the newest pod has not started; None if it has, or where it is only young.

    ``told`` is since when which reason is told: patience counts from then. Without, it counts from when the pod came
    so far.
    """
    pod = newest(pods)
    if pod is None or pod.is_over or pod.deleting_since is not None:
        return None
    if pod.waiting_reason in _HOPELESS_WAITS:
        return Trouble(Reason.IMAGE_PULL_FAILED, _waiting_text(pod), is_fatal=True)
    if pod.waiting_reason in _PULL_WAITS:
        return _patience(Reason.IMAGE_PULL_FAILED, pod, now, told)
    if pod.waiting_reason in _CONFIG_WAITS and _is_missing(pod.waiting_message):
        # Of a variable, as of a volume: it may come at any time, and the pod starts by itself then.
        return Trouble(Reason.CONTAINER_CONFIG_ERROR, _waiting_text(pod))
    if pod.waiting_reason in _CONFIG_WAITS:
        return _patience(Reason.CONTAINER_CONFIG_ERROR, pod, now, told)
    if pod.waiting_reason == "CrashLoopBackOff":
        # Of a sidecar that has to be up before the runner starts: nothing else is started again in these pods.
        return Trouble(Reason.POD_NOT_STARTED, _waiting_text(pod))
    if pod.unschedulable:
        return Trouble(Reason.UNSCHEDULABLE, clip(pod.unschedulable))
    return None


def _is_missing(text: str) -> bool:
    """Return whether the kubelet misses a Secret or ConfigMap, or a key of one."""
    kinds = ("secret", "configmap")
    is_named = any(kind in text.lower() for kind in kinds)
    return is_named and ("not found" in text or "couldn't find key" in text)


def _patience(reason: Reason, pod: ObservedPod, now: datetime, told: Mapping[str, datetime] | None) -> Trouble:
    since = pod.begun_at or pod.created_at or now
    if told is not None:
        # What was told of a pod before this one says nothing of this one.
        since = max(told.get(reason, now), pod.created_at or now)
    fatal_at = add(since, START_PATIENCE)
    return Trouble(reason, _waiting_text(pod), is_fatal=now >= fatal_at, fatal_at=fatal_at)


def _waiting_text(pod: ObservedPod) -> str:
    said = clip(pod.waiting_reason, pod.waiting_message, MAX_SAID)
    is_pull = pod.waiting_reason in _HOPELESS_WAITS | _PULL_WAITS
    return f"{said}; {PULL_REMEDY}" if is_pull else said


def classify_failure(job: ObservedJob, pods: Iterable[ObservedPod]) -> Diagnosis:
    """Return why a failed Job failed, from its own reason and the pod that ended last."""
    ended = newest(pod for pod in pods if pod.is_over or pod.exit_code is not None)
    if job.failure_reason == "DeadlineExceeded":
        message = (
            "the run took longer than status.limits.timeoutSeconds: raise timeoutSeconds of the session or definition"
        )
        return Diagnosis(Reason.DEADLINE_EXCEEDED, message)
    if ended is None:
        return Diagnosis(Reason.RUNNER_LOST, clip(job.failure_message or "its pod is gone without a trace"))
    return classify_pod(ended)


def has_filled_its_disk(pod: ObservedPod) -> bool:
    """Return whether the kubelet evicted a pod for what it wrote itself, and not for the sake of its node."""
    return pod.reason == "Evicted" and not pod.is_disrupted and "exceed" in pod.message


def find_drained(pods: Iterable[ObservedPod]) -> ObservedPod | None:
    """Return the pod that filled its disk and whose runner saved and ended in order, as for any other eviction.

    Its Job does not count that as a failure, and would repeat it until the run's deadline.
    """
    return newest(pod for pod in pods if pod.exit_code == ExitCode.DRAINED and has_filled_its_disk(pod))


def classify_pod(pod: ObservedPod) -> Diagnosis:
    """Return why a pod ended."""
    said = read_message(pod.exit_message)
    if pod.exit_reason == "OOMKilled":
        limit = f"its limit of {pod.memory_limit}" if pod.memory_limit else "its limit"
        return Diagnosis(Reason.OOM_KILLED, f"the runner used more memory than {limit}; raise resources.limits.memory")
    if has_filled_its_disk(pod):
        # Whatever its runner said on the way out.
        return Diagnosis(Reason.EVICTED, clip(f"{_EVICTED}; the kubelet said: {pod.message}"))
    if pod.exit_code is None and pod.unprepared:
        return Diagnosis(Reason.POD_NOT_STARTED, clip(pod.unprepared))
    if pod.exit_code is None:
        text = ": ".join(part for part in (pod.reason, pod.message) if part)
        return Diagnosis(Reason.RUNNER_LOST, clip(text or "its pod is gone"), is_lost=True)
    try:
        code = ExitCode(pod.exit_code)
    except ValueError:
        by_signal = f" (signal {pod.exit_code - 128})" if pod.exit_code > 128 else ""
        return Diagnosis(Reason.RUNNER_LOST, clip(f"the runner ended with exit code {pod.exit_code}{by_signal}", said))
    # A runner that is done has told its verdict, unless that was lost; its pod may have failed by what ran beside it.
    is_lost = code in (ExitCode.DONE, ExitCode.SUPERSEDED, ExitCode.DRAINED)
    text = _EXIT_TEXTS.get(code, f"the runner ended with exit code {pod.exit_code}")
    return Diagnosis(_EXIT_REASONS.get(code, Reason.RUNNER_LOST), clip(text, said), is_lost=is_lost)


def read_message(text: str) -> str:
    """Return what a termination message says: plain text, or the ``message`` of a JSON object."""
    if text.startswith("{"):
        try:
            parsed = json.loads(text)
        except (ValueError, RecursionError):
            return text
        if isinstance(parsed, dict) and isinstance(parsed.get("message"), str):
            kind = parsed.get("type")
            return f"{kind}: {parsed['message']}" if isinstance(kind, str) and kind else parsed["message"]
    return text


def clip(text: str, detail: str = "", limit: int = MAX_MESSAGE_LENGTH) -> str:
    """Join a text and its detail into one line of at most ``limit`` characters, as it may be shown."""
    return cut(show_line(f"{text}: {detail}" if detail else text), limit)
