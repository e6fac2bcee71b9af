"""One row of the event log as one message for clients: ``{type, timestamp, seq, prev, data{message, metadata}}``.

A row becomes exactly one message, so that ``seq`` has no gaps for clients either. Pure.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import websockets.frames

from agentic_core.wire import format_time
from agentic_store.records import Event

AGENT_MESSAGE: Final = "agent_message"
PROGRESS: Final = "workflow_progress"
WAITING: Final = "workflow_waiting_for_input"
STATUS: Final = "workflow_status"
ERROR: Final = "error"
GAP: Final = "gap"
MAX_FRAME_BYTES: Final = 1_000_000
"""A frame is smaller than this; what would be larger is in the database, and has a reference."""

_TYPES: Final[Mapping[str, str]] = {
    "run_started": STATUS,
    "node_started": PROGRESS,
    "node_finished": PROGRESS,
    "node_failed": PROGRESS,
    "interrupt": PROGRESS,
    "progress": AGENT_MESSAGE,
    "custom": AGENT_MESSAGE,
    "warning": STATUS,
    "attempt_failed": ERROR,
    "checkpoints_lost": STATUS,
    "waiting_for_input": WAITING,
    "gap": GAP,
    "completed": STATUS,
    "failed": ERROR,
}
_PHASES: Final[Mapping[str, str]] = {
    "run_started": "Running",
    "waiting_for_input": "WaitingForInput",
    "completed": "Completed",
    "failed": "Failed",
}


# What a row cannot say: it would be taken for ours.
_RESERVED: Final = frozenset(
    {"message", "event", "event_id", "run", "turn", "compacted", "phase", "step", "step_name", "interrupt_id"}
)
_NUMBERS: Final = frozenset({"from", "to", "count"})


@dataclass(frozen=True, slots=True)
class Frame:
    """One message, encoded once for everybody; ``seq`` is None for one that is no row of the log."""

    seq: int | None
    text: str
    type: str
    event_id: str | None = None
    """``turn-seq``: the same on every connection and replica, and after every restart."""
    wire: bytes = field(init=False, repr=False, compare=False)
    """The text as a WebSocket's frame: a server's is the same for every client."""

    def __post_init__(self) -> None:
        wire = websockets.frames.Frame(websockets.frames.Opcode.TEXT, self.text.encode()).serialize(mask=False)
        object.__setattr__(self, "wire", wire)


def build_frame(event: Event, prev: int) -> Frame:
    """Return the message for a row; ``prev`` is the number of the message before."""
    type_ = _TYPES.get(event.type, AGENT_MESSAGE)
    about: dict[str, Any] = {"event": event.type, "run": event.run}
    if event.seq > prev + 1:
        about["compacted"] = {"from": prev + 1, "to": event.seq - 1}
    metadata = {**_read_metadata(event), **about}
    frame = _encode(type_, event.at, _describe(event), metadata, seq=event.seq, prev=prev, turn=event.turn)
    if len(frame.wire) < MAX_FRAME_BYTES:
        return frame
    text = f"this event has {len(frame.wire)} bytes and is not shown: at most {MAX_FRAME_BYTES} are"
    needed = {key: value for key, value in _read_metadata(_empty(event)).items() if key != "truncated"}
    metadata = {**needed, **about, "truncated": True}
    return _encode(type_, event.at, text, metadata, seq=event.seq, prev=prev, turn=event.turn)


def _empty(event: Event) -> Event:
    return replace(event, data={})


def build_gap(after: int, first: int, at: datetime, turn: int = 0) -> Frame:
    """Return the message in place of rows that are no longer kept: those after ``after`` and before ``first``."""
    text = f"events {after + 1} to {first - 1} are no longer kept"
    return _encode(GAP, at, text, {"from": after + 1, "to": first - 1}, seq=first - 1, prev=after, turn=turn)


def build_ahead(last: int, after: int, at: datetime) -> Frame:
    """Return the message for a client that has a number beyond the log's last one."""
    text = f"the log ends at number {last}: nothing comes until it is beyond {after}"
    return build_notice(STATUS, at, text, {"event": "ahead", "last": last, "after": after})


def build_notice(type_: str, at: datetime, message: str, metadata: Mapping[str, Any]) -> Frame:
    """Return a message to one client that is no row of the log: an answer to it, or an error of its own."""
    return _encode(type_, at, message, metadata, seq=None, prev=None)


def _encode(
    type_: str,
    at: datetime,
    message: str,
    metadata: Mapping[str, Any],
    *,
    seq: int | None,
    prev: int | None,
    turn: int = 0,
) -> Frame:
    event_id = None if seq is None else f"{turn}-{seq}"
    if event_id is not None:
        metadata = {**metadata, "event_id": event_id, **({"turn": turn} if turn else {})}
    body = {
        "type": type_,
        "timestamp": format_time(at),
        "seq": seq,
        "prev": prev,
        "data": {"message": message, "metadata": metadata},
    }
    return Frame(seq, json.dumps(body, ensure_ascii=False, separators=(",", ":")), type_, event_id)


def _read_metadata(event: Event) -> dict[str, Any]:
    """Return what a row says, as far as it is what clients are told to expect: a pod's own code wrote it."""
    found: dict[str, Any] = {key: value for key, value in event.data.items() if key not in _RESERVED}
    node = found.pop("node", None)
    if isinstance(node, str) and node:
        found["step_name"] = found["step"] = node
    for key, is_fitting in _EXPECTED.items():
        if not is_fitting(found.get(key)):
            found.pop(key, None)
    if phase := _PHASES.get(event.type):
        found["phase"] = phase
    if event.type == "waiting_for_input":
        options = found.get("options")
        found["interrupt_id"] = _text(found.get("interrupt"))
        found["prompt"] = _text(found.get("prompt"))
        found["options"] = options if isinstance(options, list) else []
    if event.type == "message":
        # Their text is the message's; here is which part of it is whose.
        found["blocks"] = [_shorten(block) for block in _list_blocks(event)]
    if event.type == "gap":
        found = {key: value for key, value in found.items() if key not in _NUMBERS or _is_number(value)}
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


_EXPECTED: Final[Mapping[str, Callable[[Any], bool]]] = {
    "progress": _is_share,
    "message_id": lambda value: isinstance(value, str),
    "is_last": lambda value: isinstance(value, bool),
    "truncated": lambda value: isinstance(value, bool),
    "blocks": lambda value: isinstance(value, list) and all(isinstance(each, Mapping) for each in value),
    "reason": lambda value: isinstance(value, str),
}


def _list_blocks(event: Event) -> list[Mapping[str, Any]]:
    blocks = event.data.get("blocks")
    return [block for block in blocks if isinstance(block, Mapping)] if isinstance(blocks, list) else []


def _shorten(block: Mapping[str, Any]) -> Mapping[str, Any]:
    if not _is_text(block):
        return {**block, "block": str(block.get("block"))[:64]}
    return {
        **{key: value for key, value in block.items() if key != "text"},
        "length": len(str(block.get("text") or "")),
    }


def _is_text(block: Mapping[str, Any]) -> bool:
    return str(block.get("block", "text")) == "text"


def _describe(event: Event) -> str:
    data = event.data
    node = data.get("node")
    match event.type:
        case "node_started":
            return f"{node} started"
        case "node_finished":
            return f"{node} finished"
        case "node_failed":
            return f"{node} failed: {data.get('error', '')}"
        case "interrupt":
            return f"{node} asks"
        case "content-block-delta":
            return str(data.get("text") or "")
        case "message":
            return "".join(str(block.get("text") or "") for block in _list_blocks(event) if _is_text(block))
        case "gap" if data.get("reason") == "limit":
            return f"events {data.get('from')} to {data.get('to')} are no longer kept"
        case "gap" if "count" in data:
            return f"{data['count']} events were not stored: {data.get('reason')}"
        case "gap":
            return f"events {data.get('from')} to {data.get('to')} were lost with their database"
        case "run_started":
            return f"run {event.run} started"
        case "completed":
            return "completed"
        case "waiting_for_input":
            return str(data.get("prompt") or "waiting for input")
        case "attempt_failed":
            return str(data.get("error") or "an attempt failed")
        case _:
            return str(data.get("message") or "")
