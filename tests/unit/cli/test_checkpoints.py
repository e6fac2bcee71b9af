"""A session's checkpoints, as ``agentic checkpoints`` shows them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from agentic_cli.commands.checkpoints import HEADER, build_row, read_history
from agentic_cli.model.sessions import parse_session
from tests.support.raw_sessions import a_raw_session

NOW = datetime(2026, 5, 1, 10, 5, tzinfo=UTC)


def test_the_newest_checkpoint_comes_first() -> None:
    raw = a_raw_session(status={"phase": "Running", "history": [{"id": "c1"}, {"id": "c2"}]})
    assert [entry["id"] for entry in read_history(parse_session(raw))] == ["c2", "c1"]
    assert read_history(parse_session(a_raw_session())) == []


@pytest.mark.parametrize(
    ("entry", "row"),
    [
        (
            {"id": "c2", "step": 2, "node": "left, right", "next": "join", "at": "2026-05-01T10:04:00Z"},
            ("c2", "2", "left, right", "join", "60s"),
        ),
        ({"id": "c0", "step": -1, "at": "2026-05-01T10:04:30Z"}, ("c0", "-1", "", "", "30s")),
        ({"id": "c", "node": "a\x1b[2Jb"}, ("c", "", "a\\u001b[2Jb", "", "<unknown>")),
    ],
    ids=["whole", "of the inputs", "with characters that steer a terminal"],
)
def test_a_checkpoint_is_one_line(entry: dict[str, Any], row: tuple[str, ...]) -> None:
    assert build_row(entry, NOW) == row
    assert len(row) == len(HEADER)
