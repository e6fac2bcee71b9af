"""Builds statuses: conditions, phases and the patch with the changes alone."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from agentic_core.choices import is_same_json
from agentic_core.conditions import Condition, ConditionStatus, Reason, find_condition, with_condition
from agentic_core.display import cut, show_text
from agentic_core.lifecycle import Actor, Phase, is_legal
from agentic_core.names import MAX_PODS
from agentic_core.resources import AgenticSession, RunError, SessionStatus
from agentic_core.times import EARLIEST
from agentic_core.wire import ApiModel
from agentic_operator.sessions.children import ObservedJob, ObservedPod

MAX_MESSAGE: Final = 4096


def build_condition(
    type_: str, status: ConditionStatus, reason: Reason, message: str, now: datetime, generation: int
) -> Condition:
    """Return a condition as of ``now``."""
    return Condition(
        type=type_,
        status=status,
        reason=reason.value,
        message=_show(message),
        last_transition_time=now.replace(microsecond=0),
        observed_generation=generation,
    )


def change_session(
    session: AgenticSession,
    phase: Phase,
    reason: Reason,
    message: str,
    now: datetime,
    *,
    conditions: Mapping[str, ConditionStatus] | tuple[Condition, ...] | None = None,
    **fields: object,
) -> SessionStatus:
    """Return the session's status in ``phase``; a phase that is not the operator's to write leaves the phase alone.

    ``conditions`` are those that change with it, all for the same reason, or the whole list.
    """
    old = session.status
    if not is_legal(old.phase, phase, Actor.OPERATOR):
        phase = old.phase or Phase.PENDING
    kept = list(conditions if isinstance(conditions, tuple) else old.conditions)
    if isinstance(conditions, Mapping):
        for type_, value in conditions.items():
            new = build_condition(type_, value, reason, message, now, session.metadata.generation)
            kept = with_condition(kept, new)
    running = find_condition(kept, "Running")
    if phase is not old.phase and running is not None and running.status == "True":
        new = build_condition("Running", "False", reason, message, now, session.metadata.generation)
        kept = with_condition(kept, new)
    return old.model_copy(
        update={
            "phase": phase,
            "reason": reason.value,
            "message": _show(message),
            "observed_generation": session.metadata.generation,
            "conditions": tuple(kept),
            "question": None if phase.is_final else old.question,
            **fields,
        }
    )


def fail_session(
    session: AgenticSession,
    reason: Reason,
    message: str,
    now: datetime,
    *,
    is_accepted: bool = True,
    retriable: bool | None = None,
) -> SessionStatus:
    """Return the status of a session that ends as Failed."""
    conditions: dict[str, ConditionStatus] = {"Failed": "True"}
    if not is_accepted:
        conditions["Accepted"] = "False"
    return change_session(
        session,
        Phase.FAILED,
        reason,
        message,
        now,
        conditions=conditions,
        completion_time=now.replace(microsecond=0),
        error=RunError(type=reason.value, message=_show(message), retriable=retriable),
    )


def last_run(session: AgenticSession) -> int:
    """Return the newest run that any Job of the session may have been made for; 0 if there was none."""
    return max(session.status.run or 0, session.status.withdrawn_run or 0)


def is_withdrawn(session: AgenticSession) -> bool:
    """Return whether the operator itself ended the run that the status is at, or the first one before it was told."""
    return (session.status.withdrawn_run or 0) >= (session.status.run or 1)


def refresh_session(session: AgenticSession) -> SessionStatus:
    """Return the status unchanged but for ``observedGeneration``."""
    return observe_generation(session.status, session.metadata.generation)


def observe_generation(status: SessionStatus, generation: int) -> SessionStatus:
    """Return the status with its conditions as of ``generation``: a pass has looked at all that they speak of.

    ``kubectl wait`` and other readers ignore a condition that is older than the object's spec.
    """
    conditions = tuple(
        each if each.observed_generation == generation else each.model_copy(update={"observed_generation": generation})
        for each in status.conditions
    )
    return status.model_copy(update={"observed_generation": generation, "conditions": conditions})


def record_pods(
    status: SessionStatus, session: AgenticSession, jobs: Sequence[ObservedJob], pods: Sequence[ObservedPod]
) -> SessionStatus:
    """Record which pods are those of the run that is on: the API server lets no other pod write the status.

    A pod counts that its Job controls, by uid. While none of them lives, those before stay: a pod that somebody makes
    meanwhile under such a name is none of them.
    """
    job = next((job for job in jobs if job.run == status.run), None)
    known = session.status.pod_uids if status.run == session.status.run else ()
    living = [pod for pod in pods if not pod.is_over and job is not None and pod.job == job.name and pod.uid]
    ours = [pod for pod in living if job is not None and (pod.owner_uid == job.uid or pod.uid in known)]
    ours.sort(key=lambda pod: (pod.created_at or EARLIEST, pod.name))
    uids = tuple(pod.uid for pod in ours[-MAX_PODS:]) or known
    return status if uids == status.pod_uids else status.model_copy(update={"pod_uids": uids})


def diff_status(old: ApiModel, new: ApiModel) -> dict[str, Any]:
    """Return the JSON merge patch that makes ``old`` into ``new``; empty if they say the same.

    Lists are replaced whole, as merge patches do.
    """
    return _diff(old.to_wire(), new.to_wire())


def build_exact_patch(version: str, old: ApiModel, new: ApiModel, *, is_first: bool = False) -> list[dict[str, Any]]:
    """Return the JSON patch that makes the status ``old`` into ``new``; it fits only an object of this version.

    ``is_first`` is for an object without any status, in which no field of it can be added.
    """
    before, after = old.to_wire(), new.to_wire()
    if is_first:
        return [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
            {"op": "add", "path": "/status", "value": after},
        ]
    gone = [f"/status/{name}" for name in before if name not in after]
    return [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        # Removing what is gone already would fail as invalid, before the version is looked at.
        *({"op": "add", "path": path, "value": ""} for path in gone),
        *({"op": "remove", "path": path} for path in gone),
        *(
            {"op": "add", "path": f"/status/{name}", "value": after[name]}
            for name in after
            if name not in before or not is_same_json(before[name], after[name])
        ),
    ]


def _show(message: str) -> str:
    """Return a message that is safe to show: many quote what others wrote."""
    return cut(show_text(message), MAX_MESSAGE)


def _diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            if nested := _diff(before, value):
                patch[key] = nested
        elif key not in old or not is_same_json(before, value):
            patch[key] = value
    return patch
