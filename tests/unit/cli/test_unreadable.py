"""A status that nobody can read is one line that says so, and keeps nobody from seeing the others."""

from datetime import UTC, datetime
from typing import Any

import pytest

from agentic_cli.model.sessions import UNREADABLE, parse_session
from agentic_cli.output.durations import format_age
from agentic_cli.output.rendering import describe_change, describe_session
from tests.support.raw_sessions import a_raw_session

NOW = datetime(2026, 5, 1, 10, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "status",
    [
        {"interrupts": [{"value": "no id"}]},
        {"interrupts": ["a text"]},
        {"interrupts": 3},
        {"answers": [3]},
        {"conditions": "none"},
        "a text",
    ],
)
def test_a_status_that_cannot_be_read_is_shown_as_that(status: Any) -> None:
    session = parse_session(a_raw_session(status=status))
    assert (session.name, session.namespace, session.phase) == ("s", "team", UNREADABLE)
    assert "-o yaml" in describe_change(session)


@pytest.mark.parametrize("time", ["soon", "99999-01-01T00:00:00Z", "2026-05-01T10:00:00", "0000-00-00T00:00:00Z"])
def test_times_that_are_none_are_left_out(time: str) -> None:
    session = parse_session(a_raw_session(status={"phase": "Running", "startTime": time, "completionTime": time}))
    assert describe_session(session, NOW)
    assert format_age(time, NOW) == "<unknown>"
