"""The plan of a pass: values that decisions return and controllers carry out."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from agentic_core.conditions import Reason
from agentic_core.resources import SessionStatus, WorkflowStatus
from agentic_operator.kube.events import Event


@dataclass(frozen=True)
class RefusedAnswer:
    """An answer of ``spec.responses`` that is refused, and why; for the trail."""

    interrupt_id: str
    by: str
    value: Any
    digest: str | None
    """Of the question that it names."""
    reason: Reason
    message: str


@dataclass(frozen=True)
class Repair:
    """A merge patch that puts back what a Job or pod was made with."""

    kind: Literal["Job", "Pod"]
    name: str
    uid: str
    patch: dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """One pass over a session. An empty plan means nothing.

    It is carried out in the order of its fields; each step may be the last one before a crash, and the next pass
    must find its way from there.
    """

    add_finalizer: bool = False
    claim: dict[str, Any] | None = None
    """A PersistentVolumeClaim that must exist before the Job."""
    job: dict[str, Any] | None = None
    """The Job to create."""
    status: SessionStatus | None = None
    """The status as it shall be; the same as now means no write."""
    refused: tuple[RefusedAnswer, ...] | None = None
    """The answers that are refused; None if the pass did not look at answers."""
    delete_jobs: tuple[str, ...] = ()
    """Jobs to delete once the status says so: it has moved on from their runs, or says that they were withdrawn."""
    delete_pods: tuple[str, ...] = ()
    """Pods that go without their Job: something beside their runner keeps them, or nothing controls them any more."""
    prune_turns: tuple[str, ...] = ()
    """Turns to remove from the spec once the status has them as ended."""
    prune_responses: tuple[int, ...] = ()
    """Places in ``spec.responses`` of answers to remove whose questions are gone."""
    repairs: tuple[Repair, ...] = ()
    """What somebody took off the Jobs and pods of this session, to be put back."""
    purge: bool = False
    """Delete the session's rows from the database, then let go of the finalizer."""
    delete_session: bool = False
    wake_at: datetime | None = None
    """When to look again where nothing happens before."""
    notes: tuple[Event, ...] = ()


@dataclass(frozen=True)
class DefinitionPlan:
    """One pass over a definition."""

    job: dict[str, Any] | None = None
    delete_jobs: tuple[str, ...] = ()
    delete_pods: tuple[str, ...] = ()
    """Pods that are held as those of a session's run are; deleted once the status says how they ended."""
    status: WorkflowStatus | None = None
    wake_at: datetime | None = None
    notes: tuple[Event, ...] = field(default=())
