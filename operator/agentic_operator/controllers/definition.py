"""The definition controller: carries out the plan of a pass: schema checks, inspection Jobs and their reports."""

import logging
from dataclasses import replace
from datetime import datetime
from typing import Final

from agentic_core.conditions import Reason, find_condition
from agentic_core.errors import AgenticError, Conflict, Problem, TransientError
from agentic_core.inspection import MAX_LINES, MAX_LOG_BYTES
from agentic_core.names import INSPECTION_LABEL, RUNNER_CONTAINER, inspection_job_name, inspection_label
from agentic_core.resources import WorkflowStatus
from agentic_core.run_settings import find_settings_problems
from agentic_core.times import seconds_until
from agentic_core.writable_paths import find_mount_problems
from agentic_operator.cache.reads import definition_kind, parse_definition
from agentic_operator.controllers.dependencies import Dependencies
from agentic_operator.definitions.decide import (
    DefinitionSeen,
    Report,
    Vectors,
    decide_definition,
    inspection_namespace,
    read_report,
)
from agentic_operator.kube.client import JOBS, PODS, Json
from agentic_operator.kube.errors import AlreadyExists, Blocked, NotFound
from agentic_operator.manifests.inspection_jobs import build_inspection_job, inspection_fingerprint
from agentic_operator.manifests.jobs import Definition
from agentic_operator.sessions.blockers import hold_definition
from agentic_operator.sessions.children import ObservedJob, observe_job, observe_pod
from agentic_operator.sessions.diagnosis import newest
from agentic_operator.sessions.keys import DefinitionKey
from agentic_operator.sessions.status import diff_status

MAX_CHECKED: Final = 1000
# Room for lines that another program in the pod writes after the report.
SPARE_LINES: Final = 50

logger: Final = logging.getLogger(__name__)


class DefinitionReconciler:
    """One pass over a definition at a time."""

    def __init__(self, parts: Dependencies, of_cluster: str, *, inspects_cluster: bool = True) -> None:
        self._parts = parts
        self._inspects_cluster = inspects_cluster
        self._kube = parts.kube
        self._index = parts.index
        self._of_cluster = of_cluster
        self._checked: dict[tuple[str, int], tuple[Problem, ...]] = {}
        self._counted_at: dict[DefinitionKey, datetime] = {}

    async def reconcile(self, key: DefinitionKey) -> None:
        """Observe a definition, decide, and carry out the plan; an error raised here is retried by the queue."""
        if not key.namespace and not self._inspects_cluster:
            # Another operator inspects cluster definitions, or none does: this one does not write their status.
            self._parts.queue.forget(key)
            return
        raw = await self._kube.find(definition_kind(key), key.namespace, key.name)
        if raw is None:
            self._index.forget_definition(key)
            self._parts.queue.forget(key)
            self._counted_at.pop(key, None)
            return
        definition = parse_definition(key, raw)
        self._see(key, definition)
        namespace = inspection_namespace(definition, self._of_cluster)
        seen = await self._observe(key, definition, namespace)
        now = self._parts.now()
        plan = decide_definition(definition, seen, now, self._parts.rules, namespace)
        for name in plan.delete_jobs:
            await self._kube.delete(JOBS, namespace, name)
        if plan.job is not None:
            try:
                self._index.see_job(key, observe_job(await self._create_job(namespace, plan.job)))
            except AgenticError as error:
                await self._parts.report_blocker(
                    error,
                    key,
                    namespace,
                    definition,
                    "Inspect",
                    lambda blocker: self._write_status(key, definition, hold_definition(definition, blocker, now), now),
                )
                raise
        if plan.status is not None and await self._write_status(key, definition, plan.status, now):
            for note in plan.notes:
                self._parts.event_recorder.announce(definition, note)
        for name in plan.delete_pods:
            await self._kube.delete(PODS, namespace, name)
        if plan.wake_at is not None:
            self._parts.queue.add_after(key, seconds_until(plan.wake_at, now))

    async def _create_job(self, namespace: str, manifest: Json) -> Json:
        try:
            await self._parts.namespaces.prepare_for_inspections(namespace)
        except NotFound as error:
            raise Blocked(
                Reason.NAMESPACE_NOT_PREPARED,
                f"namespace {namespace!r}, where definitions are inspected, is not there: make it as"
                " manifests/operator/inspections.yaml does, and the inspection starts by itself",
            ) from error
        try:
            return await self._kube.create(JOBS, namespace, manifest)
        except AlreadyExists:
            return await self._kube.get(JOBS, namespace, manifest["metadata"]["name"])

    async def _observe(self, key: DefinitionKey, definition: Definition, namespace: str) -> DefinitionSeen:
        problems = await self._check_schemas(definition)
        uid = definition.metadata.uid
        name = inspection_job_name(definition.name, definition.kind, inspection_fingerprint(definition.spec))
        jobs = {job.name: job for job in self._index.jobs_of(key, uid)}
        inspected = find_condition(definition.status.conditions, "Inspected")
        is_done = (
            inspected is not None
            and inspected.observed_generation == definition.metadata.generation
            and inspected.status == "True"
        )
        report: Report | None = None
        if not is_done and not problems:
            if name not in jobs and (raw := await self._kube.find(JOBS, namespace, name)) is not None:
                job = observe_job(raw)
                if job.owner_uid == uid or not job.is_controlled:
                    job = replace(job, owner_uid=uid)
                    await self._repair(definition, namespace, job)
                    self._index.see_job(key, job)
                    jobs[name] = job
            report = await self._read_inspection(key, definition, namespace, jobs.get(name))
        pods = self._index.pods_of(key)
        project = report.project if report is not None else definition.status.project
        wants_vectors = project is not None and project.vector_dims is not None
        return DefinitionSeen(
            vectors=await self._read_vectors() if wants_vectors else None,
            schema_problems=problems,
            jobs=tuple(jobs.values()),
            pods=pods,
            stuck_pod=self._parts.stuck_pods.find(key, jobs.values(), pods),
            report=report,
            active_sessions=self._index.slots.count_active(key),
            counted_at=self._counted_at.get(key),
        )

    async def _repair(self, definition: Definition, namespace: str, job: ObservedJob) -> None:
        """Restore the labels and the owner by which an inspection's Job is watched and garbage-collected."""
        if job.is_finished or job.is_deleting or (job.is_labelled and job.is_controlled):
            return
        made = build_inspection_job(definition, namespace, self._parts.rules.jobs)["metadata"]
        lost = {"labels": made["labels"], "ownerReferences": made["ownerReferences"], "uid": job.uid}
        try:
            await self._kube.patch(JOBS, namespace, job.name, {"metadata": lost})
        except NotFound as error:
            raise Conflict(str(error)) from error
        logger.warning("restored labels and owner of Job %s", job.name, extra={"namespace": namespace})

    async def _read_vectors(self) -> Vectors | None:
        if self._parts.fetch_vector_dims is None:
            return None
        try:
            return Vectors(await self._parts.fetch_vector_dims())
        except AgenticError as error:
            logger.warning("reading the database's vector dimensions failed: %s", error)
            return None

    async def _read_inspection(
        self, key: DefinitionKey, definition: Definition, namespace: str, job: ObservedJob | None
    ) -> Report | None:
        """Read the pods of a finished inspection, and the report if it completed."""
        known = [pod for pod in self._index.pods_of(key) if job is not None and pod.job == job.name]
        if job is None or not (job.is_finished or any(pod.has_ended for pod in known)):
            return None
        label = inspection_label(key.kind, definition.name)
        raws = await self._kube.list_all(PODS, namespace, selector=f"{INSPECTION_LABEL}={label}")
        self._index.replace_pods(key, (observe_pod(raw) for raw in raws))
        pod = newest(pod for pod in self._index.pods_of(key) if pod.job == job.name)
        if pod is None or not (job.is_complete or (pod.has_ended and pod.exit_code == 0)):
            return None
        try:
            log = await self._kube.read_log(
                namespace, pod.name, RUNNER_CONTAINER, limit_bytes=MAX_LOG_BYTES, tail_lines=MAX_LINES + SPARE_LINES
            )
            return read_report(log)
        except TransientError:
            raise
        except AgenticError as error:
            logger.warning("invalid inspection report: %s", error, extra={"definition": key.name})
            return None

    async def _check_schemas(self, definition: Definition) -> tuple[Problem, ...]:
        """Return the problems of the definition's mounts, schemas and defaults; cached for each generation."""
        version = (definition.metadata.uid, definition.metadata.generation)
        if (known := self._checked.get(version)) is not None:
            return known
        spec = definition.spec
        problems = find_mount_problems(spec)
        for field, schema in (("inputSchema", spec.input_schema), ("outputSchema", spec.output_schema)):
            if schema is not None:
                faults = await self._parts.checker.check_schema(schema)
                problems += [Problem(f"/spec/{field}{fault.pointer}", fault.message) for fault in faults]
        if spec.defaults is not None:
            problems += find_settings_problems(spec.defaults.config, spec.defaults.context, "/spec/defaults")
        if len(self._checked) >= MAX_CHECKED:
            self._checked.clear()
        self._checked[version] = tuple(problems)
        return tuple(problems)

    async def _write_status(
        self, key: DefinitionKey, definition: Definition, status: WorkflowStatus, now: datetime
    ) -> bool:
        """Write what differs from the status that was read; return whether a condition changed."""
        change = diff_status(definition.status, status)
        if not change:
            return False
        patch: Json = {"metadata": {"resourceVersion": definition.metadata.resource_version}, "status": change}
        raw = await self._kube.patch(definition_kind(key), key.namespace, key.name, patch, subresource="status")
        if "activeSessions" in change:
            self._counted_at[key] = now
        if "conditions" in change:
            ready = find_condition(status.conditions, "Ready")
            text = f"Ready={ready.status} {ready.reason} {ready.message}".strip() if ready is not None else ""
            logger.info("%s", text, extra={"namespace": key.namespace, "definition": key.name, "kind": key.kind})
        self._see(key, parse_definition(key, raw))
        return "conditions" in change

    def _see(self, key: DefinitionKey, definition: Definition) -> None:
        if self._index.see_definition(key, definition):
            for session in self._index.slots.waiting_for(key):
                self._parts.queue.add(session)
