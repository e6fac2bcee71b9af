"""The state of a stream's connection, and which messages it lets through. Pure.

::

    CONNECTING ──opened──> CONNECTED ──lost──> DISCONNECTED ──(pause)──> CONNECTING …
         └──────────────────lost──────────────────^
    any of them ──closed──> CLOSED      the session is final, or the caller has left

Invariant: ``after`` is the number of the last message that was delivered. A message is delivered only if it follows
that one, so that none comes twice and none is left out, whatever is sent on however many connections.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from agentic_client.messages import Message

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0


class ConnectionState(StrEnum):
    """How a stream stands."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    CLOSED = "closed"


class Verdict(StrEnum):
    """What becomes of a message that came."""

    DELIVER = "deliver"
    REPEATED = "repeated"
    """It was delivered before."""
    MISSING = "missing"
    """There are messages between the last one and this one: the connection cannot be relied upon."""


@dataclass(frozen=True)
class Connection:
    """One stream's connection; each change is a new value."""

    after: int = 0
    state: ConnectionState = ConnectionState.CONNECTING
    failures: int = 0
    """Losses in a row without a message or a sign of life between them."""

    def open(self) -> "Connection":
        """Return it connected: the server has answered."""
        return self._change(ConnectionState.CONNECTED, ConnectionState.CONNECTING)

    def hear(self) -> "Connection":
        """Return it after a sign of life: the pauses begin anew."""
        return self if self.failures == 0 else replace(self, failures=0)

    def lose(self) -> "Connection":
        """Return it disconnected."""
        changed = self._change(ConnectionState.DISCONNECTED, ConnectionState.CONNECTING, ConnectionState.CONNECTED)
        return replace(changed, failures=self.failures + 1)

    def retry(self) -> "Connection":
        """Return it as it connects again."""
        return self._change(ConnectionState.CONNECTING, ConnectionState.DISCONNECTED)

    def close(self) -> "Connection":
        """Return it closed, for good."""
        return self._change(ConnectionState.CLOSED, *ConnectionState)

    def judge(self, message: Message) -> Verdict:
        """Return what becomes of a message; one without a number is about this connection alone."""
        if message.seq is None:
            return Verdict.DELIVER
        if message.seq <= self.after:
            return Verdict.REPEATED
        # A message may stand for several that were joined since: then `prev` lies before the last one that came.
        if message.prev is not None and message.prev > self.after:
            return Verdict.MISSING
        return Verdict.DELIVER

    def deliver(self, message: Message) -> "Connection":
        """Return it after a message was delivered, which is a sign of life, too."""
        return self.hear() if message.seq is None else replace(self, after=message.seq, failures=0)

    def _change(self, state: ConnectionState, *allowed: ConnectionState) -> "Connection":
        if self.state not in allowed:
            raise ValueError(f"a connection that is {self.state} does not become {state}")
        return replace(self, state=state)


def compute_pause(failures: int, jitter: float, retry_after_seconds: float | None = None) -> float:
    """Return the seconds before the next attempt: half of a doubling pause and a random share of the other half.

    ``failures`` counts from 1, ``jitter`` is a random number from 0 to 1: a thousand clients of a server that went away
    do not come back at the same moment. A server's ``Retry-After`` is kept, and the jitter added to it.
    """
    longest = min(FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 30), LONGEST_PAUSE_SECONDS)
    pause = longest * (0.5 + 0.5 * jitter)
    if retry_after_seconds is None or retry_after_seconds <= pause:
        return pause
    return retry_after_seconds + FIRST_PAUSE_SECONDS * jitter
