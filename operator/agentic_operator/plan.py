"""What a reconcile pass wants done: values that the decisions return and ``reconcile`` carries out."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from agentic_core.resources import SessionStatus, WorkflowStatus


@dataclass(frozen=True)
class Note:
    """A Kubernetes Event to post about the object: best effort, for people."""

    reason: str
    message: str
    type: Literal["Normal", "Warning"] = "Normal"
    action: str = "Reconcile"


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
    delete_jobs_first: tuple[str, ...] = ()
    """Jobs to delete before the status says anything: their session is being stopped or suspended."""
    status: SessionStatus | None = None
    """The status as it shall be; the same as now means no write."""
    delete_jobs: tuple[str, ...] = ()
    """Jobs that the verdict just written made superfluous."""
    delete_pods: tuple[str, ...] = ()
    """Pods whose runner has ended and that something beside it keeps: their Job goes on without them."""
    purge: bool = False
    """Delete the session's rows from the database, then let go of the finalizer."""
    delete_session: bool = False
    wake_at: datetime | None = None
    """When to look again where nothing happens before."""
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class DefinitionPlan:
    """One pass over a definition."""

    job: dict[str, Any] | None = None
    delete_jobs: tuple[str, ...] = ()
    delete_pods: tuple[str, ...] = ()
    """Pods that are held as those of a session's run are; deleted once the status says how they ended."""
    status: WorkflowStatus | None = None
    wake_at: datetime | None = None
    notes: tuple[Note, ...] = field(default=())
