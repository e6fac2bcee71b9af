"""``stop``, ``suspend`` and ``resume``: what a session is told through its spec."""

from collections.abc import Mapping

import click

from agentic_cli.commands.completions import complete_sessions
from agentic_cli.commands.options import target_options
from agentic_cli.interaction.target import Project, Target
from agentic_cli.model.kinds import SESSIONS, read_name
from agentic_cli.model.sessions import Session
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
    """Let suspended sessions go on from their last checkpoint.

    \b
    Examples:
      agentic resume outliers-x7k2p
    """
    _steer(target, names, {"suspend": False}, "resuming", "is not suspended")


def _steer(target: Target, names: tuple[str, ...], wanted: Mapping[str, bool], done: str, unchanged: str) -> None:
    """Tell each session; go on with the others where one refuses, and fail in the end."""
    refused = []
    with target.open() as project:
        for name in (read_name(SESSIONS, each) for each in names):
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
        if session.phase == "Stopped" and field == "stop":
            return False
        raise PermanentError(f"session {session.name!r} is {session.phase}: it has ended")
    if field == "suspend" and session.spec.get("stop"):
        raise PermanentError(f"session {session.name!r} is being stopped")
    return bool(session.spec.get(field)) is not value
