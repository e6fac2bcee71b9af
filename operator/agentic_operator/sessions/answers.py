"""Which answers of ``spec.responses`` are accepted: once, by the operator alone, before any pod sees them.

A question with an approval rule takes answers that meet it, and waits until enough persons have given the same one:
``approvals``. An accepted answer is recorded in ``status.answers`` and stands from then on, whatever
becomes of ``spec.responses``: a run goes on with what was accepted, so that of two answers one acts, and only a checked
one. Everything else is refused by the condition ``InputAccepted``, and the session keeps waiting. Runners of the first
contract read it in ``status.interrupts``, where it is copied to. Admission keeps runners from writing either place.

Pure. What needs a schema check is listed here (``find_checks``), and what came of it is handed back.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from agentic_core.choices import is_same_json
from agentic_core.conditions import Condition, Reason, find_condition, with_condition
from agentic_core.contract import MAX_ANSWER_BYTES
from agentic_core.errors import Problem
from agentic_core.questions import describe_open
from agentic_core.resources import AgenticSession, Answer, Approval, Interrupt
from agentic_core.resources.session import BY_DEADLINE, Response
from agentic_core.strict_json import JsonRefused, encode_json, parse_strict_json
from agentic_core.times import add, add_seconds, is_believable
from agentic_operator.kube.events import Event
from agentic_operator.sessions.approvals import (
    Refusal,
    choose_answers,
    count_answers,
    describe_record,
    find_record,
    find_unlisted,
    fit_given,
    record_rules,
    refuse_by_rule,
)
from agentic_operator.sessions.diagnosis import clip
from agentic_operator.sessions.plan import RefusedAnswer
from agentic_operator.sessions.status import build_condition
from agentic_operator.sessions.trail import estimate, take_room

CONDITION: Final = "InputAccepted"
MAX_LISTED: Final = 5
MAX_ANSWERS: Final = 256
MAX_AUTHORS: Final = 256
# All that the status keeps together: it has them twice, and etcd takes 1.5 MiB an object.
ROOM_FOR_ANSWERS: Final = 208 * 1024
# Turns have the other half there.
ROOM_IN_CONVERSATIONS: Final = 104 * 1024

# Within this time a question is seen that was just asked; one from longer ago could not be answered until now.
SEEN_WITHIN: Final = timedelta(seconds=30)
TRAIL_BEHIND: Final = (
    "it is accepted once the trail of the answers before it is in the database, which is behind or away"
)
TOO_MANY: Final = "too many large answers wait for a run; it is taken once a run has taken those"


@dataclass(frozen=True)
class AnswerCheck:
    """A value to hold against the schema of a question."""

    interrupt_id: str
    schema: Mapping[str, Any]
    value: Any
    by: str = ""
    is_default: bool = False
    """Whether it is the value of ``inputDeadline`` rather than somebody's answer."""


@dataclass(frozen=True)
class AnswerChecks:
    """What was found out about the answers of a session."""

    faults: Mapping[tuple[str, str], tuple[Problem, ...]] = field(default_factory=dict)
    """Faults of answers, by interrupt and by who answered."""
    default_faults: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    """Faults of ``inputDeadline.value`` as an answer, by interrupt."""


@dataclass(frozen=True)
class AnswersDecision:
    """The session with its answers looked at."""

    session: AgenticSession
    notes: tuple[Event, ...] = ()
    is_answered: bool = False
    """Whether an answer was accepted just now."""
    refused: tuple[RefusedAnswer, ...] = ()
    """The answers of ``spec.responses`` that are refused, for good as they are."""
    is_delayed: bool = False
    """Whether answers wait for room, and none was accepted."""


def input_deadline(session: AgenticSession) -> datetime | None:
    """Return until when people can answer, by the oldest open question."""
    limit = session.spec.input_deadline
    asked = [each.asked_at for each in session.status.interrupts if each.is_open and each.asked_at is not None]
    return add_seconds(min(asked), limit.seconds) if limit is not None and asked else None


def believe_questions(session: AgenticSession, now: datetime, fresh: Collection[str] = frozenset()) -> AgenticSession:
    """Return the session with a time of ours for open questions that have none, or one that nobody believes.

    Whoever writes a question would choose by its time that people's time to answer is never over, or over before
    anybody saw it: one of a time to come, and a ``fresh`` one from before it could be seen, were asked when they were
    seen.
    """
    limit = session.spec.input_deadline
    at = now.replace(microsecond=0)

    def is_believed(asked: Interrupt) -> bool:
        if asked.asked_at is None:
            return limit is None
        is_late = limit is not None and asked.id in fresh and asked.asked_at < add(now, -SEEN_WITHIN)
        return not is_late and is_believable(asked.asked_at, since=None, now=now)

    interrupts = tuple(
        each.model_copy(update={"asked_at": at}) if each.is_open and not is_believed(each) else each
        for each in session.status.interrupts
    )
    if interrupts == session.status.interrupts:
        return session
    return session.model_copy(update={"status": session.status.model_copy(update={"interrupts": interrupts})})


def find_checks(session: AgenticSession, now: datetime) -> Iterator[AnswerCheck]:
    """Return what has to be held against schemas before :func:`take_answers` and :func:`answer_by_default`."""
    if session.metadata.deletion_timestamp is not None or (session.status.phase and session.status.phase.is_final):
        return
    openly = {each.id: each for each in session.status.interrupts if each.is_open}
    for response in session.spec.responses:
        asked = openly.get(response.interrupt_id)
        if asked is not None and asked.schema_ is not None and not _find_misfit(response.value):
            yield AnswerCheck(asked.id, asked.schema_, response.value, response.by)
    limit, deadline = session.spec.input_deadline, input_deadline(session)
    if limit is not None and limit.on_expiry == "Resume" and deadline is not None and now >= deadline:
        for asked in openly.values():
            if asked.schema_ is not None:
                yield AnswerCheck(asked.id, asked.schema_, limit.value, is_default=True)


def take_answers(
    session: AgenticSession, checked: AnswerChecks, now: datetime, room_in_trail: int | None = None
) -> AnswersDecision:
    """Accept the answers that fit; say in the condition what is wrong with the others, and whose are missing.

    Of several answers to one question, those that say whose they are come first, each in its order in the list.
    ``room_in_trail`` is how many bytes of entries the trail takes now; None if there is none.
    """
    ruled = record_rules(session, now)
    restored = _restore(ruled)
    known = {each.id: each for each in ruled.status.interrupts} | restored
    refused: dict[int, list[Refusal]] = {}
    valid: dict[str, dict[int, Response]] = {}
    for index, response in sorted(enumerate(ruled.spec.responses), key=lambda each: not each[1].by):
        asked = known.get(response.interrupt_id)
        found = _find_refusals(ruled, asked, response, checked, f"/spec/responses/{index}")
        if asked is not None and asked.is_open and not found:
            valid.setdefault(asked.id, {})[index] = response
        else:
            refused[index] = found

    def is_open(record: Approval) -> bool:
        return record.interrupt_id in known and known[record.interrupt_id].is_open

    approvals = fit_given(
        [
            count_answers(each, valid.get(each.interrupt_id, {}).values(), now) if is_open(each) else each
            for each in ruled.status.approvals
        ]
    )
    accepted = _accept_all(ruled, known, valid, refused, now, room_in_trail)
    refusals = [each for index in sorted(refused) for each in refused[index]]
    # By now `known` has the accepted ones as answered.
    missing = [describe_record(ruled, known[each.interrupt_id], each) for each in approvals if is_open(each)]
    conditions = _judge(ruled, refusals, missing, now)
    is_news = conditions != session.status.conditions
    answers = [each for group in accepted.values() for each in group]
    notes = [Event(Reason.ANSWERED, _told(group), action="Answer") for group in accepted.values()]
    if refusals and is_news:
        notes.append(Event(refusals[0][0], _list(refusals, missing), "Warning", "Answer"))
    elif missing and is_news:
        notes.append(Event(Reason.APPROVALS_MISSING, _list([], missing), action="Answer"))
    new = _record(ruled, known, answers, approvals, conditions)
    final = _list_refused(ruled, refused)
    if new.status == session.status:
        return AnswersDecision(session, refused=final)
    return AnswersDecision(new, tuple(notes), bool(accepted or restored), final)


def _list_refused(session: AgenticSession, refused: Mapping[int, Sequence[Refusal]]) -> tuple[RefusedAnswer, ...]:
    """Return the answers that are refused for good, for the trail; not those that wait for room."""
    return tuple(
        RefusedAnswer(given.interrupt_id, given.by, given.value, given.digest, found[0][0], clip(str(found[0][1])))
        for index, found in sorted(refused.items())
        if found and found[0][1].message not in (TRAIL_BEHIND, TOO_MANY)
        for given in [session.spec.responses[index]]
    )


def _accept_all(
    session: AgenticSession,
    known: dict[str, Interrupt],
    valid: Mapping[str, Mapping[int, Response]],
    refused: dict[int, list[Refusal]],
    now: datetime,
    room_in_trail: int | None,
) -> dict[str, list[Answer]]:
    """Return the accepted answers by question, marked in ``known``; add to ``refused`` those that come second."""
    accepted: dict[str, list[Answer]] = {}
    waiting = [each for each in session.status.answers if _is_needed(known, each)]
    room, places = _find_room(session) - sum(map(_measure, waiting)), MAX_ANSWERS - len(waiting)
    for id_, given in valid.items():
        asked = known[id_]
        chosen = choose_answers(find_record(session, id_), list(given.values()))
        answers = [_accept(asked, each.value, each.by, now) for each in chosen]
        if not answers:
            continue
        if room_in_trail is not None and (room_in_trail := take_room(room_in_trail, answers)) < 0:
            for index in given:
                refused[index] = [(Reason.TRAIL_BEHIND, Problem(f"/spec/responses/{index}/value", TRAIL_BEHIND))]
            continue
        room -= sum(map(_measure, answers))
        places -= len(answers)
        if room < 0 or places < 0:
            for index in given:
                refused[index] = [(Reason.INVALID_ANSWER, Problem(f"/spec/responses/{index}/value", TOO_MANY))]
            continue
        accepted[id_] = answers
        known[id_] = _answered(asked, answers)
        for index, response in given.items():
            if not is_same_json(response.value, answers[0].value):
                problem = Problem(f"/spec/responses/{index}/value", _already(known[id_], answers))
                refused[index] = [(Reason.ALREADY_ANSWERED, problem)]
    return accepted


def _restore(session: AgenticSession) -> dict[str, Interrupt]:
    """Return the questions that are answered, by the record, and were asked again as if they were not.

    A question's id stands for one question. A runner that drops an answered one and asks it anew gets the same answer;
    one that asks something else under its id gets none.
    """
    return {
        each.id: _answered(each, recorded)
        for each in session.status.interrupts
        if each.is_open and (recorded := _find_recorded(session, each.id)) and not _is_other(each, recorded[0])
    }


def _is_other(asked: Interrupt, recorded: Answer) -> bool:
    """Return whether a question is not the one that was answered under its id."""
    return recorded.digest is not None and recorded.digest != asked.digest()


def _find_recorded(session: AgenticSession, id_: str) -> list[Answer]:
    return [each for each in session.status.answers if each.interrupt_id == id_]


def _was_taken_before(session: AgenticSession, response: Response) -> bool:
    """Return whether an answer was accepted in a turn before: the next one of a conversation drops its questions.

    One whose question this turn, or a session without turns, has lost with its checkpoints is refused.
    """
    if not session.is_conversation:
        return False
    turn = session.status.turn
    return any(
        is_same_json(response.value, each.value)
        for each in _find_recorded(session, response.interrupt_id)
        if turn is None or turn.started_at is None or (each.at is not None and each.at <= turn.started_at)
    )


def _find_refusals(
    session: AgenticSession,
    asked: Interrupt | None,
    response: Response,
    checked: AnswerChecks,
    pointer: str,
) -> list[Refusal]:
    """Return why an answer is not taken; none for one that is, also where it was before."""
    if asked is None:
        if _was_taken_before(session, response):
            return []
        return [(Reason.UNKNOWN_INTERRUPT, _unknown(session, response.interrupt_id, pointer))]
    if not asked.is_open:
        if is_same_json(response.value, asked.answer):
            return []
        return [
            (Reason.ALREADY_ANSWERED, Problem(f"{pointer}/value", _already(asked, _find_recorded(session, asked.id))))
        ]
    if session.status.phase is not None and session.status.phase.is_final:
        message = f"the session is {session.status.phase}: it takes no more answers"
        return [(Reason.TOO_LATE, Problem(f"{pointer}/value", message))]
    if mismatch := _find_mismatch(session, asked, response, pointer):
        return [(Reason.INVALID_ANSWER, mismatch)]
    if refusal := refuse_by_rule(session, asked, response, pointer):
        return [refusal]
    faults = _find_misfit(response.value) or checked.faults.get((asked.id, response.by), ())
    return [(Reason.INVALID_ANSWER, Problem(f"{pointer}/value{fault.pointer}", fault.message)) for fault in faults]


def answer_by_default(session: AgenticSession, now: datetime, room_in_trail: int | None = None) -> AnswersDecision:
    """Answer open questions with ``inputDeadline.value``, because nobody did in time.

    All of them, or as many as the trail has room for.
    """
    limit = session.spec.input_deadline
    value = limit.value if limit is not None else None
    barred = {each.interrupt_id for each in session.status.answers} | set(find_unlisted(session, value))
    openly = [each for each in session.status.interrupts if each.is_open and each.id not in barred]
    accepted = [_accept(each, value, BY_DEADLINE, now) for each in openly]
    if accepted and room_in_trail is not None:
        if take_room(room_in_trail, accepted[:1]) < 0:
            return AnswersDecision(session, is_delayed=True)
        fits = max(1, room_in_trail // estimate(accepted[0]))
        openly, accepted = openly[:fits], accepted[:fits]
    known = {each.id: each for each in session.status.interrupts}
    known |= {each.id: _answered(each, [answer]) for each, answer in zip(openly, accepted, strict=True)}
    notes = tuple(Event(Reason.ANSWERED, _told([each]), action="Answer") for each in accepted)
    new = _record(session, known, accepted, session.status.approvals, session.status.conditions)
    return AnswersDecision(new, notes, bool(accepted))


def describe_default_faults(checked: AnswerChecks) -> str:
    """Return why ``inputDeadline.value`` is no answer; empty if it is one."""
    return clip(
        "; ".join(
            f"/spec/inputDeadline/value{fault.pointer}: {fault.message} (question {id_!r})"
            for id_, faults in checked.default_faults.items()
            for fault in faults[:MAX_LISTED]
        )
    )


def find_managers(managed_fields: object) -> frozenset[str]:
    """Return who wrote fields of an object, from ``metadata.managedFields``."""
    entries = managed_fields if isinstance(managed_fields, list) else ()
    return frozenset(str(entry.get("manager") or "") for entry in entries)


def _find_misfit(value: object) -> tuple[Problem, ...]:
    """Return why a value cannot be kept as an answer at all."""
    try:
        parse_strict_json(encode_json(value), max_bytes=MAX_ANSWER_BYTES, as_stored=True)
    except JsonRefused as refused:
        return (Problem(refused.pointer, refused.message),)
    return ()


def _find_mismatch(session: AgenticSession, asked: Interrupt, response: Response, pointer: str) -> Problem | None:
    """Return why an answer is to another question than the one that is asked now under its id."""
    if _find_recorded(session, asked.id):
        message = f"another question was answered under the id {asked.id!r} before: nothing is accepted for this one"
        return Problem(f"{pointer}/interruptId", message)
    if response.digest is not None and response.digest != asked.digest():
        message = (
            f"the answer is to another question: {asked.digest()} is asked under the id {asked.id!r}; look at it again"
        )
        return Problem(f"{pointer}/digest", message)
    return None


def _accept(asked: Interrupt, value: object, by: str, now: datetime) -> Answer:
    return Answer(interrupt_id=asked.id, by=by, value=value, at=now.replace(microsecond=0), digest=asked.digest())


def _answered(asked: Interrupt, answers: Sequence[Answer]) -> Interrupt:
    by = _list_authors(answers)[:MAX_AUTHORS]
    changes = {"answer": answers[0].value, "answered_at": answers[0].at, "answered_by": by or None}
    return asked.model_copy(update=changes)


def _list_authors(answers: Iterable[Answer]) -> str:
    return ", ".join(each.by for each in answers if each.by)


def _record(
    session: AgenticSession,
    known: Mapping[str, Interrupt],
    accepted: Sequence[Answer],
    approvals: tuple[Approval, ...],
    conditions: tuple[Condition, ...],
) -> AgenticSession:
    interrupts = tuple(known[each.id] for each in session.status.interrupts)
    is_changed = interrupts != session.status.interrupts or approvals != session.status.approvals
    changes = {
        "interrupts": interrupts,
        "answers": _fit_answers((*session.status.answers, *accepted), known, _find_room(session)),
        "approvals": approvals,
        "conditions": conditions,
        "question": describe_open(interrupts, approvals) if is_changed else session.status.question,
    }
    return session.model_copy(update={"status": session.status.model_copy(update=changes)})


def _find_room(session: AgenticSession) -> int:
    """Return how many bytes of answers the status of a session keeps."""
    return ROOM_IN_CONVERSATIONS if session.is_conversation else ROOM_FOR_ANSWERS


def _fit_answers(answers: Sequence[Answer], known: Mapping[str, Interrupt], room: int) -> tuple[Answer, ...]:
    """Return as many answers as a status keeps: the oldest of those that a run has taken go first."""
    kept = list(answers)
    surplus = sum(map(_measure, kept)) - room
    for each in answers:
        if surplus <= 0 and len(kept) <= MAX_ANSWERS:
            break
        if not _is_needed(known, each):
            kept.remove(each)
            surplus -= _measure(each)
    return tuple(kept)


def _is_needed(known: Mapping[str, Interrupt], answer: Answer) -> bool:
    """Return whether a run has yet to take an answer."""
    asked = known.get(answer.interrupt_id)
    return asked is not None and asked.resumed_at is None


def _measure(answer: Answer) -> int:
    return len(encode_json(answer.to_wire()))


def _judge(session: AgenticSession, refused: list[Refusal], missing: list[str], now: datetime) -> tuple[Condition, ...]:
    old = session.status.conditions
    known = find_condition(old, CONDITION)
    if not session.spec.responses and not missing:
        return tuple(each for each in old if each is not known) if known is not None else old
    generation = session.metadata.generation
    new = build_condition(CONDITION, "True", Reason.ANSWERED, "", now, generation)
    if refused or missing:
        reason = refused[0][0] if refused else Reason.APPROVALS_MISSING
        new = build_condition(CONDITION, "False", reason, _list(refused, missing), now, generation)
    if known is not None and (known.status, known.reason, known.message) == (new.status, new.reason, new.message):
        return old
    return tuple(with_condition(old, new))


def _list(refused: list[Refusal], missing: list[str]) -> str:
    told = [*(str(problem) for _, problem in refused), *missing]
    shown = told[:MAX_LISTED]
    if len(told) > MAX_LISTED:
        shown.append(f"and {len(told) - MAX_LISTED} more")
    return clip("; ".join(shown))


def _unknown(session: AgenticSession, id_: str, pointer: str) -> Problem:
    openly = ", ".join(repr(each.id) for each in session.status.interrupts if each.is_open)
    return Problem(
        f"{pointer}/interruptId", f"there is no question {id_!r}; " + (f"open: {openly}" if openly else "none is open")
    )


def _already(asked: Interrupt, answers: Sequence[Answer]) -> str:
    # Of one that was accepted before there was a record, nobody knows whose it is.
    authors = _list_authors(answers)
    by = f" by {authors}" if authors else ""
    at = asked.answered_at.isoformat() if asked.answered_at else ""
    return f"the question {asked.id!r} was answered{by} at {at}; that answer stands"


def _told(answers: Sequence[Answer]) -> str:
    authors = _list_authors(answers)
    return f"question {answers[0].interrupt_id!r} is answered" + (f" by {authors}" if authors else "")
