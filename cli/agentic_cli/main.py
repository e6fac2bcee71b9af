"""The root of the ``agentic`` command, and how errors become one line and an exit status."""

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Final

import click

from agentic_cli.commands.connection import connection_options, server_options
from agentic_cli.commands.groups import SuggestingGroup
from agentic_cli.model.exit_status import ExitStatus, TimedOut
from agentic_cli.output import terminal
from agentic_core import __version__
from agentic_core.contract import ExitCode
from agentic_core.errors import AgenticError, DatabaseUnavailable, SchemaMismatch, TransientError

COMPLETE_VARIABLE: Final = "_AGENTIC_COMPLETE"
DEBUG_VARIABLE: Final = "AGENTIC_DEBUG"

# Where each command is, and its line in `agentic --help`: that is shown, and completed, without loading any of them.
COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "check": ("agentic_cli.commands.check:check", "Check that the operator is installed as it should be."),
    "init": ("agentic_cli.commands.init:init", "Write what a LangGraph project needs on a cluster."),
    "build": ("agentic_cli.commands.init:build", "Build the image of a LangGraph project."),
    "deploy": ("agentic_cli.commands.deploy:deploy", "Bring a LangGraph project to the cluster."),
    "run": ("agentic_cli.commands.run:run", "Start a session of a workflow."),
    "chat": ("agentic_cli.commands.chat:chat", "Talk to a workflow; each line is a turn of one session."),
    "list": ("agentic_cli.commands.sessions:list_sessions", "List sessions."),
    "get": ("agentic_cli.commands.sessions:get", "Show a session."),
    "watch": ("agentic_cli.commands.watch:watch", "Follow a session live; answer its questions in place."),
    "respond": ("agentic_cli.commands.respond:respond", "Answer a session's question."),
    "result": ("agentic_cli.commands.result:result", "Print a session's result as JSON."),
    "logs": ("agentic_cli.commands.logs:logs", "Print a session's logs."),
    "turn": ("agentic_cli.commands.turn:turn", "Add one turn to a conversation."),
    "history": ("agentic_cli.commands.turn:history", "Show what was said in a conversation, and its turns."),
    "cancel": ("agentic_cli.commands.turn:cancel", "End a turn of a conversation, and not the conversation."),
    "close": ("agentic_cli.commands.steer:close", "End conversations once their turns are done."),
    "stop": ("agentic_cli.commands.steer:stop", "End sessions for good."),
    "suspend": ("agentic_cli.commands.steer:suspend", "Free the pods of sessions and keep their state."),
    "resume": ("agentic_cli.commands.steer:resume", "Let suspended sessions go on."),
    "delete": ("agentic_cli.commands.steer:delete", "Delete sessions with all that is kept of them."),
    "retry": ("agentic_cli.commands.follow_up:retry", "Continue a failed session as a new one."),
    "fork": ("agentic_cli.commands.follow_up:fork", "Start a new session from another one's checkpoint."),
    "checkpoints": ("agentic_cli.commands.checkpoints:checkpoints", "List what a session can be forked from."),
    "workflows": ("agentic_cli.commands.workflows:workflows", "List and show workflow definitions."),
    "migrate": ("agentic_cli.commands.migrate:migrate", "Bring the database's schema up or down."),
    "audit": ("agentic_cli.commands.audit:audit", "Export and check the trail of answers."),
    "version": ("agentic_cli.commands.version:version", "Show the versions of client and server."),
    "completion": ("agentic_cli.commands.completion:completion", "Print a shell's completion script."),
}


# These show what a session says, if there is a gateway.
WITH_GATEWAY: Final = frozenset({"chat", "watch"})
# These speak to a database or to nobody.
WITHOUT_CLUSTER: Final = frozenset({"init", "migrate", "completion"})


class LazyGroup(SuggestingGroup):
    """A group that loads a command when it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's)
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  (click's)
        """Load a command; raise an error with the remedy if one of its libraries is not installed."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        try:
            command = getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            if is_ours(error):
                raise
            raise click.ClickException(explain_missing(error, f"agentic {cmd_name}")) from error
        assert isinstance(command, click.Command)  # noqa: S101  (what the table names)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  (click's)
        """Write the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@server_options
@connection_options
@click.version_option(__version__, prog_name="agentic")
@click.pass_context
def agentic(ctx: click.Context, /, **given: str | None) -> None:
    """Durable LangGraph workflows on Kubernetes.

    Works with the cluster, user and namespace of your kubeconfig, as kubectl does.

    \b
    Examples:
      agentic workflows                      what can be run
      agentic run outliers -p threshold=2    start a session
      agentic watch outliers-x7k2p           follow it, answer its questions
      agentic result outliers-x7k2p          print its result
    """
    names = [f"--{name}" for name, value in given.items() if value is not None]
    if names and ctx.invoked_subcommand in WITHOUT_CLUSTER:
        raise click.UsageError(f"{names[0]} has no effect on `{ctx.invoked_subcommand}`, which asks no cluster")
    of_gateway = [name for name in names if name in ("--server", "--ca")]
    if of_gateway and ctx.invoked_subcommand not in WITH_GATEWAY:
        raise click.UsageError(
            f"{of_gateway[0]} has no effect on `{ctx.invoked_subcommand}`, which asks the cluster itself"
        )


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
        # The reader closed the pipe; the remaining output must not cause an error at Python's exit. The
        # status is the one that click uses for this.
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
    except ModuleNotFoundError as error:
        if is_ours(error) or wants_traceback(os.environ):
            raise
        terminal.fail(explain_missing(error, " ".join([find_program_name(argv[0]), *argv[1:2]])))
        return ExitStatus.FAILED
    except (click.ClickException, AgenticError) as error:
        if wants_traceback(os.environ):
            raise
        terminal.fail(terminal.explain(error))
        return find_status(error)
    except Exception as error:
        if wants_traceback(os.environ):
            raise
        terminal.fail(explain_unexpected(error))
        return ExitStatus.FAILED
    return ended if isinstance(ended, int) else ExitStatus.COMPLETED


def is_ours(error: ModuleNotFoundError) -> bool:
    """Return whether a module of this project is missing, which nobody can install."""
    return (error.name or "").startswith("agentic_")


def explain_missing(error: ModuleNotFoundError, what: str) -> str:
    """Return how to get a library that is not installed; some commands load theirs when they connect."""
    return f"`{what}` needs {error.name!r}: install it with `pip install 'agentic-operator[cli]'`"


def wants_traceback(environ: Mapping[str, str]) -> bool:
    """Return whether errors are to be shown as Python shows them."""
    return environ.get(DEBUG_VARIABLE, "") not in ("", "0")


def explain_unexpected(error: Exception) -> str:
    """Return an error that no command expected as one line: a file that cannot be used, or a fault of this program."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{str(error.filename)!r}: {error.strerror}"
    return f"{type(error).__name__}: {error}; this is a fault of agentic: {DEBUG_VARIABLE}=1 shows where"


def find_status(error: Exception) -> int:
    """Return the exit status for an error."""
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
