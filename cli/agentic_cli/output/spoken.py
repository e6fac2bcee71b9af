"""What a session says, from the messages of its stream: texts token by token, calls of tools as a line each. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from agentic_core.questions import clip_line

if TYPE_CHECKING:
    from agentic_client import Message

TEXT: Final = "text"
TOOL_CALL: Final = "tool_call"
# Lines are cut to the terminal's width where they are printed; this bounds what is held.
_MAX_LINE: Final = 1000


@dataclass(frozen=True)
class Words:
    """A part of a text, printed as it comes."""

    text: str


@dataclass(frozen=True)
class Line:
    """A line of its own."""

    text: str


@dataclass
class _Block:
    kind: str
    name: str
    parts: list[str] = field(default_factory=list)


class Spoken:
    """Follows the messages of one stream; of those that a model says at once, each text is whole once it ended."""

    def __init__(self, turn: int | None = None) -> None:
        self._turn = turn
        self._blocks: dict[tuple[str, int], _Block] = {}
        self._current: tuple[str, int] | None = None
        self.reply = ""
        """The last text that was said to its end."""
        self.is_over = False
        """Whether the run, or the turn, has told its end."""

    def take(self, message: "Message") -> list[Words | Line]:
        """Return what a message is worth showing; nothing for one of another turn."""
        about = message.metadata
        if message.gap is not None:
            return [Line(f"({message.gap.last - message.gap.first + 1} messages are no longer kept)")]
        if self._turn is not None and about.get("turn") != self._turn:
            return []
        key = (str(about.get("message_id") or ""), _read_index(about))
        match message.event:
            case "content-block-start":
                self._blocks[key] = _Block(str(about.get("block") or ""), str(about.get("name") or ""))
                return []
            case "content-block-delta":
                return self._add(key, str(about.get("text") or message.text))
            case "content-block-finish":
                return self._finish(key)
            case "message":
                return self._take_whole(message, about)
            case "tool-finished":
                return [Line(_describe_output(about))]
            case "completed" | "failed" | "attempt_failed":
                self.is_over = True
                return []
            case _:
                return []

    def _add(self, key: tuple[str, int], text: str) -> list[Words | Line]:
        block = self._blocks.setdefault(key, _Block(TEXT, ""))
        block.parts.append(text)
        if block.kind != TEXT:
            return []
        if self._current not in (None, key):
            # Another one is being said: this one is shown when it is whole.
            return []
        self._current = key
        return [Words(text)] if text else []

    def _take_whole(self, message: "Message", about: Mapping[str, Any]) -> list[Words | Line]:
        """Show a message whose parts were joined since; what was shown of it before is shown again."""
        found = about.get("blocks")
        shown = [
            Line(clip_line(f"→ {block.get('name') or ''}({block.get('text') or ''})", _MAX_LINE))
            for block in (found if isinstance(found, list) else ())
            if isinstance(block, Mapping) and block.get("block") == TOOL_CALL
        ]
        self._blocks = {key: block for key, block in self._blocks.items() if key[0] != about.get("message_id")}
        if not message.text:
            return [*shown]
        self.reply = message.text
        begun = [Line("")] if self._current is not None else []
        self._current = None
        return [*begun, Words(message.text), Line(""), *shown]

    def _finish(self, key: tuple[str, int]) -> list[Words | Line]:
        block = self._blocks.pop(key, None)
        if block is None:
            return []
        whole = "".join(block.parts)
        if block.kind == TOOL_CALL:
            return [Line(clip_line(f"→ {block.name}({whole})", _MAX_LINE))]
        if block.kind != TEXT:
            return []
        self.reply = whole
        if self._current == key:
            self._current = None
            return [Line("")]
        return [Words(whole), Line("")]


def _read_index(about: Mapping[str, Any]) -> int:
    index = about.get("index")
    return index if isinstance(index, int) else 0


def _describe_output(about: Mapping[str, Any]) -> str:
    name = about.get("name") or "tool"
    if about.get("truncated"):
        return f"← {name}: {about.get('size')} characters"
    status = "" if about.get("status") in (None, "success") else f" {about['status']}"
    return clip_line(f"← {name}{status}: {about.get('output', '')}", _MAX_LINE)
