"""Adding a turn to a conversation, ending one, and following one to its end."""

import secrets
from collections.abc import Callable
from typing import Any, Final

from agentic_cli.interaction.following import Clock, compute_pause, follow_session
from agentic_cli.interaction.prompting import Dialogue
from agentic_cli.interaction.target import Project
from agentic_cli.interaction.watching import View, ask_open_questions
from agentic_cli.kube.errors import NotReached
from agentic_cli.model.exit_status import ExitStatus, find_turn_outcome
from agentic_cli.model.manifests import build_cancellation, build_turn, build_turn_patch
from agentic_cli.model.sessions import Session
from agentic_cli.model.turns import Turn, choose_name, is_known, require_conversation, require_open, require_turn
from agentic_cli.output import terminal
from agentic_core.errors import ApiUnavailable, Conflict

ATTEMPTS: Final = 16
UNCERTAIN_ATTEMPTS: Final = 6


class NewTurn:
    """A turn to be added to a conversation: exactly once, under contention and lost responses.

    Invariant: the name changes only after another client's turn was seen under it. The API server refuses a second turn
    of the same name, so a request whose response was lost is safe to repeat; the field manager identifies our turn.
    """

    def __init__(self, project: Project, session: str, *, clock: Clock | None = None, **parts: Any) -> None:
        self.name = ""
        self._clock = clock or Clock()
        self._project = project
        self._session = session
        self._parts = parts
        self._manager = f"agentic-{secrets.token_hex(4)}"

    def add(self, session: Session | None = None) -> Session:
        """Add it and return the changed session; ``session`` is a state of it that was just read.

        Raises ``PermanentError`` if the conversation takes no more turns or the API server refuses this one, and
        ``ApiUnavailable`` if the API server does not answer: then the turn may have been added.
        """
        by = self._project.fetch_username()
        lost: ApiUnavailable | None = None
        for attempt in range(ATTEMPTS):
            try:
                found = session if session is not None and attempt == 0 else self._project.fetch_session(self._session)
                if attempt and self._is_added(found):
                    return found
                require_open(found)
                if not self.name or is_known(found, self.name):
                    self.name = choose_name(found)
                turn = build_turn(self.name, by, **self._parts)
                return self._project.change_session(found.name, build_turn_patch(found, turn), manager=self._manager)
            except Conflict as conflict:
                last: Conflict | ApiUnavailable = conflict
            except ApiUnavailable as error:
                if (lost is None and isinstance(error, NotReached)) or attempt >= UNCERTAIN_ATTEMPTS:
                    raise
                last = lost = error
                self._clock.sleep(compute_pause(attempt + 1))
        raise last

    def find(self) -> Session | None:
        """Return the session if the turn is in it, else None."""
        found = self._project.fetch_session(self._session)
        return found if self.name and self._is_added(found) else None

    def _is_added(self, session: Session) -> bool:
        """Return whether the turn of this name was written by this object."""
        key = f'k:{{"name":"{self.name}"}}'
        return any(
            each.get("manager") == self._manager
            and key in (((each.get("fieldsV1") or {}).get("f:spec") or {}).get("f:turns") or {})
            for each in session.raw["metadata"].get("managedFields") or ()
        )


def cancel_turn(project: Project, session: str, name: str) -> Turn:
    """Request the cancellation of a turn and return its state before it; a turn that is over does not change."""
    last: Conflict | None = None
    for _ in range(ATTEMPTS):
        found = project.fetch_session(session)
        require_conversation(found)
        turn = require_turn(found, name)
        if turn.is_over or turn.is_canceling:
            return turn
        try:
            project.change_session(session, build_cancellation(found, name, project.fetch_username()))
        except Conflict as conflict:
            last = conflict
        else:
            return turn
    raise last or AssertionError("no attempt was made")


def follow_turn(
    project: Project,
    session: str,
    name: str,
    view: View,
    clock: Clock,
    *,
    dialogue: Dialogue | None,
    may_answer: bool,
    handled: set[tuple[str, bool]] | None = None,
    on_trouble: Callable[[str], None] = terminal.note,
) -> tuple[ExitStatus, Session]:
    """Show the conversation until a turn is over; return the turn's exit status and the last state.

    With a ``dialogue``, open questions are asked and answered there, also those of earlier turns. ``handled`` holds
    the questions that were asked already.
    """
    asked = handled if handled is not None else set()
    for state in follow_session(project, session, clock, on_trouble):
        view.show(state)
        outcome = find_turn_outcome(state, name, may_answer=may_answer)
        if outcome is not None:
            return outcome, state
        if dialogue is not None and state.is_waiting:
            ask_open_questions(project, state, view, dialogue, asked)
    raise AssertionError("a followed session has no end of its own")
