"""Conversations as text: turns, what was said and answered, and one line of progress."""

import threading
from datetime import UTC, datetime
from typing import Any

import click
import pytest
from rich.cells import cell_len

from agentic_cli.model.sessions import Session, parse_session
from agentic_cli.model.turns import require_turn
from agentic_cli.output.conversation import (
    build_object,
    build_row,
    describe_end,
    describe_history,
    describe_progress,
    describe_turns,
)
from agentic_cli.output.progress import ProgressLine, fit_line
from agentic_cli.output.rendering import describe_change, describe_session
from tests.support.raw_sessions import a_raw_conversation

NOW = datetime(2026, 5, 1, 10, 5, tzinfo=UTC)
HI = {"name": "t0001", "input": {"messages": [{"role": "user", "content": "hi\nthere"}]}, "by": "ann"}
MORE = {"name": "t0002", "input": {"messages": [{"role": "user", "content": "more"}]}, "by": "bob"}
FIRST = {
    "name": "t0001",
    "number": 1,
    "phase": "Completed",
    "by": "ann",
    "startedAt": "2026-05-01T10:00:05Z",
    "checkpointId": "c1",
}
END = {"name": "t0001", "number": 1, "phase": "Completed", "checkpointId": "c1"}
RESULT = {
    "messages": [
        {"type": "human", "content": "hi\nthere"},
        {"type": "ai", "content": "", "tool_calls": [{}]},
        {"type": "tool", "content": "found"},
        {"type": "ai", "content": "hello"},
    ]
}
IDLE: dict[str, Any] = {"phase": "Idle", "turnCount": 1, "turns": [FIRST], "turnEnd": END, "result": RESULT}


def a_conversation(*turns: dict[str, Any], status: dict[str, Any]) -> Session:
    return parse_session(a_raw_conversation(*turns, status=status))


def history_of(session: Session) -> list[str]:
    return [click.unstyle(line) for line in describe_history(session)]


def test_a_graph_of_messages_tells_the_whole_conversation_and_then_what_waits() -> None:
    session = a_conversation(HI, MORE, status=IDLE)
    assert history_of(session) == ["> hi\n> there", "hello", "> more", "(t0002 Queued)"]


def test_what_failed_after_the_last_result_is_told_behind_it() -> None:
    failed = {**FIRST, "name": "t0002", "number": 2, "phase": "Failed", "error": {"type": "E"}}
    status = {**IDLE, "turns": [FIRST, failed], "turnEnd": {**END, "name": "t0002", "number": 2, "phase": "Failed"}}
    session = a_conversation(HI, MORE, status=status)
    assert history_of(session) == ["> hi\n> there", "hello", "> more", "t0002 Failed: E"]


def test_a_long_conversation_is_shown_from_near_its_end() -> None:
    messages = [{"type": "human", "content": str(number)} for number in range(30)]
    lines = history_of(a_conversation(HI, status={**IDLE, "result": {"messages": messages}}))
    assert (lines[0], lines[1], lines[-1]) == ("… 10 messages before", "> 10", "> 29")


def test_other_results_are_told_turn_by_turn_with_the_last_one() -> None:
    turns = [
        FIRST,
        {
            **FIRST,
            "name": "t0002",
            "number": 2,
            "phase": "Failed",
            "error": {"type": "E", "message": "x\x1b[2J"},
        },
        {**FIRST, "name": "t0003", "number": 3},
    ]
    end = {**END, "name": "t0003", "number": 3}
    third = {"name": "t0003", "command": {"goto": "review"}}
    status = {**IDLE, "turns": turns, "turnEnd": end, "result": {"answer": "yes"}}
    assert history_of(a_conversation(HI, MORE, third, status=status)) == [
        "> hi\n> there",
        "(t0001 Completed)",
        "> more",
        "t0002 Failed: E: x\\u001b[2J",
        '> {"goto": "review"}',
        "yes",
    ]
    replies = {"t0001": "hello"}
    assert "hello" in [*describe_history(a_conversation(HI, MORE, third, status=status), replies)]


def test_small_results_of_earlier_turns_are_told_with_them() -> None:
    turns = [
        {**FIRST, "result": {"answer": "hello"}},
        {**FIRST, "name": "t0002", "number": 2, "result": {"messages": [{"type": "ai", "content": "more of it"}]}},
        {**FIRST, "name": "t0003", "number": 3, "result": {"answer": "an older copy"}},
    ]
    third = {"name": "t0003", "input": {"messages": "and?"}}
    status = {**IDLE, "turns": turns, "turnEnd": {**END, "name": "t0003", "number": 3}, "result": {"answer": "yes"}}
    told = history_of(a_conversation(HI, MORE, third, status=status))
    assert told[1::2] == ["hello", "more of it", "yes"]


def test_a_result_that_is_kept_elsewhere_is_pointed_at() -> None:
    reference = {"size": 70000, "sha256": "ab", "url": "s3://b/k"}
    status = {key: value for key, value in IDLE.items() if key != "result"} | {"resultRef": reference}
    session = a_conversation(HI, status=status)
    assert "kept at s3://b/k" in describe_end(session, require_turn(session, "t0001"))


def test_turns_are_a_table() -> None:
    session = a_conversation(HI, {**MORE, "cancel": True}, status=IDLE)
    rows = [build_row(require_turn(session, name), NOW) for name in ("t0001", "t0002")]
    assert rows == [
        ("t0001", "1", "Completed", "ann", "4m55s", "c1", "hi there"),
        ("t0002", "", "Queued (canceling)", "bob", "", "", "more"),
    ]
    assert describe_turns(session, NOW)[:2] == ["", "Turns:"]
    assert describe_turns(parse_session(a_raw_conversation()), NOW) == []


def test_a_turn_is_an_object_for_programs() -> None:
    session = a_conversation(HI, status=IDLE)
    built = build_object(session, require_turn(session, "t0001"))
    assert (built["session"], built["phase"], built["number"], built["by"]) == ("c", "Completed", 1, "ann")
    assert built["result"] == RESULT
    assert built["input"] == HI["input"]


CURRENT: dict[str, Any] = {
    "phase": "Running",
    "turnCount": 1,
    "turn": {"name": "t0001", "number": 1},
    "turns": [{**FIRST, "phase": "Running"}],
}


@pytest.mark.parametrize(
    ("status", "spec", "line"),
    [
        ({**CURRENT, "currentNode": "agent", "steps": 3}, (HI,), "agent · step 3 · 7s"),
        ({"phase": "Idle"}, (HI,), "Queued · 7s"),
        ({**CURRENT, "progress": "40%"}, (HI,), "Running · 40% · 7s"),
        (
            {"phase": "Pending", "reason": "Queued", "message": "20 run\nalready"},
            (HI,),
            "Pending (Queued) · 20 run already · 7s",
        ),
        ({**CURRENT, "phase": "Creating"}, ({**HI, "cancel": True},), "canceling · Creating · 7s"),
    ],
)
def test_progress_is_one_line(status: dict[str, Any], spec: tuple[dict[str, Any], ...], line: str) -> None:
    assert describe_progress(a_conversation(*spec, status=status), "t0001", 7.2) == line


def test_progress_says_what_a_turn_waits_behind() -> None:
    session = a_conversation(HI, MORE, {"name": "t0003", "by": "bob"}, status=CURRENT)
    assert describe_progress(session, "t0002", 0) == "waits behind t0001 by ann · 0s"
    assert describe_progress(session, "t0003", 0) == "waits behind t0001 by ann and 1 more · 0s"


@pytest.mark.parametrize("columns", [1, 8, 80, 200])
@pytest.mark.parametrize("text", ["short", "x" * 300, "長い文" * 60, "e\u0301" * 300, "👩‍👩‍👧‍👦" * 40])
def test_a_line_of_progress_never_wraps(text: str, columns: int) -> None:
    line = fit_line(text, columns)
    assert cell_len(line) < columns or columns <= 2
    assert line == text or line.endswith("…")


def test_a_description_says_that_it_is_a_conversation() -> None:
    assert "Mode:        Conversation, 1 turn, t0001 is on" in describe_session(a_conversation(HI, status=CURRENT), NOW)
    assert "Mode:        Conversation, 1 turn" in describe_session(a_conversation(HI, status=IDLE), NOW)


def test_a_change_names_the_turn_that_is_on() -> None:
    assert describe_change(a_conversation(HI, status={**CURRENT, "steps": 2})) == "Running turn t0001 step 2"


def test_ctrl_c_while_the_line_of_progress_begins_is_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(thread: threading.Thread) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), ProgressLine("s") as line, line.pause():
        monkeypatch.setattr(threading.Thread, "start", interrupt)
