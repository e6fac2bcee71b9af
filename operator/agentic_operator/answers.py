"""Which answers of ``spec.responses`` are accepted: once, by the operator alone, before any pod sees them.

An accepted answer is copied into ``status.interrupts`` and stands from then on, whatever becomes of ``spec.responses``:
a run goes on with what was accepted, so that of two answers one acts, and only a checked one. Everything else is
refused by the condition ``InputAccepted``, and the session keeps waiting.

Pure. What needs a schema check is listed here (``find_checks``), and what came of it is handed back.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from agentic_core.choices import is_same_json
from agentic_core.conditions import Condition, Reason, find_condition, with_condition
from agentic_core.contract import MAX_ANSWER_BYTES
from agentic_core.errors import Problem
from agentic_core.names import read_answerer
from agentic_core.questions import describe_open
from agentic_core.resources import AgenticSession, Interrupt
from agentic_core.strict_json import JsonRefused, encode_json, parse_strict_json
from agentic_core.times import add_seconds
from agentic_operator.classify import clip
from agentic_operator.plan import Note
from agentic_operator.statuses import build_condition

CONDITION: Final = "InputAccepted"
BY_DEADLINE: Final = "inputDeadline"
MAX_LISTED: Final = 5


@dataclass(frozen=True)
class Check:
    """A value to hold against the schema of a question."""

    interrupt_id: str
    schema: Mapping[str, Any]
    value: Any
    is_default: bool = False
    """Whether it is the value of ``inputDeadline`` rather than somebody's answer."""


@dataclass(frozen=True)
class Checked:
    """What was found out about the answers of a session."""

    faults: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    """Faults of answers, by interrupt."""
    default_faults: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    """Faults of ``inputDeadline.value`` as an answer, by interrupt."""
    answerers: Mapping[str, str] = field(default_factory=dict)
    """Field managers of the answers, by interrupt."""


@dataclass(frozen=True)
class Taken:
    """The session with its answers looked at."""

    session: AgenticSession
    notes: tuple[Note, ...] = ()
    is_answered: bool = False
    """Whether an answer was accepted just now."""


def input_deadline(session: AgenticSession) -> datetime | None:
    """Return until when people can answer, by the oldest open question."""
    limit = session.spec.input_deadline
    asked = [each.asked_at for each in session.status.interrupts if each.is_open and each.asked_at is not None]
    return add_seconds(min(asked), limit.seconds) if limit is not None and asked else None


def find_checks(session: AgenticSession, now: datetime) -> Iterator[Check]:
    """Return what has to be held against schemas before :func:`take_answers` and :func:`answer_by_default`."""
    if session.metadata.deletion_timestamp is not None or (session.status.phase and session.status.phase.is_final):
        return
    openly = {each.id: each for each in session.status.interrupts if each.is_open}
    for response in session.spec.responses:
        asked = openly.get(response.interrupt_id)
        if asked is not None and asked.schema_ is not None and not _find_misfit(response.value):
            yield Check(asked.id, asked.schema_, response.value)
    limit, deadline = session.spec.input_deadline, input_deadline(session)
    if limit is not None and limit.on_expiry == "Resume" and deadline is not None and now >= deadline:
        for asked in openly.values():
            if asked.schema_ is not None:
                yield Check(asked.id, asked.schema_, limit.value, is_default=True)


def take_answers(session: AgenticSession, checked: Checked, now: datetime) -> Taken:
    """Accept the answers that fit; say in the condition what is wrong with the others."""
    accepted: dict[str, Interrupt] = {}
    refused: list[tuple[Reason, Problem]] = []
    known = {each.id: each for each in session.status.interrupts}
    is_over = session.status.phase is not None and session.status.phase.is_final
    for index, response in enumerate(session.spec.responses):
        pointer = f"/spec/responses/{index}"
        asked = known.get(response.interrupt_id)
        if asked is None:
            refused.append((Reason.UNKNOWN_INTERRUPT, _unknown(session, response.interrupt_id, pointer)))
        elif not asked.is_open:
            if not is_same_json(response.value, asked.answer):
                refused.append((Reason.ALREADY_ANSWERED, Problem(f"{pointer}/value", _already(asked))))
        elif is_over:
            message = f"the session is {session.status.phase}: it takes no more answers"
            refused.append((Reason.TOO_LATE, Problem(f"{pointer}/value", message)))
        elif faults := _find_misfit(response.value) or checked.faults.get(asked.id, ()):
            refused += [
                (Reason.INVALID_ANSWER, Problem(f"{pointer}/value{fault.pointer}", fault.message)) for fault in faults
            ]
        else:
            by = checked.answerers.get(asked.id)
            accepted[asked.id] = _answered(asked, response.value, by, now)
    notes = [Note(Reason.ANSWERED, _told(each), action="Answer") for each in accepted.values()]
    conditions = _judge(session, refused, now)
    if refused and conditions != session.status.conditions:
        notes.append(Note(refused[0][0], _list(refused), "Warning", "Answer"))
    if not accepted and conditions == session.status.conditions:
        return Taken(session)
    return Taken(_with_interrupts(session, accepted, conditions), tuple(notes), bool(accepted))


def answer_by_default(session: AgenticSession, now: datetime) -> Taken:
    """Answer all open questions with ``inputDeadline.value``, because nobody did in time."""
    limit = session.spec.input_deadline
    value = limit.value if limit is not None else None
    accepted = {each.id: _answered(each, value, BY_DEADLINE, now) for each in session.status.interrupts if each.is_open}
    notes = tuple(Note(Reason.ANSWERED, _told(each), action="Answer") for each in accepted.values())
    return Taken(_with_interrupts(session, accepted, session.status.conditions), notes, bool(accepted))


def describe_default_faults(checked: Checked) -> str:
    """Return why ``inputDeadline.value`` is no answer; empty where it is one."""
    return clip(
        "; ".join(
            f"/spec/inputDeadline/value{fault.pointer}: {fault.message} (question {id_!r})"
            for id_, faults in checked.default_faults.items()
            for fault in faults[:MAX_LISTED]
        )
    )


def find_answerers(managed_fields: object) -> dict[str, str]:
    """Return which field manager wrote each answer last, from ``metadata.managedFields``.

    A hint: whoever writes an object chooses the name of its manager. Of one that is made for a single answer (see
    ``agentic_core.names.answer_manager``) the writer's part is returned.
    """
    found: dict[str, tuple[str, str]] = {}
    for entry in managed_fields if isinstance(managed_fields, list) else ():
        fields: Any = entry.get("fieldsV1") or {}
        for key in ("f:spec", "f:responses"):
            fields = fields.get(key) or {}
        for name in fields:
            if not name.startswith("k:"):
                continue
            id_ = _parse_key(name)
            mark = (str(entry.get("time") or ""), str(entry.get("manager") or ""))
            if id_ is not None and mark > found.get(id_, ("", "")):
                found[id_] = mark
    return {id_: read_answerer(manager, id_) for id_, (_, manager) in found.items() if manager}


def find_managers(managed_fields: object) -> frozenset[str]:
    """Return who wrote fields of an object, from ``metadata.managedFields``."""
    entries = managed_fields if isinstance(managed_fields, list) else ()
    return frozenset(str(entry.get("manager") or "") for entry in entries)


def _parse_key(name: str) -> str | None:
    try:
        key = parse_strict_json(name.removeprefix("k:"))
    except JsonRefused:
        return None
    id_ = key.get("interruptId") if isinstance(key, dict) else None
    return id_ if isinstance(id_, str) else None


def _find_misfit(value: object) -> tuple[Problem, ...]:
    """Return why a value cannot be kept as an answer at all."""
    try:
        parse_strict_json(encode_json(value), max_bytes=MAX_ANSWER_BYTES, as_stored=True)
    except JsonRefused as refused:
        return (Problem(refused.pointer, refused.message),)
    return ()


def _answered(asked: Interrupt, value: object, by: str | None, now: datetime) -> Interrupt:
    at = now.replace(microsecond=0)
    return asked.model_copy(update={"answer": value, "answered_at": at, "answered_by": by and by[:256]})


def _with_interrupts(
    session: AgenticSession, accepted: Mapping[str, Interrupt], conditions: tuple[Condition, ...]
) -> AgenticSession:
    interrupts = tuple(accepted.get(each.id, each) for each in session.status.interrupts)
    question = describe_open(interrupts) if accepted else session.status.question
    changes = {"interrupts": interrupts, "conditions": conditions, "question": question}
    return session.model_copy(update={"status": session.status.model_copy(update=changes)})


def _judge(session: AgenticSession, refused: list[tuple[Reason, Problem]], now: datetime) -> tuple[Condition, ...]:
    old = session.status.conditions
    known = find_condition(old, CONDITION)
    if not session.spec.responses:
        return tuple(each for each in old if each is not known) if known is not None else old
    generation = session.metadata.generation
    new = build_condition(CONDITION, "True", Reason.ANSWERED, "", now, generation)
    if refused:
        new = build_condition(CONDITION, "False", refused[0][0], _list(refused), now, generation)
    if known is not None and (known.status, known.reason, known.message) == (new.status, new.reason, new.message):
        return old
    return tuple(with_condition(old, new))


def _list(refused: list[tuple[Reason, Problem]]) -> str:
    shown = [str(problem) for _, problem in refused[:MAX_LISTED]]
    if len(refused) > MAX_LISTED:
        shown.append(f"and {len(refused) - MAX_LISTED} more")
    return clip("; ".join(shown))


def _unknown(session: AgenticSession, id_: str, pointer: str) -> Problem:
    openly = ", ".join(repr(each.id) for each in session.status.interrupts if each.is_open)
    return Problem(
        f"{pointer}/interruptId", f"there is no question {id_!r}; " + (f"open: {openly}" if openly else "none is open")
    )


def _already(asked: Interrupt) -> str:
    by = f" by {asked.answered_by}" if asked.answered_by else ""
    at = asked.answered_at.isoformat() if asked.answered_at else ""
    return f"the question {asked.id!r} was answered{by} at {at}; that answer stands"


def _told(answered: Interrupt) -> str:
    by = f" by {answered.answered_by}" if answered.answered_by else ""
    return f"question {answered.id!r} is answered{by}"
