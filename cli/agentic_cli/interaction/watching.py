"""Follows one session to its end for a person or a program: a live view, or a line for each change."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Protocol

from agentic_cli.inputs.questions import read_question
from agentic_cli.interaction.answering import answer_question, describe_given, wait_for_rule
from agentic_cli.interaction.following import Clock, follow_session
from agentic_cli.interaction.prompting import Dialogue, NoAnswer, TerminalDialogue, ask_answer, show_question
from agentic_cli.interaction.target import Project
from agentic_cli.model.exit_status import ExitStatus, find_outcome
from agentic_cli.model.sessions import Interrupt, Session
from agentic_cli.output import terminal
from agentic_cli.output.rendering import describe_change, describe_open_questions, describe_refusal
from agentic_core.approvals import describe_needed
from agentic_core.errors import AgenticError, Conflict, PermanentError


class View(Protocol):
    """Shows the states of a session."""

    def show(self, session: Session) -> None:
        """Show this state."""

    def pause(self) -> AbstractContextManager[None]:
        """Leave the terminal to a question."""


class LineView:
    """Prints a line for each change and each new question to standard output."""

    def __init__(self) -> None:
        self._last = ""
        self._told: set[str] = set()

    def show(self, session: Session) -> None:
        """Print the state if it changed."""
        line = describe_change(session)
        if line != self._last:
            self._last = line
            terminal.say(line)
        refusal = describe_refusal(session)
        for text in (*([refusal] if refusal else ()), *describe_open_questions(session)):
            if text not in self._told:
                self._told.add(text)
                terminal.say(text)
        sys.stdout.flush()

    def pause(self) -> AbstractContextManager[None]:
        """Do nothing: lines need no place on the screen."""
        return nullcontext()


class QuietView:
    """Prints nothing to standard output, and each open question once to standard error."""

    def __init__(self) -> None:
        self._asked: set[str] = set()

    def show(self, session: Session) -> None:
        """Report new questions."""
        for question in describe_open_questions(session):
            if question not in self._asked:
                self._asked.add(question)
                terminal.note(f"{session.name} waits: {question}")

    def pause(self) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()


def watch_session(
    project: Project,
    name: str,
    view: View,
    clock: Clock,
    *,
    dialogue: Dialogue | None,
    may_answer: bool,
    on_trouble: Callable[[str], None] = terminal.note,
) -> tuple[ExitStatus, Session]:
    """Show the session until it needs no more watching; return its exit status and its last state.

    With a ``dialogue``, open questions are asked there and answered, each once: one that the person leaves open is
    left to somebody else.
    """
    handled: set[tuple[str, bool]] = set()
    for session in follow_session(project, name, clock, on_trouble):
        view.show(session)
        outcome = find_outcome(session, may_answer=may_answer)
        if outcome is not None:
            return outcome, session
        if dialogue is not None and session.is_waiting:
            ask_open_questions(project, session, view, dialogue, handled)
    raise AssertionError("a followed session has no end of its own")


def ask_open_questions(
    project: Project, session: Session, view: View, dialogue: Dialogue, handled: set[tuple[str, bool]]
) -> None:
    """Ask each open question that was not ``handled`` yet, and give the answers."""
    for interrupt in session.open_interrupts:
        # A question is asked again after its answer was refused.
        asked = (interrupt.id, interrupt.is_refused)
        if asked in handled:
            continue
        handled.add(asked)
        with view.pause():
            if interrupt.is_refused:
                dialogue.tell(f"  {describe_refusal(session)}")
            if needed := _find_exclusion(project, session, interrupt):
                show_question(dialogue, read_question(interrupt))
                place = f"{session.name} {interrupt.id} -n {session.namespace}"
                dialogue.tell(terminal.printable(f"  you cannot answer it; it needs {needed}: agentic respond {place}"))
                continue
            try:
                changed, question = answer_question(project, session.name, interrupt.id, partial(ask_answer, dialogue))
                missing, left = describe_given(changed, question, project.fetch_username())
            except NoAnswer:
                dialogue.tell(f"  left open: agentic respond {session.name} {interrupt.id} -n {session.namespace}")
            except (PermanentError, Conflict) as error:
                # Somebody else answered, or ended the session, while this person was thinking.
                dialogue.tell(f"  {terminal.printable(str(error))}")
            else:
                said = f"your answer to {interrupt.id} is recorded; {missing}" if left else f"answered {interrupt.id}"
                dialogue.tell(terminal.printable(f"  {said}"))


def _find_exclusion(project: Project, session: Session, interrupt: Interrupt) -> str:
    """Return whose answer a question needs if its rule excludes this user; empty otherwise.

    The API server decides; this only spares a person the typing of an answer that it will refuse.
    """
    if not interrupt.has_rule:
        return ""
    recorded = wait_for_rule(project, session, interrupt.id)
    approval = next((each.approval for each in recorded.interrupts if each.id == interrupt.id), None)
    if approval is None or not (approval.get("rule") or {}).get("notCreator"):
        return ""
    is_excluded = project.fetch_username() in (recorded.creator, recorded.asker)
    return describe_needed(approval, recorded.creator, recorded.asker) if is_excluded else ""


@contextmanager
def open_view(project: Project, session: Session, *, quiet: bool = False) -> Iterator[View]:
    """Return the view that suits where the output goes."""
    if quiet:
        yield QuietView()
    elif sys.stdout.isatty() and terminal.is_interactive():
        from agentic_cli.output.live import LiveView

        with LiveView(_fetch_nodes(project, session)) as view:
            yield view
    else:
        yield LineView()


def _fetch_nodes(project: Project, session: Session) -> tuple[str, ...]:
    """Return the workflow's nodes for the drawing; none if they cannot be read."""
    try:
        return project.fetch_workflow(
            session.workflow, cluster=session.workflow_kind == "ClusterWorkflowDefinition"
        ).nodes
    except AgenticError:
        return ()


def choose_dialogue(*, may_answer: bool) -> Dialogue | None:
    """Return the person to ask; None without a terminal or if nobody is to be asked."""
    return TerminalDialogue() if may_answer and terminal.is_interactive() else None
