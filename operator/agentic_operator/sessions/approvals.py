"""Approval rules of questions: recorded when a question is asked, and who of the persons they demand has answered.

Who is in which group only admission knows. So the operator records the rule once the question is asked, in
``status.approvals``, and the policy ``answers-keep-to-their-rules`` holds against it every answer that is new or
changed. The invariant of both together:

    No accepted answer to a question with a rule was written before its rule stood in ``oldObject.status``.

It holds because a rule is recorded under the version that was read, together with the digests of all answers to the
question that were there in that version (``early``). An answer that is not one of them was written later, and so
against the rule. A digest leaves ``early`` only once its answer is not there any more, in a version that has the rule.
It is coarser than what the API server calls equal, so that no answer counts as another one without being held against
the rule. Pure.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from agentic_core.approvals import describe_missing, find_rule
from agentic_core.choices import is_same_json
from agentic_core.conditions import Reason
from agentic_core.digests import digest_value
from agentic_core.errors import Problem
from agentic_core.resources import AgenticSession, Approval, ApprovalRule, EffectiveRule, Interrupt, Response
from agentic_core.resources.approval import MAX_GIVEN, GivenAnswer, UnreadableRule, combine_rules, read_rule
from agentic_core.strict_json import encode_json

MAX_APPROVALS: Final = 256
# etcd takes 1.5 MiB an object: the policy `sessions-leave-room` says who has how much of it.
ROOM_FOR_APPROVALS: Final = 64 * 1024

_CHANGED: Final = "is another one than was asked under this id before, when its rule was recorded"
_TOO_DEEP: Final = "too deep"
_BEYOND_DOUBLES: Final = 2**1000

Refusal = tuple[Reason, Problem]


def find_effective_rule(session: AgenticSession, asked: Interrupt) -> tuple[EffectiveRule | None, str]:
    """Return what a question demands of its answers, and why nobody can meet it; empty if somebody can.

    The definition's rule counts as the session pinned it. A rule that cannot be read is never taken for a weaker one.
    """
    snapshot = session.status.workflow
    pinned = (snapshot.spec or {}).get("approval") if snapshot is not None else None
    raw = asked.approval if asked.approval is not None else find_rule(asked.value)
    problems: list[str] = []
    rules: list[ApprovalRule] = []
    for said in (pinned, raw):
        if said is None:
            continue
        try:
            rules.append(read_rule(said))
        except UnreadableRule as error:
            problems.append(f"the question's rule cannot be read, {error}")
    rule = combine_rules(*rules)
    if rule is not None and rule.not_creator and not session.spec.created_by:
        problems.append("whoever started the session may not answer, and spec.createdBy does not say who that is")
    if rule is not None and rule.not_creator and session.status.turn is not None and not session.status.turn.by:
        problems.append(
            f"whoever said turn {session.status.turn.name!r} may not answer, and its `by` does not say who that is:"
            " cancel it, and say it again with your name"
        )
    if problems:
        return rule or EffectiveRule(), "; ".join(problems)[:4096]
    return rule, ""


def find_asker(session: AgenticSession) -> str:
    """Return whose turn a conversation is at; empty if none is on, and for other sessions.

    A question of a turn is asked on behalf of whoever said it: without this, one person could say a turn in another's
    conversation, and answer it.
    """
    return session.status.turn.by if session.status.turn is not None else ""


def record_rules(session: AgenticSession, now: datetime) -> AgenticSession:
    """Return the session with a record for each open question that has a rule; what is recorded stays as it is.

    Questions without a rule get none: it would cost a write for each.
    """
    status = session.status
    if status.phase is not None and status.phase.is_final:
        return session
    kept = [_forget_early(session, each) for each in status.approvals]
    known = {each.interrupt_id for each in kept}
    settled = {each.interrupt_id for each in status.answers}
    for asked in status.interrupts:
        if not asked.is_open or asked.id in known or asked.id in settled:
            continue
        rule, problem = find_effective_rule(session, asked)
        if rule is None:
            continue
        made = Approval(
            interrupt_id=asked.id,
            rule=rule,
            digest=asked.digest(),
            at=now.replace(microsecond=0),
            problem=problem or None,
            early=tuple(sorted({digest_response(each) for each in _answers_to(session, asked.id)})),
        )
        if not _make_room(session, kept, made):
            continue
        kept.append(made)
    if tuple(kept) == status.approvals:
        return session
    changed = status.model_copy(update={"approvals": tuple(kept)})
    return session.model_copy(update={"status": changed})


def digest_response(response: Response) -> str:
    """Return the digest by which an early answer is known again: the same for all that the API server calls equal.

    It compares an integer with a double as doubles.
    """
    said: dict[str, Any] = {"interruptId": response.interrupt_id, "by": response.by, "digest": response.digest}
    try:
        said["value"] = _as_doubles(response.value)
        return digest_value(said)
    except RecursionError:
        # No answer is taken that is nested so deeply; the next one of its author differs from it.
        return _TOO_DEEP


def refuse_by_rule(session: AgenticSession, asked: Interrupt, response: Response, pointer: str) -> Refusal | None:
    """Return why an answer to an open question does not count by the question's rule; None if it does."""
    record = find_record(session, asked.id)
    if record is None:
        if find_effective_rule(session, asked)[0] is None:
            return None
        message = (
            f"too many questions with rules wait for a run: that of {asked.id!r} is recorded, and can be answered, once"
            " a run has taken some of their answers"
        )
        return Reason.ANSWER_NOT_ALLOWED, Problem(pointer, message)
    rule, named = record.rule, f"the question {asked.id!r}"
    if record.digest != asked.digest():
        return Reason.QUESTION_CHANGED, Problem(f"{pointer}/interruptId", f"{named} {_CHANGED}: nothing is accepted")
    if record.problem:
        return Reason.ANSWER_NOT_ALLOWED, Problem(pointer, f"{named}: nobody can answer: {record.problem}")
    if digest_response(response) in record.early:
        message = (
            f"it was given before the rule of {named} was recorded, and so held against none; give it again, other than"
            " it is, or take it back first"
        )
        return Reason.GIVEN_TOO_EARLY, Problem(pointer, message)
    if rule.identity == "Required" and not response.by:
        return Reason.ANSWER_NOT_ALLOWED, Problem(f"{pointer}/by", f"{named} is answered by persons; state your name")
    if rule.not_creator and response.by == session.spec.created_by:
        message = f"{named} is answered by somebody else than {response.by}, who started the session"
        return Reason.ANSWER_NOT_ALLOWED, Problem(f"{pointer}/by", message)
    if rule.not_creator and response.by == find_asker(session):
        message = f"{named} is answered by somebody else than {response.by}, whose turn asks it"
        return Reason.ANSWER_NOT_ALLOWED, Problem(f"{pointer}/by", message)
    if rule.digest == "Required" and response.digest != record.digest:
        message = f"an answer to {named} names its digest, {record.digest}"
        return Reason.ANSWER_NOT_ALLOWED, Problem(f"{pointer}/digest", message)
    return None


def fit_given(approvals: Sequence[Approval]) -> tuple[Approval, ...]:
    """Return the records within their room: where it is full, the last ones do not show who has answered so far."""
    surplus = sum(map(_measure, approvals)) - ROOM_FOR_APPROVALS
    kept = list(approvals)
    for index in reversed(range(len(kept))):
        if surplus <= 0:
            break
        if kept[index].given:
            bare = kept[index].model_copy(update={"given": ()})
            surplus -= _measure(kept[index]) - _measure(bare)
            kept[index] = bare
    return tuple(kept)


def describe_record(session: AgenticSession, asked: Interrupt, record: Approval) -> str:
    """Return whose answer to an open question is missing."""
    if record.digest != asked.digest():
        record = record.model_copy(update={"problem": f"it {_CHANGED}"})
    return describe_missing(record.to_wire(), session.spec.created_by or "", find_asker(session))


def choose_answers(record: Approval | None, valid: Sequence[Response]) -> list[Response]:
    """Return the answers that are accepted together; none if more persons are needed.

    ``valid`` are those to one question that its schema and its rule take, in their order of precedence.
    """
    if record is None or record.rule.count == 1:
        return list(valid[:1])
    for first in valid:
        agreeing = {each.by: each for each in reversed(valid) if each.by and is_same_json(each.value, first.value)}
        if len(agreeing) >= record.rule.count:
            return list(reversed(agreeing.values()))
    return []


def count_answers(record: Approval, valid: Iterable[Response], now: datetime) -> Approval:
    """Return the record with the answers that count so far."""
    old = {(each.by, each.value_digest): each for each in record.given}
    given = []
    for each in valid:
        made = GivenAnswer(by=each.by, at=now.replace(microsecond=0), value_digest=digest_value(each.value))
        given.append(old.get((made.by, made.value_digest), made))
    kept = tuple(given[:MAX_GIVEN])
    return record if kept == record.given else record.model_copy(update={"given": kept})


def find_record(session: AgenticSession, id_: str) -> Approval | None:
    """Return what is recorded of a question."""
    return next((each for each in session.status.approvals if each.interrupt_id == id_), None)


def find_unlisted(session: AgenticSession, value: object) -> list[str]:
    """Return the open questions with a rule that a deadline's value is no answer to.

    An answer by nobody meets no rule. It counts where the author lists this very value beside the rule
    (``deadlineAnswers.values``): then the definition gives it, and not whoever started the session.
    """
    snapshot = session.status.workflow
    listed = ((snapshot.spec or {}).get("deadlineAnswers") or {}).get("values") if snapshot is not None else None
    found = []
    for asked in session.status.interrupts:
        if not asked.is_open:
            continue
        record = find_record(session, asked.id)
        rule, problem = find_effective_rule(session, asked)
        if record is None and rule is None:
            continue
        is_changed = record is not None and record.digest != asked.digest()
        is_listed = any(is_same_json(value, each) for each in listed or ())
        if is_changed or problem or not is_listed:
            found.append(asked.id)
    return found


def _forget_early(session: AgenticSession, record: Approval) -> Approval:
    if not record.early:
        return record
    there = {digest_response(each) for each in _answers_to(session, record.interrupt_id)}
    left = tuple(each for each in record.early if each in there)
    return record if left == record.early else record.model_copy(update={"early": left})


def _answers_to(session: AgenticSession, id_: str) -> Iterable[Response]:
    return (each for each in session.spec.responses if each.interrupt_id == id_)


def _make_room(session: AgenticSession, kept: list[Approval], made: Approval) -> bool:
    """Drop the oldest records that no open question needs until ``made`` fits; return whether it does."""
    needed = {each.id for each in session.status.interrupts if each.resumed_at is None}
    sizes = [_measure(each) for each in kept]
    surplus = sum(sizes) + _measure(made) - ROOM_FOR_APPROVALS
    doomed: set[str] = set()
    for each, size in zip(kept, sizes, strict=True):
        if surplus <= 0 and len(kept) - len(doomed) < MAX_APPROVALS:
            break
        if each.interrupt_id not in needed:
            doomed.add(each.interrupt_id)
            surplus -= size
    if surplus > 0 or len(kept) - len(doomed) >= MAX_APPROVALS:
        return False
    kept[:] = [each for each in kept if each.interrupt_id not in doomed]
    return True


def _measure(record: Approval) -> int:
    return len(encode_json(record.to_wire()))


def _as_doubles(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _as_doubles(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_as_doubles(each) for each in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _BEYOND_DOUBLES:
        return float(value)
    return value
