"""The command itself: help, wrong usage, colours, and what it loads."""

import io
import subprocess
import sys

import pytest

from agentic_cli.terminal import wants_colour
from tests.support.commands import clean_environment, run_agentic


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_help_names_the_commands_and_where_the_connection_string_comes_from() -> None:
    done = run_agentic("migrate", "--help", env=clean_environment())

    assert done.returncode == 0
    for word in ("up", "down", "status", "POSTGRES_CONNECTION_STRING_FILE", "PGPASSWORD"):
        assert word in done.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(["migrate", "sideways"], "No such command 'sideways'", id="unknown command"),
        pytest.param(["migrate", "down", "--to", "0"], "Missing option '--confirm'", id="down without confirmation"),
        pytest.param(["migrate", "up", "--to", "soon"], "'soon' is not a valid integer", id="not a version"),
        pytest.param(["migrate", "up", "--wait", "-1"], "-1", id="negative patience"),
    ],
)
def test_wrong_usage_exits_2_and_says_what(arguments: list[str], complaint: str) -> None:
    done = run_agentic(*arguments, env=clean_environment())

    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_no_database_configured_is_one_line() -> None:
    done = run_agentic("migrate", "status", env=clean_environment())

    assert done.returncode == 1
    assert done.stderr.startswith("error: no database is configured: set POSTGRES_CONNECTION_STRING_FILE")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("stream", "environ", "expected"),
    [
        pytest.param(Terminal(), {}, True, id="a terminal"),
        pytest.param(Terminal(), {"NO_COLOR": "1"}, False, id="a terminal, NO_COLOR"),
        pytest.param(Terminal(), {"TERM": "dumb"}, False, id="a terminal that has none"),
        pytest.param(io.StringIO(), {}, False, id="a pipe"),
    ],
)
def test_colours_are_for_people(stream: io.StringIO, environ: dict[str, str], expected: bool) -> None:
    assert wants_colour(stream, environ) is expected


def test_it_loads_neither_langgraph_nor_pydantic() -> None:
    probe = "import sys, agentic_cli.main; print(*{name.partition('.')[0] for name in sys.modules})"

    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)

    assert not {"langgraph", "langchain_core", "pydantic", "rich", "kopf"} & set(done.stdout.split())
