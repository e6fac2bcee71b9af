"""``agentic migrate``: the database's schema, up, down and as it is."""

import asyncio
import dataclasses
import functools
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from agentic_cli.commands.groups import SuggestingGroup
from agentic_cli.model.exit_status import ExitStatus
from agentic_cli.output import terminal
from agentic_core.errors import AgenticError, PermanentError
from agentic_store import vectors as vector_tables
from agentic_store.dsn import FILE_VARIABLE, VARIABLE, Dsn, read_dsn
from agentic_store.schema_migrations import migrate as migrations
from agentic_store.schema_migrations import verify as verification
from agentic_store.schema_migrations.migration_files import Migration, discover
from agentic_store.schema_migrations.schema import SCHEMA_VERSION

P = ParamSpec("P")
R = TypeVar("R")


@click.group(cls=SuggestingGroup)
def migrate() -> None:
    """Bring a PostgreSQL database to the schema that operator and runners need.

    The connection string is taken from --dsn-file, POSTGRES_CONNECTION_STRING_FILE, POSTGRES_CONNECTION_STRING or the
    variables of libpq (PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSWORD), the first that is set.
    """


def connection_options(command: Callable[P, R]) -> Callable[P, R]:
    """Add the options that choose the database and how long to wait for it."""
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
    if to is None and (newest := discover()[-1].version) != SCHEMA_VERSION:
        raise PermanentError(
            f"the migration files end at version {newest}, this program wants {SCHEMA_VERSION}: "
            "take the files that came with this program"
        )
    applied = _run(dsn, functools.partial(migrations.up, to=to, wait_seconds=wait_seconds, report=report))
    if to is None:
        report("verifying tables, columns, keys, indexes, rules and versions")
        found = _run(dsn, functools.partial(verification.verify, with_sizes=False))
        if found.failed:
            said = "; ".join(f"{check.title}: {check.detail}" for check in found.failed)
            raise PermanentError(f"the database is not what the migrations make: {said}")
        report(f"verified: all {len(found.checks)} checks passed")
    if applied:
        report(f"done: database is at version {applied[-1].version}")


@migrate.command()
@click.option("--to", type=click.IntRange(min=0), required=True, metavar="N", help="Undo everything above version N.")
@click.option("--confirm", metavar="DBNAME", help="The database's name, instead of being asked for it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@connection_options
def down(to: int, confirm: str | None, yes: bool, dsn_file: Path | None, wait_seconds: float) -> None:
    """Undo migrations, newest first. DELETES DATA: stop operator and runners, and take a backup first."""
    dsn = read_dsn(file=dsn_file)
    report = terminal.build_reporter(dsn)
    report(f"undoing migrations of {dsn.describe()} down to version {to}")
    found = _run(dsn, functools.partial(migrations.fetch_status, wait_seconds=wait_seconds, report=report))
    undoing = [one for one in reversed(found.migrations) if one.version > to and one.version in found.applied]
    for migration in undoing:
        report(f"{migration.down_script.file_name}: {migration.loss}")
    if undoing and confirm is None and not yes:
        confirm = _ask_for_name(f"this deletes the data of {len(undoing)} migrations")
    undone = _run(
        dsn, functools.partial(migrations.down, to=to, confirm=confirm, wait_seconds=wait_seconds, report=report)
    )
    if undone:
        report(f"done: database is at version {to}")


@migrate.command()
@click.option(
    "--dims",
    type=click.IntRange(min=1, max=vector_tables.MAX_DIMS),
    metavar="N",
    help="Make the tables, for embeddings of N dimensions.",
)
@click.option("--remove", is_flag=True, help="DELETE all vectors and their tables; the items stay.")
@click.option("--confirm", metavar="DBNAME", help="With --remove: the database's name, instead of being asked for it.")
@click.option("--yes", is_flag=True, help="With --remove: do not ask.")
@connection_options
def vectors(
    dims: int | None, remove: bool, confirm: str | None, yes: bool, dsn_file: Path | None, wait_seconds: float
) -> None:
    """Make or remove the tables for semantic search of the long-term store. Needs the extension pgvector.

    A database has vectors of one dimension: that of `store.index.dims` in the projects' langgraph.json.
    """
    if (dims is None) is not remove:
        raise click.UsageError("say either --dims with the dimension of the embeddings, or --remove")
    dsn = read_dsn(file=dsn_file)
    report = terminal.build_reporter(dsn)
    if dims is not None:
        made = functools.partial(vector_tables.make_vectors, dims=dims, wait_seconds=wait_seconds, report=report)
        is_new = _run(dsn, made)
        report(f"done: the database has vectors of {dims} dimensions" + ("" if is_new else ", as before"))
        return
    report(f"removing vectors from {dsn.describe()}: {vector_tables.read_loss()}")
    if confirm is None and not yes:
        confirm = _ask_for_name("this deletes all vectors")
    removed = functools.partial(vector_tables.remove_vectors, confirm=confirm, wait_seconds=wait_seconds, report=report)
    report("done: the vectors are deleted" if _run(dsn, removed) else "nothing to remove: the database has no vectors")


def _ask_for_name(loss: str) -> str:
    if not terminal.is_interactive():
        raise click.UsageError(f"{loss}: say --confirm with the database's name, or --yes")
    name: str = click.prompt("Type the name of the database to delete this data", err=True)
    return name


@migrate.command()
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@connection_options
def verify(output: str, dsn_file: Path | None, wait_seconds: float) -> int:
    """Compare the database with the result of the migrations: seven checks, each with its finding.

    Exits with 1 if a check failed.
    """
    dsn = read_dsn(file=dsn_file)
    report = terminal.build_reporter(dsn)
    found = _run(dsn, functools.partial(verification.verify, wait_seconds=wait_seconds, report=report))
    if output == "json":
        terminal.print_json(dataclasses.asdict(found))
    else:
        _print_verification(found)
    return ExitStatus.FAILED if found.failed else ExitStatus.COMPLETED


def _print_verification(found: verification.Verification) -> None:
    for check in found.checks:
        terminal.say(f"{_verdict(check)}  {check.number}  {check.title:<12}  {terminal.printable(check.detail)}")
    terminal.say("")
    rows = [(terminal.printable(size.relation), size.rows, str(size.bytes), size.size) for size in found.sizes]
    terminal.print_table(("TABLE", "ROWS", "BYTES", "SIZE"), rows)
    terminal.say("")
    terminal.say(f"{len(found.checks) - len(found.failed)} of {len(found.checks)} checks passed")


def _verdict(check: verification.Check) -> str:
    return click.style("PASS", fg="green") if check.passed else click.style("FAIL", fg="red", bold=True)


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


def _state(file: Migration | None, applied: migrations.Applied | None) -> str:
    if file is None:
        return "unknown to this program"
    if applied is None:
        return "pending"
    return "applied" if applied.checksum == file.checksum else "changed since applied"
