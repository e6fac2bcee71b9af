"""What a graph asks, read from an interrupt's value, and what a person's words mean as an answer.

Pure. Where the runner has written the question's words, options and schema into the status, those count. Else the value
of ``interrupt()`` is read here, by the rules that the runner reads it by: ``agentic_core.questions``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from agentic_cli.checks import find_problems
from agentic_cli.sessions import Interrupt, Session
from agentic_cli.values import find_types, read_value
from agentic_core import questions
from agentic_core.contract import MAX_ANSWER_BYTES
from agentic_core.errors import InvalidResource, PermanentError, Problem
from agentic_core.questions import Action, Option, clip_line, read_options, show_json, show_value

_PLAIN_DECISIONS: Final = frozenset({"approve", "reject"})


@dataclass(frozen=True)
class Question:
    """An interrupt in the form that a person can answer."""

    id: str
    node: str
    prompt: str
    options: tuple[Option, ...] = ()
    schema: Mapping[str, Any] | None = None
    actions: tuple[Action, ...] = ()
    details: Mapping[str, Any] | None = None
    """What else the value holds."""


def read_question(interrupt: Interrupt) -> Question:
    """Return the question that an interrupt asks."""
    read = questions.read_question(interrupt.value, id_=interrupt.id, schema=interrupt.schema)
    question = Question(
        interrupt.id, interrupt.node, read.prompt, read.options, read.schema, read.actions, read.details
    )
    if not interrupt.prompt:
        return question
    # The runner has read the value already; what it wrote into the status is what answers are held against.
    options = read_options(list(interrupt.options))
    return replace(question, prompt=interrupt.prompt, options=options, schema=interrupt.schema)


def choose_question(session: Session, wanted: str | None, *, may_replace: bool = False) -> Question:
    """Return the question that an answer is for; without an id, the only open one. Raises ``PermanentError``."""
    if session.is_final:
        raise PermanentError(f"session {session.name!r} is {session.phase}: it takes no more answers")
    openly = session.open_interrupts
    if wanted is not None:
        return read_question(_find(session, wanted, may_replace=may_replace))
    if len(openly) == 1:
        return read_question(openly[0])
    if openly:
        ids = ", ".join(f"{each.id} ({clip_line(read_question(each).prompt, 40)})" for each in openly)
        raise PermanentError(f"session {session.name!r} asks {len(openly)} questions; say which by its id: {ids}")
    if any(each.is_open for each in session.interrupts):
        raise PermanentError(
            f"session {session.name!r} has been answered and has not gone on yet; to replace an answer, give its id"
            " and --replace"
        )
    raise PermanentError(f"session {session.name!r} asks nothing: it is {session.phase}")


def _find(session: Session, wanted: str, *, may_replace: bool) -> Interrupt:
    found = next((each for each in session.interrupts if each.id == wanted), None)
    if found is None:
        known = ", ".join(each.id for each in session.open_interrupts) or "none"
        raise PermanentError(f"session {session.name!r} asks no question {wanted!r}; open are: {known}")
    if not found.is_open:
        by = f" by {found.answered_by}" if found.answered_by else ""
        raise PermanentError(f"the question {wanted!r} was answered{by} at {found.answered_at}")
    if found.is_responded and not may_replace:
        raise PermanentError(
            f"the question {wanted!r} has an answer already, which has not been taken yet; --replace gives another one"
        )
    return found


def read_answer(question: Question, text: str) -> Any:
    """Return what a person's words mean as the answer; raise ``PermanentError`` where they mean nothing."""
    if question.actions and text in _PLAIN_DECISIONS:
        return {"decisions": [{"type": text} for _ in question.actions]}
    for option in question.options:
        # Not by number here: that is for who sees the list.
        if text in (option.value, option.label, show_value(option.value)):
            return option.value
    return read_value(text, question.schema, "the answer")


def check_answer(question: Question, answer: Any) -> None:
    """Raise ``InvalidResource`` for an answer that the question does not take.

    The schema decides; where it says no more than the options or the calls do, the complaint is in their words.
    """
    if problems := find_problems(answer, None, max_bytes=MAX_ANSWER_BYTES):
        raise InvalidResource(problems)
    if question.actions:
        _check_decisions(question.actions, answer)
    is_choice = question.options and (question.schema is None or set(question.schema) == {"enum"})
    if is_choice and not any(_is_same(answer, option.value) for option in question.options):
        choices = ", ".join(option.label for option in question.options)
        raise InvalidResource([Problem("", f"{show_json(answer)} is not among the options: {choices}")])
    if problems := find_problems(answer, question.schema, max_bytes=MAX_ANSWER_BYTES):
        raise InvalidResource(problems)


def _check_decisions(actions: tuple[Action, ...], answer: Any) -> None:
    decisions = answer.get("decisions") if isinstance(answer, Mapping) else None
    if not isinstance(decisions, list) or len(decisions) != len(actions):
        message = f"give one decision an action, {len(actions)} in all: approve, reject, or {{'decisions': [...]}}"
        raise InvalidResource([Problem("", message)])
    problems = [
        Problem(f"/decisions/{index}/type", f"{action.name!r} takes {', '.join(action.decisions)}")
        for index, (action, decision) in enumerate(zip(actions, decisions, strict=True))
        if not isinstance(decision, Mapping) or decision.get("type") not in action.decisions
    ]
    if problems:
        raise InvalidResource(problems)


def is_text(question: Question) -> bool:
    """Say whether any text is an answer as it is."""
    return not question.options and not question.actions and find_types(question.schema) in ({"string"}, frozenset())


def _is_same(left: Any, right: Any) -> bool:
    # In Python True is 1; in JSON it is not.
    return left == right and isinstance(left, bool) is isinstance(right, bool)
