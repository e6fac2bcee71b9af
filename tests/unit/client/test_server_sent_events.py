"""Server-Sent Events, however the network cuts them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_client import server_sent_events
from agentic_client.errors import UnexpectedAnswer
from agentic_client.server_sent_events import EventReader, ServerSentEvent

STREAM = (
    "\ufeffretry: 1000\n\n"
    ": keep-alive\n\n"
    'event: agent_message\nid: 1\ndata: {"a": "é\U0001f600"}\n\n'
    "data:first\r\ndata: second\r\n\r\n"
    "data: carriage\r\r"
    "event: nothing\n\n"
    "data\n\n"
    "data: unfinished\n"
).encode()
FOUND = [
    ServerSentEvent("agent_message", '{"a": "é\U0001f600"}'),
    ServerSentEvent("message", "first\nsecond"),
    ServerSentEvent("message", "carriage"),
    ServerSentEvent("message", ""),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_pieces_may_end_anywhere(cuts: list[int]) -> None:
    reader, found = EventReader(), []
    places = sorted({0, len(STREAM), *cuts})
    for start, end in pairwise(places):
        found += reader.feed(STREAM[start:end])
    assert found == FOUND


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(UnexpectedAnswer, match="no UTF-8"):
        EventReader().feed(b"data: \xff\n\n")


def test_an_event_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_sent_events, "MAX_EVENT_CHARACTERS", 1000)
    reader = EventReader()
    for _ in range(4):
        assert reader.feed(b"data: " + b"x" * 200 + b"\n") == []
    with pytest.raises(UnexpectedAnswer, match="more than 1000 characters"):
        reader.feed(b"data: " + b"x" * 200 + b"\n")


def test_comments_for_ever_are_no_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_sent_events, "MAX_EVENT_CHARACTERS", 1000)
    reader = EventReader()
    for _ in range(1000):
        assert reader.feed(b": keep-alive\n") == []
