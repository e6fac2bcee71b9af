"""What a pass over a session looks at: the session itself, its workflow, its Jobs and pods, as fresh as it matters."""

from agentic_core.lifecycle import Phase
from agentic_core.names import SESSION_LABEL
from agentic_core.resources import AgenticSession, ClusterWorkflowDefinition, WorkflowDefinition
from agentic_operator.jobs import Definition
from agentic_operator.kube import CLUSTER_DEFINITIONS, DEFINITIONS, JOBS, PODS, SESSIONS, Json, Kind, Kube
from agentic_operator.observed import observe_job, observe_pod
from agentic_operator.registry import DefinitionKey, Registry, SessionKey


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


class Lookup:
    """Reads, first from memory where that is enough, else from the API server."""

    def __init__(self, kube: Kube, registry: Registry) -> None:
        self._kube = kube
        self._registry = registry

    async def fetch_session(self, key: SessionKey) -> tuple[AgenticSession, Json] | None:
        """Return a session; None where it is gone.

        A body kept from its event is good enough for a session that was never written to: whatever is made from it has
        a derived name and a precondition. For everything else the latest is read.
        """
        raw = self._registry.take_body(key)
        if raw is None:
            raw = await self._kube.find(SESSIONS, key.namespace, key.name)
            if raw is None:
                return None
            self._registry.see_session(raw)
            self._registry.take_body(key)
        body = dict(raw)
        return AgenticSession.model_validate({**body, "kind": "AgenticSession"}), body

    async def fetch_definition(self, key: DefinitionKey) -> Definition | None:
        """Return a definition, as last seen or else as the API server has it."""
        known = self._registry.find_definition(key)
        if known is not None:
            return known
        raw = await self._kube.find(definition_kind(key), key.namespace, key.name)
        if raw is None:
            return None
        definition = parse_definition(key, raw)
        self._registry.see_definition(key, definition)
        return definition

    async def refresh_children(self, session: AgenticSession, key: SessionKey) -> None:
        """Read what a decision over this session must not get wrong from memory alone."""
        status, uid = session.status, session.metadata.uid
        phase = status.phase or Phase.PENDING
        is_winding_down = bool(session.spec.stop or session.spec.suspend) and phase is not Phase.SUSPENDED
        if phase.is_final or session.metadata.deletion_timestamp is not None:
            return
        known = {job.name: job for job in self._registry.jobs_of(key, uid)}
        if status.job_name and phase is not Phase.SUSPENDED and status.job_name not in known:
            raw = await self._kube.find(JOBS, key.namespace, status.job_name)
            if raw is not None:
                job = observe_job(raw)
                self._registry.see_job(key, job)
                known[job.name] = job
        current = known.get(status.job_name or "")
        has_failed = current is not None and bool(current.failure_reason)
        if (is_winding_down and status.job_name) or has_failed:
            selector = f"{SESSION_LABEL}={key.name}"
            raws = await self._kube.list_all(PODS, key.namespace, selector=selector)
            self._registry.replace_pods(key, (observe_pod(raw) for raw in raws))
