"""Following a session as a protocol: what is to be done next, without doing it. Pure.

Each generator yields steps; whoever drives it carries one out and sends back what came of it, or throws in the
``GatewayError`` that it met. One driver awaits and one blocks; both are a dozen lines.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from agentic_client.calls import Call, Place, get_session, list_events, open_stream
from agentic_client.connection import Connection, ConnectionState, Verdict, compute_pause
from agentic_client.errors import (
    ServerFault,
    TooManyRequests,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from agentic_client.messages import Message, parse_message
from agentic_client.server_sent_events import EventReader
from agentic_client.sessions import Session
from agentic_core.lifecycle import Phase

# A session that ends without a message (it was stopped) is noticed by its status, after so long a silence; then each
# time after twice as long.
FIRST_SILENCE_SECONDS: Final = 15.0
LONGEST_SILENCE_SECONDS: Final = 60.0
# The status follows the last message within a moment.
MOMENTS: Final = (0.05, 0.1, 0.2, 0.4, 0.8)
# So many connections may each leave out messages before the stream is given up.
MOST_BROKEN: Final = 5

_TEMPORARY: Final = (Unreachable, Unavailable, TooManyRequests, ServerFault)
_ON: Final = frozenset({Phase.PENDING, Phase.CREATING, Phase.RUNNING})


@dataclass(frozen=True)
class Fetch:
    """Send a request once; the outcome is its value."""

    call: Call[Any]


@dataclass(frozen=True)
class Connect:
    """Open the stream, in place of the one that is open."""

    call: Call[None]


@dataclass(frozen=True)
class Receive:
    """Wait for the next piece of the stream; the outcome is a :class:`Received`."""


@dataclass(frozen=True)
class Received:
    """A piece of the stream, empty at its end, and the time by a clock that never goes back."""

    piece: bytes
    now: float


@dataclass(frozen=True)
class Pause:
    """Let so many seconds pass."""

    seconds: float


@dataclass(frozen=True)
class Changed:
    """The connection's state is another one now."""

    state: ConnectionState


@dataclass(frozen=True)
class Deliver:
    """Give a message to the caller."""

    message: Message


Step: TypeAlias = Fetch | Connect | Receive | Pause | Changed | Deliver
Steps: TypeAlias = Generator[Step, Any, None]
Jitter: TypeAlias = Callable[[], float]


class Following:
    """One stream of a session, over as many connections as it takes, until the session is final."""

    def __init__(self, place: Place, after: int, jitter: Jitter) -> None:
        self._place = place
        self._jitter = jitter
        self._connection = Connection(after)
        self._broken = 0

    def steps(self) -> Steps:
        """Yield what is to be done.

        Ends once the session is final and all its messages are delivered. Raises what is not to be mended by another
        attempt: a refused token or right, a session that is gone, a server that is no gateway.
        """
        yield Changed(self._connection.state)
        while True:
            try:
                if (yield from self._follow_once()):
                    self._connection = self._connection.close()
                    yield Changed(self._connection.state)
                    return
                wish = None
            except _TEMPORARY as error:
                wish = getattr(error, "retry_after_seconds", None)
            self._connection = self._connection.lose()
            yield Changed(self._connection.state)
            yield Pause(compute_pause(self._connection.failures, self._jitter(), wish))
            self._connection = self._connection.retry()
            yield Changed(self._connection.state)

    def _follow_once(self) -> Generator[Step, Any, bool]:
        """Follow over one connection; return whether the session has ended, False if the connection did."""
        if (yield from self._is_over()):
            return True
        yield Connect(open_stream(self._place, self._connection.after))
        self._connection = self._connection.open()
        yield Changed(self._connection.state)
        reader = EventReader()
        heard: float | None = None
        patience = FIRST_SILENCE_SECONDS
        while True:
            received: Received = yield Receive()
            if not received.piece:
                return False
            self._connection = self._connection.hear()
            may_be_over = False
            for event in reader.feed(received.piece):
                heard, patience = received.now, FIRST_SILENCE_SECONDS
                message = parse_message(event.data)
                match self._connection.judge(message):
                    case Verdict.MISSING:
                        return self._break(message)
                    case Verdict.DELIVER:
                        self._broken = 0
                        self._connection = self._connection.deliver(message)
                        yield Deliver(message)
                        may_be_over = message.may_be_last
                    case Verdict.REPEATED:
                        pass
            heard = received.now if heard is None else heard
            if may_be_over:
                if (yield from self._watch_for_end()):
                    return True
            elif received.now - heard >= patience:
                heard, patience = received.now, min(2 * patience, LONGEST_SILENCE_SECONDS)
                if (yield from self._is_over()):
                    return True

    def _break(self, message: Message) -> bool:
        self._broken += 1
        if self._broken > MOST_BROKEN:
            raise UnexpectedAnswer(
                f"message {message.seq} came after {self._connection.after}, and what lies between never does"
            )
        return False

    def _watch_for_end(self) -> Generator[Step, Any, bool]:
        """Return whether the session has ended: its status says so a moment after its last message."""
        for moment in MOMENTS:
            session: Session = yield Fetch(get_session(self._place))
            if session.phase not in _ON:
                return session.is_final and (yield from self._deliver_rest())
            yield Pause(moment)
        return False

    def _is_over(self) -> Generator[Step, Any, bool]:
        session: Session = yield Fetch(get_session(self._place))
        return session.is_final and (yield from self._deliver_rest())

    def _deliver_rest(self) -> Generator[Step, Any, bool]:
        """Deliver what there is of a session that is final; return True."""
        while True:
            messages: tuple[Message, ...] = yield Fetch(list_events(self._place, self._connection.after))
            before = self._connection.after
            for message in messages:
                if self._connection.judge(message) is Verdict.DELIVER:
                    self._connection = self._connection.deliver(message)
                    yield Deliver(message)
            if self._connection.after == before:
                return True


class Waiting:
    """Waits for a session to meet a condition, or to be final.

    The session is read again after each message that tells of a phase, and with each sign of life of the stream.
    """

    def __init__(self, place: Place, is_met: Callable[[Session], bool], jitter: Jitter) -> None:
        self._place = place
        self._is_met = is_met
        self._jitter = jitter
        self._connection = Connection()

    def steps(self) -> Generator[Step, Any, Session]:
        """Yield what is to be done; return the session as it is then. Raises as :meth:`Following.steps` does."""
        session: Session = yield Fetch(get_session(self._place))
        while not self._is_done(session):
            wish = None
            try:
                session = yield from self._wait_once(session)
                if self._is_done(session):
                    break
            except _TEMPORARY as error:
                wish = getattr(error, "retry_after_seconds", None)
            self._connection = self._connection.lose()
            yield Pause(compute_pause(self._connection.failures, self._jitter(), wish))
            self._connection = self._connection.retry()
        return session

    def _is_done(self, session: Session) -> bool:
        return session.is_final or self._is_met(session)

    def _wait_once(self, session: Session) -> Generator[Step, Any, Session]:
        """Wait over one connection; return the session as it was read last."""
        yield Connect(open_stream(self._place, session.last_seq))
        self._connection = self._connection.open()
        reader = EventReader()
        session = yield Fetch(get_session(self._place))
        while not self._is_done(session):
            received: Received = yield Receive()
            if not received.piece:
                return session
            self._connection = self._connection.hear()
            messages = [parse_message(event.data) for event in reader.feed(received.piece)]
            told = next((phase for each in reversed(messages) if (phase := each.metadata.get("phase"))), None)
            if messages and told is None:
                continue
            session = yield Fetch(get_session(self._place))
            for moment in MOMENTS if told is not None else ():
                if self._is_done(session) or session.phase == told:
                    break
                yield Pause(moment)
                session = yield Fetch(get_session(self._place))
        return session
