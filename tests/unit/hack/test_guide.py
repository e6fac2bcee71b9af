"""How the tests of guides read their commands."""

import pytest

from tests.support.guide import split_command


@pytest.mark.parametrize(
    ("first", "rest", "command", "shown"),
    [
        ("ls", ["a", "b"], "ls", ["a", "b"]),
        ("cat -f - <<EOF", ["x: 1", "EOF", "printed"], "cat -f - <<EOF\nx: 1\nEOF", ["printed"]),
        ("make \\", ["  this \\", "  that", "done"], "make \\\n  this \\\n  that", ["done"]),
    ],
)
def test_a_command_is_told_from_what_it_prints(first: str, rest: list[str], command: str, shown: list[str]) -> None:
    assert split_command(first, rest) == (command, shown)
