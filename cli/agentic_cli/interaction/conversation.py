"""A conversation that turns are sent to, and chatting through a pipe: each line is a turn."""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agentic_cli.inputs.checks import require_acceptable, require_small
from agentic_cli.inputs.messages import InputForm, build_input
from agentic_cli.interaction.following import Clock
from agentic_cli.interaction.target import Project
from agentic_cli.interaction.turns import NewTurn, follow_turn
from agentic_cli.interaction.watching import QuietView, View
from agentic_cli.kube.errors import NotFound
from agentic_cli.model.exit_status import ExitStatus
from agentic_cli.model.manifests import FIRST_TURN, build_turn
from agentic_cli.model.sessions import Session
from agentic_cli.model.turns import Turn, find_turn
from agentic_cli.output import terminal
from agentic_cli.output.conversation import describe_end
from agentic_core.errors import AgenticError, ApiUnavailable, PermanentError
from agentic_core.input_rules import InputRules


@dataclass
class Conversation:
    """A session that takes turns, or a definition from which the first turn creates one."""

    project: Project
    create: Callable[[str, Mapping[str, Any]], Session]
    """Creates the session of this name with its first turn."""
    form: InputForm
    rules: InputRules = field(default_factory=InputRules)
    given: Mapping[str, Any] = field(default_factory=dict)
    """Fields of every turn's input."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Config and context of every turn of a session that exists."""
    name: str = ""
    """The session's name; empty until it is created."""
    new_name: str = ""
    """Its name once it is created: chosen by the client, which finds it again after a lost response."""
    _sending: NewTurn | None = None

    def send(self, value: Any) -> str:
        """Add a turn with this input and return its name; the first one creates the session.

        Raises ``InvalidResource`` for an input that the schema refuses, and what ``NewTurn.add`` raises.
        """
        self._sending = None
        require_small(value)
        require_acceptable(value, self.rules)
        if self.name:
            self._sending = NewTurn(self.project, self.name, input=value, **self.settings)
            self._sending.add()
            return self._sending.name
        turn = build_turn(FIRST_TURN, self.project.fetch_username(), input=value)
        try:
            self.name = self.create(self.new_name, turn).name
        except ApiUnavailable:
            if not self.find_sent():
                raise
        terminal.note(f"session/{self.name} created")
        return FIRST_TURN

    def find_sent(self) -> str:
        """Return the name of the turn whose sending was interrupted; empty if it did not arrive."""
        if self._sending is not None:
            return self._sending.name if self._sending.find() is not None else ""
        if self.name:
            return ""
        try:
            created = self.project.fetch_session(self.new_name)
        except NotFound:
            return ""
        if created.spec.get("createdBy", "") != self.project.fetch_username():
            return ""
        self.name = created.name
        return FIRST_TURN

    def parse(self, text: str) -> Any:
        """Return the input that a line stands for; raise ``PermanentError``."""
        return build_input(self.form, text, self.given)

    def fetch(self) -> Session:
        """Return the session as it is."""
        return self.project.fetch_session(self.name)


def chat_in_pipe(conversation: Conversation, lines: Iterator[bytes], clock: Clock) -> ExitStatus:
    """Send each line as a turn, one after the other, and print the replies; return the exit status of the last.

    Stops at a question, because nobody can answer it here, and at the end of the conversation. Raises
    ``PermanentError`` and ``InvalidResource`` for a line that cannot be sent.
    """
    status = ExitStatus.COMPLETED
    view: View = QuietView()
    for number, raw in enumerate(lines, start=1):
        text = _decode(raw, number)
        if not text.strip():
            continue
        try:
            name = conversation.send(conversation.parse(text))
        except AgenticError:
            terminal.note(f"line {number} was not sent, nor what follows it")
            raise
        status, session = follow_turn(
            conversation.project, conversation.name, name, view, clock, dialogue=None, may_answer=False
        )
        show_end(session, name)
        if status is ExitStatus.WAITING:
            terminal.note(
                f"{name} waits for an answer: agentic respond {conversation.name} -n {conversation.project.namespace}"
            )
            return status
        if session.is_final:
            return status
    return status


def show_end(session: Session, name: str, *, shown: str = "") -> None:
    """Print a turn's reply to standard output, or to standard error why it has none.

    ``shown`` is the text that was printed as it was said: it is not printed again.
    """
    turn = find_turn(session, name)
    if turn is None or not turn.is_over:
        _explain_missing(session, name, turn)
    elif turn.phase == "Completed":
        reply = describe_end(session, turn, is_terminal=sys.stdout.isatty())
        if not shown or reply.strip() != shown.strip():
            terminal.say(reply)
        sys.stdout.flush()
    else:
        terminal.note_styled(describe_end(session, turn))


def _explain_missing(session: Session, name: str, turn: Turn | None) -> None:
    if session.is_final:
        terminal.note(f"{name} did not run: the conversation is {session.phase}")
    elif turn is None:
        terminal.note(f"{name} is not kept any more: agentic history {session.name}")


def _decode(raw: bytes, number: int) -> str:
    try:
        return raw.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise PermanentError(f"line {number} of standard input is not UTF-8 text: {error.reason}") from None
