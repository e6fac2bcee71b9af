"""Reads objects for a pass over a session: from memory if that is enough, else from the API server."""

import logging
from collections.abc import Mapping
from typing import Final

from agentic_core.lifecycle import Phase
from agentic_core.names import SESSION_LABEL, job_name
from agentic_core.reading import read_session
from agentic_core.resources import AgenticSession, ClusterWorkflowDefinition, WorkflowDefinition
from agentic_operator.cache.index import Index
from agentic_operator.faults import Faults
from agentic_operator.kube.client import CLUSTER_DEFINITIONS, DEFINITIONS, JOBS, PODS, SESSIONS, Json, Kind, Kube
from agentic_operator.manifests.jobs import Definition
from agentic_operator.sessions.children import JOB_NAME_LABEL, ObservedJob, ObservedPod, observe_job, observe_pod
from agentic_operator.sessions.keys import DefinitionKey, SessionKey
from agentic_operator.sessions.status import is_withdrawn, last_run
from agentic_operator.sessions.turns import has_work

logger: Final = logging.getLogger(__name__)


def definition_kind(key: DefinitionKey) -> Kind:
    """Return where a definition lives."""
    return CLUSTER_DEFINITIONS if key.kind == "ClusterWorkflowDefinition" else DEFINITIONS


def parse_definition(key: DefinitionKey, raw: Json) -> Definition:
    """Return the definition that a body holds."""
    model = ClusterWorkflowDefinition if key.kind == "ClusterWorkflowDefinition" else WorkflowDefinition
    return model.model_validate({**raw, "kind": key.kind})


def workflow_of(session: AgenticSession) -> DefinitionKey:
    """Return the definition that a session names."""
    ref = session.spec.workflow_ref
    return DefinitionKey(ref.kind, session.namespace if ref.kind == "WorkflowDefinition" else "", ref.name)


class Reads:
    """Reads from memory if that is enough, else from the API server."""

    def __init__(
        self, kube: Kube, index: Index, faults: Faults | None = None, *, has_cluster_definitions: bool = True
    ) -> None:
        self._kube = kube
        self._has_cluster_definitions = has_cluster_definitions
        self._index = index
        self._faults = faults or Faults()

    async def fetch_session(self, key: SessionKey) -> tuple[AgenticSession, Json] | None:
        """Return a session; None if it was deleted.

        A body kept from its event is good enough for a session that was never written to: whatever is made from it has
        a derived name and a precondition. For everything else the latest is read.
        """
        raw = self._index.take_body(key)
        if raw is None:
            raw = await self._kube.find(SESSIONS, key.namespace, key.name)
            if raw is None:
                return None
            self._index.see_session(raw)
            self._index.take_body(key)
        body = dict(raw)
        read = read_session(body)
        if read.ignored:
            self._faults.counts["reading"] += 1
            about = {"namespace": key.namespace, "session": key.name}
            logger.warning("ignored invalid status fields: %s", ", ".join(read.ignored[:5]), extra=about)
        return read.session, body

    async def fetch_definition(self, key: DefinitionKey) -> Definition | None:
        """Return a definition, as last seen or else as the API server has it."""
        known = self._index.find_definition(key)
        if known is not None:
            return known
        if not key.namespace and not self._has_cluster_definitions:
            return None
        raw = await self._kube.find(definition_kind(key), key.namespace, key.name)
        if raw is None:
            return None
        definition = parse_definition(key, raw)
        self._index.see_definition(key, definition)
        return definition

    async def refresh_children(self, session: AgenticSession, key: SessionKey) -> None:
        """Read the objects whose state in memory is not reliable enough for a decision about this session.

        A Job is looked up by the name derived from its run, whatever its labels. Only the API server decides that it is
        gone.
        """
        status, uid = session.status, session.metadata.uid
        phase = status.phase or Phase.PENDING
        if phase.is_final or session.metadata.deletion_timestamp is not None:
            return
        known = {job.name: job for job in self._index.jobs_of(key, uid)}
        names = self._index.doubts_of(key) & known.keys()
        # Derived: the name that the status shows is for people.
        current_name = job_name(key.name, status.run) if status.run else ""
        # Nothing is to run for a conversation that has nothing to do: thousands may be idle when a process starts.
        is_resting = phase is Phase.SUSPENDED or (phase is Phase.IDLE and not has_work(session))
        if current_name and not is_resting and current_name not in known:
            names |= {current_name}
        unfinished = {job.name for job in known.values() if not job.is_finished}
        is_ending = _is_ending(session) and (not is_resting or bool(unfinished))
        if is_ending:
            # There is no event yet for a Job that was created just before a crash.
            last = last_run(session)
            names |= {*unfinished, *(job_name(session.name, run) for run in (last, last + 1) if run)}
        for name in sorted(names):
            await self._look_at_job(key, uid, name)
        jobs = {job.name: job for job in self._index.jobs_of(key, uid)}
        current = jobs.get(current_name)
        has_failed = current is not None and bool(current.failure_reason)
        if (is_ending and (current_name or jobs)) or has_failed:
            await self._list_pods(key, jobs)
            return
        for name in self._index.doubts_of(key):
            if (pod := await self._look_at_pod(key, name)) is not None:
                self._index.see_pod(key, pod)
            else:
                self._index.forget_pod(key, name)

    async def _look_at_job(self, key: SessionKey, uid: str, name: str) -> None:
        raw = await self._kube.find(JOBS, key.namespace, name)
        job = observe_job(raw) if raw is not None else None
        if job is not None and job.owner_uid == uid:
            self._index.see_job(key, job)
        else:
            self._index.forget_job(key, name)

    async def _look_at_pod(self, key: SessionKey, name: str) -> ObservedPod | None:
        """Return the current state of a known pod; None if it is gone."""
        known = next((pod for pod in self._index.pods_of(key) if pod.name == name), None)
        raw = await self._kube.find(PODS, key.namespace, name)
        pod = observe_pod(raw) if raw is not None else None
        return pod if pod is not None and known is not None and pod.uid == known.uid else None

    async def _list_pods(self, key: SessionKey, jobs: Mapping[str, ObservedJob]) -> None:
        """Read all pods of a session: by our labels, by their Jobs' where those do not find as many, and by name."""
        selector = f"{SESSION_LABEL}={key.name}"
        found = [observe_pod(raw) for raw in await self._kube.list_all(PODS, key.namespace, selector=selector)]
        pods = {pod.name: pod for pod in found}
        for job in jobs.values():
            if job.active > sum(pod.job == job.name and not pod.is_over for pod in pods.values()):
                raws = await self._kube.list_all(PODS, key.namespace, selector=f"{JOB_NAME_LABEL}={job.name}")
                pods.update((pod.name, pod) for pod in map(observe_pod, raws))
        for known in self._index.pods_of(key):
            if known.name not in pods and (pod := await self._look_at_pod(key, known.name)) is not None:
                pods[pod.name] = pod
        self._index.replace_pods(key, pods.values())


def _is_ending(session: AgenticSession) -> bool:
    """Return whether nothing of a session may run any more, at least until its next run."""
    return bool(session.spec.stop or session.spec.suspend) or is_withdrawn(session)
