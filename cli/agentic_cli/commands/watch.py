"""``watch``: follows a session to its end."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from agentic_cli.commands.completions import complete_sessions
from agentic_cli.commands.options import no_answer_option, streaming_options, target_options, timeout_option
from agentic_cli.interaction.following import Clock
from agentic_cli.interaction.target import Project, Target
from agentic_cli.interaction.watching import LineView, View, choose_dialogue, open_view, watch_session
from agentic_cli.model.exit_status import ExitStatus
from agentic_cli.model.sessions import Session
from agentic_cli.output import terminal
from agentic_cli.output.rendering import describe_change

if TYPE_CHECKING:
    from agentic_cli.interaction.streaming import Gateway


@click.command()
@click.argument("name", metavar="SESSION", shell_complete=complete_sessions)
@no_answer_option
@timeout_option("How long to watch:")
@target_options
@streaming_options
def watch(target: Target, name: str, no_answer: bool, timeout: float | None) -> int:
    """Follow a session to its end.

    On a terminal the view is live, and questions are asked in place; Ctrl-D leaves one to somebody else, Ctrl-C ends
    the watching and not the session. Elsewhere each change is a line.

    With a gateway (--server), changes are lines, and between them is what the session says, as it is said.

    Exits with 0 for Completed, 1 for Failed, 3 for Stopped, 4 for waiting with --no-answer, 124 after --timeout.

    \b
    Examples:
      agentic watch outliers-x7k2p
      agentic watch outliers-x7k2p --no-answer --timeout 1h | tee log
    """
    with target.open() as project:
        return follow_to_end(
            project,
            project.name_session(name),
            Clock.with_timeout(timeout),
            may_answer=not no_answer,
            quiet=False,
            gateway=target.find_gateway(project),
        )


def follow_to_end(
    project: Project,
    name: str,
    clock: Clock,
    *,
    may_answer: bool,
    quiet: bool,
    session: Session | None = None,
    gateway: "Gateway | None" = None,
) -> int:
    """Follow a session as its output allows; return the exit status. ``quiet`` shows nothing but questions."""
    session = session or project.fetch_session(name)
    dialogue = None if quiet else choose_dialogue(may_answer=may_answer)
    try:
        with open_view(project, session, quiet=quiet) if gateway is None else listening(gateway, session) as view:
            status, last = watch_session(project, name, view, clock, dialogue=dialogue, may_answer=may_answer)
    except KeyboardInterrupt:
        if terminal.is_interactive():
            # The terminal has echoed ^C.
            terminal.note("")
        terminal.note(f"the session goes on: agentic watch {name} -n {project.namespace}")
        return ExitStatus.INTERRUPTED
    if quiet or dialogue is not None:
        # The live view is gone from the screen, and a quiet one never was there: this is what stays.
        terminal.say(f"{last.name} {describe_change(last)}")
    if status is ExitStatus.COMPLETED and not quiet and dialogue is not None:
        terminal.note(f"its result: agentic result {name} -n {project.namespace}")
    return status


@contextmanager
def listening(gateway: "Gateway", session: Session) -> Iterator[View]:
    """Return the view that shows changes and what the session says; its last words are waited for."""
    from agentic_cli.interaction.streaming import LAST_WORDS_SECONDS, Listener
    from agentic_cli.output.speaking import SpeakingView

    after = gateway.check(session.namespace, session.name)
    view = SpeakingView(LineView(), is_live=sys.stdout.isatty())
    with Listener(gateway, session.namespace, session.name, after, view.hear, view.tell):
        yield view
        if not session.is_final:
            view.finish(LAST_WORDS_SECONDS)
