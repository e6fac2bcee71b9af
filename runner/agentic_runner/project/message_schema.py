"""The JSON Schema of chat messages as people write them, where pydantic would describe LangChain's classes.

``add_messages`` and everything else that converts messages takes more than what the classes serialise to: a role and a
content, LangChain's typed form, a pair of role and text, and plain text.
"""

import functools
from typing import Any, Final

MESSAGE: Final = "Message"
MARK: Final = "x-langchain-message"

_CONTENT: Final[dict[str, Any]] = {
    "title": "Content",
    "description": "The text, or a list of content blocks.",
    "anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "object"}]}},
        {"type": "null"},
    ],
}
_MORE: Final[dict[str, Any]] = {
    "id": {"type": ["string", "null"]},
    "name": {"type": ["string", "null"]},
    "tool_calls": {"type": "array", "items": {"type": "object"}, "description": "Calls that an assistant makes."},
    "tool_call_id": {"type": "string", "description": "The call that a tool's message answers."},
}
_ROLES: Final = ("user", "assistant", "system", "developer", "tool", "function", "human", "ai")
_KEPT: Final[tuple[str, ...]] = ("title", "description", "default")
_TYPES: Final = ("human", "ai", "system", "tool", "function", "chat", "remove")


def build_message_schema() -> dict[str, Any]:
    """Return the schema of one message."""
    return {
        "title": "Message",
        "description": 'One message: {"role": "user", "content": "hi"}, ["user", "hi"], or plain text of the user.',
        "anyOf": [
            {
                "title": "Role and content",
                "type": "object",
                "required": ["role", "content"],
                "properties": {"role": {"type": "string", "examples": list(_ROLES)}, "content": _CONTENT, **_MORE},
            },
            {
                "title": "LangChain's typed form",
                "type": "object",
                "required": ["type", "content"],
                "properties": {"type": {"type": "string", "examples": list(_TYPES)}, "content": _CONTENT, **_MORE},
            },
            {
                "title": "Pair of role and content",
                "type": "array",
                "minItems": 2,
                "maxItems": 2,
                "prefixItems": [{"type": "string", "examples": list(_ROLES)}, _CONTENT],
            },
            {"title": "Text of the user", "type": "string"},
        ],
    }


def place_messages(schema: dict[str, Any]) -> dict[str, Any]:
    """Return ``schema`` with every mark of a message replaced by a reference to the definition of messages."""
    placed, is_used = _replace(schema)
    if not is_used:
        return schema
    result: dict[str, Any] = placed
    result.setdefault("$defs", {})[MESSAGE] = build_message_schema()
    return result


def accept_single(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a list's schema that also allows one item alone, as ``add_messages`` does."""
    items = schema.get("items")
    if schema.get("type") != "array" or not isinstance(items, dict) or items.get("$ref") != f"#/$defs/{MESSAGE}":
        return schema
    outer = {name: schema[name] for name in _KEPT if name in schema}
    return {**outer, "anyOf": [{"type": "array", "items": items}, items]}


def is_message_reducer(reducer: Any) -> bool:
    """Return whether a channel's reducer is LangGraph's own for messages, with settings or without."""
    while isinstance(reducer, functools.partial):
        reducer = reducer.func
    return getattr(reducer, "__module__", "") == "langgraph.graph.message"


def _replace(value: Any) -> tuple[Any, bool]:
    if isinstance(value, list):
        items = [_replace(each) for each in value]
        return [item for item, _ in items], any(used for _, used in items)
    if not isinstance(value, dict):
        return value, False
    if MARK in value:
        rest = {name: value[name] for name in _KEPT if name in value}
        return {**rest, "$ref": f"#/$defs/{MESSAGE}"}, True
    members = {name: _replace(each) for name, each in value.items()}
    return {name: member for name, (member, _) in members.items()}, any(used for _, used in members.values())
