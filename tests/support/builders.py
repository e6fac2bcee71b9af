"""Builders of resources and observations: ``a_session().waiting("approve?").build()``."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from agentic_core.lifecycle import Phase
from agentic_core.names import FINALIZER, job_name
from agentic_core.resources import AgenticSession, ClusterWorkflowDefinition, WorkflowDefinition
from agentic_operator.sessions.children import ObservedJob, ObservedPod

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
IMAGE = "registry.example.com/team/workflow:1"


def wire_time(at: datetime) -> str:
    """Return ``at`` as Kubernetes writes it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def session_body(name: str, workflow: str = "report", namespace: str = "team", **spec: Any) -> dict[str, Any]:
    """Return a session to be created."""
    return {
        "apiVersion": "agentic-operator.dev/v1alpha1",
        "kind": "AgenticSession",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"workflowRef": {"name": workflow}, **spec},
    }


def definition_body(
    name: str = "report", namespace: str = "team", kind: str = "WorkflowDefinition", **spec: Any
) -> dict[str, Any]:
    """Return a definition to be created."""
    metadata = {"name": name} if kind == "ClusterWorkflowDefinition" else {"name": name, "namespace": namespace}
    return {
        "apiVersion": "agentic-operator.dev/v1alpha1",
        "kind": kind,
        "metadata": metadata,
        "spec": {"image": IMAGE, **spec},
    }


def condition(
    type_: str, status: str, reason: str = "Because", message: str = "", generation: int = 1
) -> dict[str, Any]:
    """Return a condition on the wire."""
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": wire_time(NOW - timedelta(minutes=5)),
        "observedGeneration": generation,
    }


CHECKED = ("SchemaValid", "ImageAllowed", "Inspected", "Ready")
READY = tuple(condition(type_, "True") for type_ in CHECKED)


@dataclass(frozen=True)
class SessionBuilder:
    """A session step by step."""

    spec: dict[str, Any] = field(default_factory=lambda: {"workflowRef": {"name": "report"}})
    status: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(
        default_factory=lambda: {
            "name": "s",
            "namespace": "team",
            "uid": "uid-s",
            "generation": 1,
            "resourceVersion": "10",
            "creationTimestamp": wire_time(NOW - timedelta(minutes=1)),
        }
    )

    def named(self, name: str, uid: str = "") -> Self:
        return replace(self, metadata={**self.metadata, "name": name, "uid": uid or f"uid-{name}"})

    def with_metadata(self, **values: Any) -> Self:
        return replace(self, metadata={**self.metadata, **values})

    def with_spec(self, **values: Any) -> Self:
        return replace(self, spec={**self.spec, **values})

    def with_status(self, **values: Any) -> Self:
        return replace(self, status={**self.status, **values})

    def accepted(self, phase: Phase = Phase.CREATING, run: int = 1) -> Self:
        """A session whose run ``run`` was made."""
        return self.with_metadata(finalizers=[FINALIZER]).with_status(
            phase=phase.value,
            reason="JobCreated",
            run=run,
            jobName=job_name(self.metadata["name"], run),
            threadId=f"project-team:session-{self.metadata['name']}",
            workflow={"image": IMAGE, "generation": 1},
            observedGeneration=1,
            conditions=[condition("Accepted", "True", "Accepted")],
        )

    def running(self, run: int = 1) -> Self:
        return self.accepted(Phase.RUNNING, run)

    def waiting(self, *questions: str, run: int = 1) -> Self:
        """A session that asks; the ids are q1, q2, …"""
        asked = wire_time(NOW - timedelta(minutes=1))
        interrupts = [{"id": f"q{n}", "value": text, "askedAt": asked} for n, text in enumerate(questions, start=1)]
        return self.accepted(Phase.WAITING_FOR_INPUT, run).with_status(interrupts=interrupts)

    def answering(self, **answers: Any) -> Self:
        return self.with_spec(responses=[{"interruptId": key, "value": value} for key, value in answers.items()])

    def answered(self, *, by: str = "ann", **answers: Any) -> Self:
        """A session whose answers the operator accepted, and no run has taken."""
        interrupts = [
            {**each, "answer": answers[each["id"]], "answeredAt": wire_time(NOW), "answeredBy": by}
            if each["id"] in answers
            else each
            for each in self.status["interrupts"]
        ]
        recorded = [
            {"interruptId": id_, "by": by, "value": value, "at": wire_time(NOW)} for id_, value in answers.items()
        ]
        return self.answering(**answers).with_status(interrupts=interrupts, answers=recorded)

    def ended(self, phase: Phase, ago: timedelta = timedelta(seconds=1)) -> Self:
        return self.accepted(phase).with_status(completionTime=wire_time(NOW - ago), reason=phase.value)

    def deleting(self, ago: timedelta = timedelta(0)) -> Self:
        return self.with_metadata(deletionTimestamp=wire_time(NOW - ago))

    def raw(self) -> dict[str, Any]:
        """Return the wire form."""
        return {
            "apiVersion": "agentic-operator.dev/v1alpha1",
            "kind": "AgenticSession",
            "metadata": self.metadata,
            "spec": self.spec,
            "status": self.status,
        }

    def build(self) -> AgenticSession:
        return AgenticSession.model_validate(self.raw())


def a_session() -> SessionBuilder:
    """A session that nobody has looked at yet."""
    return SessionBuilder()


def a_definition(
    *, conditions: tuple[dict[str, Any], ...] = READY, status: dict[str, Any] | None = None, **spec: Any
) -> WorkflowDefinition:
    """A definition that is ready, unless ``conditions`` say otherwise."""
    return WorkflowDefinition.model_validate(
        {
            **definition_body(**spec),
            "metadata": {
                "name": "report",
                "namespace": "team",
                "uid": "uid-report",
                "generation": 1,
                "resourceVersion": "5",
            },
            "status": {"conditions": list(conditions), "observedGeneration": 1, **(status or {})},
        }
    )


def a_cluster_definition(**spec: Any) -> ClusterWorkflowDefinition:
    """A definition of the cluster that is ready."""
    return ClusterWorkflowDefinition.model_validate(
        {**a_definition(**spec).to_wire(), "kind": "ClusterWorkflowDefinition", "metadata": {"name": "report"}}
    )


def a_job(run: int = 1, **values: Any) -> ObservedJob:
    """The active Job of a run of ``a_session()``."""
    fields: dict[str, Any] = {
        "name": job_name("s", run),
        "uid": f"job-{run}",
        "owner_uid": "uid-s",
        "run": run,
        "active": 1,
        "created_at": NOW - timedelta(seconds=30),
        **values,
    }
    return ObservedJob(**fields)


def a_pod(run: int = 1, **values: Any) -> ObservedPod:
    """A pod of that Job, thirty seconds old."""
    fields: dict[str, Any] = {
        "name": f"{job_name('s', run)}-abcde",
        "job": job_name("s", run),
        "created_at": NOW - timedelta(seconds=30),
        **values,
    }
    return ObservedPod(**fields)
