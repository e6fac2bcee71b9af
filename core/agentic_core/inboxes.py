"""Which open questions of a session wait for whose answer. Pure; on objects as the API server has them.

Who may answer at all is a right of the API server's, and its admission policies have the last word: this is what an
inbox shows.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from agentic_core.approvals import describe_needed
from agentic_core.digests import digest_question

__all__ = ["APPROVALS_MISSING", "OpenQuestion", "find_deadline", "find_refusal", "is_for", "list_open_questions"]

# As in agentic_core.conditions, whose models take longer to load than the command line may.
APPROVALS_MISSING: Final = "ApprovalsMissing"


@dataclass(frozen=True)
class OpenQuestion:
    """A question that somebody may answer, with all that they have to know for it."""

    id: str
    node: str | None
    prompt: str
    value: Any
    options: tuple[Mapping[str, Any], ...]
    schema: Mapping[str, Any] | None
    digest: str
    rule: Mapping[str, Any] | None
    needed: str
    """Whose answer is missing, in words; empty where anybody's will do."""
    asked_at: datetime | None
    deadline: datetime | None
    on_expiry: str | None


def list_open_questions(session: Mapping[str, Any], person: str, groups: Collection[str]) -> tuple[OpenQuestion, ...]:
    """Return the questions that wait for this person's answer, in the order in which they were asked."""
    spec, status = session.get("spec") or {}, session.get("status") or {}
    approvals = {each.get("interruptId"): each for each in status.get("approvals") or ()}
    creator, asker = str(spec.get("createdBy") or ""), str((status.get("turn") or {}).get("by") or "")
    is_refused = find_refusal(status, session.get("metadata") or {}) is not None
    limit, deadline = spec.get("inputDeadline") or {}, find_deadline(session)
    found = []
    for each in status.get("interrupts") or ():
        id_ = str(each.get("id") or "")
        approval = approvals.get(id_)
        if each.get("answeredAt") or not is_for(approval, person, groups, creator=creator, asker=asker):
            continue
        if not is_refused and _has_answer(spec, id_, person, approval):
            continue
        found.append(
            OpenQuestion(
                id=id_,
                node=each.get("node"),
                prompt=str(each.get("prompt") or ""),
                value=each.get("value"),
                options=tuple(each.get("options") or ()),
                schema=each.get("schema"),
                digest=digest_question(
                    str(each.get("prompt") or ""), each.get("value"), each.get("options") or (), each.get("schema")
                ),
                rule=approval.get("rule") if approval is not None else None,
                needed=describe_needed(approval, creator, asker) if approval is not None else "",
                asked_at=_read_time(each.get("askedAt")),
                deadline=deadline,
                on_expiry=(limit.get("onExpiry") or "Fail") if deadline is not None else None,
            )
        )
    return tuple(found)


def is_for(
    approval: Mapping[str, Any] | None, person: str, groups: Collection[str], *, creator: str, asker: str
) -> bool:
    """Return whether a question's recorded rule lets this person answer; without a record anybody may."""
    if approval is None:
        return True
    if approval.get("problem"):
        return False
    rule = approval.get("rule") or {}
    if rule.get("notCreator") and person in (creator, asker):
        return False
    return all(set(group) & set(groups) for group in rule.get("groups") or ())


def _has_answer(spec: Mapping[str, Any], id_: str, person: str, approval: Mapping[str, Any] | None) -> bool:
    """Return whether this person has answered, or somebody has where one answer is enough."""
    authors = [each.get("by") or "" for each in spec.get("responses") or () if each.get("interruptId") == id_]
    if int(((approval or {}).get("rule") or {}).get("count") or 1) > 1:
        return person in authors
    return bool(authors)


def find_refusal(status: Mapping[str, Any], metadata: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the condition of the answers as they are now, if they were checked and one was refused."""
    conditions = status.get("conditions") or ()
    accepted: Mapping[str, Any] = next((each for each in conditions if each.get("type") == "InputAccepted"), {})
    if accepted.get("status") != "False" or accepted.get("reason") == APPROVALS_MISSING:
        return None
    looked_at = accepted.get("observedGeneration") or 0
    return accepted if looked_at >= metadata.get("generation", 0) else None


def find_deadline(session: Mapping[str, Any]) -> datetime | None:
    """Return until when people can answer, by the oldest open question; None without a deadline."""
    seconds = ((session.get("spec") or {}).get("inputDeadline") or {}).get("seconds")
    asked = [
        at
        for each in (session.get("status") or {}).get("interrupts") or ()
        if not each.get("answeredAt") and (at := _read_time(each.get("askedAt"))) is not None
    ]
    if not isinstance(seconds, int) or not asked:
        return None
    try:
        return min(asked) + timedelta(seconds=seconds)
    except OverflowError:
        return None


def _read_time(text: Any) -> datetime | None:
    """Return a time of a status, which may say anything; None for what is none."""
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return at if at is not None and at.tzinfo is not None else None
