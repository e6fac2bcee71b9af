"""Server-Sent Events read piece by piece, as the HTML standard has them. Pure."""

import codecs
from dataclasses import dataclass
from typing import Final

from agentic_client.errors import UnexpectedAnswer

MAX_EVENT_CHARACTERS: Final = 16 * 1024 * 1024


@dataclass(frozen=True)
class ServerSentEvent:
    """One event: its type and its data."""

    type: str
    data: str


class EventReader:
    """Cuts a stream of bytes into events; pieces may end anywhere, also within a character or a line's end."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("strict")
        self._rest: list[str] = []
        self._length = 0
        self._ended_with_cr = False
        self._type = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> list[ServerSentEvent]:
        """Return the events that are complete with this piece; raises ``UnexpectedAnswer`` for no such stream."""
        try:
            text = self._decoder.decode(piece)
        except UnicodeDecodeError as error:
            raise UnexpectedAnswer(f"the stream is no UTF-8: {error.reason}") from error
        if self._ended_with_cr and text:
            text = text.removeprefix("\n")
            self._ended_with_cr = False
        if text.endswith("\r"):
            self._ended_with_cr = True
        first, *others = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._keep(first)
        found: list[ServerSentEvent] = []
        for other in others:
            line = "".join(self._rest)
            self._rest.clear()
            self._take(line, found)
            self._keep(other)
        return found

    def _keep(self, text: str) -> None:
        self._rest.append(text)
        self._length += len(text)
        if self._length > MAX_EVENT_CHARACTERS:
            raise UnexpectedAnswer(f"an event of the stream has more than {MAX_EVENT_CHARACTERS} characters")

    def _take(self, line: str, found: list[ServerSentEvent]) -> None:
        if not line:
            if self._data:
                found.append(ServerSentEvent(self._type or "message", "\n".join(self._data)))
            self._type = ""
            self._data.clear()
            self._length = 0
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._type = value
        elif not name:
            # A comment: it keeps the connection open and is no part of any event.
            self._length -= len(line)
