"""``agentic audit``: the trail of who answered what, exported from the database and checked anywhere."""

import asyncio
import contextlib
import functools
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import click

from agentic_cli.commands import completions
from agentic_cli.commands.groups import SuggestingGroup
from agentic_cli.commands.migrate import connection_options
from agentic_cli.commands.options import target_options
from agentic_cli.interaction.audit_heads import Heads, compare_heads
from agentic_cli.interaction.target import Target
from agentic_cli.model.exit_status import ExitStatus
from agentic_cli.output import terminal
from agentic_cli.output.durations import read_duration, utc_now
from agentic_core import trail as chain
from agentic_core.display import cut, escape_json
from agentic_core.errors import AgenticError, PermanentError
from agentic_core.names import is_dns_label
from agentic_core.trail import ChainReader, Fault
from agentic_store.connect import connect_when_ready
from agentic_store.dsn import Dsn, read_dsn
from agentic_store.errors import translated
from agentic_store.records import TrailRow
from agentic_store.trail_lines import spell_row
from agentic_store.trails import PostgresTrails

R = TypeVar("R")

REPORT_EVERY: Final = 10_000
MAX_SHOWN_FAULTS: Final = 100
MAX_CELL: Final = 60
HEADER: Final = ("SEQ", "AT", "KIND", "QUESTION", "BY", "REASON", "VALUE")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d.*")


@click.group(cls=SuggestingGroup)
def audit() -> None:
    """Export and check the trail: who answered what, when, and what was refused.

    The connection string is taken as `agentic migrate` takes it; a role that may read session_answers is enough.

    \b
    Examples:
      agentic audit export --all -o trail.jsonl
      agentic audit verify trail.jsonl --cluster
    """


def _read_since(_ctx: click.Context, _param: click.Parameter, value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        if _DATE.fullmatch(value):
            at = datetime.fromisoformat(value)
            return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        return utc_now() - timedelta(seconds=read_duration(value))
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{value!r} is no time: write 7d, 36h, 2026-03-01 or 2026-03-01T12:00:00Z") from None


def _check_names(_ctx: click.Context, _param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    for name in value:
        if not is_dns_label(name):
            raise click.BadParameter(f"{name!r} cannot be a name: lower-case letters, digits and '-'")
    return value


namespaces_option = click.option(
    "-n",
    "--namespace",
    "namespaces",
    metavar="NAME",
    multiple=True,
    callback=_check_names,
    shell_complete=completions.complete_namespaces,
    help="Namespace; may be repeated.",
)


@audit.command()
@click.argument("sessions", metavar="[SESSION]...", nargs=-1, callback=_check_names)
@namespaces_option
@click.option("--all", "is_all", is_flag=True, help="Of all namespaces.")
@click.option(
    "--since", callback=_read_since, metavar="TIME", help="Only sessions whose trail grew since: 7d, 36h, 2026-03-01."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    metavar="FILE",
    help="File to write; it appears once it is whole. [default: standard output]",
)
@connection_options
def export(
    sessions: tuple[str, ...],
    namespaces: tuple[str, ...],
    is_all: bool,
    since: datetime | None,
    output: Path | None,
    dsn_file: Path | None,
    wait_seconds: float,
) -> None:
    """Write the trail as JSON lines: each entry with the hash of the one before, and a last line that counts them.

    Trails are exported whole, sessions that are gone included.

    \b
    Examples:
      agentic audit export --all -o trail.jsonl
      agentic audit export -n team weather
    """
    if is_all == bool(namespaces):
        raise click.UsageError("say whose trails: either -n NAMESPACE, or --all")
    if sessions and is_all:
        raise click.UsageError("name the namespace of the sessions: -n NAMESPACE")
    dsn = read_dsn(file=dsn_file)
    report = terminal.build_reporter(dsn)
    wanted = _Wanted(None if is_all else list(namespaces), list(sessions) or None, since)
    with _open_output(output) as write:
        counted = _run(dsn, functools.partial(_export, wanted, write, wait_seconds, report))
    report(f"exported {counted[0]} entries of {counted[1]} sessions" + (f" to {output}" if output else ""))


class _Wanted:
    """Which trails are exported."""

    def __init__(self, projects: list[str] | None, sessions: list[str] | None, since: datetime | None) -> None:
        self.projects = projects
        self.sessions = sessions
        self.since = since

    @property
    def scope(self) -> list[str] | None:
        """The namespaces that are exported whole: ``*`` for all, None if not even one is."""
        if self.sessions is not None or self.since is not None:
            return None
        return self.projects if self.projects is not None else ["*"]


async def _export(
    wanted: _Wanted, write: Callable[[str], None], wait_seconds: float, report: Callable[[str], None], dsn: Dsn
) -> tuple[int, int]:
    entries = sessions = 0
    last, found = "", set[str]()
    async with _connected(dsn, wait_seconds, report) as trails:
        async for row in trails.export(projects=wanted.projects, sessions=wanted.sessions, since=wanted.since):
            write(spell_row(row))
            entries += 1
            if row.session_uid != last:
                last = row.session_uid
                sessions += 1
                found.add(row.session_name)
            if entries % REPORT_EVERY == 0:
                report(f"exported {entries} entries of {sessions} sessions so far")
    if missing := sorted(set(wanted.sessions or ()) - found):
        grew = " that grew since then" if wanted.since else ""
        raise PermanentError(f"there is no trail{grew} of: {', '.join(missing)}")
    write(chain.spell_end(entries=entries, sessions=sessions, namespaces=wanted.scope))
    return entries, sessions


@contextlib.contextmanager
def _open_output(path: Path | None) -> Iterator[Callable[[str], None]]:
    """Yield what writes a line; a file is there under its name only once all of it is."""
    if path is None:
        is_shown = sys.stdout.isatty()
        yield lambda line: click.echo(escape_json(line) if is_shown else line)
        return
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="\n") as file:
            os.fchmod(file.fileno(), 0o600)
            yield lambda line: _write_line(file, line)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise PermanentError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def _write_line(file: IO[str], line: str) -> None:
    file.write(line + "\n")


@audit.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option(
    "--cluster", "is_compared", is_flag=True, help="Compare the ends of the chains with the sessions' statuses."
)
@target_options
def verify(target: Target, file: Path, is_compared: bool) -> int:
    """Check an export: nothing missing, nothing changed, in order, each entry of its session.

    With --cluster, also compares the end of each chain with its session's status. Needs no database. Exits with 0 if
    everything is as it was recorded, else with 1.
    """
    reader = ChainReader()
    faults, number = _collect(_check_file(file, reader))
    heads = None
    if is_compared:
        with target.open() as project:
            heads = compare_heads(project.api, reader)
        for fault in heads.faults:
            number += 1
            faults.append(fault)
    for fault in faults[:MAX_SHOWN_FAULTS]:
        terminal.say(str(fault))
    if number > MAX_SHOWN_FAULTS:
        terminal.say(f"and {number - MAX_SHOWN_FAULTS} more")
    terminal.say(describe_verdict(reader, number, {fault.session for fault in faults if fault.session}, heads))
    return ExitStatus.FAILED if number else ExitStatus.COMPLETED


def _collect(found: Iterable[Fault]) -> tuple[list[Fault], int]:
    """Return the first of many faults, and how many they are."""
    kept: list[Fault] = []
    number = 0
    for fault in found:
        number += 1
        if len(kept) < MAX_SHOWN_FAULTS:
            kept.append(fault)
    return kept, number


def _check_file(path: Path, reader: ChainReader) -> Iterator[Fault]:
    try:
        with click.open_file(str(path), "rb") as file:
            for raw in file:
                line = raw.removesuffix(b"\n")
                try:
                    text = line.decode("utf-8")
                except UnicodeDecodeError:
                    text = "\0"
                yield from reader.read(text)
    except OSError as error:
        raise PermanentError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    yield from reader.finish()


def describe_verdict(reader: ChainReader, faults: int, broken: set[str], heads: Heads | None) -> str:
    """Return the summary of an export, in one line."""
    counted = f"{reader.entries} entries of {len(reader.chains)} sessions"
    if reader.without_value:
        counted += f", {reader.without_value} without their value or text"
    if heads is not None:
        counted += f"; {heads.describe()}"
    else:
        counted += "; not compared with a cluster"
    if faults:
        where = f" in {len(broken)} sessions" if broken else ""
        return f"{click.style('BROKEN', fg='red', bold=True)}: {faults} faults{where}; {counted}"
    return f"{click.style('INTACT', fg='green', bold=True)}: {counted}"


@audit.command()
@click.argument("session", callback=lambda ctx, param, value: _check_names(ctx, param, (value,))[0])
@click.option("-n", "--namespace", required=True, metavar="NAME", help="Namespace.")
@connection_options
def show(session: str, namespace: str, dsn_file: Path | None, wait_seconds: float) -> None:
    """Show a session's trail as a table."""
    dsn = read_dsn(file=dsn_file)
    report = terminal.build_reporter(dsn)
    rows = _run(dsn, functools.partial(_fetch, namespace, session, wait_seconds, report))
    if not rows:
        raise PermanentError(f"there is no trail of session {session!r} in namespace {namespace!r}")
    terminal.print_table(HEADER, [_build_cells(row) for row in rows])


async def _fetch(
    namespace: str, session: str, wait_seconds: float, report: Callable[[str], None], dsn: Dsn
) -> list[TrailRow]:
    async with _connected(dsn, wait_seconds, report) as trails:
        return [row async for row in trails.export(projects=[namespace], sessions=[session])]


def _build_cells(row: TrailRow) -> Sequence[str]:
    said: Mapping[str, Any] = json.loads(row.entry)
    members = [said.get(name) for name in ("at", "kind", "interruptId", "by", "reason")]
    value = row.value if row.value is not None else "(not kept)" if "valueDigest" in said else ""
    cells = (str(row.seq), *("" if each is None else str(each) for each in members), value)
    return [cut(terminal.printable(cell), MAX_CELL) for cell in cells]


@asynccontextmanager
async def _connected(dsn: Dsn, wait_seconds: float, report: Callable[[str], None]) -> AsyncIterator[PostgresTrails]:
    conn = await connect_when_ready(
        dsn, application_name=f"agentic-audit {os.getpid()}", wait_seconds=wait_seconds, report=report
    )
    async with conn:
        with translated():

            @asynccontextmanager
            async def lend() -> AsyncIterator[Any]:
                yield conn

            yield PostgresTrails(lend)


def _run(dsn: Dsn, work: Callable[[Dsn], Coroutine[Any, Any, R]]) -> R:
    try:
        return asyncio.run(work(dsn))
    except AgenticError as error:
        raise type(error)(dsn.redact(str(error))) from None
