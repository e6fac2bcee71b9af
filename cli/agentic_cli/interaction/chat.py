"""Chat at a prompt: each line is a turn, questions are asked in place, replies are printed."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from agentic_cli.inputs.messages import Form, read_said
from agentic_cli.interaction.conversation import Conversation, show_end
from agentic_cli.interaction.following import Clock
from agentic_cli.interaction.line_editor import LineEditor
from agentic_cli.interaction.prompting import Dialogue, NoAnswer, TerminalDialogue, fill_form
from agentic_cli.interaction.turns import cancel_turn, follow_turn
from agentic_cli.interaction.watching import View
from agentic_cli.model.exit_status import ExitStatus
from agentic_cli.model.sessions import Session
from agentic_cli.model.turns import REFUSED, Turn, find_current, find_turn, list_pending, list_turns
from agentic_cli.output import terminal
from agentic_cli.output.conversation import describe_end, describe_history, describe_turns
from agentic_cli.output.durations import utc_now
from agentic_cli.output.rendering import describe_session
from agentic_core.errors import AgenticError, PermanentError, TransientError

if TYPE_CHECKING:
    from agentic_cli.interaction.streaming import Gateway

PROMPT: Final = "> "
HELP: Final = """\
a line is a message; one that ends with \\ goes on in the next, and a paste of several lines stays one message
/history          what was said and answered
/session          the session: its name, its phase, its turns
/cancel [TURN]    end the turn that is on
/close            end the conversation for good
/quit             leave; the conversation goes on (Ctrl-D does the same)
//…               a message that begins with /
Ctrl-C cancels the turn that is on; at the prompt, a second one leaves"""


class ChatEnded(Exception):
    """The chat ends; ``status`` None stands for that of the last turn."""

    def __init__(self, status: ExitStatus | None = None) -> None:
        super().__init__()
        self.status = status


class Chat:
    """One person's chat on a terminal."""

    def __init__(
        self,
        conversation: Conversation,
        editor: LineEditor,
        dialogue: Dialogue | None = None,
        *,
        gateway: "Gateway | None" = None,
        heard: int = 0,
    ) -> None:
        """Prepare the chat; ``heard`` is the number of the session's last message that is not to be shown again."""
        self._conversation = conversation
        self._gateway = gateway
        self._heard = heard
        self._shown = ""
        self._editor = editor
        self._dialogue = dialogue or TerminalDialogue()
        self._status = ExitStatus.COMPLETED
        self._handled: set[tuple[str, bool]] = set()
        self._may_leave = False
        self._has_ended = False
        self._replies: dict[str, str] = {}

    def run(self) -> ExitStatus:
        """Run until the person leaves or the conversation ends; return the exit status of the last turn."""
        try:
            self._begin()
            while True:
                self._read_line()
        except KeyboardInterrupt:
            return self._finish(ExitStatus.INTERRUPTED)
        except ChatEnded as ended:
            return self._finish(self._status if ended.status is None else ended.status)

    def _finish(self, status: ExitStatus) -> ExitStatus:
        if self._conversation.name and not self._has_ended:
            place = f"{self._conversation.name} -n {self._conversation.project.namespace}"
            terminal.note(f"the conversation goes on: agentic chat {place}")
        return status

    def _begin(self) -> None:
        terminal.note("type a message; /help shows what else there is")
        if self._conversation.form.form is Form.OBJECT:
            terminal.note("this workflow takes several fields: press Enter to be asked for them, or type JSON")
        if not self._conversation.name:
            return
        session = self._conversation.fetch()
        self._show_history(session)
        for turn in list_turns(session):
            if "input" in turn.spec and self._is_mine(turn):
                self._editor.add_history(read_said(turn.spec["input"]))
        for turn in list_pending(session):
            self._follow(turn.name, is_mine=self._is_mine(turn))

    def _is_mine(self, turn: Turn) -> bool:
        return turn.by in ("", self._conversation.project.fetch_username())

    def _read_line(self) -> None:
        try:
            text = self._editor.read(PROMPT)
        except NoAnswer:
            raise ChatEnded from None
        except KeyboardInterrupt:
            terminal.note("")
            if self._may_leave:
                raise ChatEnded(ExitStatus.INTERRUPTED) from None
            self._may_leave = True
            terminal.note("Ctrl-C once more, or Ctrl-D, leaves")
            return
        self._may_leave = False
        if text.startswith("/") and not text.startswith("//"):
            self._run_command(*text[1:].split(maxsplit=1))
        elif text.strip():
            self._send_line(text.removeprefix("/") if text.startswith("//") else text)
        elif self._conversation.form.form is Form.OBJECT:
            self._fill_form()

    def _fill_form(self) -> None:
        try:
            value = fill_form(self._dialogue, self._conversation.rules.form, dict(self._conversation.given))
        except (NoAnswer, KeyboardInterrupt):
            terminal.note("not sent")
            return
        self._send(lambda: value, "")

    def _send_line(self, text: str) -> None:
        self._send(lambda: self._conversation.parse(text), text)

    def _send(self, build: Callable[[], Any], text: str) -> None:
        """Send a turn and follow it; print why it cannot be sent, and restore the text at the prompt."""
        try:
            name = self._conversation.send(build())
        except AgenticError as error:
            terminal.fail(terminal.explain(error))
            self._editor.restore(text)
        except KeyboardInterrupt:
            terminal.note("")
            if name := self._conversation.find_sent():
                # It arrived before the key was pressed.
                self._cancel(name)
                self._follow(name, text=text)
            else:
                terminal.note("not sent")
                self._editor.restore(text)
        else:
            self._follow(name, text=text)

    def _follow(self, name: str, *, is_mine: bool = True, text: str = "") -> None:
        """Show a turn's progress and reply; Ctrl-C cancels it, unless it is somebody else's."""
        try:
            status, session = self._watch(name)
        except KeyboardInterrupt:
            terminal.note("")
            if not is_mine:
                terminal.note(f"{name} is somebody else's and goes on; /cancel {name} would end it")
                return
            self._may_leave = True
            self._cancel(name)
            try:
                status, session = self._watch(name)
            except KeyboardInterrupt:
                terminal.note("")
                raise ChatEnded(ExitStatus.INTERRUPTED) from None
        except TransientError as error:
            terminal.fail(f"{terminal.explain(error)}; {name} goes on by itself")
            return
        self._status = status
        show_end(session, name, shown=self._shown)
        turn = find_turn(session, name)
        if turn is not None and turn.phase == REFUSED:
            self._editor.restore(text)
        elif turn is not None and turn.is_over:
            self._replies[name] = describe_end(session, turn)
        if session.is_final:
            self._has_ended = True
            terminal.note(f"the conversation is {session.phase}" + (f": {session.message}" if session.message else ""))
            raise ChatEnded

    def _watch(self, name: str) -> tuple[ExitStatus, Session]:
        if self._gateway is not None:
            return self._listen(self._gateway, name)
        from agentic_cli.output.progress import ProgressLine

        with ProgressLine(name) as view:
            return self._follow_turn(name, view)

    def _listen(self, gateway: "Gateway", name: str) -> tuple[ExitStatus, Session]:
        """Follow a turn, and show what it says as it says it."""
        from agentic_cli.interaction.streaming import LAST_WORDS_SECONDS, Listener
        from agentic_cli.output.speaking import SpeakingLine

        conversation = self._conversation
        self._shown = ""
        with SpeakingLine(name) as view:
            listener = Listener(
                gateway, conversation.project.namespace, conversation.name, self._heard, view.hear, view.tell
            )
            try:
                with listener:
                    status, session = self._follow_turn(name, view)
                    if status in (ExitStatus.COMPLETED, ExitStatus.FAILED):
                        view.finish(LAST_WORDS_SECONDS)
            finally:
                self._heard = listener.after
        self._shown = view.reply
        return status, session

    def _follow_turn(self, name: str, view: View) -> tuple[ExitStatus, Session]:
        return follow_turn(
            self._conversation.project,
            self._conversation.name,
            name,
            view,
            Clock(),
            dialogue=self._dialogue,
            may_answer=True,
            handled=self._handled,
        )

    def _cancel(self, name: str) -> None:
        turn = cancel_turn(self._conversation.project, self._conversation.name, name)
        terminal.note(
            f"{name} is {turn.phase} already" if turn.is_over else f"canceling {name}; Ctrl-C once more leaves"
        )

    # -- commands

    def _run_command(self, word: str = "", argument: str = "") -> None:
        commands = {
            "help": self._help,
            "history": self._history,
            "session": self._session,
            "cancel": self._cancel_named,
            "close": self._close,
            "quit": self._quit,
        }
        if word not in commands:
            terminal.fail(
                f"there is no /{word}: /help shows what there is; a message that begins with / is written //{word}"
            )
            return
        try:
            commands[word](argument)
        except KeyboardInterrupt:
            terminal.note("")
        except AgenticError as error:
            terminal.fail(terminal.explain(error))

    def _help(self, _argument: str) -> None:
        for line in HELP.splitlines():
            terminal.note(line)

    def _history(self, _argument: str) -> None:
        self._show_history(self._require_session())

    def _show_history(self, session: Session) -> None:
        for line in describe_history(session, self._replies):
            terminal.say(line)

    def _session(self, _argument: str) -> None:
        session = self._require_session()
        for line in [*describe_session(session, utc_now(), has_result=False), *describe_turns(session, utc_now())]:
            terminal.note(line)

    def _cancel_named(self, argument: str) -> None:
        session = self._require_session()
        current = find_current(session)
        name = argument.strip() or (current.name if current is not None else "")
        if not name:
            raise PermanentError("no turn is on: /cancel TURN cancels one that waits, /session shows them")
        self._cancel(name)
        self._follow(name)

    def _close(self, _argument: str) -> None:
        session = self._require_session()
        self._conversation.project.patch_session(session.name, {"spec": {"close": True}})
        self._has_ended = True
        terminal.note(f"closing {session.name}: it is Completed once no turn is left")
        raise ChatEnded

    def _quit(self, _argument: str) -> None:
        raise ChatEnded

    def _require_session(self) -> Session:
        if not self._conversation.name:
            raise PermanentError("nothing was said yet: the first message makes the session")
        return self._conversation.fetch()
