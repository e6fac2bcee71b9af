"""``stop``, ``suspend``, ``resume`` and ``close``: control a session through its spec; ``delete`` removes it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import click

from agentic_cli.commands.options import target_options
from agentic_cli.commands.selection import Selection, do_for_each, raise_refused, selection_options
from agentic_cli.interaction.target import Project, Target
from agentic_cli.kube.errors import NotFound
from agentic_cli.model.kinds import SESSIONS
from agentic_cli.model.sessions import Session
from agentic_cli.model.turns import require_conversation
from agentic_cli.output import terminal
from agentic_core.errors import PermanentError

# Names in one question.
_MAX_ASKED: Final = 10

dry_run_option = click.option("--dry-run", is_flag=True, help="Print which sessions it would be, and change nothing.")


@click.command()
@selection_options
@dry_run_option
@target_options
def stop(target: Target, selection: Selection, dry_run: bool) -> None:
    """End sessions as Stopped. This cannot be taken back; `agentic fork` starts from their last checkpoint.

    \b
    Examples:
      agentic stop outliers-x7k2p
      agentic stop -l team=risk --phase Running --dry-run
    """
    _steer(target, selection, dry_run, {"stop": True}, "stopping", "was told so already")


@click.command()
@selection_options
@dry_run_option
@target_options
def suspend(target: Target, selection: Selection, dry_run: bool) -> None:
    """Save sessions and free their pods, until `agentic resume`.

    \b
    Examples:
      agentic suspend outliers-x7k2p
    """
    _steer(target, selection, dry_run, {"suspend": True}, "suspending", "was told so already")


@click.command()
@selection_options
@dry_run_option
@target_options
def resume(target: Target, selection: Selection, dry_run: bool) -> None:
    """Continue suspended sessions from their last checkpoint.

    \b
    Examples:
      agentic resume outliers-x7k2p
    """
    _steer(target, selection, dry_run, {"suspend": False}, "resuming", "is not suspended")


@click.command()
@selection_options
@dry_run_option
@target_options
def close(target: Target, selection: Selection, dry_run: bool) -> None:
    """End conversations as Completed once their turns are done. This cannot be taken back.

    They take no more turns; `agentic fork NAME --conversation` goes on from their state in a new one.

    \b
    Examples:
      agentic close support-x7k2p
      agentic close --phase Idle --workflow support
    """
    _steer(target, selection, dry_run, {"close": True}, "closing", "was told so already")


@click.command()
@selection_options
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@dry_run_option
@target_options
def delete(target: Target, selection: Selection, dry_run: bool, yes: bool) -> None:
    """Delete sessions, with their checkpoints and results. This cannot be taken back; a running one is ended.

    \b
    Examples:
      agentic delete outliers-x7k2p
      agentic delete --phase Failed --workflow outliers
    """
    if not yes and not dry_run and not terminal.is_interactive():
        raise click.UsageError("deleting cannot be taken back: add --yes if nobody can be asked")
    with target.open() as project:
        chosen, refused = _choose(project, selection, lambda _: True)
        sessions = [session for session, _ in chosen]
        if sessions and not yes and not dry_run:
            click.confirm(_ask_to_delete(sessions), abort=True, err=True)

        def delete_one(session: Session) -> None:
            try:
                if not dry_run:
                    project.delete_session(session)
            except NotFound:
                terminal.say(f"{SESSIONS.singular}/{session.name} is gone already")
                return
            _say(session, "deleted", dry_run)

        do_for_each(sessions, delete_one, refused)
    _finish(selection, sessions, refused)


def _ask_to_delete(sessions: Sequence[Session]) -> str:
    """Return the question; many names are listed before it, one a line."""
    if len(sessions) <= _MAX_ASKED:
        return f"delete {', '.join(session.name for session in sessions)} with checkpoints and results?"
    for session in sessions:
        terminal.note(f"  {session.name}")
    return f"delete these {len(sessions)} sessions with checkpoints and results?"


def _steer(
    target: Target, selection: Selection, dry_run: bool, wanted: Mapping[str, bool], done: str, unchanged: str
) -> None:
    """Change each session; continue after a refusal, and fail at the end."""
    with target.open() as project:
        chosen, refused = _choose(project, selection, lambda session: needs_change(session, wanted))
        to_change = {session.name for session, is_wanted in chosen if is_wanted}
        sessions = [session for session, _ in chosen]

        def change(session: Session) -> None:
            if session.name not in to_change:
                terminal.say(f"{SESSIONS.singular}/{session.name} {unchanged}")
                return
            if not dry_run:
                # A session that was made under the name since is another one, and refuses the uid.
                project.patch_session(session.name, {"metadata": {"uid": session.uid}, "spec": dict(wanted)})
            _say(session, done, dry_run)

        do_for_each(sessions, change, refused)
    _finish(selection, sessions, refused)


def _choose(
    project: Project, selection: Selection, is_meant: Callable[[Session], bool]
) -> tuple[list[tuple[Session, bool]], list[str]]:
    """Return the sessions that a command is for, whether it is to do anything, and why others named are refused.

    Of those that nobody named, the ones that it does not concern are left out: ended ones, those that were told so
    before.
    """
    sessions: list[tuple[Session, bool]] = []
    refused: list[str] = []
    for found in selection.read(project):
        try:
            if isinstance(found, PermanentError):
                raise found
            is_wanted = is_meant(found)
        except PermanentError as error:
            if not selection.is_by_query:
                refused.append(str(error))
            continue
        if is_wanted or not selection.is_by_query:
            sessions.append((found, is_wanted))
    return sessions, refused


def _say(session: Session, done: str, dry_run: bool) -> None:
    terminal.say(f"{SESSIONS.singular}/{session.name} {done}{' (dry run)' if dry_run else ''}")


def _finish(selection: Selection, sessions: Sequence[Session], refused: Sequence[str]) -> None:
    raise_refused(refused)
    if selection.is_by_query and not sessions:
        terminal.note("no such sessions that this concerns")


def needs_change(session: Session, wanted: Mapping[str, bool]) -> bool:
    """Return whether the spec has to change; raise ``PermanentError`` for a session that ended otherwise."""
    field, value = next(iter(wanted.items()))
    if session.is_final:
        if (session.phase, field) in (("Stopped", "stop"), ("Completed", "close")):
            return False
        raise PermanentError(f"session {session.name!r} is {session.phase}: it has ended")
    if field == "close":
        require_conversation(session)
    if field == "suspend" and session.spec.get("stop"):
        raise PermanentError(f"session {session.name!r} is being stopped")
    return bool(session.spec.get(field)) is not value
