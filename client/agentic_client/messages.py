"""One message of a session's stream."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from agentic_client.errors import UnexpectedAnswer
from agentic_client.numbers import parse_json
from agentic_core.lifecycle import FINAL_PHASES

GAP: Final = "gap"


@dataclass(frozen=True)
class Gap:
    """The numbers of messages that are no longer kept, both included."""

    first: int
    last: int


@dataclass(frozen=True)
class Message:
    """What happened in a session; ``seq`` is its number, the same on every connection and replica."""

    type: str
    timestamp: datetime
    seq: int | None
    prev: int | None
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def event(self) -> str:
        """The kind of row of the event log that it was, such as ``node_started``; empty if it is none."""
        return str(self.metadata.get("event") or "")

    @property
    def gap(self) -> Gap | None:
        """Which messages are missing here because they are no longer kept; None for any other message."""
        if self.type != GAP or self.seq is None or self.prev is None:
            return None
        return Gap(self.prev + 1, self.seq)

    @property
    def may_be_last(self) -> bool:
        """Whether the session may have ended with it; of a conversation, it ends a turn."""
        return self.metadata.get("phase") in FINAL_PHASES


def parse_message(text: bytes | str) -> Message:
    """Return the message in a frame; raises ``UnexpectedAnswer`` for anything else."""
    try:
        return read_message(parse_json(text))
    except ValueError as error:
        raise UnexpectedAnswer(f"the stream holds what is no message: {error}") from error


def read_message(found: Any) -> Message:
    """Return the message that a JSON object is; raises ``ValueError`` for anything else."""
    if not isinstance(found, Mapping):
        raise ValueError("a message is an object")  # noqa: TRY004  (of the content, not of an argument)
    data = found.get("data")
    data = data if isinstance(data, Mapping) else {}
    metadata = data.get("metadata")
    return Message(
        type=str(found.get("type") or ""),
        timestamp=datetime.fromisoformat(str(found.get("timestamp") or "")),
        seq=_read_number(found, "seq"),
        prev=_read_number(found, "prev"),
        text=str(data.get("message") or ""),
        metadata=metadata if isinstance(metadata, Mapping) else {},
    )


def _read_number(found: Mapping[str, Any], key: str) -> int | None:
    value = found.get(key)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise ValueError(f"{key} is no number of a message")
