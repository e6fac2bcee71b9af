"""Follows a session's changes through lost connections, restarts of the API server and expired versions."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from agentic_cli.interaction.target import Project
from agentic_cli.kube.client import WATCH_SECONDS
from agentic_cli.kube.errors import Expired, NotFound
from agentic_cli.model.exit_status import TimedOut
from agentic_cli.model.kinds import SESSIONS
from agentic_cli.model.sessions import UNTAKEN, UNTAKEN_SECONDS, Session, parse_session
from agentic_core.errors import ApiUnavailable, PermanentError

# How long an API server may be away before the command gives up.
PATIENCE_SECONDS: Final = 300.0
MAX_PAUSE_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Clock:
    """A clock with a deadline."""

    deadline: float | None = None
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    @classmethod
    def with_timeout(cls, seconds: float | None) -> "Clock":
        """Return a clock that ends after ``seconds``, or never (None)."""
        return cls(None if seconds is None else time.monotonic() + seconds)

    def limit(self, seconds: float) -> float:
        """Return ``seconds``, or the remaining time if that is less; raise ``TimedOut`` if none is left."""
        if self.deadline is None:
            return seconds
        left = self.deadline - self.now()
        if left <= 0:
            raise TimedOut("timed out; the session goes on by itself")
        return min(seconds, left)


def compute_pause(failures: int) -> float:
    """Return the pause after the n-th failure in a row (from 1), in seconds."""
    return float(min(0.25 * 2 ** (failures - 1), MAX_PAUSE_SECONDS))


def follow_session(project: Project, name: str, clock: Clock, on_trouble: Callable[[str], None]) -> Iterator[Session]:
    """Yield the session's state, then each newer one, without end.

    Raises ``PermanentError`` when it is deleted, ``TimedOut`` at the clock's end, and ``ApiUnavailable`` when the API
    server was unavailable for too long. ``on_trouble`` is called once when the connection is lost.
    """
    session = project.fetch_session(name)
    yield session
    version = session.version
    outage = Outage(clock, on_trouble)
    warns_at: float | None = clock.now() + UNTAKEN_SECONDS
    while True:
        try:
            if warns_at is not None and (session.is_taken_up or clock.now() >= warns_at):
                warns_at = None
                if not session.is_taken_up:
                    on_trouble(f"{name}: {UNTAKEN.format(namespace=session.namespace)}")
            if not version:
                newer = project.fetch_session(name)
                _require_same(session, newer)
                version = newer.version
                if newer.version != session.version:
                    session = newer
                    yield session
            longest = WATCH_SECONDS if warns_at is None else min(WATCH_SECONDS, max(1.0, warns_at - clock.now()))
            watch = project.api.watch(
                SESSIONS, project.namespace, version=version, name=name, seconds=outage.limit(longest)
            )
            for event in watch:
                outage.end()
                version = event.object["metadata"]["resourceVersion"]
                if event.type == "DELETED":
                    raise PermanentError(f"session {name!r} was deleted")
                if event.type != "BOOKMARK":
                    newer = parse_session(event.object)
                    _require_same(session, newer)
                    session = newer
                    yield session
                clock.limit(0)
        except Expired:
            version = ""
        except NotFound:
            raise PermanentError(f"session {name!r} was deleted") from None
        except ApiUnavailable as error:
            outage.bear(error)


class Outage:
    """Bears an API server that does not answer for a while."""

    error: ApiUnavailable | None = None
    """Why it does not answer now; None if it does."""

    def __init__(self, clock: Clock, on_trouble: Callable[[str], None]) -> None:
        self._clock = clock
        self._on_trouble = on_trouble
        self._failures = 0
        self._lost_at = 0.0

    def end(self) -> None:
        """Note that it answers."""
        self._failures = 0
        self.error = None

    def limit(self, seconds: float) -> float:
        """Return what the clock's ``limit`` does; ``TimedOut`` says why the API server does not answer."""
        try:
            return self._clock.limit(seconds)
        except TimedOut as over:
            if self.error is None:
                raise
            raise TimedOut(f"{over}; last: {self.error}") from None

    def bear(self, error: ApiUnavailable) -> None:
        """Pause before the next try; raise ``error`` after ``PATIENCE_SECONDS`` of failures, ``TimedOut`` before."""
        self._failures += 1
        self.error = error
        if self._failures == 1:
            self._lost_at = self._clock.now()
        elif self._clock.now() - self._lost_at > PATIENCE_SECONDS:
            raise error
        if self._failures == 2:
            # The first failure may only be an idle connection.
            self._on_trouble(f"{error}; trying again")
        self._clock.sleep(self.limit(compute_pause(self._failures)))


def _require_same(old: Session, new: Session) -> None:
    if old.uid != new.uid:
        raise PermanentError(f"session {old.name!r} was deleted, and another one of its name made")
