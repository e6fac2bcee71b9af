"""``agentic migrate``: the database's schema, up, down and as it is."""

import asyncio
import functools
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from agentic_cli import terminal
from agentic_core.errors import AgenticError
from agentic_store import migrate as migrations
from agentic_store.dsn import FILE_VARIABLE, VARIABLE, Dsn, read_dsn

P = ParamSpec("P")
R = TypeVar("R")


@click.group()
def migrate() -> None:
    """Bring a PostgreSQL database to the schema that operator and runners need.

    The connection string is taken from --dsn-file, POSTGRES_CONNECTION_STRING_FILE, POSTGRES_CONNECTION_STRING or the
    variables of libpq (PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSWORD), the first that is set.
    """


def connection_options(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command the options that say which database, and for how long to wait for it."""
    dsn_file = click.option(
        "--dsn-file",
        type=click.Path(path_type=Path, dir_okay=False),
        help=f"File with the connection string. [default: ${FILE_VARIABLE}, ${VARIABLE} or PG*]",
    )
    wait = click.option(
        "--wait",
        "wait_seconds",
        type=click.FloatRange(min=0),
        default=60,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait for a database that does not answer yet.",
    )
    return dsn_file(wait(command))


@migrate.command()
@click.option("--to", type=click.IntRange(min=1), metavar="N", help="Stop at version N. [default: the newest]")
@connection_options
def up(to: int | None, dsn_file: Path | None, wait_seconds: float) -> None:
    """Apply the migrations that are missing. Safe to repeat, to run twice at once and to kill."""
    dsn = read_dsn(file=dsn_file)
    report = terminal.build_reporter(dsn)
    report(f"migrating {dsn.describe()}")
    applied = _run(dsn, functools.partial(migrations.up, to=to, wait_seconds=wait_seconds, report=report))
    if applied:
        report(f"done: database is at version {applied[-1].version}")


@migrate.command()
@click.option("--to", type=click.IntRange(min=0), required=True, metavar="N", help="Undo everything above version N.")
@click.option("--confirm", required=True, metavar="DBNAME", help="The database's name: this deletes its data.")
@connection_options
def down(to: int, confirm: str, dsn_file: Path | None, wait_seconds: float) -> None:
    """Undo migrations, newest first. DELETES DATA: stop operator and runners, and take a backup first."""
    dsn = read_dsn(file=dsn_file)
    report = terminal.build_reporter(dsn)
    report(f"undoing migrations of {dsn.describe()} down to version {to}")
    undone = _run(
        dsn, functools.partial(migrations.down, to=to, confirm=confirm, wait_seconds=wait_seconds, report=report)
    )
    if undone:
        report(f"done: database is at version {to}")


@migrate.command()
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@connection_options
def status(output: str, dsn_file: Path | None, wait_seconds: float) -> None:
    """Show which migrations are applied."""
    dsn = read_dsn(file=dsn_file)
    report = terminal.build_reporter(dsn)
    found = _run(dsn, functools.partial(migrations.fetch_status, wait_seconds=wait_seconds, report=report))
    if output == "json":
        click.echo(json.dumps(_as_json(dsn, found), indent=2))
        return
    rows = [[f"{row['version']:03}", row["name"], row["state"], row["appliedAt"] or "-"] for row in _rows(found)]
    terminal.print_table(("VERSION", "NAME", "STATE", "APPLIED AT"), rows)


def _run(dsn: Dsn, work: Callable[[Dsn], Coroutine[Any, Any, R]]) -> R:
    try:
        return asyncio.run(work(dsn))
    except AgenticError as error:
        # Whatever a server or a library puts into its message, the password does not get out.
        raise type(error)(dsn.redact(str(error))) from None


def _as_json(dsn: Dsn, found: migrations.Status) -> dict[str, Any]:
    return {
        "database": dsn.describe(),
        "version": found.version,
        "latest": found.latest,
        "current": found.version == found.latest and not found.pending and not found.changed,
        "migrations": _rows(found),
    }


def _rows(found: migrations.Status) -> list[dict[str, Any]]:
    files = {migration.version: migration for migration in found.migrations}
    rows = []
    for version in sorted(files.keys() | found.applied.keys()):
        applied = found.applied.get(version)
        rows.append(
            {
                "version": version,
                "name": files[version].name if version in files else found.applied[version].name,
                "state": _state(files.get(version), applied),
                "appliedAt": applied.applied_at.isoformat(timespec="seconds") if applied else None,
            }
        )
    return rows


def _state(file: migrations.Migration | None, applied: migrations.Applied | None) -> str:
    if file is None:
        return "unknown to this program"
    if applied is None:
        return "pending"
    return "applied" if applied.checksum == file.checksum else "changed since applied"
