"""From a line to a turn's input, and from a result to the reply. Pure.

For a graph with a messages channel a line is the user's message; for one with a single text field it is that field; for
any other it is a JSON object.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from agentic_cli.inputs.forms import Field, list_fields
from agentic_cli.inputs.values import find_types, put, read_value, resolve
from agentic_core.errors import PermanentError

MESSAGES: Final = "messages"
_HUMAN: Final = frozenset({"human", "user"})
_AI: Final = frozenset({"ai", "assistant", "AIMessageChunk"})
_SHORT: Final = 78


class Form(StrEnum):
    """How a turn's input is built from a line."""

    MESSAGES = "messages"
    """``{messages: [{role: user, content: LINE}]}``."""
    FIELD = "field"
    """``{NAME: LINE}``."""
    WHOLE = "whole"
    """The line is the input."""
    OBJECT = "object"
    """An object with several fields: JSON."""


@dataclass(frozen=True)
class InputForm:
    """How a line becomes a turn's input; ``field`` is the path of ``Form.FIELD``."""

    form: Form
    field: tuple[str, ...] = ()


@dataclass(frozen=True)
class Message:
    """One message of a result, by the model (``is_ai``) or by a person."""

    is_ai: bool
    text: str


def find_form(schema: Mapping[str, Any] | None, given: Mapping[str, Any], field: str | None = None) -> InputForm:
    """Return how to build inputs from lines, by their schema without the fields that are ``given``.

    ``field`` overrides the schema. Without a schema the workflow is taken for one of messages.
    """
    if field is not None:
        return InputForm(Form.MESSAGES) if field == MESSAGES else InputForm(Form.FIELD, tuple(field.split(".")))
    if schema is None:
        return InputForm(Form.MESSAGES)
    if find_types(resolve(schema, schema), schema) == {"string"}:
        return InputForm(Form.WHOLE)
    fields = [each for each in list_fields(schema) if each.path[0] not in given]
    if any(each.path == (MESSAGES,) for each in fields):
        return InputForm(Form.MESSAGES)
    required = [each for each in fields if each.is_required] or fields
    texts = [each for each in required if _is_text(each)]
    is_alone = len(texts) == 1 and (len(required) == 1 or not texts[0].is_required)
    return InputForm(Form.FIELD, texts[0].path) if is_alone else InputForm(Form.OBJECT)


def build_input(form: InputForm, text: str, given: Mapping[str, Any]) -> Any:
    """Return a turn's input for a line, with the ``given`` fields; raise ``PermanentError``."""
    if form.form is Form.WHOLE:
        return text
    built = json.loads(json.dumps(given))
    match form.form:
        case Form.MESSAGES:
            built[MESSAGES] = [{"role": "user", "content": text}]
        case Form.FIELD:
            put(built, form.field, text)
        case Form.OBJECT:
            value = read_value(text, {"type": "object"}, "the input")
            built.update(value)
    return built


def add_message(schema: Mapping[str, Any] | None, inputs: Any, text: str) -> Any:
    """Return inputs with a message added where the schema has it; raise ``PermanentError`` if it has no such place."""
    if inputs is not None and not isinstance(inputs, dict):
        raise PermanentError("the inputs are no object: a message cannot be added to them")
    form = find_form(schema, inputs or {})
    if form.form is Form.OBJECT:
        raise PermanentError("the workflow takes several inputs: give the message as -p NAME=TEXT")
    if form.form is Form.WHOLE and inputs:
        raise PermanentError("the workflow takes one text: give a message, or inputs")
    return build_input(form, text, inputs or {})


def read_said(value: Any) -> str:
    """Return a turn's input as text: its messages, its single text field, else JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        if said := [each.text for each in _read(value.get(MESSAGES)) if not each.is_ai]:
            return "\n".join(said)
        if len(value) == 1 and isinstance(only := next(iter(value.values())), str):
            return only
    return json.dumps(value, ensure_ascii=False)


def read_messages(result: Any) -> tuple[Message, ...]:
    """Return the messages of people and models in a result, without tool calls, tool messages and system messages."""
    return tuple(_read(result.get(MESSAGES))) if isinstance(result, Mapping) else tuple(_read(result))


def find_reply(result: Any) -> str | None:
    """Return the text of the last message if the model wrote it, else None."""
    messages = read_messages(result)
    return messages[-1].text if messages and messages[-1].is_ai else None


def show_result(result: Any, *, is_terminal: bool) -> str:
    """Return a result as a reply: the last message, a single text, else JSON; on one line unless ``is_terminal``."""
    if (reply := find_reply(result)) is not None:
        return reply
    if isinstance(result, str):
        return result
    if isinstance(result, Mapping) and len(result) == 1 and isinstance(only := next(iter(result.values())), str):
        return only
    text = json.dumps(result, ensure_ascii=False)
    return json.dumps(result, ensure_ascii=False, indent=2) if is_terminal and len(text) > _SHORT else text


def _read(messages: Any) -> list[Message]:
    found = []
    for each in messages if isinstance(messages, list) else [messages] if isinstance(messages, Mapping | str) else ():
        if isinstance(each, str):
            found.append(Message(is_ai=False, text=each))
            continue
        if isinstance(each, list) and len(each) == 2:
            each = {"role": each[0], "content": each[1]}
        if not isinstance(each, Mapping):
            continue
        kind = each.get("type") or each.get("role")
        text = _read_content(each.get("content"))
        if isinstance(kind, str) and kind in _HUMAN | _AI and text:
            found.append(Message(is_ai=kind in _AI, text=text))
    return found


def _read_content(content: Any) -> str:
    """Return the text of a message's content, which is a string or a list of blocks."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else ()
    texts = (block.get("text") if isinstance(block, Mapping) else block for block in blocks)
    return "".join(text for text in texts if isinstance(text, str))


def _is_text(field: Field) -> bool:
    return not field.choices and "string" in field.types and field.types <= {"string", "null"}
