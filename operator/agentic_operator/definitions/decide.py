"""Decides one pass over a definition: its conditions, and the Job that inspects its image.

A broken schema or image is found when it is registered, not when somebody runs it.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from agentic_core.conditions import Condition, ConditionStatus, Reason, find_condition, with_condition
from agentic_core.contract import MAX_SCHEMA_BYTES, ExitCode
from agentic_core.display import cut, show_line, show_text
from agentic_core.errors import Problem
from agentic_core.inspection import find_report
from agentic_core.names import inspection_job_name
from agentic_core.resources import (
    ClusterWorkflowDefinition,
    GraphDrawing,
    IgnoredSetting,
    ProjectStatus,
    WorkflowStatus,
)
from agentic_operator.author_pods import find_account, list_pod_problems
from agentic_operator.kube.events import Event
from agentic_operator.manifests.inspection_jobs import build_inspection_job, inspection_fingerprint
from agentic_operator.manifests.jobs import Definition
from agentic_operator.sessions.admission import check_image, list_problems, refuse_pod
from agentic_operator.sessions.blockers import NOT_STARTED
from agentic_operator.sessions.children import ObservedJob, ObservedPod, StuckPod
from agentic_operator.sessions.diagnosis import classify_failure, clip, find_trouble, newest
from agentic_operator.sessions.held import find_held
from agentic_operator.sessions.observation import Rules
from agentic_operator.sessions.plan import DefinitionPlan
from agentic_operator.sessions.snapshot import pin_image
from agentic_operator.sessions.status import build_condition
from agentic_store.vector_rules import explain_obstacle

MIN_RETRY: Final = timedelta(seconds=30)
MAX_RETRY: Final = timedelta(minutes=10)
# At most one write of the count in this time: a burst of sessions must not become a burst of definition writes.
COUNT_INTERVAL: Final = timedelta(seconds=5)
VECTORS_INTERVAL: Final = timedelta(minutes=5)
MAX_IGNORED: Final = 32


@dataclass(frozen=True)
class Report:
    """What the inspection of an image found out."""

    drawing: GraphDrawing | None = None
    input_schema: dict[str, Any] | None = None
    config_schema: dict[str, Any] | None = None
    context_schema: dict[str, Any] | None = None
    langgraph_version: str | None = None
    runner_contract: int | None = None
    project: ProjectStatus | None = None
    """None if the runner is older than this part of the report."""


@dataclass(frozen=True)
class Vectors:
    """What the database has for the vectors of the long-term store."""

    dims: int | None


@dataclass(frozen=True)
class DefinitionSeen:
    """The observed state besides the definition itself."""

    schema_problems: tuple[Problem, ...] = ()
    jobs: tuple[ObservedJob, ...] = ()
    """Inspection Jobs of this definition, by uid."""
    pods: tuple[ObservedPod, ...] = ()
    stuck_pod: StuckPod | None = None
    """The obstacle to the start of the inspection's pod, if the cluster reports one."""
    report: Report | None = None
    """The report of the current inspection Job, if it completed."""
    vectors: Vectors | None = None
    """Those of the database; None if it could not be read."""
    active_sessions: int = 0
    counted_at: datetime | None = None
    """When the count was last written by this process."""


def read_report(log: str) -> Report | None:
    """Return the last report in the inspector's output; None if there is no readable one."""
    raw = find_report(log)
    if raw is None:
        return None
    try:
        return Report(
            drawing=_read_drawing(raw),
            input_schema=_bounded_schema(raw.get("inputSchema")),
            config_schema=_bounded_schema(raw.get("configSchema")),
            context_schema=_bounded_schema(raw.get("contextSchema")),
            langgraph_version=cut(show_line(str(raw["langgraphVersion"])), 64) if raw.get("langgraphVersion") else None,
            runner_contract=_read_contract(raw),
            project=_read_project(raw),
        )
    except (ValueError, ValidationError, RecursionError):
        return None


def _read_drawing(raw: dict[str, Any]) -> GraphDrawing:
    mermaid = raw.get("mermaid")
    return GraphDrawing(
        nodes=tuple(cut(show_line(str(node)), 256) for node in (raw.get("nodes") or ())[:1000]),
        edges=tuple(cut(show_line(str(edge)), 600) for edge in (raw.get("edges") or ())[:4000]),
        mermaid=mermaid if isinstance(mermaid, str) and len(mermaid) <= 65536 else None,
    )


def _read_contract(raw: dict[str, Any]) -> int | None:
    said = raw.get("runnerContract")
    return said if type(said) is int and 0 < said < 1000 else None


def _read_project(raw: dict[str, Any]) -> ProjectStatus | None:
    ignored = raw.get("ignored")
    if not isinstance(ignored, list):
        return None
    settings = [each for each in ignored if isinstance(each, dict) and isinstance(each.get("setting"), str)]
    return ProjectStatus(
        vector_dims=raw.get("vectorDims"),
        checkpoint_ttl=raw.get("checkpointTtl"),
        ignored=tuple(
            IgnoredSetting(
                setting=cut(show_line(each["setting"]), 256),
                message=cut(show_text(str(each.get("message") or "")), 1024),
            )
            for each in settings[:MAX_IGNORED]
        ),
    )


def _bounded_schema(schema: object) -> dict[str, Any] | None:
    if not isinstance(schema, dict) or len(json.dumps(schema)) > MAX_SCHEMA_BYTES:
        return None
    return schema


def decide_definition(
    definition: Definition, seen: DefinitionSeen, now: datetime, rules: Rules, namespace: str
) -> DefinitionPlan:
    """Return what one pass over a definition wants done; ``namespace`` is where its inspection runs."""
    generation = definition.metadata.generation
    if definition.metadata.deletion_timestamp is not None:
        return DefinitionPlan()
    schema = _schema_condition(seen.schema_problems, now, generation)
    image = _image_condition(definition, now, rules, generation)
    pod = _pod_condition(definition, now, rules, generation)
    step = _Step(None)
    if all(each.status == "True" for each in (schema, image, pod)):
        step = _inspect(definition, seen, now, rules, namespace)
    inspected = step.condition or build_condition(
        "Inspected", "Unknown", Reason.NOT_READY, "not inspected: the definition is refused", now, generation
    )
    status = definition.status
    supported = _supported(inspected, status.model_copy(update=step.fields), seen, rules, now, generation)
    conditions: list[Condition] = list(status.conditions)
    for condition in (schema, image, pod, inspected, supported, _ready((schema, image, pod, inspected), now)):
        conditions = with_condition(conditions, condition)
    changed: dict[str, object] = {
        **step.fields,
        "conditions": tuple(conditions),
        "observed_generation": generation,
    }
    planned = status.model_copy(update=changed)
    if _says_more(status, planned):
        planned = planned.model_copy(update={"last_validated": now.replace(microsecond=0)})
    planned, wake_at = _count(status, planned, seen, now)
    notes: tuple[Event, ...] = ()
    if worst := next((each for each in (schema, image, pod, inspected) if each.status == "False"), None):
        notes = (Event(worst.reason, worst.message, "Warning", "Validate"),)
    elif supported.status == "False":
        notes = (Event(supported.reason, supported.message, "Warning", "Validate"),)
    return DefinitionPlan(
        job=step.job,
        delete_jobs=step.delete_jobs,
        delete_pods=step.delete_pods,
        status=planned,
        wake_at=min((at for at in (wake_at, step.wake_at, _look_again(planned, now)) if at is not None), default=None),
        notes=notes,
    )


def _look_again(status: WorkflowStatus, now: datetime) -> datetime | None:
    """Return when to compare with the database again: its vectors may be made, or made anew, at any time."""
    if status.project is None or status.project.vector_dims is None:
        return None
    return now + VECTORS_INTERVAL


def _says_more(old: WorkflowStatus, new: WorkflowStatus) -> bool:
    return old.conditions != new.conditions or old.observed_generation != new.observed_generation


def _count(
    old: WorkflowStatus, new: WorkflowStatus, seen: DefinitionSeen, now: datetime
) -> tuple[WorkflowStatus, datetime | None]:
    """Put the number of active sessions into a status that is written anyway, or in its turn."""
    if (old.active_sessions or 0) == seen.active_sessions and old.active_sessions is not None:
        return new, None
    if old == new and seen.counted_at is not None and now < seen.counted_at + COUNT_INTERVAL:
        return new, seen.counted_at + COUNT_INTERVAL
    return new.model_copy(update={"active_sessions": seen.active_sessions}), None


def _schema_condition(problems: Iterable[Problem], now: datetime, generation: int) -> Condition:
    listed = list(problems)
    if not listed:
        return build_condition("SchemaValid", "True", Reason.VALID, "", now, generation)
    return build_condition("SchemaValid", "False", Reason.INVALID_SCHEMA, list_problems(listed), now, generation)


def _pod_condition(definition: Definition, now: datetime, rules: Rules, generation: int) -> Condition:
    account = find_account(definition.spec, definition.spec)
    refused = refuse_pod(list_pod_problems(definition.spec, rules.pods, account))
    if refused is None:
        return build_condition("PodAllowed", "True", Reason.POD_ALLOWED, "", now, generation)
    return build_condition("PodAllowed", "False", refused.reason, refused.message, now, generation)


def _image_condition(definition: Definition, now: datetime, rules: Rules, generation: int) -> Condition:
    refused = check_image(definition.spec.image, rules.allowed)
    if refused is None:
        return build_condition("ImageAllowed", "True", Reason.IMAGE_ALLOWED, "", now, generation)
    return build_condition("ImageAllowed", "False", refused.reason, f"/spec/image: {refused.message}", now, generation)


def _supported(
    inspected: Condition, status: WorkflowStatus, seen: DefinitionSeen, rules: Rules, now: datetime, generation: int
) -> Condition:
    """Name the project's settings that have no effect; a definition with some of them is ready all the same."""
    kind, project = "ProjectSupported", status.project
    if inspected.status != "True":
        reason = Reason.INSPECTING if inspected.reason == Reason.INSPECTING else Reason.NOT_READY
        return build_condition(kind, "Unknown", reason, "its project was not inspected", now, generation)
    if project is None:
        message = "the inspection did not report the project's settings: build the image with a newer runner"
        return build_condition(kind, "Unknown", Reason.NOT_REPORTED, message, now, generation)
    ignored = list(project.ignored)
    if project.vector_dims is not None:
        if seen.vectors is None and not rules.jobs.has_encryption:
            old = find_condition(status.conditions, kind)
            if old is not None and old.observed_generation == generation and old.status != "Unknown":
                return old
            message = "the database could not be asked whether it has vectors for /store/index"
            return build_condition(kind, "Unknown", Reason.DATABASE_UNAVAILABLE, message, now, generation)
        present = seen.vectors.dims if seen.vectors is not None else None
        obstacle = explain_obstacle(project.vector_dims, present, is_encrypting=rules.jobs.has_encryption)
        if obstacle is not None:
            ignored.append(IgnoredSetting(setting="/store/index", message=obstacle))
    if not ignored:
        return build_condition(kind, "True", Reason.SUPPORTED, "", now, generation)
    said = clip("; ".join(f"{each.setting}: {each.message}" for each in ignored))
    return build_condition(kind, "False", Reason.SETTINGS_IGNORED, f"langgraph.json: {said}", now, generation)


def _ready(conditions: tuple[Condition, ...], now: datetime) -> Condition:
    generation = conditions[0].observed_generation or 0
    for condition in conditions:
        if condition.status != "True":
            status: ConditionStatus = "False" if condition.status == "False" else "Unknown"
            return build_condition("Ready", status, Reason(condition.reason), condition.message, now, generation)
    return build_condition("Ready", "True", Reason.READY, "", now, generation)


# -- inspection --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Step:
    condition: Condition | None
    fields: dict[str, object] = field(default_factory=dict)
    job: dict[str, Any] | None = None
    delete_jobs: tuple[str, ...] = ()
    delete_pods: tuple[str, ...] = ()
    wake_at: datetime | None = None


def _inspect(definition: Definition, seen: DefinitionSeen, now: datetime, rules: Rules, namespace: str) -> _Step:
    generation = definition.metadata.generation
    name = inspection_job_name(definition.name, definition.kind, inspection_fingerprint(definition.spec))
    stale = tuple(job.name for job in seen.jobs if job.name != name and not job.is_deleting)
    job = next((job for job in seen.jobs if job.name == name), None)
    old = find_condition(definition.status.conditions, "Inspected")
    is_settled = old is not None and old.observed_generation == generation
    if is_settled and old is not None and old.status == "True":
        # Its report is read: nothing is left to do for one that a sidecar holds.
        held = (job.name,) if job is not None and find_held(job, seen.pods) is not None else ()
        return _Step(old, delete_jobs=(*stale, *held))
    if job is None:
        # A failed Job stays until it is time for the next one.
        manifest = build_inspection_job(definition, namespace, rules.jobs)
        return _Step(_keep(definition, old, now), job=manifest, delete_jobs=stale)
    if job.is_deleting:
        return _Step(_keep(definition, old, now), delete_jobs=stale, wake_at=now + timedelta(seconds=5))
    pods = tuple(pod for pod in seen.pods if pod.job == job.name)
    ended = newest(pod for pod in pods if pod.has_ended)
    if job.is_complete or (ended is not None and ended.exit_code == 0):
        return _conclude(definition, seen, job, pods, stale, now)
    if job.failure_reason or find_held(job, pods) is not None:
        return _failed(definition, old, job, pods, stale, now)
    trouble = find_trouble(pods, now)
    if trouble is None and seen.stuck_pod is not None:
        reason, message = seen.stuck_pod.reason, seen.stuck_pod.message
        return _Step(_keep(definition, old, now, message, reason), delete_jobs=stale)
    if trouble is None:
        return _Step(_keep(definition, old, now), delete_jobs=stale)
    if trouble.is_fatal:
        # The pod may still start, until the Job's deadline ends it and it is tried again.
        condition = build_condition("Inspected", "False", trouble.reason, trouble.message, now, generation)
        return _Step(condition, delete_jobs=stale)
    kept = _keep(definition, old, now, trouble.message, trouble.reason)
    return _Step(kept, delete_jobs=stale, wake_at=trouble.fatal_at)


def _keep(
    definition: Definition,
    old: Condition | None,
    now: datetime,
    message: str = "its image is being inspected",
    reason: Reason = Reason.INSPECTING,
) -> Condition:
    """While a failed inspection is tried again, its failure stays visible."""
    if old is not None and old.observed_generation == definition.metadata.generation and old.status == "False":
        return old
    return build_condition("Inspected", "Unknown", reason, message, now, definition.metadata.generation)


def _conclude(
    definition: Definition,
    seen: DefinitionSeen,
    job: ObservedJob,
    pods: tuple[ObservedPod, ...],
    stale: tuple[str, ...],
    now: datetime,
) -> _Step:
    generation = definition.metadata.generation
    if seen.report is None:
        message = "the inspection ended without a report: is the image's entry point `python -m agentic_runner`?"
        condition = build_condition("Inspected", "False", Reason.INSPECTION_FAILED, message, now, generation)
        return _retry(condition, find_condition(definition.status.conditions, "Inspected"), job, pods, stale, now)
    pod = newest(pods)
    fields: dict[str, object] = {
        "graph": seen.report.drawing,
        "input_schema": seen.report.input_schema if definition.spec.input_schema is None else None,
        "config_schema": seen.report.config_schema,
        "context_schema": seen.report.context_schema,
        "langgraph_version": seen.report.langgraph_version,
        "runner_contract": seen.report.runner_contract,
        "project": seen.report.project,
        "image_digest": pin_image(definition.spec.image, pod.image_id if pod is not None else ""),
    }
    condition = build_condition("Inspected", "True", Reason.INSPECTED, "", now, generation)
    return _Step(condition, fields, delete_jobs=stale)


def _failed(
    definition: Definition,
    old: Condition | None,
    job: ObservedJob,
    pods: tuple[ObservedPod, ...],
    stale: tuple[str, ...],
    now: datetime,
) -> _Step:
    verdict = classify_failure(job, pods)
    reason, message = verdict.reason, verdict.message
    pod = newest(pods)
    is_told = old is not None and old.status == "False" and old.observed_generation == definition.metadata.generation
    if old is not None and is_told and pod is None and reason is not Reason.DEADLINE_EXCEEDED:
        # Its pod was removed after that was reported.
        return _retry(old, old, job, pods, stale, now)
    if reason is Reason.DEADLINE_EXCEEDED:
        if old is not None and old.reason in NOT_STARTED:
            # Its pod was removed at the deadline: the obstacle was reported before.
            reason, message = Reason(old.reason), old.message
        elif (trouble := find_trouble(pods, now)) is not None:
            reason, message = trouble.reason, trouble.message
        else:
            reason, message = Reason.INSPECTION_FAILED, "the inspection took too long"
    elif (pod is not None and pod.exit_code == ExitCode.RETRIABLE) or reason is Reason.RUNNER_LOST:
        reason = Reason.INSPECTION_FAILED
    condition = build_condition("Inspected", "False", reason, message, now, definition.metadata.generation)
    return _retry(condition, old, job, pods, stale, now)


def _retry(
    condition: Condition,
    old: Condition | None,
    job: ObservedJob,
    pods: tuple[ObservedPod, ...],
    stale: tuple[str, ...],
    now: datetime,
) -> _Step:
    """Keep the failed Job to be looked at until it is time for the next try."""
    since = old if old is not None and old.status == "False" else condition
    held = find_held(job, pods)
    ended_at = held.ended_at if held is not None else job.finished_at
    due = _next_try(since, ended_at or now)
    if now >= due:
        return _Step(condition, delete_jobs=(*stale, job.name), wake_at=now)
    # Left alone, what holds it would do so to the Job's deadline, which would count as the reason then.
    return _Step(condition, delete_jobs=stale, delete_pods=(held.name,) if held is not None else (), wake_at=due)


def _next_try(failing: Condition, last: datetime) -> datetime:
    """Wait as long again as it has been failing, within bounds: the delays double."""
    waited = last - failing.last_transition_time
    return last + min(max(waited, MIN_RETRY), MAX_RETRY)


def inspection_namespace(definition: Definition, of_cluster: str) -> str:
    """Return the namespace of a definition's inspection: its own, or the one for cluster definitions."""
    return of_cluster if isinstance(definition, ClusterWorkflowDefinition) else definition.namespace
