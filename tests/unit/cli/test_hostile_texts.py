"""Whatever a session holds, what the command prints of it steers no terminal and hides nothing."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from agentic_cli.model.sessions import parse_session, parse_workflow
from agentic_cli.output.live import build_view
from agentic_cli.output.rendering import (
    align,
    describe_change,
    describe_open_questions,
    describe_session,
    describe_workflow,
    read_table,
)
from agentic_cli.output.terminal import print_json, print_yaml, show_styled
from agentic_core.display import find_hidden
from tests.support.raw_sessions import a_raw_session, a_raw_workflow, an_interrupt

NOW = datetime(2026, 5, 1, 10, 5, tzinfo=UTC)
HOSTILE = "\x1b\x07\x9b\u061c\u200b\u200d\u200e\u2028\u202e\u2066\ufeff\U000e0041"
TEXTS = st.text(st.sampled_from(HOSTILE + "ab \n"), max_size=12)


def a_hostile_session(draw: st.DrawFn) -> dict[str, Any]:
    def text() -> str:
        return draw(TEXTS)

    question = an_interrupt(
        text() or "q",
        {"prompt": text(), "options": [text(), text()], text(): text()},
        node=text(),
        prompt=text(),
        options=[{"label": text(), "value": text()}],
        schema={"type": "object", "properties": {text(): {"description": text()}}},
    )
    answered = an_interrupt("old", text(), answeredAt="2026-05-01T10:02:00Z", answeredBy=text())
    return a_raw_session(
        status={
            "phase": text(),
            "reason": text(),
            "message": text(),
            "currentNode": text(),
            "progress": text(),
            "checkpointId": text(),
            "question": text(),
            "run": 1,
            "steps": 2,
            "error": {"type": text(), "node": text(), "message": text()},
            "interrupts": [question, answered],
            "workflow": {"image": text(), "version": text()},
            draw(st.sampled_from(["result", "resultRef"])): {"url": text(), text(): text()},
        }
    )


def hidden_in(lines: list[str]) -> list[str]:
    return find_hidden("\n".join(lines))


SESSIONS = st.composite(a_hostile_session)()


@given(SESSIONS)
def test_no_line_about_a_session_hides_anything(raw: dict[str, Any]) -> None:
    session = parse_session(raw)
    lines = [*describe_session(session, NOW), describe_change(session), *describe_open_questions(session)]
    console = Console(width=200, color_system=None)
    with console.capture() as captured:
        console.print(build_view(session, [session.node, "b"], [session.node]))
    assert hidden_in([*lines, captured.get()]) == []


@given(TEXTS, TEXTS)
def test_no_line_of_a_table_or_a_definition_hides_anything(one: str, other: str) -> None:
    columns = [{"name": "Name"}, {"name": "Question"}]
    _, rows = read_table({"columnDefinitions": columns, "rows": [{"cells": [one, other]}]}, wide=True)
    workflow = parse_workflow(
        a_raw_workflow(
            image=one,
            description=other,
            graph=one,
            tags=[other],
            status={"conditions": [{"type": "Ready", "status": "False", "reason": one, "message": other}]},
        )
    )
    lines = [cell for _, cells in rows for cell in cells] + align([(one, other)]) + describe_workflow(workflow, NOW)
    assert hidden_in(lines) == []


@given(raw=SESSIONS)
def test_json_and_yaml_hide_nothing_and_are_exact(raw: dict[str, Any]) -> None:
    printed: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("click.echo", lambda text, **_: printed.append(text))
        print_json(raw)
        print_yaml(raw)
    assert hidden_in(printed) == []
    assert json.loads(printed[0]) == raw
    assert yaml.safe_load(printed[1]) == raw


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m \x1b[1;38;5;8mgrey\x1b[m", None),
        ("\x1b[8mconcealed", "\\u001b[8mconcealed"),
        ("\x1b[1;8mconcealed", "\\u001b[1;8mconcealed"),
        ("\x1b[2J\x1b]0;t\x07\u202e", "\\u001b[2J\\u001b]0;t\\u0007\\u202e"),
    ],
)
def test_of_what_steers_a_terminal_colours_alone_reach_it(text: str, shown: str | None) -> None:
    assert show_styled(text) == (shown or text)
