"""The JSON Schema of every message that a stream sends, as ``docs/frames.schema.json`` has it. Pure.

What is not listed may come in ``metadata`` as well: clients leave what they do not know.
"""

from typing import Any, Final

from agentic_gateway.feeds.envelope import AGENT_MESSAGE, ERROR, GAP, MAX_FRAME_BYTES, PROGRESS, STATUS, WAITING

Json = dict[str, Any]

_TEXT: Final[Json] = {"type": "string"}
_NUMBER: Final[Json] = {"type": "integer", "minimum": 0}
_FIRST: Final[Json] = {"type": "integer", "minimum": 1}
_RANGE: Final[Json] = {
    "type": "object",
    "required": ["from", "to"],
    "properties": {"from": _FIRST, "to": _FIRST},
}
# What a row of the log says of itself, whatever it is about.
_ROW: Final[Json] = {
    "event_id": {"type": "string", "pattern": "^[0-9]+-[0-9]+$", "description": "Turn and seq: the id for SSE."},
    "event": {**_TEXT, "maxLength": 64, "description": "The kind of row, such as node_started."},
    "run": _NUMBER,
    "turn": {**_FIRST, "description": "The turn of a conversation; absent if it has none."},
    "step": {**_TEXT, "description": "The node, with those of the graphs around it."},
    "step_name": _TEXT,
    "phase": {**_TEXT, "description": "The session's phase, if it changed."},
    "compacted": {**_RANGE, "description": "Numbers before this one that were joined into messages that are there."},
    "truncated": {"type": "boolean"},
}
_OF_NOTICES: Final[Json] = {"id": {"type": ["string", "integer"], "description": "What the client called its message."}}
_PROBLEM: Final[Json] = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {"type": _TEXT, "title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT},
    "description": "A problem (RFC 9457).",
}


def _define(
    type_: str, about: str, required: list[str], properties: Json, *, is_row: bool, message: Json | None = None
) -> Json:
    return {
        "description": about,
        "required": ["type", "timestamp", "seq", "prev", "data"],
        "properties": {
            "type": {"const": type_},
            "seq": _FIRST if is_row else {"type": "null"},
            "prev": _NUMBER if is_row else {"type": "null"},
            "data": {
                "type": "object",
                "required": ["message", "metadata"],
                "additionalProperties": False,
                "properties": {
                    "message": message or _TEXT,
                    "metadata": {
                        "type": "object",
                        "required": required,
                        "properties": {**(_ROW if is_row else _OF_NOTICES), **properties},
                    },
                },
            },
        },
    }


_PLACE: Final = ["event_id", "event", "run"]


def build_schema() -> Json:
    """Return the schema (2020-12) of a message: what all have in common, and what each type has."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A message of a session's stream",
        "description": "By WebSocket it is a text frame, by Server-Sent Events the data of an event."
        f" It has fewer than {MAX_FRAME_BYTES} bytes.",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "type": _TEXT,
            "timestamp": {
                "type": "string",
                "format": "date-time",
                "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$",
                "description": "When it happened, by RFC 3339 in UTC.",
            },
            "seq": {"type": ["integer", "null"], "description": "Its number; null for one that is no row of the log."},
            "prev": {"type": ["integer", "null"], "description": "The number of the message before."},
            "data": {"type": "object"},
        },
        "oneOf": _list_kinds(),
    }


def _list_kinds() -> list[Json]:
    blocks = {
        "type": "array",
        "items": {"type": "object", "properties": {"block": _TEXT}},
    }
    return [
        _define(
            AGENT_MESSAGE,
            "What a model, a tool or the graph's code says.",
            _PLACE,
            {
                "message_id": _TEXT,
                "progress": {"type": "number", "minimum": 0, "maximum": 1},
                "blocks": blocks,
                "is_last": {"type": "boolean"},
            },
            is_row=True,
        ),
        _define(PROGRESS, "A node begins, ends, fails or asks.", _PLACE, {}, is_row=True),
        _define(
            WAITING,
            "A question waits for an answer.",
            [*_PLACE, "phase", "interrupt_id", "prompt", "options"],
            {"interrupt_id": _TEXT, "prompt": _TEXT, "options": {"type": "array"}},
            is_row=True,
        ),
        _define(STATUS, "The session has another state.", _PLACE, {}, is_row=True),
        _define(ERROR, "An attempt failed, or the session or its turn.", _PLACE, {}, is_row=True),
        _define(
            GAP,
            "Events that are no longer kept, that were lost, or that were never stored.",
            ["event_id"],
            {"from": _FIRST, "to": _FIRST, "reason": _TEXT, "count": _NUMBER},
            is_row=True,
        ),
        _define("user_input", "An answer was accepted.", ["interruptId"], {"interruptId": _TEXT}, is_row=False),
        _define("user_message", "A turn was accepted.", ["turn"], {"turn": _TEXT}, is_row=False),
        _define("pong", "The answer to a ping.", [], {}, is_row=False),
        _define(
            STATUS,
            "The log ends before the number that the client has: nothing comes until it is longer.",
            ["event", "last", "after"],
            {"event": {"const": "ahead"}, "last": _NUMBER, "after": _NUMBER},
            is_row=False,
        ),
        _define(
            ERROR,
            "A message was refused, or the stream ends.",
            ["problem"],
            {"problem": _PROBLEM},
            is_row=False,
        ),
    ]
