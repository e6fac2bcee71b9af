"""Sessions and workflows as text."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from agentic_cli.model.exit_status import ExitStatus, find_outcome
from agentic_cli.model.sessions import parse_session, parse_workflow
from agentic_cli.output.durations import format_age, format_duration, read_duration
from agentic_cli.output.live import build_view, read_percent
from agentic_cli.output.rendering import (
    describe_change,
    describe_open_questions,
    describe_refusal,
    describe_session,
    describe_workflow,
    read_table,
    strip_noise,
)
from agentic_cli.output.terminal import fit_columns, print_json
from tests.support.raw_sessions import a_raw_session, a_raw_workflow, a_waiting_session, an_interrupt

NOW = datetime(2026, 5, 1, 10, 5, tzinfo=UTC)
RUNNING = {
    "phase": "Running",
    "reason": "Running",
    "startTime": "2026-05-01T10:00:05Z",
    "currentNode": "detect",
    "progress": "40%",
    "steps": 3,
    "run": 1,
}


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (None, "Pending"),
        ({"phase": "Pending", "reason": "Queued", "message": "20 run already"}, "Pending (Queued) - 20 run already"),
        (RUNNING, "Running step 3 node detect 40%"),
        ({"phase": "Completed", "reason": "Completed", "steps": 5, "progress": "100%"}, "Completed step 5 100%"),
        (
            {"phase": "Failed", "reason": "GraphError", "message": "a\nb\x1b[31m", "currentNode": "x"},
            "Failed (GraphError) - a b\\u001b[31m",
        ),
        ({"phase": "Resting"}, "Resting"),
    ],
)
def test_a_change_is_one_line(status: dict[str, Any] | None, line: str) -> None:
    assert describe_change(parse_session(a_raw_session(status=status))) == line


def test_open_questions_are_a_line_each() -> None:
    answered = an_interrupt("old", answeredAt="2026-05-01T10:02:00Z")
    session = parse_session(
        a_waiting_session(answered, an_interrupt("new", {"prompt": "Go\non?", "options": ["y", "n"]}))
    )
    assert list(describe_open_questions(session)) == ["question new: Go on? [y/n]"]


def test_a_session_is_described() -> None:
    raw = a_raw_session(status={**RUNNING, "result": None}, inputs={"a": 1}, displayName="Report")
    lines = describe_session(parse_session(raw), NOW)
    assert lines[:5] == [
        "Name:        s",
        "Namespace:   team",
        "Title:       Report",
        "Workflow:    w",
        "Phase:       Running",
    ]
    for line in (
        "Node:        detect",
        "Steps:       3",
        "Age:         5m",
        "Duration:    4m55s",
        'Inputs:      {"a": 1}',
    ):
        assert line in lines
    assert lines[-2:] == ["Result:", "null"]


def test_a_question_is_described_with_how_to_answer_it() -> None:
    lines = describe_session(
        parse_session(a_waiting_session(an_interrupt("q", {"prompt": "Go?", "options": ["y", "n"]}))), NOW
    )
    assert "Question: Go?" in lines
    assert "  options: y, n" in lines
    assert lines[-1] == "answer with: agentic respond s -n team"


def test_a_result_elsewhere_and_an_error_are_described() -> None:
    reference = {"size": 40_000, "sha256": "ab", "url": "db://workflow_sessions/team/s"}
    status = {"phase": "Completed", "resultRef": reference}
    assert describe_session(parse_session(a_raw_session(status=status)), NOW)[-1] == (
        "the result (40000 bytes, sha256 ab) is too large for the status; it is kept at db://workflow_sessions/team/s"
    )
    failed = {"phase": "Failed", "reason": "GraphError", "error": {"type": "ValueError", "node": "detect"}}
    assert "Error:       ValueError in node detect" in describe_session(
        parse_session(a_raw_session(status=failed)), NOW
    )


def test_a_long_result_is_cut_with_a_word_about_it() -> None:
    status = {"phase": "Completed", "result": ["x" * 100] * 100}
    lines = describe_session(parse_session(a_raw_session(status=status)), NOW)
    assert "more characters: agentic result s" in lines[-1]


def test_a_workflow_is_described_with_its_inputs() -> None:
    schema = {
        "type": "object",
        "required": ["dataset"],
        "properties": {
            "threshold": {"type": "number", "default": 1.5},
            "dataset": {"enum": ["cars", "weather"], "description": "Which"},
        },
    }
    status = {
        "conditions": [{"type": "Ready", "status": "False", "reason": "ImagePullFailed", "message": "no such image"}],
        "graph": {"nodes": ["a", "b"], "edges": ["a -> b"]},
    }
    lines = describe_workflow(parse_workflow(a_raw_workflow(status=status, inputSchema=schema)), NOW)
    assert "Ready:       False (ImagePullFailed)" in lines
    assert "Message:     no such image" in lines
    assert lines[-6:] == [
        "Graph:",
        "  a -> b",
        "",
        "Inputs:",
        '  dataset    "cars"|"weather"  required     Which',
        "  threshold  number            default 1.5",
    ]


def test_a_table_of_the_server_keeps_what_is_shown() -> None:
    page = {
        "columnDefinitions": [{"name": "Name"}, {"name": "Run", "priority": 1}, {"name": "Age"}],
        "rows": [{"cells": ["s\x1b", 1, None], "object": {"metadata": {"namespace": "team"}}}],
    }
    assert read_table(page, wide=False) == (("NAME", "AGE"), [("team", ("s\\u001b", ""))])
    assert read_table(page, wide=True)[0] == ("NAME", "RUN", "AGE")
    assert read_table({}, wide=False) == ((), [])


def test_objects_are_printed_without_who_set_which_field() -> None:
    raw = a_raw_session()
    raw["metadata"]["managedFields"] = [{"manager": "x"}]
    assert "managedFields" not in strip_noise(raw)["metadata"]


def test_json_on_a_terminal_is_the_same_json(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"ü": "a\x9b31m\u202eb\x1b\u2028", "nested": [1, None]}
    print_json(value)
    text = capsys.readouterr().out
    assert json.loads(text) == value
    assert "\x9b" not in text
    assert "\u202e" not in text
    assert "ü" in text


@pytest.mark.parametrize(
    ("raw", "may_answer", "expected"),
    [
        pytest.param(a_raw_session(), True, None, id="not looked at yet"),
        pytest.param(a_raw_session(status=RUNNING), True, None, id="running"),
        pytest.param(a_raw_session(status={"phase": "Suspended"}), False, None, id="suspended: somebody may resume it"),
        pytest.param(a_raw_session(status={"phase": "Completed"}), True, ExitStatus.COMPLETED, id="completed"),
        pytest.param(a_raw_session(status={"phase": "Failed"}), True, ExitStatus.FAILED, id="failed"),
        pytest.param(a_raw_session(status={"phase": "Stopped"}), True, ExitStatus.STOPPED, id="stopped"),
        pytest.param(a_waiting_session(), True, None, id="waiting, and somebody may answer"),
        pytest.param(a_waiting_session(), False, ExitStatus.WAITING, id="waiting, and nobody here answers"),
        pytest.param(
            a_waiting_session(responses=[{"interruptId": "i1", "value": 1}]),
            False,
            None,
            id="answered and about to go on",
        ),
        pytest.param(a_raw_session(status={"phase": "Resting"}), False, None, id="a phase of the future"),
    ],
)
def test_phases_become_exit_statuses(raw: dict[str, Any], may_answer: bool, expected: ExitStatus | None) -> None:
    assert find_outcome(parse_session(raw), may_answer=may_answer) is expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (130, "2m10s"),
        (600, "10m"),
        (7200, "120m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 60, "3h1m"),
        (9 * 3600, "9h"),
        (2 * 86400, "2d"),
        (2 * 86400 + 3600, "2d1h"),
        (9 * 86400, "9d"),
        (800 * 86400, "2y"),
        (-5, "0s"),
    ],
)
def test_durations_read_as_kubectl_writes_them(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
    assert format_age((NOW - timedelta(seconds=seconds)).isoformat(), NOW) == text


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("1h30m", 5400), ("1d", 86400), ("0", 0)]
)
def test_durations_as_people_write_them(text: str, seconds: float) -> None:
    assert read_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "5x", "-5", "1h30", "inf", "nan", "5 m", "1e3", "9" * 30])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        read_duration(text)


@pytest.mark.parametrize(
    ("text", "percent"), [("40%", 40), ("140%", 100), ("-1%", 0), ("40", None), ("", None), ("x%", None)]
)
def test_a_progress_is_drawn_where_it_is_a_percentage(text: str, percent: float | None) -> None:
    assert read_percent(text) == percent


def test_the_live_view_shows_phase_nodes_progress_and_steps() -> None:
    console = Console(width=100, color_system=None)
    session = parse_session(a_raw_session(status={**RUNNING, "message": "half\x1b[2J way"}))
    with console.capture() as captured:
        console.print(build_view(session, ["load", "detect", "report"], ["load", "detect"]))
    text = captured.get()
    for part in ("s  Running", "✓ load · ● detect · report", "40%", "step 3", "half\\u001b[2J way"):
        assert part in text


def test_a_session_that_no_operator_takes_up_says_so_after_a_while() -> None:
    fresh = describe_session(parse_session(a_raw_session()), datetime(2026, 5, 1, 10, 0, 5, tzinfo=UTC))
    assert not any("no operator" in line for line in fresh)
    told = describe_session(parse_session(a_raw_session()), NOW)
    assert "no operator has taken it up: is one running that serves namespace 'team'?" in "\n".join(told)
    taken_up = describe_session(parse_session(a_raw_session(status={"phase": "Pending"})), NOW)
    assert not any("no operator" in line for line in taken_up)


REFUSED = {"type": "InputAccepted", "status": "False", "reason": "InvalidAnswer", "message": "/a: no number"}


def test_a_refused_answer_and_other_problems_are_shown() -> None:
    lost = {"type": "CheckpointsLost", "status": "True", "reason": "CheckpointsLost", "message": "3 steps run again"}
    fine = {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "all is well"}
    raw = a_waiting_session(responses=[{"interruptId": "i1", "value": "x"}])
    raw["status"]["conditions"] = [REFUSED, lost, fine]
    text = "\n".join(describe_session(parse_session(raw), NOW))
    assert "InputAccepted=False (InvalidAnswer): /a: no number" in text
    assert "CheckpointsLost=True (CheckpointsLost): 3 steps run again" in text
    assert "all is well" not in text
    assert describe_refusal(parse_session(raw)) == "answer refused (InvalidAnswer): /a: no number"
    raw["status"]["phase"] = "Completed"
    assert "InputAccepted" not in "\n".join(describe_session(parse_session(raw), NOW))


def test_a_rule_that_is_not_met_yet_is_no_refusal() -> None:
    raw = a_waiting_session()
    raw["status"]["conditions"] = [{**REFUSED, "reason": "ApprovalsMissing"}]
    assert describe_refusal(parse_session(raw)) == ""
    assert "InputAccepted" not in "\n".join(describe_session(parse_session(raw), NOW))


HEADER = ("NAME", "WORKFLOW", "PHASE", "REASON", "NODE", "PROGRESS", "QUESTION", "AGE")
WAITING = (
    "seattle-weather-approval",
    "outliers",
    "WaitingForInput",
    "WaitingForInput",
    "ask_person",
    "40%",
    "Approve outlier removal?",
    "12m",
)
RUNNING_ROW = ("nightly-outliers-x7k2p", "outliers-of-weather", "Running", "Running", "find_outliers", "25%", "", "3s")


@pytest.mark.parametrize("width", [80, 100, 132])
def test_each_row_of_a_table_is_one_line_of_the_terminal(width: int) -> None:
    header, *rows = fit_columns([HEADER, WAITING, RUNNING_ROW], width)
    columns = list(zip(header, *rows, strict=True))
    assert sum(max(map(len, column)) for column in columns) + 2 * (len(columns) - 1) <= width
    for row, whole in zip(rows, (WAITING, RUNNING_ROW), strict=True):
        found = dict(zip(header, row, strict=True))
        assert (found["NAME"], found["PHASE"], found["AGE"]) == (whole[0], whole[2], whole[7])
    assert "QUESTION" in header


def test_empty_columns_are_left_out_before_others() -> None:
    header, row = fit_columns([HEADER, RUNNING_ROW], 84)
    assert "QUESTION" not in header
    assert {"REASON", "NODE", "PROGRESS"} <= set(header)
    assert row[0] == RUNNING_ROW[0]


def test_without_a_width_only_very_long_cells_are_cut() -> None:
    assert fit_columns([HEADER, WAITING], 0) == [HEADER, WAITING]
    (_, cut) = fit_columns([("NAME", "MESSAGE"), ("a", "x" * 500)], 0)
    assert cut == ("a", "x" * 79 + "…")
