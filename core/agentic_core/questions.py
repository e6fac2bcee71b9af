"""What a graph asks a person: one reading of an interrupt's value, for the runner, the operator and every client.

``interrupt()`` takes any value. Understood are

- plain text: the question itself;
- an object with ``prompt`` (or ``question``, ``message``, ``description``, ``title``, ``text``, ``query``,
  ``instructions``, ``instruction``, ``task``) and, as wanted, ``options`` or ``choices``, ``multiple``, ``schema``
  (JSON Schema of the answer), ``default`` and ``approval`` (who has to answer: ``agentic_core.approvals``);
- LangChain's requests to decide about calls, as they are: ``agentic_core.reviews``;
- a stop before or after a node, which asks nothing: any answer goes on.

Anything else is shown as JSON, and any answer is one.

An option is always a complete answer that the schema takes. Choices that are only part of one (several may be made, or
they fill a field of an object) stand in the schema, and whoever asks by the schema offers them:
``agentic_core.choices``.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agentic_core.approvals import mark_question
from agentic_core.choices import Choice, find_item_choices, fit_choices, read_choices
from agentic_core.display import cut, show_line, show_text
from agentic_core.reviews import Action, Form, Review, read_review

if TYPE_CHECKING:
    # The models take a while to import; a client that only reads questions need not.
    from agentic_core.resources.approval import Approval
    from agentic_core.resources.session import Interrupt

__all__ = [
    "BREAKPOINT_PREFIX",
    "Action",
    "Option",
    "Question",
    "Review",
    "clip_line",
    "describe_open",
    "read_options",
    "read_question",
    "show_json",
    "show_value",
    "summarize",
]

BREAKPOINT_PREFIX: Final = "breakpoint-"
"""How the id of a stop by ``interrupt_before`` or ``interrupt_after`` begins; the checkpoint's id follows."""

MAX_PROMPT_CHARACTERS: Final = 4096
MAX_SUMMARY_CHARACTERS: Final = 120
_MAX_OPTIONS: Final = 64
_MAX_LABEL: Final = 256

_PROMPTS: Final = (
    "prompt",
    "question",
    "message",
    "description",
    "title",
    "text",
    "query",
    "instructions",
    "instruction",
    "task",
)
_SCHEMAS: Final = ("schema", "response_schema", "answer_schema")
_NO_PROMPT: Final = "an answer is wanted"


@dataclass(frozen=True)
class Option:
    """One of the complete answers that a question offers."""

    value: Any
    label: str


@dataclass(frozen=True)
class Question:
    """An interrupt's value in the form that a person can answer.

    ``schema`` is what answers are held against: the author's, else what choices or calls make it, else None for any.
    """

    prompt: str
    options: tuple[Option, ...] = ()
    schema: Mapping[str, Any] | None = None
    review: Review | None = None
    """The calls to decide about, if it asks about calls."""
    default: Any = None
    details: Mapping[str, Any] | None = None
    """What else the value holds."""


def read_question(value: Any, *, id_: str = "", schema: Mapping[str, Any] | None = None) -> Question:
    """Return the question that an interrupt's JSON value asks.

    ``schema`` is the one that the library gives beside the value, where it gives one; it counts before the value's own.
    """
    if id_.startswith(BREAKPOINT_PREFIX) and isinstance(value, Mapping):
        nodes = ", ".join(str(node) for node in value.get("before") or ()) or "the next node"
        return Question(_bound(f"stopped before {nodes}; any answer goes on"))
    if (review := read_review(value, schema)) is not None:
        return _ask_review(review, schema)
    if not isinstance(value, Mapping):
        prompt = value if isinstance(value, str) else show_json(value)
        return Question(_bound(prompt) or _NO_PROMPT, schema=schema)
    key = next((name for name in _PROMPTS if isinstance(value.get(name), str) and value[name]), None)
    given = schema or next((value[name] for name in _SCHEMAS if isinstance(value.get(name), Mapping)), None)
    offer = read_choices(value)
    answers, given = fit_choices(offer, given)
    read = {key, "default", "approval", *offer.read, *_SCHEMAS}
    return Question(
        _bound(value[key]) if key else _NO_PROMPT,
        tuple(_build_option(each) for each in answers) if len(answers) <= _MAX_OPTIONS else (),
        given,
        default=value.get("default"),
        details={name: each for name, each in value.items() if name not in read} or None,
    )


def summarize(questions: Iterable[Question]) -> str:
    """Return the questions in one line, for a column or a message; empty without any."""
    lines = [_summarize(question) for question in questions]
    if len(lines) > 1:
        return clip_line(f"{len(lines)} questions: {' | '.join(lines)}", MAX_SUMMARY_CHARACTERS)
    return clip_line("".join(lines), MAX_SUMMARY_CHARACTERS)


def describe_open(interrupts: "Iterable[Interrupt]", approvals: "Iterable[Approval]" = ()) -> str | None:
    """Return one line about the open interrupts; None without any.

    Of those that need several persons it says how many have answered.
    """
    marks = {each.interrupt_id: mark_question(each.to_wire()) for each in approvals}
    return (
        summarize(
            Question(
                marks.get(each.id, "") + (each.prompt or show_value(each.value)),
                tuple(Option(option.value, option.label) for option in each.options),
                each.schema_,
            )
            for each in interrupts
            if each.is_open
        )
        or None
    )


def clip_line(text: str, limit: int) -> str:
    """Return one line of at most ``limit`` characters, as it may be shown."""
    return cut(show_line(" ".join(text.split())), limit)


def show_json(value: Any) -> str:
    """Return compact JSON for people."""
    return json.dumps(value, ensure_ascii=False, default=str)


def show_value(value: Any) -> str:
    """Return text as it is, anything else as JSON."""
    return value if isinstance(value, str) else show_json(value)


def _summarize(question: Question) -> str:
    if question.options:
        return f"{question.prompt} ({' / '.join(option.label for option in question.options)})"
    if choices := find_item_choices(question.schema):
        return f"{question.prompt} (any of {', '.join(each.label or show_value(each.value) for each in choices)})"
    return question.prompt


def _bound(text: str) -> str:
    return cut(show_text(text[: MAX_PROMPT_CHARACTERS + 1]), MAX_PROMPT_CHARACTERS)


def _build_option(choice: Choice) -> Option:
    return Option(choice.value, clip_line(choice.label or show_value(choice.value), _MAX_LABEL))


def read_options(options: Iterable[Mapping[str, Any]]) -> tuple[Option, ...]:
    """Return the options as a status has them."""
    return tuple(Option(each.get("value"), str(each.get("label") or show_value(each.get("value")))) for each in options)


def _ask_review(review: Review, schema: Mapping[str, Any] | None) -> Question:
    calls = "; ".join(f"{action.name}({show_json(action.arguments)})" for action in review.actions)
    is_one = len(review.actions) == 1
    prompt = f"may {calls} run?" if is_one else f"may these {len(review.actions)} calls run? {calls}"
    options = tuple(
        Option(review.decide_all(each), each if is_one else f"{each} all") for each in review.common_decisions
    )
    if schema is None and review.form is not Form.CALL:
        # The library says beside a single call what may be decided; if it does not, nobody knows.
        schema = review.build_schema()
    return Question(_bound(prompt), options, schema, review=review)
