"""Turns LangGraph's stream of messages into events: each message with its blocks, token by token.

The names are those of the Agent Streaming Protocol: ``message-start``, ``content-block-start``, ``-delta`` and
``-finish``, ``message-finish``, ``tool-finished``. Only what a model or a tool says is shown: other messages that nodes
return (a system prompt, what a person said) are state, and state never enters the log.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from agentic_runner.execution.stream_events import StreamEvent
from agentic_runner.output.redaction import bounded

_MAX_NAME: Final = 256
MAX_TOOL_OUTPUT: Final = 8 * 1024
_REASONING: Final = {"thinking": "thinking", "reasoning": "reasoning", "reasoning_content": "text"}
_USAGE: Final = ("input_tokens", "output_tokens", "total_tokens")


@dataclass
class _Block:
    """The block of a message that is being said."""

    kind: str
    key: Any
    index: int


@dataclass
class _Message:
    """A message that is being said, and by which task."""

    task: str
    node: str
    block: _Block | None = None
    blocks: int = 0
    usage: dict[str, int] = field(default_factory=dict)


class MessageStream:
    """Follows the messages of one stream."""

    def __init__(self) -> None:
        self._open: dict[str, _Message] = {}

    def see(self, node: str, message: Any, metadata: Mapping[str, Any]) -> list[StreamEvent]:
        """Take a message or a part of one and return the events that it is worth; ``node`` is the path of its node."""
        kind = getattr(message, "type", None)
        if kind == "tool":
            return [_finish_tool(node, message)]
        if kind not in ("ai", "AIMessageChunk"):
            return []
        id_ = bounded(str(message.id), _MAX_NAME)
        events = []
        known = self._open.get(id_)
        if known is None:
            task = str(metadata.get("langgraph_checkpoint_ns") or "").rpartition(":")[2]
            known = self._open[id_] = _Message(task, node)
            model = metadata.get("ls_model_name")
            about = {"message_id": id_, "role": "ai", "node": node}
            said = {"model": str(model)[:_MAX_NAME]} if model else {}
            events.append(StreamEvent("message-start", {**about, **said}))
        events += self._see_parts(id_, known, message)
        if (usage := getattr(message, "usage_metadata", None)) is not None:
            for name in _USAGE:
                known.usage[name] = known.usage.get(name, 0) + int(usage.get(name) or 0)
        if kind == "ai" or getattr(message, "chunk_position", None) == "last":
            events += self._finish(id_)
        return events

    def end_task(self, task: str) -> list[StreamEvent]:
        """Finish what a task was saying: its node ended, or raised."""
        ended = [id_ for id_, message in self._open.items() if message.task == task]
        return [event for id_ in ended for event in self._finish(id_)]

    def _see_parts(self, id_: str, known: _Message, message: Any) -> Iterator[StreamEvent]:
        for kind, key, text in _list_texts(message.content):
            yield from self._say(id_, known, kind, key, text, {})
        for call in _list_calls(message):
            about = {
                "name": bounded(str(call.get("name") or ""), _MAX_NAME),
                "call": str(call.get("id") or "")[:_MAX_NAME],
            }
            # Parts after the first have neither name nor id, but the same index.
            key = call.get("index") if call.get("index") is not None else call.get("id")
            yield from self._say(id_, known, "tool_call", key, str(call.get("args") or ""), about)

    def _say(
        self, id_: str, known: _Message, kind: str, key: Any, text: str, about: Mapping[str, str]
    ) -> Iterator[StreamEvent]:
        block = known.block
        if block is None or (block.kind, block.key) != (kind, key):
            yield from _finish_block(id_, known)
            block = known.block = _Block(kind, key, known.blocks)
            known.blocks += 1
            yield StreamEvent("content-block-start", {"message_id": id_, "index": block.index, "block": kind, **about})
        if text:
            place = {"message_id": id_, "index": block.index, "node": known.node}
            yield StreamEvent("content-block-delta", place, text=text, block=(id_, block.index))

    def _finish(self, id_: str) -> Iterator[StreamEvent]:
        known = self._open.pop(id_)
        yield from _finish_block(id_, known)
        yield StreamEvent("message-finish", {"message_id": id_, **({"usage": known.usage} if known.usage else {})})


def _finish_block(id_: str, known: _Message) -> Iterator[StreamEvent]:
    if known.block is not None:
        place = {"message_id": id_, "index": known.block.index}
        yield StreamEvent("content-block-finish", place, block=(id_, known.block.index), ends_block=True)
        known.block = None


def _list_texts(content: Any) -> Iterator[tuple[str, Any, str]]:
    """Return kind, key and text of each block of a message's content; what is no text has none."""
    if isinstance(content, str):
        if content:
            yield "text", None, content
        return
    for item in content if isinstance(content, Sequence) else ():
        if isinstance(item, str):
            yield "text", None, item
        elif isinstance(item, Mapping):
            kind = str(item.get("type"))[:_MAX_NAME]
            if kind == "text":
                yield "text", item.get("index"), str(item.get("text") or "")
            elif kind in _REASONING:
                yield "reasoning", item.get("index"), str(item.get(_REASONING[kind]) or "")
            elif kind in ("image", "image_url", "audio", "video", "file"):
                yield kind, item.get("index"), ""


def _list_calls(message: Any) -> Iterator[Mapping[str, Any]]:
    """Return a message's calls of tools, as parts where it is one of several."""
    if message.type == "AIMessageChunk":
        yield from message.tool_call_chunks
        return
    for call in message.tool_calls:
        yield {**call, "args": _dump(call.get("args"))}


def _dump(value: Any) -> str:
    from agentic_store.results.output import encode_json

    return encode_json(value)


def _finish_tool(node: str, message: Any) -> StreamEvent:
    text = message.content if isinstance(message.content, str) else _dump(message.content)
    about: dict[str, Any] = {
        "call": str(message.tool_call_id)[:_MAX_NAME],
        "name": bounded(str(message.name or ""), _MAX_NAME),
        "status": str(message.status),
        "node": node,
    }
    if len(text) > MAX_TOOL_OUTPUT:
        return StreamEvent("tool-finished", {**about, "size": len(text), "truncated": True})
    return StreamEvent("tool-finished", {**about, "output": text})
