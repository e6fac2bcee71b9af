"""The root of the ``agentic`` command, and how errors become one line and an exit status."""

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Final

import click

from agentic_cli.model.exit_status import ExitStatus, TimedOut
from agentic_cli.output import terminal
from agentic_core.contract import ExitCode
from agentic_core.errors import AgenticError, DatabaseUnavailable, InvalidResource, SchemaMismatch, TransientError

COMPLETE_VARIABLE: Final = "_AGENTIC_COMPLETE"
DEBUG_VARIABLE: Final = "AGENTIC_DEBUG"

# Where each command is, and its line in `agentic --help`: that is shown, and completed, without loading any of them.
COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "run": ("agentic_cli.commands.run:run", "Start a session of a workflow."),
    "list": ("agentic_cli.commands.sessions:list_sessions", "List sessions."),
    "get": ("agentic_cli.commands.sessions:get", "Show a session."),
    "watch": ("agentic_cli.commands.watch:watch", "Follow a session live; answer its questions in place."),
    "respond": ("agentic_cli.commands.respond:respond", "Answer a session's question."),
    "result": ("agentic_cli.commands.sessions:result", "Print a session's result as JSON."),
    "logs": ("agentic_cli.commands.logs:logs", "Print a session's logs."),
    "stop": ("agentic_cli.commands.steer:stop", "End sessions for good."),
    "suspend": ("agentic_cli.commands.steer:suspend", "Free the pods of sessions and keep their state."),
    "resume": ("agentic_cli.commands.steer:resume", "Let suspended sessions go on."),
    "retry": ("agentic_cli.commands.follow_up:retry", "Continue a failed session as a new one."),
    "fork": ("agentic_cli.commands.follow_up:fork", "Start a new session from another one's checkpoint."),
    "checkpoints": ("agentic_cli.commands.checkpoints:checkpoints", "List what a session can be forked from."),
    "workflows": ("agentic_cli.commands.workflows:workflows", "List and show workflow definitions."),
    "migrate": ("agentic_cli.commands.migrate:migrate", "Bring the database's schema up or down."),
    "audit": ("agentic_cli.commands.audit:audit", "Export and check the trail of answers."),
    "completion": ("agentic_cli.commands.completion:completion", "Print a shell's completion script."),
}


class LazyGroup(click.Group):
    """A group whose commands are loaded when one of them runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's)
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  (click's)
        """Load a command; where a library of it is not installed, say how to install it."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        try:
            command = getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("agentic_"):
                raise
            raise click.ClickException(
                f"`agentic {cmd_name}` needs {error.name!r}: install it with `pip install 'agentic-operator[cli]'`"
            ) from error
        assert isinstance(command, click.Command)  # noqa: S101  (what the table names)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  (click's)
        """Write the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="agentic-operator", prog_name="agentic")
def agentic() -> None:
    """Durable LangGraph workflows on Kubernetes.

    Works with the cluster, user and namespace of your kubeconfig, as kubectl does.

    \b
    Examples:
      agentic workflows                      what can be run
      agentic run outliers -p threshold=2    start a session
      agentic watch outliers-x7k2p           follow it, answer its questions
      agentic result outliers-x7k2p          print its result
    """


def find_program_name(argument: str) -> str:
    """Return how the command was called, for its usage lines: kubectl runs a plugin by another name."""
    return "kubectl agentic" if Path(argument).name.startswith("kubectl-agentic") else "agentic"


def main() -> None:
    """Run the command and exit with its status; ``docs/cli.md`` lists them."""
    sys.exit(run(sys.argv))


def run(argv: list[str]) -> int:
    """Run the command and return its exit status; every error is one line on standard error."""
    try:
        ended = agentic.main(
            args=argv[1:],
            prog_name=find_program_name(argv[0]),
            complete_var=COMPLETE_VARIABLE,
            standalone_mode=False,
        )
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough; the rest of it must not make Python complain at its exit. The
        # status is the one that click ends with where it meets this first.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitStatus.FAILED
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        terminal.fail("interrupted")
        return ExitStatus.INTERRUPTED
    except click.UsageError as error:
        # Wrong usage: click shows the usage line too.
        error.show()
        return error.exit_code
    except (click.ClickException, AgenticError) as error:
        if wants_traceback(os.environ):
            raise
        terminal.fail(explain(error))
        return find_status(error)
    except Exception as error:
        if wants_traceback(os.environ):
            raise
        terminal.fail(f"{type(error).__name__}: {error}; this is a fault of agentic: {DEBUG_VARIABLE}=1 shows where")
        return ExitStatus.FAILED
    return ended if isinstance(ended, int) else ExitStatus.COMPLETED


def wants_traceback(environ: Mapping[str, str]) -> bool:
    """Return whether errors are to be shown as Python shows them."""
    return environ.get(DEBUG_VARIABLE, "") not in ("", "0")


def explain(error: Exception) -> str:
    """Return an error as one line."""
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, InvalidResource):
        return "; ".join(f"{problem.pointer}: {problem.message}".removeprefix(": ") for problem in error.problems)
    return str(error)


def find_status(error: Exception) -> int:
    """Return the exit status that stands for an error."""
    match error:
        case SchemaMismatch():
            return ExitCode.SCHEMA_MISMATCH
        case DatabaseUnavailable():
            return ExitCode.DATABASE_UNAVAILABLE
        case TransientError():
            return ExitStatus.UNREACHABLE
        case TimedOut():
            return ExitStatus.TIMED_OUT
        case _:
            return ExitStatus.FAILED
