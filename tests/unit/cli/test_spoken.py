"""What a session says, from the messages of its stream, and how it is printed."""

from datetime import UTC, datetime
from typing import Any

import pytest

from agentic_cli.model.sessions import parse_session
from agentic_cli.output.speaking import Printer, SpeakingLine
from agentic_cli.output.spoken import Line, Spoken, Words
from agentic_client import Message

AT = datetime(2026, 1, 1, tzinfo=UTC)


def said(event: str, **about: Any) -> Message:
    return Message("agent_message", AT, 1, 0, "", {"event": event, **about})


def start(kind: str = "text", index: int = 0, id_: str = "m", **about: Any) -> Message:
    return said("content-block-start", message_id=id_, index=index, block=kind, **about)


def delta(text: str, index: int = 0, id_: str = "m", **about: Any) -> Message:
    return said("content-block-delta", message_id=id_, index=index, text=text, **about)


def finish(index: int = 0, id_: str = "m", **about: Any) -> Message:
    return said("content-block-finish", message_id=id_, index=index, **about)


def take(*messages: Message, turn: int | None = None) -> list[Words | Line]:
    spoken = Spoken(turn)
    return [piece for message in messages for piece in spoken.take(message)]


def test_a_text_comes_part_by_part() -> None:
    spoken = Spoken()
    found = [piece for message in (start(), delta("hel"), delta("lo"), finish()) for piece in spoken.take(message)]
    assert found == [Words("hel"), Words("lo"), Line("")]
    assert spoken.reply == "hello"


def test_a_call_of_a_tool_is_one_line_and_what_came_of_it_another() -> None:
    found = take(
        start("tool_call", 1, name="search", call="c1"),
        delta('{"query": ', 1),
        delta('"a\nb"}', 1),
        finish(1),
        said("tool-finished", call="c1", name="search", status="success", output="three\nresults"),
        said("tool-finished", call="c2", name="order", status="error", output="no"),
        said("tool-finished", call="c3", name="page", status="success", truncated=True, size=90000),
    )
    assert [piece.text for piece in found] == [
        '→ search({"query": "a b"})',
        "← search: three results",
        "← order error: no",
        "← page: 90000 characters",
    ]


def test_of_two_texts_at_once_the_second_is_shown_when_it_is_whole() -> None:
    found = take(
        *(start(id_="a"), start(id_="b"), delta("one", id_="a"), delta("two", id_="b"), delta(" more", id_="a")),
        *(finish(id_="b"), finish(id_="a")),
    )
    assert found == [Words("one"), Words(" more"), Words("two"), Line(""), Line("")]


def test_reasoning_and_what_is_not_known_are_not_shown() -> None:
    assert (
        take(start("reasoning"), delta("hm"), finish(), said("node_started", node="a"), said("from-the-future")) == []
    )


def test_only_the_turn_that_is_followed_is_shown() -> None:
    assert take(start(turn=1), delta("old", turn=1), finish(turn=1), start(turn=2), delta("new", turn=2), turn=2) == [
        Words("new")
    ]


def test_a_stream_that_is_joined_within_a_text_shows_the_rest() -> None:
    assert take(delta("lo"), finish()) == [Words("lo"), Line("")]


def test_a_gap_is_told() -> None:
    assert take(Message("gap", AT, 9, 4, "", {})) == [Line("(5 messages are no longer kept)")]


@pytest.mark.parametrize("event", ["completed", "failed", "attempt_failed"])
def test_the_end_is_known(event: str) -> None:
    spoken = Spoken(2)
    spoken.take(said(event, turn=1))
    assert not spoken.is_over
    spoken.take(said(event, turn=2))
    assert spoken.is_over


def test_words_are_printed_as_they_come_and_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    printer = Printer(is_live=True)
    printer.print(Words("a\x1b[2J"))
    assert capsys.readouterr().out == "a\\u001b[2J"
    printer.print(Words("b"))
    printer.print(Line("→ tool()\x07"))
    found = capsys.readouterr()
    assert (found.out, found.err) == ("b\n", "→ tool()\\u0007\n")


def test_in_a_pipe_a_text_is_printed_once_it_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    printer = Printer(is_live=False)
    printer.print(Words("a"))
    printer.print(Words("b"))
    assert capsys.readouterr().out == ""
    printer.print(Line(""))
    assert capsys.readouterr().out == "ab\n"


def test_what_came_before_the_turns_number_is_known_is_not_lost(capsys: pytest.CaptureFixture[str]) -> None:
    def session(*turns: dict[str, object]) -> Any:
        return parse_session({"metadata": {"name": "s"}, "spec": {}, "status": {"phase": "Running", "turns": turns}})

    with SpeakingLine("t0002") as view:
        view.show(session())
        for message in (start(turn=2), delta("new", turn=2), delta("old", turn=1)):
            view.hear(message)
        assert "new" not in capsys.readouterr().out
        view.show(session({"name": "t0002", "number": 2, "phase": "Running"}))
        view.hear(finish(turn=2))
        view.hear(said("completed", turn=2))
        view.finish(5)
    assert capsys.readouterr().out == "new\n"
    assert view.reply == "new"


def test_a_message_whose_parts_were_joined_is_shown_whole_and_once() -> None:
    spoken = Spoken()
    assert spoken.take(delta("Hel")) == [Words("Hel")]
    call = {"index": 1, "block": "tool_call", "name": "f", "text": "{}"}
    about = {"event": "message", "message_id": "m", "blocks": [{"index": 0, "block": "text", "length": 5}, call]}
    joined = Message("agent_message", AT, 5, 3, "Hello", about)
    assert spoken.take(joined) == [Line(""), Words("Hello"), Line(""), Line("→ f({})")]
    assert spoken.reply == "Hello"
