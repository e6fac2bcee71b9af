"""The command itself: help, wrong usage, colours, and what it loads."""

import io
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from agentic_cli.main import COMMANDS, agentic, explain_unexpected, find_program_name
from agentic_cli.output.terminal import wants_colour
from agentic_core import __version__
from tests.support.commands import ROOT, clean_environment, run_agentic


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_help_names_the_commands_and_where_the_connection_string_comes_from() -> None:
    done = run_agentic("migrate", "--help", env=clean_environment())

    assert done.returncode == 0
    for word in ("up", "down", "status", "verify", "POSTGRES_CONNECTION_STRING_FILE", "PGPASSWORD"):
        assert word in done.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(["migrate", "sideways"], "No such command 'sideways'", id="unknown command"),
        pytest.param(["migrate", "down"], "Missing option '--to'", id="down without an end"),
        pytest.param(["migrate", "up", "--to", "soon"], "'soon' is not a valid integer", id="not a version"),
        pytest.param(["migrate", "up", "--wait", "-1"], "-1", id="negative patience"),
        pytest.param(["runn"], "No such command 'runn'. Did you mean 'run'?", id="a mistyped command"),
        pytest.param(["migrate", "stats"], "Did you mean 'status'?", id="a mistyped command of a group"),
        pytest.param(["workflows", "gett", "w"], "Did you mean 'get'?", id="a mistyped command of another group"),
        pytest.param(["-n", "team", "migrate", "up"], "--namespace has no effect on `migrate`", id="no cluster asked"),
        pytest.param(
            ["run", "w", "--timeout", "5m"], "--timeout has no effect without --wait or --watch", id="timeout"
        ),
        pytest.param(["retry", "s", "--no-answer"], "--no-answer has no effect without", id="no answer to nothing"),
        pytest.param(
            ["result", "s", "--timeout", "5m"], "--timeout has no effect without --wait", id="a result at once"
        ),
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


def modules_after(statement: str) -> set[str]:
    """Return the names of the packages that a new interpreter has loaded after ``statement``."""
    probe = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_its_help_loads_next_to_nothing() -> None:
    loaded = modules_after("from agentic_cli.main import run; run(['agentic', '--help'])")

    assert not {"langgraph", "pydantic", "rich", "kopf", "httpx", "yaml", "psycopg", "agentic_store", "ssl"} & loaded


def test_a_listing_loads_no_more_than_it_needs() -> None:
    loaded = modules_after("import agentic_cli.commands.sessions, agentic_cli.kube.client, agentic_cli.kube.kubeconfig")

    assert not {"langgraph", "pydantic", "kopf", "kubernetes", "psycopg", "agentic_store", "jsonschema_rs"} & loaded


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_there_and_its_help_has_examples(command: str) -> None:
    loaded = agentic.get_command(click.Context(agentic), command)

    assert loaded is not None
    text = loaded.get_help(click.Context(loaded, info_name=command))
    assert command == "migrate" or "Examples:" in text
    assert COMMANDS[command][1].endswith(".")


@pytest.mark.parametrize(
    ("argument", "name"),
    [
        ("/usr/bin/agentic", "agentic"),
        ("/usr/bin/kubectl-agentic", "kubectl agentic"),
        ("kubectl-agentic.exe", "kubectl agentic"),
        ("/src/agentic_cli/__main__.py", "agentic"),
    ],
)
def test_usage_is_in_the_words_that_were_typed(argument: str, name: str) -> None:
    assert find_program_name(argument) == name


def test_no_cluster_is_one_line_that_says_what_to_set() -> None:
    done = run_agentic("list", env=clean_environment())

    assert done.returncode == 1
    assert done.stderr == (
        "error: no cluster: no file names no current context; set KUBECONFIG, or give --kubeconfig or --context\n"
    )


def test_a_traceback_is_there_for_whoever_asks() -> None:
    done = run_agentic("list", env=clean_environment(AGENTIC_DEBUG="1"))

    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m agentic_cli completion bash | true; echo ${{PIPESTATUS[0]}}"

    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, env=clean_environment())

    assert done.stdout.strip() in ("0", "1")
    assert done.stderr == ""


def test_a_command_whose_libraries_are_missing_says_how_to_get_them() -> None:
    probe = (
        "import sys; sys.modules['httpx'] = None; from agentic_cli.main import run; sys.exit(run(['agentic', 'list']))"
    )

    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "pip install 'agentic-operator[cli]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_migrate_needs_click_alone() -> None:
    probe = "import sys; sys.modules.update(dict.fromkeys(['httpx', 'yaml', 'rich', 'jsonschema_rs']))"
    probe += "; from agentic_cli.main import run; sys.exit(run(['agentic', 'migrate', '--help']))"

    subprocess.run([sys.executable, "-c", probe], capture_output=True, check=True)


def test_the_version_is_the_packages_also_where_it_is_not_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert __version__ == project["version"]
    for environment in (clean_environment(), clean_environment(PYTHONPATH=":".join(sys.path))):
        done = run_agentic("--version", env=environment)
        assert (done.returncode, done.stdout) == (0, f"agentic, version {__version__}\n"), done.stderr


def test_a_file_that_cannot_be_used_is_no_fault_of_the_program(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "file"
    error = FileNotFoundError(2, "No such file or directory", str(missing))
    assert explain_unexpected(error) == f"'{missing}': No such file or directory"
    assert "this is a fault of agentic" in explain_unexpected(KeyError("x"))


def test_a_gateway_is_of_use_to_watch_and_chat_alone() -> None:
    for option in ("--server", "--ca"):
        done = run_agentic(option, "x", "list", env=clean_environment())
        assert done.returncode == 2
        assert f"{option} has no effect on `list`, which asks the cluster itself" in done.stderr
    for command in ("watch", "chat"):
        done = run_agentic(command, "--help", env=clean_environment(AGENTIC_SERVER="https://gateway.example.org"))
        assert "--server URL" in done.stdout
        assert "--ca FILE" in done.stdout
