"""Calls that an agent asks a person to decide about: LangChain's requests, and the answers that they are resumed with.

Three forms are in use, and each names its decisions differently:

- ``HumanInTheLoopMiddleware``: ``{"action_requests": [...], "review_configs": [...]}``, answered by one decision a
  call, ``{"decisions": [{"type": "approve"}]}``;
- the same with one interrupt a call: ``{"type": "tool_approval", "name": ..., "args": ...}``, answered by one decision;
- Agent Inbox: a list of ``HumanInterrupt``, answered by a list of ``HumanResponse`` in the same order.

What does not fit one of them exactly is no review: ``read_review`` returns None.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

Json = Mapping[str, Any]

_DECISIONS: Final = ("approve", "edit", "reject", "respond")
_INBOX_DECISIONS: Final = {
    "allow_accept": "accept",
    "allow_edit": "edit",
    "allow_respond": "response",
    "allow_ignore": "ignore",
}
# Decisions that need no word beside them; they can be offered as complete answers.
_PLAIN: Final = frozenset({"approve", "reject", "accept", "ignore"})
_SUBSCHEMAS: Final = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_DATA: Final = frozenset({"enum", "const", "default", "examples"})
_IDENTITY: Final = frozenset({"$schema", "$id"})


class Form(StrEnum):
    """How a request is asked and answered."""

    MIDDLEWARE = "middleware"
    CALL = "call"
    INBOX = "inbox"


@dataclass(frozen=True)
class Action:
    """A call that an agent wants to make, and the decisions that a person may take."""

    name: str
    arguments: Json
    description: str
    decisions: tuple[str, ...]
    arguments_schema: Json | None = None
    """JSON Schema of the arguments, where the request gives one."""


@dataclass(frozen=True)
class Review:
    """A request to decide about one or more calls, in their order."""

    form: Form
    actions: tuple[Action, ...]
    is_bare: bool = False
    """Whether the request was no list: an answer need not be one either."""

    def build_answer(self, decisions: Sequence[Json]) -> Any:
        """Return the value that resumes the graph: one decision for each call, in their order."""
        match self.form:
            case Form.MIDDLEWARE:
                return {"decisions": list(decisions)}
            case Form.CALL:
                return decisions[0]
            case Form.INBOX:
                return list(decisions)

    def find_decisions(self, answer: Any) -> Sequence[Any] | None:
        """Return the decisions of an answer; None if it is not a list of one for each call."""
        if self.form is Form.MIDDLEWARE:
            answer = answer.get("decisions") if isinstance(answer, Mapping) else None
        elif self.form is Form.CALL or (self.is_bare and isinstance(answer, Mapping)):
            answer = [answer]
        return answer if isinstance(answer, list) and len(answer) == len(self.actions) else None

    def decide_all(self, decision: str) -> Any:
        """Return the answer that decides the same about all calls."""
        return self.build_answer([build_decision(self.form, action, decision) for action in self.actions])

    @property
    def common_decisions(self) -> tuple[str, ...]:
        """The decisions that all calls allow and that need no further text."""
        first, *others = self.actions
        return tuple(
            each for each in first.decisions if each in _PLAIN and all(each in action.decisions for action in others)
        )

    def build_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the answer."""
        definitions: dict[str, Any] = {}
        items = []
        for index, action in enumerate(self.actions):
            arguments: Json = {"type": "object"}
            if action.arguments_schema is not None:
                definitions[f"arguments{index}"] = move_schema(action.arguments_schema, f"#/$defs/arguments{index}")
                arguments = {"$ref": f"#/$defs/arguments{index}"}
            build = _build_response_schema if self.form is Form.INBOX else _build_decision_schema
            items.append(build(action, arguments))
        return self._wrap(items) | ({"$defs": definitions} if definitions else {})

    def _wrap(self, items: list[dict[str, Any]]) -> dict[str, Any]:
        if self.form is Form.CALL:
            return items[0]
        count = len(items)
        several = {"type": "array", "minItems": count, "maxItems": count, "prefixItems": items}
        if self.form is Form.MIDDLEWARE:
            return {"type": "object", "required": ["decisions"], "properties": {"decisions": several}}
        if self.is_bare:
            return {"if": {"type": "object"}, "then": items[0], "else": several}
        return several


def build_decision(
    form: Form, action: Action, decision: str, *, message: str = "", arguments: Json | None = None
) -> dict[str, Any]:
    """Return one decision about a call; ``arguments`` are those of an edited one."""
    if form is Form.INBOX:
        edited = {"action": action.name, "args": dict(arguments or {})}
        content = {"edit": edited, "response": message}.get(decision)
        return {"type": decision, "args": content}
    if decision == "edit":
        return {"type": decision, "edited_action": {"name": action.name, "args": dict(arguments or {})}}
    if decision == "respond" or message:
        return {"type": decision, "message": message}
    return {"type": decision}


def read_review(value: Any, schema: Json | None = None) -> Review | None:
    """Return the calls that an interrupt's value asks to decide about; None if it asks something else.

    ``schema`` is the one that the library gives beside the value of a single call.
    """
    if isinstance(value, Mapping):
        if isinstance(requests := value.get("action_requests"), list):
            return _read_middleware(requests, value.get("review_configs"))
        if value.get("type") == "tool_approval" and isinstance(value.get("name"), str):
            return Review(Form.CALL, (_read_call(value, schema),))
        action = _read_inbox(value)
        return Review(Form.INBOX, (action,), is_bare=True) if action is not None else None
    if not isinstance(value, list) or not value:
        return None
    actions = tuple(action for each in value if (action := _read_inbox(each)) is not None)
    return Review(Form.INBOX, actions) if len(actions) == len(value) else None


def move_schema(schema: Any, place: str) -> Any:
    """Return a schema for use at ``place`` inside another one: its local references lead there.

    What it says of its identity and dialect is left out; the document it is moved into has its own.
    """
    if not isinstance(schema, Mapping):
        return [move_schema(each, place) for each in schema] if isinstance(schema, list) else schema
    moved: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _IDENTITY and isinstance(value, str):
            continue
        if key in _SUBSCHEMAS and isinstance(value, Mapping):
            moved[key] = {name: move_schema(each, place) for name, each in value.items()}
        elif key in _DATA:
            moved[key] = value
        elif key == "$ref" and isinstance(value, str) and (value == "#" or value.startswith("#/")):
            moved[key] = place + value[1:]
        else:
            moved[key] = move_schema(value, place)
    return moved


# -- reading -----------------------------------------------------------------------------------------------------------


def _read_middleware(requests: list[Any], configs: Any) -> Review | None:
    if not requests or not all(isinstance(each, Mapping) and isinstance(each.get("name"), str) for each in requests):
        return None
    known = {
        each["action_name"]: each
        for each in (configs if isinstance(configs, list) else ())
        if isinstance(each, Mapping) and isinstance(each.get("action_name"), str)
    }
    return Review(
        Form.MIDDLEWARE,
        tuple(
            Action(
                name=each["name"],
                arguments=_read_arguments(each),
                description=_read_text(each.get("description")),
                decisions=_read_words(known.get(each["name"], {}).get("allowed_decisions")) or _DECISIONS,
                arguments_schema=_read_schema(known.get(each["name"], {}).get("args_schema")),
            )
            for each in requests
        ),
    )


def _read_call(value: Json, schema: Json | None) -> Action:
    allowed = _find_types(schema) if schema is not None else {"approve", "reject"}
    return Action(
        name=value["name"],
        arguments=_read_arguments(value),
        description=_read_text(value.get("description")),
        decisions=tuple(each for each in _DECISIONS if each in allowed),
    )


def _read_inbox(value: Any) -> Action | None:
    """Return the call of a ``HumanInterrupt``; None for anything else, and for one that allows nothing."""
    if not isinstance(value, Mapping):
        return None
    request, config = value.get("action_request"), value.get("config")
    if (
        not isinstance(request, Mapping)
        or not isinstance(config, Mapping)
        or not isinstance(request.get("action"), str)
    ):
        return None
    decisions = tuple(kind for flag, kind in _INBOX_DECISIONS.items() if config.get(flag) is True)
    if not decisions:
        return None
    return Action(
        name=request["action"],
        arguments=_read_arguments(request),
        description=_read_text(value.get("description")),
        decisions=decisions,
        arguments_schema=_read_schema(request.get("args_schema")) or _read_schema(config.get("args_schema")),
    )


def _read_arguments(request: Json) -> Json:
    # Early releases of LangChain 1.0 called them `arguments`.
    arguments = request.get("args", request.get("arguments"))
    return arguments if isinstance(arguments, Mapping) else {}


def _read_text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _read_words(value: Any) -> tuple[str, ...]:
    words: Iterable[Any] = value if isinstance(value, list | tuple) else ()
    return tuple(dict.fromkeys(each for each in words if isinstance(each, str)))


def _read_schema(value: Any) -> Json | None:
    """Return a schema that can be used: one that cannot would take the checks of all other members along."""
    if not isinstance(value, Mapping):
        return None
    # Compiled code that only this needs.
    from agentic_core.schema.schema import check_schema

    moved = {"$defs": {"it": move_schema(value, "#/$defs/it")}, "$ref": "#/$defs/it"}
    return value if not check_schema(moved) else None


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
        named = kind.get("enum")
        names = [kind.get("const"), *(named if isinstance(named, list) else ())]
        found |= {name for name in names if isinstance(name, str)}
    return found


# -- schemas of answers ------------------------------------------------------------------------------------------------


def _build_decision_schema(action: Action, arguments: Json) -> dict[str, Any]:
    edited = {
        "type": "object",
        "required": ["name", "args"],
        "properties": {"name": {"type": "string"}, "args": arguments},
    }
    needs = [
        _when(decision, {"required": [field]})
        for decision, field in (("edit", "edited_action"), ("respond", "message"))
        if decision in action.decisions
    ]
    return _build_kinds(action, {"message": {"type": "string"}, "edited_action": edited}, needs)


def _build_response_schema(action: Action, arguments: Json) -> dict[str, Any]:
    edited = {
        "type": "object",
        "required": ["action", "args"],
        "properties": {"action": {"type": "string"}, "args": arguments},
    }
    contents: dict[str, Json] = {
        # Agent Inbox sends the action itself along with what is accepted as it stands.
        "accept": {"properties": {"args": {"type": ["null", "object"]}}},
        "edit": {"required": ["args"], "properties": {"args": edited}},
        "response": {"required": ["args"], "properties": {"args": {"type": "string"}}},
        "ignore": {"properties": {"args": {"type": "null"}}},
    }
    needs = [_when(kind, content) for kind, content in contents.items() if kind in action.decisions]
    return _build_kinds(action, {"args": {}}, needs)


def _build_kinds(action: Action, properties: Json, needs: list[dict[str, Any]]) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "title": action.name,
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"enum": list(action.decisions)}, **properties},
    }
    return {**schema, "allOf": needs} if needs else schema


def _when(kind: str, then: Json) -> dict[str, Any]:
    # Not `oneOf`: its faults would not say which of the branches was meant.
    return {"if": {"properties": {"type": {"const": kind}}, "required": ["type"]}, "then": then}
