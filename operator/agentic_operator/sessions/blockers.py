"""What blocks a Job or pod: a reason, the place and the remedy, as conditions show it.

Nothing here fails a session: each of these can pass, and the next try finds out. What is said is written once, not with
every try: a text that differs from the one before in numbers and generated names alone says nothing new.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agentic_core.conditions import Condition, Reason, with_condition
from agentic_core.errors import (
    AgenticError,
    ApiUnavailable,
    Conflict,
    DatabaseUnavailable,
    SchemaMismatch,
    TransientError,
)
from agentic_core.lifecycle import Phase
from agentic_core.resources import AgenticSession, SessionStatus, WorkflowStatus
from agentic_operator.kube.errors import REASONS, REMEDIES, AdmissionUnavailable, Blocked, Forbidden
from agentic_operator.manifests.jobs import Definition
from agentic_operator.sessions.diagnosis import MAX_SAID, clip
from agentic_operator.sessions.status import build_condition, change_session, refresh_session

# Faults that mostly pass by themselves are told of from this failure in a row on: within two seconds.
PATIENCE: Final = 4
# What begins in one of these ways is out of the session's own hands: it must not hold up those behind it in line.
HOLDING: Final = frozenset(
    {
        *REASONS.values(),
        Reason.NAME_TAKEN,
        Reason.POD_NOT_ALLOWED,
        Reason.SERVICE_ACCOUNT_MISSING,
        Reason.SERVICE_ACCOUNT_NOT_ALLOWED,
        Reason.SECRET_MISSING,
        Reason.SECRET_INVALID,
        Reason.NAMESPACE_NOT_PREPARED,
        Reason.ADMISSION_UNAVAILABLE,
        Reason.API_SERVER_UNAVAILABLE,
        Reason.DATABASE_UNAVAILABLE,
        Reason.DATABASE_NOT_MIGRATED,
        Reason.TOO_MANY_CONVERSATIONS,
    }
)
# Why the pod of an inspection did not start: nothing of it is the image's own fault, and each of these may pass.
NOT_STARTED: Final = frozenset(
    {
        Reason.IMAGE_PULL_FAILED,
        Reason.CONTAINER_CONFIG_ERROR,
        Reason.POD_NOT_STARTED,
        Reason.SECRET_MISSING,
        *REASONS.values(),
    }
)
_CHANGING: Final = re.compile(r"[\w.:/-]*\d[\w.:/-]*")


@dataclass(frozen=True)
class Blocker:
    """Why there is no Job, or no pod."""

    reason: Reason
    message: str


def find_blocker(error: Exception, namespace: str, failures: int) -> Blocker | None:
    """Return what to say of a try that ended so, the ``failures``-th in a row; None if the next one is close."""
    match error:
        case Conflict():
            return None
        case Blocked():
            return Blocker(error.reason, clip(str(error)))
        case DatabaseUnavailable():
            return Blocker(Reason.DATABASE_UNAVAILABLE, clip(str(error)))
        case SchemaMismatch():
            return Blocker(Reason.DATABASE_NOT_MIGRATED, clip(str(error)))
        case Forbidden():
            return Blocker(REASONS[error.cause], _explain(namespace, str(error), REMEDIES[error.cause]))
        case AdmissionUnavailable():
            remedy = "it starts once the webhook answers: look after the service behind it, or delete its configuration"
            return Blocker(Reason.ADMISSION_UNAVAILABLE, _explain(namespace, str(error), remedy))
        case ApiUnavailable():
            found = Blocker(Reason.API_SERVER_UNAVAILABLE, clip(f"{error}; it is asked again until it answers"))
            return found if failures >= PATIENCE else None
        case AgenticError():
            remedy = "it is tried again until that is mended"
            found = Blocker(Reason.NAMESPACE_NOT_PREPARED, _explain(namespace, str(error), remedy))
            return None if isinstance(error, TransientError) and failures < PATIENCE else found
        case _:
            # Never its text: it may quote what a Secret holds.
            said = f"an unexpected {type(error).__name__}"
            remedy = "it is tried again; the operator's log says more"
            return Blocker(Reason.NAMESPACE_NOT_PREPARED, _explain(namespace, said, remedy))


def hold_session(
    session: AgenticSession, blocker: Blocker, now: datetime, phase: Phase = Phase.PENDING
) -> SessionStatus:
    """Return the status of a session whose run does not get its Job or pod; as it is where that was said already."""
    old = session.status
    if old.phase and old.reason == blocker.reason and is_same(old.message or "", blocker.message):
        return refresh_session(session)
    if any(each.type == "Scheduled" and each.reason != blocker.reason for each in old.conditions):
        # Another cause: it begins now.
        kept = tuple(each for each in old.conditions if each.type != "Scheduled")
        session = session.model_copy(update={"status": old.model_copy(update={"conditions": kept})})
    return change_session(session, phase, blocker.reason, blocker.message, now, conditions={"Scheduled": "False"})


def hold_definition(definition: Definition, blocker: Blocker, now: datetime) -> WorkflowStatus:
    """Return the status of a definition whose inspection does not get its Job; as it is where that was said already."""
    conditions: list[Condition] = list(definition.status.conditions)
    generation = definition.metadata.generation
    for type_ in ("Inspected", "Ready"):
        old = next((condition for condition in conditions if condition.type == type_), None)
        if old is not None and old.observed_generation == generation:
            if old.reason == blocker.reason and is_same(old.message, blocker.message):
                continue
            if old.status == "False" and type_ == "Inspected":
                # While a failed inspection is tried again, its failure stays visible.
                return definition.status
        new = build_condition(type_, "Unknown", blocker.reason, blocker.message, now, generation)
        conditions = with_condition(conditions, new)
    return definition.status.model_copy(update={"conditions": tuple(conditions)})


def is_same(one: str, other: str) -> bool:
    """Return whether two texts differ in numbers and generated names alone."""
    return _CHANGING.sub("#", one) == _CHANGING.sub("#", other)


def _explain(namespace: str, said: str, remedy: str) -> str:
    # The remedy counts most: what the API server says may be of any length.
    return f"{clip(f'in namespace {namespace!r}', said, MAX_SAID)}; {remedy}"
