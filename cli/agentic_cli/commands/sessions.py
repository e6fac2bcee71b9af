"""Reading sessions: ``list`` and ``get``."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import click

from agentic_cli.commands.completions import complete_sessions
from agentic_cli.commands.options import (
    output_option,
    print_object,
    print_objects,
    target_options,
)
from agentic_cli.commands.selection import PHASES, Filter
from agentic_cli.interaction.target import Project, Target
from agentic_cli.model.kinds import CLUSTER_WORKFLOWS, SESSIONS
from agentic_cli.model.sessions import Session, parse_session
from agentic_cli.output import terminal
from agentic_cli.output.conversation import describe_turns
from agentic_cli.output.durations import utc_now
from agentic_cli.output.rendering import Row, describe_inspection, describe_session
from agentic_core.errors import AgenticError
from agentic_core.lifecycle import Phase

# As in agentic_core.conditions, whose models take longer to load than this command may.
_NOT_READY: Final = "WorkflowNotReady"


@click.command("list")
@click.option("-A", "--all-namespaces", is_flag=True, help="Sessions of all namespaces.")
@click.option("-l", "--selector", metavar="LABELS", help="Only those with these labels, as kubectl has it.")
@click.option(
    "--phase",
    "phases",
    multiple=True,
    type=click.Choice(PHASES),
    help="Only those in this phase; may be repeated.",
)
@click.option("--workflow", metavar="NAME", help="Only those of this workflow.")
@click.option("-w", "--watch", is_flag=True, help="Go on: print each session again when it changes, until Ctrl-C.")
@output_option("table", "wide", "json", "yaml", "name", default="table")
@target_options
def list_sessions(
    target: Target,
    all_namespaces: bool,
    selector: str | None,
    phases: tuple[str, ...],
    workflow: str | None,
    watch: bool,
    output: str,
) -> None:
    """List sessions.

    \b
    Examples:
      agentic list
      agentic list --phase WaitingForInput -A
      agentic list -w
      agentic list -o name --phase Failed --workflow outliers
    """
    if watch and output not in ("table", "wide"):
        raise click.UsageError(f"-w prints a table, and no {output}")
    wanted = Filter(phases, workflow)
    with target.open() as project:
        namespace = None if all_namespaces else project.namespace
        if watch:
            _watch_table(project, namespace, selector, wanted, wide=output == "wide")
        elif output in ("table", "wide"):
            _print_table(project, namespace, selector, wanted, wide=output == "wide")
        else:
            print_objects(SESSIONS, _list_objects(project, namespace, selector, wanted), output)


def _print_table(project: Project, namespace: str | None, selector: str | None, wanted: Filter, *, wide: bool) -> None:
    from agentic_cli.output.tables import collect_table

    header, found = collect_table(project.api, SESSIONS, namespace, selector=selector, wide=wide)
    rows = _choose_rows(header, found, namespace, wanted)
    if not rows:
        where = "in any namespace" if namespace is None else f"in namespace {namespace!r}"
        terminal.note(f"no such sessions {where}" if wanted != Filter() or selector else f"no sessions {where}")
        return
    terminal.print_table(("NAMESPACE", *header) if namespace is None else header, rows, fits=not wide)


def _watch_table(project: Project, namespace: str | None, selector: str | None, wanted: Filter, *, wide: bool) -> None:
    from agentic_cli.interaction.following import Clock
    from agentic_cli.interaction.listing import DELETED, follow_rows

    if wanted.phases:
        wanted = replace(wanted, phases=(*wanted.phases, DELETED))
    table = terminal.GrowingTable(fits=not wide)
    for header, found in follow_rows(project.api, namespace, selector, Clock(), terminal.note, wide=wide):
        rows = _choose_rows(header, found, namespace, wanted)
        table.add(("NAMESPACE", *header) if namespace is None else header, rows)


def _choose_rows(header: Row, found: list[tuple[str, Row]], namespace: str | None, wanted: Filter) -> list[Row]:
    """Return the rows that are wanted, with their namespaces if these are of several."""
    rows: list[Row] = []
    for place, cells in found:
        # No operator has looked at it yet.
        cells = tuple(
            cell or Phase.PENDING if name == "PHASE" else cell for name, cell in zip(header, cells, strict=True)
        )
        row = dict(zip(header, cells, strict=True))
        if wanted.takes(row.get("PHASE", ""), row.get("WORKFLOW", "")):
            rows.append((place, *cells) if namespace is None else cells)
    return rows


def _list_objects(
    project: Project, namespace: str | None, selector: str | None, wanted: Filter
) -> Iterator[dict[str, Any]]:
    for page in project.api.list_pages(SESSIONS, namespace, selector=selector):
        for raw in page.get("items") or ():
            session = parse_session(raw)
            if not wanted.takes(session.phase, session.workflow):
                continue
            # Objects in a list come without them, and are of no use to anybody so.
            yield {"apiVersion": page["apiVersion"], "kind": SESSIONS.kind, **raw}


@click.command()
@click.argument("name", metavar="SESSION", shell_complete=complete_sessions)
@output_option("text", "table", "wide", "json", "yaml", "name", default="text")
@target_options
def get(target: Target, name: str, output: str) -> None:
    """Show a session: its phase, its questions, its result.

    \b
    Examples:
      agentic get outliers-x7k2p
      agentic get outliers-x7k2p -o yaml
      agentic get outliers-x7k2p -o json | jq .status.interrupts
    """
    with target.open() as project:
        name = project.name_session(name)
        if output in ("table", "wide"):
            from agentic_cli.output.tables import fetch_row

            header, row = fetch_row(project.api, SESSIONS, project.namespace, name, wide=output == "wide")
            terminal.print_table(header, [row], fits=output != "wide")
            return
        session = project.fetch_session(name)
        checked = _describe_check(project, session) if output == "text" else []
    if output == "text":
        for line in [*describe_session(session, utc_now()), *checked, *describe_turns(session, utc_now())]:
            terminal.say(line.replace(session.phase, terminal.style_phase(session.phase)) if "Phase:" in line else line)
    else:
        print_object(SESSIONS, session.raw, output)


def _describe_check(project: Project, session: Session) -> list[str]:
    """Return the state of the workflow's inspection, for a session that waits for it; nothing if it cannot be read."""
    if session.reason != _NOT_READY:
        return []
    try:
        is_cluster = session.workflow_kind == CLUSTER_WORKFLOWS.kind
        return describe_inspection(project.fetch_workflow(session.workflow, cluster=is_cluster))
    except AgenticError:
        return []
