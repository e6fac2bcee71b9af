"""``stop``, ``suspend``, ``resume`` and ``close``: control a session through its spec; ``delete`` removes it."""

from collections.abc import Mapping

import click

from agentic_cli.commands.completions import complete_sessions
from agentic_cli.commands.options import target_options
from agentic_cli.interaction.target import Project, Target
from agentic_cli.model.kinds import SESSIONS
from agentic_cli.model.sessions import Session
from agentic_cli.model.turns import require_conversation
from agentic_cli.output import terminal
from agentic_core.errors import PermanentError

_names = click.argument("names", metavar="SESSION...", nargs=-1, required=True, shell_complete=complete_sessions)


@click.command()
@_names
@target_options
def stop(target: Target, names: tuple[str, ...]) -> None:
    """End sessions as Stopped. This cannot be taken back; `agentic fork` starts from their last checkpoint.

    \b
    Examples:
      agentic stop outliers-x7k2p
      agentic list --phase Running -o name | xargs agentic stop
    """
    _steer(target, names, {"stop": True}, "stopping", "was told so already")


@click.command()
@_names
@target_options
def suspend(target: Target, names: tuple[str, ...]) -> None:
    """Save sessions and free their pods, until `agentic resume`.

    \b
    Examples:
      agentic suspend outliers-x7k2p
    """
    _steer(target, names, {"suspend": True}, "suspending", "was told so already")


@click.command()
@_names
@target_options
def resume(target: Target, names: tuple[str, ...]) -> None:
    """Continue suspended sessions from their last checkpoint.

    \b
    Examples:
      agentic resume outliers-x7k2p
    """
    _steer(target, names, {"suspend": False}, "resuming", "is not suspended")


@click.command()
@_names
@target_options
def close(target: Target, names: tuple[str, ...]) -> None:
    """End conversations as Completed once their turns are done. This cannot be taken back.

    They take no more turns; `agentic fork NAME --conversation` goes on from their state in a new one.

    \b
    Examples:
      agentic close support-x7k2p
      agentic list --phase Idle -o name | xargs agentic close
    """
    _steer(target, names, {"close": True}, "closing", "was told so already")


@click.command()
@_names
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@target_options
def delete(target: Target, names: tuple[str, ...], yes: bool) -> None:
    """Delete sessions, with their checkpoints and results. This cannot be taken back; a running one is ended.

    \b
    Examples:
      agentic delete outliers-x7k2p
      agentic list --phase Failed -o name | xargs agentic delete --yes
    """
    if not yes and not terminal.is_interactive():
        raise click.UsageError("deleting cannot be taken back: add --yes where nobody can be asked")
    with target.open() as project:
        sessions = [project.name_session(name) for name in names]
        if not yes:
            click.confirm(f"delete {', '.join(sessions)} with checkpoints and results?", abort=True, err=True)
        for name in sessions:
            project.api.delete(SESSIONS, project.namespace, name)
            terminal.say(f"{SESSIONS.singular}/{name} deleted")


def _steer(target: Target, names: tuple[str, ...], wanted: Mapping[str, bool], done: str, unchanged: str) -> None:
    """Change each session; continue after a refusal, and fail at the end."""
    refused = []
    with target.open() as project:
        for name in (project.name_session(each) for each in names):
            try:
                changed = _steer_one(project, name, wanted)
            except PermanentError as error:
                refused.append(str(error))
                continue
            terminal.say(f"{SESSIONS.singular}/{name} {done if changed else unchanged}")
    if refused:
        raise PermanentError("; ".join(refused))


def _steer_one(project: Project, name: str, wanted: Mapping[str, bool]) -> bool:
    session = project.fetch_session(name)
    if not needs_change(session, wanted):
        return False
    project.patch_session(name, {"spec": dict(wanted)})
    return True


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
