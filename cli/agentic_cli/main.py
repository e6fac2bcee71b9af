"""The root of the ``agentic`` command, and how errors become one line and an exit status."""

import sys

import click

from agentic_cli import terminal
from agentic_cli.migrate import migrate
from agentic_core.contract import ExitCode
from agentic_core.errors import AgenticError, DatabaseUnavailable, SchemaMismatch


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="agentic-operator", prog_name="agentic")
def agentic() -> None:
    """Durable LangGraph workflows on Kubernetes."""


agentic.add_command(migrate)


def main() -> None:
    """Run the command; exit 0 on success, 1 on an error, 2 on wrong usage, and as a runner does for the database."""
    try:
        agentic.main(prog_name="agentic", standalone_mode=False)
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except click.ClickException as error:
        # Wrong usage: click shows the usage line too.
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        terminal.fail("interrupted")
        sys.exit(130)
    except AgenticError as error:
        terminal.fail(str(error))
        sys.exit(_status_of(error))


def _status_of(error: AgenticError) -> int:
    match error:
        case SchemaMismatch():
            return ExitCode.SCHEMA_MISMATCH
        case DatabaseUnavailable():
            return ExitCode.DATABASE_UNAVAILABLE
        case _:
            return 1
