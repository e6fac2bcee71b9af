"""Entries of a session's audit trail: accepted and refused answers, recorded rules, the end.

The invariant: the chain grows in the very write of the status that records what an entry is about, under the version of
the session that was read, so one write of several at once grows it and the others fail. What was accepted is found by
comparing the statuses before and after the pass, whichever way it got there. An entry leaves ``pending`` only after the
database has acknowledged the row of this number with this hash, and it is stored only after it was read in, or written
to, a status. So at any moment rows and pending entries together are the whole chain, once, and a process that is
killed between any two writes leaves nothing to be mended.

Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from agentic_core import trail as chain
from agentic_core.choices import is_same_json
from agentic_core.conditions import Condition, Reason, find_condition, with_condition
from agentic_core.names import FINALIZER
from agentic_core.resources import AgenticSession, Answer, Approval, SessionStatus
from agentic_core.resources.approval import GivenAnswer
from agentic_core.strict_json import MAX_DEPTH, JsonRefused, clip, encode_json, has_deeper_nesting
from agentic_core.trail import EntryKind, Trail
from agentic_operator.sessions.approvals import find_asker
from agentic_operator.sessions.plan import Plan, RefusedAnswer
from agentic_operator.sessions.status import build_condition

CONDITION: Final = "TrailKept"
# What an entry takes beside its value, its names and its text.
OVERHEAD: Final = 1024
MAX_NAME: Final = 512
# Refusals wait before they take room from answers that could be accepted.
ROOM_FOR_REFUSALS: Final = chain.ROOM_FOR_PENDING // 2
# Of what is refused, more than this is kept by its digest alone.
MAX_REFUSED_VALUE: Final = 4096


@dataclass(frozen=True)
class Stored:
    """How far the database has a session's chain, as it acknowledged it to this process."""

    seq: int = 0
    conflict: int = 0
    """Number of an entry in whose place the database has another one; 0 if there is none."""


def find_room(session: AgenticSession) -> int:
    """Return how many bytes of entries the trail of a session takes before some of them are stored."""
    return chain.ROOM_FOR_PENDING - chain.measure(session.status.trail)


def estimate(answer: Answer) -> int:
    """Return how many bytes the entry of an answer may take, at most."""
    escaped = chain.measure_text(_encode(_spell_value(answer.value) or ""))
    return OVERHEAD + escaped + len(answer.by.encode()) * 2 + len(answer.interrupt_id.encode()) * 2


def take_room(room: int, answers: Sequence[Answer]) -> int:
    """Return how much room is left after the entries of these answers, which are accepted together; less than 0: none.

    Where nothing waits to be stored, the answers of several persons to one question always have room.
    """
    left = room - sum(map(estimate, answers))
    return max(left, 0) if room == chain.ROOM_FOR_PENDING else left


def settle(session: AgenticSession, stored: Stored | None, now: datetime) -> AgenticSession:
    """Return the session without the entries that the database has; the same object where nothing changes."""
    trail = session.status.trail
    if trail is None or stored is None:
        return session
    left = chain.drop_stored(trail, stored.seq)
    conditions = _judge(session, stored, now)
    if left is trail and conditions == session.status.conditions:
        return session
    changes = {"trail": left, "conditions": conditions}
    return session.model_copy(update={"status": session.status.model_copy(update=changes)})


def record(plan: Plan, session: AgenticSession, now: datetime) -> Plan:
    """Return the plan with the entries for what its status accepts and for what the pass refused.

    The entries are written with the status, never before or after it.
    """
    status = plan.status or session.status
    before = {_identify(each) for each in session.status.answers}
    accepted = [each for each in status.answers if _identify(each) not in before]
    trail = old = status.trail or Trail()
    root = _find_root(session)
    trail, status = _record_approvals(trail, root, session, status, accepted, now)
    for answer in accepted:
        value = _spell_value(answer.value)
        members = _say(EntryKind.ACCEPTED, now, answer.interrupt_id, answer.by, question=answer.digest)
        is_kept = value is not None and len(value) <= chain.MAX_VALUE
        trail = chain.append(trail, root, members, value=value, keeps_value=is_kept)
    trail = _record_refusals(trail, root, plan.refused, status, now)
    if trail == old and status is (plan.status or session.status):
        return plan
    return replace(
        plan,
        # Who is deleted without a finalizer takes along what is not stored yet.
        add_finalizer=plan.add_finalizer or FINALIZER not in session.metadata.finalizers,
        status=status.model_copy(update={"trail": trail}),
    )


def close(session: AgenticSession, now: datetime) -> SessionStatus | None:
    """Return the status of a session that is being deleted, with the entry that ends its chain.

    None if there is no chain, or where it has ended.
    """
    trail = session.status.trail
    if trail is None or not trail.seq or FINALIZER not in session.metadata.finalizers:
        return None
    if trail.pending and chain.read_kind(trail.pending[-1]) == EntryKind.DELETED:
        return None
    members = _say(EntryKind.DELETED, session.metadata.deletion_timestamp or now)
    ended = chain.append(trail, _find_root(session), members)
    return session.status.model_copy(update={"trail": ended})


def _record_approvals(
    trail: Trail,
    root: str,
    session: AgenticSession,
    status: SessionStatus,
    accepted: Iterable[Answer],
    now: datetime,
) -> tuple[Trail, SessionStatus]:
    """Return the trail with an entry for each rule and each answer that was counted just now.

    What has no room is not recorded in the status either, and is once there is room.
    """
    old = {each.interrupt_id: each for each in session.status.approvals}
    done = {(each.interrupt_id, each.by) for each in accepted}
    kept: list[Approval] = []
    for approval in status.approvals:
        before = old.get(approval.interrupt_id)
        longer = trail
        if before is None:
            members = _say(
                EntryKind.RULE_RECORDED,
                now,
                approval.interrupt_id,
                question=approval.digest,
                rule={**approval.rule.to_wire(), **_name_askers(session)},
            )
            longer = chain.append(longer, root, members, message=approval.problem)
        known = {(each.by, each.value_digest) for each in before.given} if before is not None else set()
        for given in approval.given:
            if (given.by, given.value_digest) in known or (approval.interrupt_id, given.by) in done:
                continue
            members = _say(EntryKind.COUNTED, now, approval.interrupt_id, given.by, question=approval.digest)
            value, is_kept = _find_given(session, approval.interrupt_id, given)
            longer = chain.append(longer, root, members, value=value, keeps_value=is_kept)
        if longer is not trail and not _has_room(longer):
            if before is not None:
                kept.append(before)
            continue
        trail = longer
        kept.append(approval)
    if tuple(kept) != status.approvals:
        status = status.model_copy(update={"approvals": tuple(kept)})
    return trail, status


def _find_given(session: AgenticSession, interrupt_id: str, given: GivenAnswer) -> tuple[str | None, bool]:
    """Return the value of an answer that was counted, and whether the entry keeps it."""
    for each in session.spec.responses:
        if (each.interrupt_id, each.by) == (interrupt_id, given.by):
            value = _spell_value(each.value)
            return value, value is not None and len(value) <= MAX_REFUSED_VALUE
    return None, False


def _has_room(trail: Trail) -> bool:
    """Return whether an entry that is no accepted answer has room; it never takes room that answers need."""
    return chain.measure(trail) <= ROOM_FOR_REFUSALS and len(trail.pending) <= chain.MAX_PENDING // 2


def _record_refusals(
    trail: Trail, root: str, refused: Iterable[RefusedAnswer] | None, status: SessionStatus, now: datetime
) -> Trail:
    """Return the trail with an entry for each refused answer that has none; forget those that are no more there.

    One for each answer as it was written, whatever it is refused for later.
    """
    if refused is None:
        # This pass did not look at answers.
        return trail
    known, marks, size = set(trail.refused), [], chain.measure(trail)
    for each in refused:
        if _is_accepted(each, status):
            # Its question is no longer listed, and it acted.
            continue
        mark = chain.mark(each.interrupt_id, each.by, _encode(each.value), each.digest)
        if mark in known:
            marks.append(mark)
            continue
        value = _spell_value(each.value)
        members = _say(
            EntryKind.REFUSED, now, each.interrupt_id, each.by, question=each.digest, reason=str(each.reason)
        )
        is_kept = value is not None and len(value) <= MAX_REFUSED_VALUE
        longer = chain.append(trail, root, members, value=value, keeps_value=is_kept, message=each.message)
        size += chain.measure_entry(longer.pending[-1])
        if size > ROOM_FOR_REFUSALS or len(longer.pending) > chain.MAX_PENDING // 2:
            # Those that are left have their entries once the database has some of these.
            break
        trail = longer
        marks.append(mark)
        known.add(mark)
    kept = tuple(dict.fromkeys(marks))[: chain.MAX_REFUSED]
    return trail if kept == trail.refused else trail.model_copy(update={"refused": kept})


def _say(
    kind: EntryKind,
    at: datetime,
    interrupt_id: str | None = None,
    by: str | None = None,
    *,
    question: str | None = None,
    reason: str | None = None,
    rule: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    time = at.replace(microsecond=0).isoformat().replace("+00:00", "Z")
    # The database keeps no U+0000, and would refuse the entry.
    id_, name = (clip(text, MAX_NAME) if text else None for text in (interrupt_id, by))
    members = {"kind": kind.value, "at": time, "interruptId": id_, "by": name}
    return {**members, "question": question, "reason": reason, "rule": _clean(rule)}


def _name_askers(session: AgenticSession) -> dict[str, str]:
    """Return whom `notCreator` keeps out: who started the session, and of a conversation whose turn it is."""
    asker = find_asker(session)
    return {"creator": session.spec.created_by or "", **({"asker": asker} if asker else {})}


def _clean(value: Any) -> Any:
    """Return the value with texts that the database can store."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, list | tuple):
        return [_clean(each) for each in value]
    return {name: _clean(each) for name, each in value.items()} if isinstance(value, Mapping) else value


def _find_root(session: AgenticSession) -> str:
    return chain.find_root(session.namespace, session.name, session.metadata.uid)


def _identify(answer: Answer) -> tuple[Any, ...]:
    return answer.interrupt_id, answer.by, answer.at, answer.digest


def _is_accepted(refused: RefusedAnswer, status: SessionStatus) -> bool:
    return any(
        (each.interrupt_id, each.by) == (refused.interrupt_id, refused.by) and is_same_json(each.value, refused.value)
        for each in status.answers
    )


def _spell_value(value: Any) -> str | None:
    """Return the canonical form of a value; None if it is nested too deep for any answer."""
    encoded = _encode(value)
    return chain.spell(value) if encoded and not has_deeper_nesting(encoded.encode(), MAX_DEPTH) else None


def _encode(value: Any) -> str:
    """Return a value as compact JSON; empty if it is nested too deep for that, too."""
    try:
        return encode_json(value).decode(errors="replace")
    except JsonRefused:
        return ""


def _judge(session: AgenticSession, stored: Stored, now: datetime) -> tuple[Condition, ...]:
    old = session.status.conditions
    known = find_condition(old, CONDITION)
    if not stored.conflict:
        return tuple(each for each in old if each is not known) if known is not None else old
    message = (
        f"the database has another entry {stored.conflict} in this session's trail than its status: what follows is"
        " kept in the status alone, and no answer is accepted once that is full; `agentic audit verify` tells more"
    )
    new = build_condition(CONDITION, "False", Reason.TRAIL_CONFLICT, message, now, session.metadata.generation)
    if known is not None and (known.status, known.message) == (new.status, new.message):
        return old
    return tuple(with_condition(old, new))
