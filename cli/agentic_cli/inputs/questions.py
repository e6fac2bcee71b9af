"""Reads questions from interrupts, and answers from typed text.

Pure. Where the runner has written the question's words, options and schema into the status, those count. Else the value
of ``interrupt()`` is read here, by the rules that the runner reads it by: ``agentic_core.questions``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agentic_cli.inputs.checks import find_form_problems, find_problems
from agentic_cli.inputs.values import find_types, read_value
from agentic_cli.model.prefixes import find_id
from agentic_cli.model.sessions import Interrupt, Session
from agentic_core import questions
from agentic_core.choices import is_same_json
from agentic_core.contract import MAX_ANSWER_BYTES
from agentic_core.errors import InvalidResource, PermanentError, Problem
from agentic_core.questions import Option, Review, clip_line, read_options, show_json, show_value
from agentic_core.reviews import Form


@dataclass(frozen=True)
class AskedQuestion:
    """An interrupt in the form that a person can answer."""

    id: str
    node: str
    prompt: str
    options: tuple[Option, ...] = ()
    schema: Mapping[str, Any] | None = None
    review: Review | None = None
    """The calls to decide about, if it asks about calls."""
    details: Mapping[str, Any] | None = None
    """What else the value holds."""
    digest: str = ""


def read_question(interrupt: Interrupt) -> AskedQuestion:
    """Return the question that an interrupt asks."""
    read = questions.read_question(interrupt.value, id_=interrupt.id, schema=interrupt.schema)
    question = AskedQuestion(
        interrupt.id,
        interrupt.node,
        read.prompt,
        read.options,
        read.schema,
        read.review,
        read.details,
        interrupt.digest,
    )
    if not interrupt.prompt:
        return question
    # The runner has read the value already; answers are checked by the form that it wrote into the status.
    options = read_options(interrupt.options)
    return replace(question, prompt=interrupt.prompt, options=options, schema=interrupt.schema)


def choose_question(session: Session, wanted: str | None, *, may_replace: bool = False) -> AskedQuestion:
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
    # The id of an answered question must not hide the beginning of an open one's.
    openly = [each.id for each in session.open_interrupts]
    id_ = find_id(openly, wanted, "questions") or find_id((each.id for each in session.interrupts), wanted, "questions")
    found = next((each for each in session.interrupts if each.id == id_), None)
    if found is None:
        known = ", ".join(each.id for each in session.open_interrupts) or "none"
        raise PermanentError(f"session {session.name!r} asks no question {wanted!r}; open are: {known}")
    if not found.is_open:
        by = f" by {found.answered_by}" if found.answered_by else ""
        raise PermanentError(f"the question {found.id!r} was answered{by} at {found.answered_at}")
    if found.is_responded and not may_replace and not found.needs_several:
        raise PermanentError(
            f"the question {found.id!r} has an answer already, which has not been accepted yet; --replace gives another"
        )
    return found


def read_answer(question: AskedQuestion, text: str) -> Any:
    """Return the answer that a typed text means; raise ``PermanentError`` if it means none."""
    if question.review is not None and text in question.review.common_decisions:
        return question.review.decide_all(text)
    # Not by number here: that is for people who see the list.
    if (option := find_option(question.options, text)) is not None:
        return option.value
    try:
        return read_value(text, question.schema, "the answer")
    except PermanentError as error:
        if not question.options:
            raise
        labels = ", ".join(each.label for each in question.options)
        raise PermanentError(f"{clip_line(text, 60)!r} is none of the options: {labels}") from error


def find_option(options: Sequence[Option], text: str) -> Option | None:
    """Return the option that a text names: by value, label or JSON; else by label in any case, or by its only word.

    The only word of ``{"decision": "approve"}`` is ``approve``. A text that fits two options names none.
    """
    for option in options:
        if text in (option.value, option.label, show_value(option.value)):
            return option
    for names in (_label_words, _value_words):
        found = [option for option in options if text.casefold() in names(option)]
        if len(found) == 1:
            return found[0]
    return None


def _label_words(option: Option) -> set[str]:
    return {option.label.casefold()}


def _value_words(option: Option) -> set[str]:
    if not isinstance(option.value, Mapping):
        return set()
    words = [each for each in option.value.values() if isinstance(each, str)]
    return {words[0].casefold()} if len(words) == 1 else set()


def check_answer(question: AskedQuestion, answer: Any) -> None:
    """Raise ``InvalidResource`` for an answer that the question does not take.

    The schema decides. If it only repeats the options or the calls, the message names those.
    """
    if problems := find_problems(answer, None, max_bytes=MAX_ANSWER_BYTES):
        raise InvalidResource(problems)
    if question.review is not None:
        _check_decisions(question.review, answer)
    is_choice = question.options and (question.schema is None or set(question.schema) == {"enum"})
    if is_choice and not any(is_same_json(answer, option.value) for option in question.options):
        choices = ", ".join(option.label for option in question.options)
        raise InvalidResource([Problem("", f"{show_json(answer)} is not among the options: {choices}")])
    # The size is checked above. A schema that cannot be used keeps nobody from answering: the operator ignores it, too.
    if question.schema is not None and (problems := find_form_problems(answer, question.schema)):
        raise InvalidResource(problems)


def _check_decisions(review: Review, answer: Any) -> None:
    decisions = review.find_decisions(answer)
    if decisions is None:
        whole = show_json(review.build_answer([{"type": "..."}]))
        words = "".join(f"{each}, " for each in review.common_decisions)
        message = f"give one decision a call, {len(review.actions)} in all: {words}or {whole}"
        raise InvalidResource([Problem("", message)])
    problems = [
        Problem(f"{_point(review, index, answer)}/type", f"{action.name!r} takes {', '.join(action.decisions)}")
        for index, (action, decision) in enumerate(zip(review.actions, decisions, strict=True))
        if action.decisions and (not isinstance(decision, Mapping) or decision.get("type") not in action.decisions)
    ]
    if problems:
        raise InvalidResource(problems)


def _point(review: Review, index: int, answer: Any) -> str:
    """Return the JSON pointer to a decision."""
    if review.form is Form.MIDDLEWARE:
        return f"/decisions/{index}"
    return f"/{index}" if isinstance(answer, list) else ""


def is_text(question: AskedQuestion) -> bool:
    """Return whether any text is an answer as it is."""
    return not question.options and question.review is None and find_types(question.schema) in ({"string"}, frozenset())
