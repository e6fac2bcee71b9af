"""What a graph asks a person: one reading of an interrupt's value, for the runner, the operator and every client.

``interrupt()`` takes any value. Understood are

- plain text: the question itself;
- an object with ``prompt`` (or ``question``, ``message``, ``description``, ``title``, ``text``) and, as wanted,
  ``options`` (complete answers: plain values, or objects with ``value`` and ``label``), ``schema`` (JSON Schema of the
  answer) and ``default``;
- the requests of LangChain's human-in-the-loop middleware, as they are, for a turn (``action_requests``) or for a
  single call (``type: tool_approval``);
- a stop before or after a node, which asks nothing: any answer goes on.

Anything else is shown as JSON, and any answer is one.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    # The models take a while to import; a client that only reads questions need not.
    from agentic_core.resources.session import Interrupt

BREAKPOINT_PREFIX: Final = "breakpoint-"
"""How the id of a stop by ``interrupt_before`` or ``interrupt_after`` begins; the checkpoint's id follows."""

MAX_PROMPT_CHARACTERS: Final = 4096
MAX_SUMMARY_CHARACTERS: Final = 120
_MAX_OPTIONS: Final = 64
_MAX_LABEL: Final = 256

_PROMPTS: Final = ("prompt", "question", "message", "description", "title", "text")
_SCHEMAS: Final = ("schema", "response_schema")
_NO_PROMPT: Final = "an answer is wanted"


@dataclass(frozen=True)
class Option:
    """One of the answers that a question offers."""

    value: Any
    label: str


@dataclass(frozen=True)
class Action:
    """A tool call that an agent wants to make, and what a person may decide about it."""

    name: str
    arguments: Mapping[str, Any]
    description: str
    decisions: tuple[str, ...]


@dataclass(frozen=True)
class Question:
    """An interrupt's value in the form that a person can answer.

    ``schema`` is what answers are held against: the author's, else what options or actions make it, else None for any.
    """

    prompt: str
    options: tuple[Option, ...] = ()
    schema: Mapping[str, Any] | None = None
    actions: tuple[Action, ...] = ()
    """Calls to decide about, one decision each, in their order: ``{"decisions": [...]}``."""
    default: Any = None
    details: Mapping[str, Any] | None = None
    """What else the value holds."""


def read_question(value: Any, *, id_: str = "", schema: Mapping[str, Any] | None = None) -> Question:
    """Return the question that an interrupt's JSON value asks.

    ``schema`` is the one that the library gives beside the value, where it gives one; it counts before the value's own.
    """
    if not isinstance(value, Mapping):
        prompt = value if isinstance(value, str) else show_json(value)
        return Question(_bound(prompt) or _NO_PROMPT, schema=schema)
    if id_.startswith(BREAKPOINT_PREFIX):
        nodes = ", ".join(str(node) for node in value.get("before") or ()) or "the next node"
        return Question(f"stopped before {nodes}; any answer goes on")
    if isinstance(value.get("action_requests"), list):
        return _read_actions(value, schema)
    if value.get("type") == "tool_approval" and "name" in value:
        return _read_call(value, schema)
    key = next((name for name in _PROMPTS if isinstance(value.get(name), str) and value[name]), None)
    options = read_options(value.get("options"))
    given = schema or next((value[name] for name in _SCHEMAS if isinstance(value.get(name), Mapping)), None)
    if given is None and options:
        given = {"enum": [option.value for option in options]}
    read = {key, "options", "default", *_SCHEMAS}
    return Question(
        _bound(value[key]) if key else _NO_PROMPT,
        options,
        given,
        default=value.get("default"),
        details={name: each for name, each in value.items() if name not in read} or None,
    )


def summarize(questions: Iterable[Question]) -> str:
    """Return one line that says what is asked, for a column or a message; empty where nothing is."""
    lines = [_summarize(question) for question in questions]
    if len(lines) > 1:
        return clip_line(f"{len(lines)} questions: {' | '.join(lines)}", MAX_SUMMARY_CHARACTERS)
    return clip_line("".join(lines), MAX_SUMMARY_CHARACTERS)


def describe_open(interrupts: "Iterable[Interrupt]") -> str | None:
    """Return one line about the interrupts that nobody has answered; None where there is none."""
    return (
        summarize(
            Question(
                each.prompt or show_value(each.value),
                tuple(Option(option.value, option.label) for option in each.options),
            )
            for each in interrupts
            if each.is_open
        )
        or None
    )


def clip_line(text: str, limit: int) -> str:
    """Return one line of at most ``limit`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def show_json(value: Any) -> str:
    """Return compact JSON for people."""
    return json.dumps(value, ensure_ascii=False, default=str)


def show_value(value: Any) -> str:
    """Return text as it is, anything else as JSON."""
    return value if isinstance(value, str) else show_json(value)


def _summarize(question: Question) -> str:
    if not question.options:
        return question.prompt
    return f"{question.prompt} ({' / '.join(option.label for option in question.options)})"


def _bound(text: str) -> str:
    return text if len(text) <= MAX_PROMPT_CHARACTERS else text[: MAX_PROMPT_CHARACTERS - 1] + "…"


def read_options(options: Any) -> tuple[Option, ...]:
    """Return the answers that a list offers; none where it is no list, or too long for people."""
    if not isinstance(options, list) or len(options) > _MAX_OPTIONS:
        return ()
    found = []
    for each in options:
        if isinstance(each, Mapping) and "value" in each:
            found.append(
                Option(each["value"], clip_line(str(each.get("label") or show_value(each["value"])), _MAX_LABEL))
            )
        else:
            found.append(Option(each, clip_line(show_value(each), _MAX_LABEL)))
    return tuple(found)


# -- LangChain's human-in-the-loop middleware --------------------------------------------------------------------------


def _read_actions(value: Mapping[str, Any], schema: Mapping[str, Any] | None) -> Question:
    configs = [each for each in value.get("review_configs") or () if isinstance(each, Mapping)]
    allowed = {each.get("action_name"): each.get("allowed_decisions") for each in configs}
    actions = tuple(
        Action(
            name=str(each.get("name", "")),
            arguments=each["args"] if isinstance(each.get("args"), Mapping) else {},
            description=str(each.get("description") or ""),
            decisions=tuple(allowed.get(each.get("name")) or ("approve", "reject")),
        )
        for each in value["action_requests"]
        if isinstance(each, Mapping)
    )
    calls = "; ".join(f"{action.name}({show_json(action.arguments)})" for action in actions)
    prompt = f"may {calls} run?" if len(actions) == 1 else f"may these {len(actions)} calls run? {calls}"
    return Question(_bound(prompt), schema=schema or _decisions_schema(actions), actions=actions)


def _decisions_schema(actions: tuple[Action, ...]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["decisions"],
        "properties": {
            "decisions": {
                "type": "array",
                "minItems": len(actions),
                "maxItems": len(actions),
                "prefixItems": [_decision_schema(action) for action in actions],
            }
        },
    }


def _decision_schema(action: Action) -> dict[str, Any]:
    edited = {
        "type": "object",
        "required": ["name", "args"],
        "properties": {"name": {"type": "string"}, "args": {"type": "object"}},
    }
    schema: dict[str, Any] = {
        "title": action.name,
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": {"enum": list(action.decisions)},
            "message": {"type": "string"},
            "edited_action": edited,
        },
    }
    # Not `oneOf`: its faults would not say which of the branches was meant.
    needs = [
        {"if": {"properties": {"type": {"const": decision}}, "required": ["type"]}, "then": {"required": [field]}}
        for decision, field in (("edit", "edited_action"), ("respond", "message"))
        if decision in action.decisions
    ]
    return {**schema, "allOf": needs} if needs else schema


def _read_call(value: Mapping[str, Any], schema: Mapping[str, Any] | None) -> Question:
    """Read the request for a single call; it is answered with one decision, and the library says of which kinds."""
    allowed = _find_types(schema) if schema is not None else {"approve", "reject"}
    options = tuple(Option({"type": each}, each) for each in ("approve", "reject") if each in allowed)
    prompt = f"may {value['name']}({show_json(value.get('args') or {})}) run?"
    details = {name: value[name] for name in ("name", "args", "description") if name in value}
    return Question(_bound(prompt), options, schema, details=details)


def _find_types(schema: Any) -> set[str]:
    """Return the constants that a schema's ``type`` properties name, wherever they stand in it."""
    if isinstance(schema, list):
        return {found for each in schema for found in _find_types(each)}
    if not isinstance(schema, Mapping):
        return set()
    found = {name for each in schema.values() for name in _find_types(each)}
    properties = schema.get("properties")
    kind = properties.get("type") if isinstance(properties, Mapping) else None
    if isinstance(kind, Mapping):
        names = [kind.get("const"), *(kind.get("enum") or ())]
        found |= {name for name in names if isinstance(name, str)}
    return found
