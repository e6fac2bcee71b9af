"""`@latest`: which session it is, and when it is none."""

import pytest

from agentic_cli.model.latest import find_latest
from agentic_core.errors import PermanentError


def made(name: str, at: str) -> dict[str, dict[str, str]]:
    return {"metadata": {"name": name, "creationTimestamp": at}}


def test_it_is_the_one_that_was_made_last_whatever_their_order() -> None:
    sessions = [made("b", "2026-01-02T00:00:00Z"), made("c", "2026-01-03T00:00:00Z"), made("a", "2026-01-01T00:00:00Z")]
    assert find_latest(sessions, "team") == "c"


def test_without_a_session_there_is_none() -> None:
    with pytest.raises(PermanentError, match="there is no session in namespace 'team'"):
        find_latest([], "team")


def test_of_two_that_were_made_in_one_second_none_is_the_last() -> None:
    sessions = [made("b", "2026-01-02T00:00:00Z"), made("a", "2026-01-02T00:00:00Z"), made("c", "2026-01-01T00:00:00Z")]
    with pytest.raises(PermanentError, match="could be any of a, b"):
        find_latest(sessions, "team")
