"""Which sessions a command is for: those that are named, or all that fit labels, a phase or a workflow."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import click

from agentic_cli.commands.completions import complete_sessions
from agentic_cli.interaction.target import Project
from agentic_cli.model.kinds import SESSIONS
from agentic_cli.model.sessions import Session, parse_session
from agentic_cli.output import terminal
from agentic_core.errors import AgenticError, Conflict, PermanentError
from agentic_core.lifecycle import Phase

R = TypeVar("R")

PHASES: Final = [phase.value for phase in Phase]


@dataclass(frozen=True)
class Filter:
    """What of a session the API server does not look at: its phase and its workflow."""

    phases: tuple[str, ...] = ()
    workflow: str | None = None

    def takes(self, phase: str, workflow: str) -> bool:
        """Whether a session of this phase and workflow is wanted."""
        return (not self.phases or phase in self.phases) and self.workflow in (None, workflow)


@dataclass(frozen=True)
class Selection:
    """The names that were written, or what sessions have to fit."""

    names: tuple[str, ...] = ()
    selector: str | None = None
    phases: tuple[str, ...] = ()
    workflow: str | None = None

    def __post_init__(self) -> None:
        for option, text in (("-l", self.selector), ("--workflow", self.workflow)):
            # As a variable of a shell that is not set: without it, this would be for more sessions than are meant.
            if text is not None and not text.strip():
                raise click.UsageError(f"{option} is empty: write what sessions have to be, or leave it out")
        if self.names and self.is_by_query:
            raise click.UsageError("name sessions, or choose them by -l, --phase and --workflow: not both")
        if not self.names and not self.is_by_query:
            raise click.UsageError("which sessions? Name them, or choose them by -l, --phase or --workflow")

    @property
    def is_by_query(self) -> bool:
        """Whether sessions are chosen by what they are."""
        return bool(self.selector or self.phases or self.workflow)

    def fits(self, session: Session) -> bool:
        """Whether a session has the phase and the workflow that are wanted; the API server looks at labels."""
        return Filter(self.phases, self.workflow).takes(session.phase, session.workflow)

    def read(self, project: Project) -> Iterator[Session | PermanentError]:
        """Yield each session once, in their order; for one that was named and cannot be read, why."""
        if self.is_by_query:
            yield from (session for session in list_sessions_of(project, self.selector) if self.fits(session))
            return
        seen: set[str] = set()
        for text in self.names:
            try:
                name = project.name_session(text)
                if name not in seen:
                    seen.add(name)
                    yield project.fetch_session(name)
            except PermanentError as error:
                yield error


def list_sessions_of(project: Project, selector: str | None) -> list[Session]:
    """Return the sessions of the namespace with these labels, as they are now."""
    pages = project.api.list_pages(SESSIONS, project.namespace, selector=selector)
    return [parse_session(each) for page in pages for each in page.get("items") or ()]


def do_for_each(sessions: Sequence[Session], act: Callable[[Session], None], refused: list[str]) -> None:
    """Do it for each session; what the API server refuses for one is added to ``refused``, and the next is on.

    Where it does not answer, or somebody presses Ctrl-C, the rest stays as it is, and is said how much that is.
    """
    for number, session in enumerate(sessions):
        try:
            act(session)
        except (PermanentError, Conflict) as error:
            refused.append(str(error))
        except (AgenticError, KeyboardInterrupt, click.Abort):
            for each in dict.fromkeys(refused):
                terminal.note(each)
            if len(sessions) > 1:
                terminal.note(f"{len(sessions) - number} of {len(sessions)} are left, from {session.name} on")
            raise


def raise_refused(refused: Sequence[str]) -> None:
    """Fail with what was refused, if anything was; what was refused to all is said once."""
    if refused:
        raise PermanentError("; ".join(dict.fromkeys(refused)))


def selection_options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command names and the options that choose sessions; it gets them as ``selection``."""

    @click.argument("names", metavar="[SESSION...]", nargs=-1, shell_complete=complete_sessions)
    @click.option("-l", "--selector", metavar="LABELS", help="All sessions with these labels, as kubectl has it.")
    @click.option(
        "--phase", "phases", multiple=True, type=click.Choice(PHASES), help="All in this phase; may be repeated."
    )
    @click.option("--workflow", metavar="NAME", help="All of this workflow.")
    @functools.wraps(command)
    def with_selection(
        *arguments: Any,
        names: tuple[str, ...],
        selector: str | None,
        phases: tuple[str, ...],
        workflow: str | None,
        **options: Any,
    ) -> R:
        return command(*arguments, selection=Selection(names, selector, phases, workflow), **options)

    return with_selection
