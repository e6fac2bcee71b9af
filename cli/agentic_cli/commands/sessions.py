"""Reading sessions: ``list``, ``get`` and ``result``."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from agentic_cli.commands.completions import complete_sessions
from agentic_cli.commands.options import (
    no_answer_option,
    output_option,
    print_object,
    print_objects,
    target_options,
    timeout_option,
)
from agentic_cli.interaction.following import Clock
from agentic_cli.interaction.target import Project, Target
from agentic_cli.interaction.watching import QuietView, watch_session
from agentic_cli.model.exit_status import ExitStatus, TimedOut, find_outcome
from agentic_cli.model.kinds import SESSIONS, read_name
from agentic_cli.model.sessions import Session, parse_session
from agentic_cli.output import terminal
from agentic_cli.output.durations import utc_now
from agentic_cli.output.rendering import Row, describe_reference, describe_session
from agentic_core.errors import PermanentError
from agentic_core.lifecycle import Phase

_PHASES: Final = [phase.value for phase in Phase]


@click.command("list")
@click.option("-A", "--all-namespaces", is_flag=True, help="Sessions of all namespaces.")
@click.option("-l", "--selector", metavar="LABELS", help="Only those with these labels, as kubectl has it.")
@click.option(
    "--phase",
    "phases",
    multiple=True,
    type=click.Choice(_PHASES),
    help="Only those in this phase; may be repeated.",
)
@click.option("--workflow", metavar="NAME", help="Only those of this workflow.")
@output_option("table", "wide", "json", "yaml", "name", default="table")
@target_options
def list_sessions(
    target: Target,
    all_namespaces: bool,
    selector: str | None,
    phases: tuple[str, ...],
    workflow: str | None,
    output: str,
) -> None:
    """List sessions.

    \b
    Examples:
      agentic list
      agentic list --phase WaitingForInput -A
      agentic list -o name --phase Failed | xargs -n 1 agentic retry
    """
    with target.open() as project:
        namespace = None if all_namespaces else project.namespace
        if output in ("table", "wide"):
            _print_table(project, namespace, selector, phases, workflow, wide=output == "wide")
        else:
            print_objects(SESSIONS, _list_objects(project, namespace, selector, phases, workflow), output)


def _print_table(
    project: Project,
    namespace: str | None,
    selector: str | None,
    phases: tuple[str, ...],
    workflow: str | None,
    *,
    wide: bool,
) -> None:
    from agentic_cli.output.tables import collect_table

    header, found = collect_table(project.api, SESSIONS, namespace, selector=selector, wide=wide)
    rows: list[Row] = []
    for place, cells in found:
        row = dict(zip(header, cells, strict=True))
        is_wanted = not phases or (row.get("PHASE") or Phase.PENDING) in phases
        if is_wanted and workflow in (None, row.get("WORKFLOW")):
            rows.append((place, *cells) if namespace is None else cells)
    if not rows:
        where = "in any namespace" if namespace is None else f"in namespace {namespace!r}"
        terminal.note(f"no such sessions {where}" if phases or workflow or selector else f"no sessions {where}")
        return
    terminal.print_table(("NAMESPACE", *header) if namespace is None else header, rows)


def _list_objects(
    project: Project, namespace: str | None, selector: str | None, phases: tuple[str, ...], workflow: str | None
) -> Iterator[dict[str, Any]]:
    for page in project.api.list_pages(SESSIONS, namespace, selector=selector):
        for raw in page.get("items") or ():
            session = parse_session(raw)
            if (phases and session.phase not in phases) or (workflow and session.workflow != workflow):
                continue
            # Objects in a list come without them, and are of no use to anybody so.
            yield {"apiVersion": page["apiVersion"], "kind": SESSIONS.kind, **raw}


@click.command()
@click.argument("name", metavar="SESSION", shell_complete=complete_sessions)
@output_option("text", "table", "wide", "json", "yaml", "name", default="text")
@target_options
def get(target: Target, name: str, output: str) -> None:
    """Show a session: where it is, what it asks, what came of it.

    \b
    Examples:
      agentic get outliers-x7k2p
      agentic get outliers-x7k2p -o yaml
      agentic get outliers-x7k2p -o json | jq .status.interrupts
    """
    with target.open() as project:
        name = read_name(SESSIONS, name)
        if output in ("table", "wide"):
            from agentic_cli.output.tables import fetch_row

            header, row = fetch_row(project.api, SESSIONS, project.namespace, name, wide=output == "wide")
            terminal.print_table(header, [row])
            return
        session = project.fetch_session(name)
    if output == "text":
        for line in describe_session(session, utc_now()):
            terminal.say(line.replace(session.phase, terminal.style_phase(session.phase)) if "Phase:" in line else line)
    else:
        print_object(SESSIONS, session.raw, output)


@click.command()
@click.argument("name", metavar="SESSION", shell_complete=complete_sessions)
@click.option("--wait", is_flag=True, help="Wait for the session to end.")
@timeout_option("How long to wait:")
@no_answer_option
@click.option("--save", metavar="FILE", type=click.Path(dir_okay=False), help="Write the result to a file, as JSON.")
@click.option("--url", "wants_url", is_flag=True, help="Print a link to a result in an object store, good for an hour.")
@output_option("json", "yaml", default="json")
@target_options
def result(
    target: Target,
    name: str,
    wait: bool,
    timeout: float | None,
    no_answer: bool,
    save: str | None,
    wants_url: bool,
    output: str,
) -> int:
    """Print a completed session's result as JSON.

    Exits with 1 for a failed session, 3 for a stopped one, 4 for one that waits for an answer. A result over 32 KiB is
    not in the cluster; the message then says where it is kept. One in an object store is streamed by --save, which
    compares its digest, and linked to by --url: whoever has the link reads the result.

    \b
    Examples:
      agentic result outliers-x7k2p
      agentic result outliers-x7k2p | jq .outliers
      agentic result outliers-x7k2p --wait --timeout 10m
      agentic result outliers-x7k2p --save result.json
    """
    with target.open() as project:
        name = read_name(SESSIONS, name)
        if wait:
            clock = Clock.with_timeout(timeout)
            _, session = watch_session(project, name, QuietView(), clock, dialogue=None, may_answer=not no_answer)
        else:
            session = project.fetch_session(name)
        status = find_outcome(session, may_answer=False)
        if status is not ExitStatus.COMPLETED:
            terminal.fail(_explain_no_result(session))
            return status or ExitStatus.FAILED
        if "resultRef" in session.status:
            _fetch_outside(project, session, save, wants_url=wants_url)
            return status
    value = session.status.get("result")
    if wants_url:
        raise PermanentError(f"the result of {session.name!r} is in its status: there is nothing to link to")
    if save is not None:
        Path(save).write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
        return status
    if output == "json":
        terminal.print_json(value)
    else:
        terminal.print_yaml(value)
    return status


def _fetch_outside(project: Project, session: Session, save: str | None, *, wants_url: bool) -> None:
    from agentic_cli.interaction.download import LINK_WAIT_SECONDS, is_outside, obtain_link, save_result

    reference = session.status["resultRef"]
    if save is None and not wants_url:
        hint = f": agentic result {session.name} --save FILE" if is_outside(reference) else ""
        raise PermanentError(f"{describe_reference(reference)}{hint}")
    try:
        link = obtain_link(project, session, Clock.with_timeout(LINK_WAIT_SECONDS))
    except TimedOut:
        raise TimedOut(
            f"the operator made no link within {LINK_WAIT_SECONDS:.0f} s: it may be away, have no object store"
            " (RESULT_STORE=on), or this machine's clock be wrong"
        ) from None
    if wants_url:
        terminal.say(link)
    if save is not None:
        size = save_result(link, reference, Path(save))
        terminal.note(f"{size} bytes in {save}, sha256 {reference['sha256']}")


def _explain_no_result(session: Session) -> str:
    if session.is_final:
        detail = f": {session.message}" if session.message else ""
        return f"session {session.name!r} has no result, it is {session.phase} ({session.reason}){detail}"
    following = "respond" if session.is_waiting else "watch"
    return f"session {session.name!r} has no result yet, it is {session.phase}: agentic {following} {session.name}"
