"""How the rows of messages that were said become one row each, and what holds of that. Pure.

A message is said in many rows: its start, its blocks, their text part by part, its end. Some time after its turn ended
they are joined: the last row becomes the whole message (type ``message``) and keeps its number, the others go. Then, at
any moment and after any crash,

1. every text that was stored is in a row, in its order: in the parts that said it, or in the message that they became;
2. the highest number of a session stays, so that numbers go on after it, and no number means another row than before;
3. every number up to the highest is a row's, or lies from ``since`` to before a row: it was joined into rows that are
   there; other rows stay what they are. Whatever else is missing was lost or removed, and a ``gap`` tells it;
4. to join what is joined changes nothing, so whoever comes second finds nothing to do.

One message becomes several where it is larger than :data:`MAX_MESSAGE_BYTES`, where rows that were lost are amidst it,
and where more was said than is read at once: their texts follow each other until one that ``is_last``.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

START: Final = "message-start"
BLOCK_START: Final = "content-block-start"
DELTA: Final = "content-block-delta"
BLOCK_FINISH: Final = "content-block-finish"
FINISH: Final = "message-finish"
FAMILY: Final = (START, BLOCK_START, DELTA, BLOCK_FINISH, FINISH)
MESSAGE: Final = "message"

MAX_MESSAGE_BYTES: Final = 192 * 1024
"""Bytes of a whole message's JSON, about: less than a row may have."""
_MAX_NAME: Final = 256


@dataclass(frozen=True)
class Part:
    """A row of a message as it was said, with what matters of its neighbours."""

    seq: int
    run: int
    type: str
    data: Mapping[str, Any]
    since: int | None = None
    next: int | None = None
    """The number of the row that follows, where no number between the two was lost; None if there is none."""
    is_too_large: bool = False
    """It stays as it is: more than any part of a message that is known."""


@dataclass(frozen=True)
class Joined:
    """What the row of a number becomes."""

    seq: int
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is done to the rows of a turn."""

    messages: tuple[Joined, ...] = ()
    removed: tuple[int, ...] = ()
    since: Mapping[int, int] = field(default_factory=dict)
    """By the number of a row that stays, from which number on those before it are joined."""


@dataclass
class _Message:
    """A message as far as it was read."""

    first: int
    id: str
    rows: list[Part] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)
    blocks: dict[int, dict[str, Any]] = field(default_factory=dict)
    is_last: bool = False
    size: int = 0

    def take(self, part: Part, size: int) -> None:
        data = part.data
        self.rows.append(part)
        self.size += size
        match part.type:
            case "message-start":
                self.about |= {key: _name(data[key]) for key in ("role", "node", "model") if key in data}
            case "content-block-start":
                self._find_block(data).update(
                    {key: _name(data[key]) for key in ("block", "name", "call") if key in data}
                )
            case "content-block-delta":
                block = self._find_block(data)
                block["text"] = block.get("text", "") + _text(data.get("text"))
                if "node" in data:
                    self.about.setdefault("node", _name(data["node"]))
            case "message-finish":
                self.is_last = True
                if isinstance(data.get("usage"), dict):
                    self.about["usage"] = data["usage"]
            case _:
                pass

    def _find_block(self, data: Mapping[str, Any]) -> dict[str, Any]:
        index = data.get("index")
        index = index if isinstance(index, int) and not isinstance(index, bool) else 0
        return self.blocks.setdefault(index, {"index": index})

    def build(self) -> Joined:
        data = {
            "message_id": self.id,
            **self.about,
            "blocks": list(self.blocks.values()),
            "from": self.first,
            "is_last": self.is_last,
        }
        return Joined(self.rows[-1].seq, data)


def compute_plan(parts: Sequence[Part], *, is_whole: bool, max_bytes: int = MAX_MESSAGE_BYTES) -> Plan:
    """Return how rows of one turn, in their order, are joined.

    ``is_whole`` says that the turn has no more of them. Where it has, the starts of messages that are still being said
    stay, because what is left of a turn is found by them.
    """
    ended, said = _divide(parts, max_bytes)
    # Where every message of so many rows has but begun, nothing would ever be joined.
    if not is_whole and any(len(message.rows) > 1 for message in (*ended, *said)):
        for message in said:
            message.rows = [part for part in message.rows if part.type != START]
    found = [message for message in (*ended, *said) if message.rows]
    messages = sorted((message.build() for message in found), key=lambda joined: joined.seq)
    removed = sorted((part for message in found for part in message.rows[:-1]), key=lambda part: part.seq)
    return Plan(tuple(messages), tuple(part.seq for part in removed), _compute_since(removed))


def _divide(parts: Sequence[Part], max_bytes: int) -> tuple[list[_Message], list[_Message]]:
    """Return the messages that end among these rows, and those that do not."""
    ended: list[_Message] = []
    said: dict[tuple[int, str], _Message] = {}
    for part in parts:
        key = (part.run, _name(part.data.get("message_id")))
        size = _measure(part)
        known = said.get(key)
        if known is not None and (part.type == START or part.is_too_large or known.size + size > max_bytes):
            ended.append(said.pop(key))
            known = None
        if part.is_too_large:
            continue
        if known is None:
            known = said[key] = _Message(part.seq, key[1])
        known.take(part, size)
        # What was lost is told after this row, so it stays.
        if part.type == FINISH or part.next is None:
            ended.append(said.pop(key))
    return ended, list(said.values())


def _measure(part: Part) -> int:
    measured = part.data.get("text") if part.type == DELTA else part.data
    return len(json.dumps(measured, ensure_ascii=False).encode(errors="surrogatepass"))


def _compute_since(removed: Sequence[Part]) -> dict[int, int]:
    """Return for the row after each run of removed ones where that run begins."""
    since: dict[int, int] = {}
    for part in removed:
        first = part.seq if part.since is None else part.since
        before = since.pop(part.seq, first)
        assert part.next is not None  # noqa: S101  (one that nothing follows stays)
        since[part.next] = min(before, first)
    return since


def _name(value: Any) -> str:
    return value[:_MAX_NAME] if isinstance(value, str) else ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
