"""Observed Jobs and pods of sessions and definitions: the few fields that decisions read.

They are read from watch events and lists in one place, and are all that is kept in memory of Jobs and pods.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from agentic_core.conditions import Reason
from agentic_core.contract import ExitCode
from agentic_core.names import (
    INSPECTION_LABEL,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    RUN_LABEL,
    RUNNER_CONTAINER,
    SESSION_LABEL,
    VAULT_CONTAINER,
    read_inspection_label,
    read_job,
    read_run,
    read_session_name,
)
from agentic_core.times import parse_time
from agentic_operator.sessions.keys import DefinitionKey, Key, SessionKey

Raw = Mapping[str, Any]

# What a Job knows its pods by.
JOB_NAME_LABEL: Final = "batch.kubernetes.io/job-name"
_JOB_UID_LABEL: Final = "batch.kubernetes.io/controller-uid"
# What a container says that is on its way: nothing to count patience for.
_STARTING: Final = (None, "", "PodInitializing", "ContainerCreating")


@dataclass(frozen=True, slots=True)
class ObservedJob:
    """A Job of ours."""

    name: str
    uid: str
    owner_uid: str
    run: int = 0
    active: int = 0
    failed: int = 0
    retries: int | None = None
    """How many failures the Job follows by another pod; None if that was not seen yet."""
    is_complete: bool = False
    failure_reason: str = ""
    """Reason of the Failed (or FailureTarget) condition; empty while the Job has not failed."""
    failure_message: str = ""
    is_deleting: bool = False
    deleting_since: datetime | None = None
    is_suspended: bool = False
    """Whether somebody holds it back: a queue for Jobs, or a person."""
    created_at: datetime | None = None
    finished_at: datetime | None = None
    is_labelled: bool = True
    """Whether it carries the labels by which it is watched and listed."""
    is_controlled: bool = True
    """Whether an owner reference names its controller."""
    parallelism: int | None = None

    @property
    def is_finished(self) -> bool:
        return self.is_complete or bool(self.failure_reason)


@dataclass(frozen=True, slots=True)
class ObservedPod:
    """A pod of one of our Jobs, as far as the runner's container matters.

    Others may stand beside it, which webhooks put there: proxies of a mesh, agents that ship logs.
    """

    name: str
    job: str
    uid: str = ""
    phase: str = "Pending"
    created_at: datetime | None = None
    begun_at: datetime | None = None
    """When it last got on, to a node, through its volumes or init containers; None unless something keeps it now."""
    waiting_reason: str = ""
    waiting_message: str = ""
    has_started: bool = False
    has_ended: bool = False
    """Whether the runner's container is through, whatever still runs beside it."""
    ended_at: datetime | None = None
    exit_code: int | None = None
    exit_reason: str = ""
    exit_message: str = ""
    reason: str = ""
    message: str = ""
    unprepared: str = ""
    """How an init container failed that is none of ours; empty if none did."""
    unschedulable: str = ""
    """Why the scheduler finds no node; empty if it did or has not tried."""
    is_disrupted: bool = False
    deleting_since: datetime | None = None
    image_id: str = ""
    memory_limit: str = ""
    owner_uid: str = ""
    """The Job that controls it, by uid."""
    is_labelled: bool = True
    """Whether it carries the labels by which it is watched and listed."""
    is_controlled: bool = True
    """Whether its Job still knows it: one that lost the Job's labels is let go, and another is made beside it."""

    @property
    def is_over(self) -> bool:
        return self.phase in ("Succeeded", "Failed")

    @property
    def is_held(self) -> bool:
        """Whether the runner has ended and something beside it keeps the pod."""
        return self.has_ended and not self.is_over and self.deleting_since is None


def _condition(conditions: Sequence[Raw], type_: str) -> Raw | None:
    return next((c for c in conditions if c.get("type") == type_ and c.get("status") == "True"), None)


def find_controller(raw: Raw) -> Raw | None:
    """Return the owner reference of the object's controller; None if nothing controls it."""
    return next((o for o in raw["metadata"].get("ownerReferences") or () if o.get("controller")), None)


def observe_job(raw: Raw) -> ObservedJob:
    """Read a Job."""
    meta, status = raw["metadata"], raw.get("status") or {}
    conditions = status.get("conditions") or ()
    failed = _condition(conditions, "Failed") or _condition(conditions, "FailureTarget") or {}
    finished = _condition(conditions, "Complete") or failed
    spec, session = raw.get("spec") or {}, read_session_name(meta["name"])
    run = read_run(session, meta["name"])
    return ObservedJob(
        name=meta["name"],
        uid=meta.get("uid", ""),
        owner_uid=_find_owner_uid(raw),
        run=run,
        active=status.get("active") or 0,
        failed=status.get("failed") or 0,
        retries=spec.get("backoffLimit"),
        is_complete=bool(_condition(conditions, "Complete") or _condition(conditions, "SuccessCriteriaMet")),
        failure_reason=(failed.get("reason") or "Failed") if failed else "",
        failure_message=failed.get("message") or "",
        is_deleting="deletionTimestamp" in meta,
        deleting_since=parse_time(meta.get("deletionTimestamp")),
        is_suspended=bool(spec.get("suspend")),
        created_at=parse_time(meta.get("creationTimestamp")),
        finished_at=parse_time(finished.get("lastTransitionTime")),
        is_labelled=_is_labelled(raw, session, run),
        is_controlled=find_controller(raw) is not None,
        parallelism=spec.get("parallelism"),
    )


def _find_owner_uid(raw: Raw) -> str:
    """Return the uid of whom a Job was made for: its controller's, or what its template says, which cannot change."""
    if (owner := find_controller(raw)) is not None:
        return str(owner.get("uid", ""))
    template = ((raw.get("spec") or {}).get("template") or {}).get("spec") or {}
    container = _find_container(template.get("containers") or (), RUNNER_CONTAINER)
    found: Raw = next((each for each in container.get("env") or () if each.get("name") == "SESSION_UID"), {})
    return str(found.get("value") or "")


def _is_labelled(raw: Raw, session: str, run: int) -> bool:
    """Return whether a Job or pod has the labels by which we watch and list; those of a session's run by its name."""
    labels = raw["metadata"].get("labels") or {}
    if labels.get(MANAGED_BY_LABEL) != MANAGED_BY:
        return False
    if INSPECTION_LABEL in labels:
        return True
    return labels.get(SESSION_LABEL) == session and labels.get(RUN_LABEL) == str(run)


def observe_pod(raw: Raw) -> ObservedPod:
    """Read a pod."""
    meta, status = raw["metadata"], raw.get("status") or {}
    owner = find_controller(raw) or {}
    container = _find_container(status.get("containerStatuses") or (), RUNNER_CONTAINER)
    state = container.get("state") or {}
    waiting = state.get("waiting") or {}
    through = ended = state.get("terminated") or {}
    if not ended and waiting:
        ended = (container.get("lastState") or {}).get("terminated") or {}
    has_started = "running" in state or bool(ended)
    unprepared = ""
    if not has_started:
        # Until the init containers are through, the runner only says that it waits for them.
        preparing = status.get("initContainerStatuses") or ()
        ended = _as_runner(_state(_find_container(preparing, VAULT_CONTAINER), "terminated"))
        unprepared = "" if ended else _find_failed_init(preparing)
        waiting = _find_waiting_init(preparing) or waiting
    conditions = status.get("conditions") or ()
    unscheduled: Raw = next(
        (
            c
            for c in conditions
            if c.get("type") == "PodScheduled" and c.get("status") == "False" and c.get("reason") == "Unschedulable"
        ),
        {},
    )
    job = str(owner.get("name") or read_job(meta["name"]))
    session = read_session_name(job)
    return ObservedPod(
        name=meta["name"],
        uid=meta.get("uid", ""),
        job=job,
        phase=status.get("phase") or "Pending",
        created_at=parse_time(meta.get("creationTimestamp")),
        begun_at=_find_begin(conditions) if waiting.get("reason") not in _STARTING else None,
        waiting_reason=waiting.get("reason") or "",
        waiting_message=waiting.get("message") or "",
        has_started=has_started,
        has_ended=bool(through),
        ended_at=parse_time(through.get("finishedAt")),
        exit_code=ended.get("exitCode"),
        exit_reason=ended.get("reason") or "",
        exit_message=(ended.get("message") or "").strip(),
        reason=status.get("reason") or "",
        message=status.get("message") or "",
        unprepared=unprepared,
        unschedulable=(unscheduled.get("message") or "no node fits") if unscheduled else "",
        is_disrupted=_condition(conditions, "DisruptionTarget") is not None,
        deleting_since=parse_time(meta.get("deletionTimestamp")),
        image_id=container.get("imageID") or "",
        memory_limit=_memory_limit(raw),
        owner_uid=str(owner.get("uid") or ""),
        is_labelled=_is_labelled(raw, session, read_run(session, job)),
        is_controlled=bool(owner) or _JOB_UID_LABEL in (meta.get("labels") or {}),
    )


def _find_begin(conditions: Sequence[Raw]) -> datetime | None:
    """Return when a pod that has not started got on last: what keeps it now cannot have kept it before."""
    steps = ("PodScheduled", "PodReadyToStartContainers", "Initialized")
    times = [parse_time(found.get("lastTransitionTime")) for step in steps if (found := _condition(conditions, step))]
    return max((at for at in times if at is not None), default=None)


def _state(container: Raw, name: str) -> Raw:
    found: Raw = (container.get("state") or {}).get(name) or {}
    return found


def _find_failed_init(statuses: Sequence[Raw]) -> str:
    """Return which init container failed, and how; empty if none did."""
    for status in statuses:
        ended = _state(status, "terminated")
        if ended.get("exitCode"):
            said = str(ended.get("message") or ended.get("reason") or "").strip()
            about = f"init container {status['name']!r} ended with exit code {ended['exitCode']}"
            return f"{about}: {said}" if said else about
    return ""


def _find_waiting_init(statuses: Sequence[Raw]) -> Raw:
    """Return why an init container waits, in its name; empty if none does for a reason of its own."""
    for status in statuses:
        waiting = _state(status, "waiting")
        reason = waiting.get("reason") or ""
        if reason and reason != "PodInitializing":
            said = waiting.get("message") or ""
            about = f"init container {status['name']!r}"
            return {"reason": reason, "message": f"{about}: {said}" if said else about}
    return {}


def _as_runner(ended: Raw) -> Raw:
    """Return the failure of ``vault-init`` as the runner's: credentials to be corrected, or a service that is away."""
    code = ended.get("exitCode") or 0
    if code == 0:
        return {}
    is_passing = code in (1, 20, 21)
    return {**ended, "exitCode": int(ExitCode.DATABASE_UNAVAILABLE if is_passing else ExitCode.CONFIGURATION)}


def _memory_limit(raw: Raw) -> str:
    container = _find_container((raw.get("spec") or {}).get("containers") or (), RUNNER_CONTAINER)
    limits = (container.get("resources") or {}).get("limits") or {}
    return str(limits.get("memory") or "")


def _find_container(statuses: Sequence[Raw], name: str) -> Raw:
    return next((s for s in statuses if s.get("name") == name), {})


def session_of(raw: Raw) -> str | None:
    """Return the name of the session that a Job or pod belongs to: by its owner, else by a label or its own name."""
    owner, name = find_controller(raw) or {}, raw["metadata"]["name"]
    if owner.get("kind") == "AgenticSession":
        return str(owner["name"])
    if owner.get("kind") == "Job":
        return read_session_name(str(owner["name"])) or None
    label = (raw["metadata"].get("labels") or {}).get(SESSION_LABEL)
    # Of two that could be meant by a name alone the Job: a pod without its owner is let go in any case.
    found = label if isinstance(label, str) else read_session_name(name) or read_session_name(read_job(name))
    return found or None


def definition_of(raw: Raw) -> tuple[str, str] | None:
    """Return kind and name of the definition that a Job or pod inspects."""
    label = (raw["metadata"].get("labels") or {}).get(INSPECTION_LABEL)
    return read_inspection_label(label) if isinstance(label, str) else None


@dataclass(frozen=True)
class StuckPod:
    """Why a Job has no pod, or why its pod (``pod``) does not start."""

    job: str
    pod: str
    reason: Reason
    message: str


def owner_of(raw: Raw, inspections: str) -> Key | None:
    """Return the session or definition that a Job or pod belongs to.

    Definitions of the cluster are inspected in the namespace ``inspections``: what says so elsewhere is not ours.
    """
    namespace = raw["metadata"].get("namespace", "")
    if (session := session_of(raw)) is not None:
        return SessionKey(namespace, session)
    if (definition := definition_of(raw)) is not None:
        kind, name = definition
        if kind == "ClusterWorkflowDefinition":
            return DefinitionKey(kind, "", name) if namespace == inspections else None
        return DefinitionKey(kind, namespace, name)
    return None
