"""Writes the session's status during the run, without blocking it.

Phase changes are delivered in order; progress is the latest, at most once a second. While the API server is away the
graph goes on; only the last report has to arrive, and it is repeated for a bounded patience.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime
from functools import partial
from typing import Final, TypeVar

from agentic_core.conditions import Reason
from agentic_core.errors import AgenticError, Conflict, PermanentError, Superseded, TransientError
from agentic_core.lifecycle import Actor, Phase, is_legal
from agentic_core.resources.session import AgenticSession, SessionStatus
from agentic_core.resources.turns import CurrentTurn
from agentic_runner.checkpoints.lost_checkpoints import LostCheckpoints
from agentic_runner.config import RunConfig
from agentic_runner.execution.tracking import Progress
from agentic_runner.session import status as statuses
from agentic_runner.session.api import SessionApi
from agentic_runner.session.turn_status import find_current, require_on

log = logging.getLogger(__name__)

T = TypeVar("T")
Change = Callable[[AgenticSession, datetime], SessionStatus]

_FIRST_DELAY: Final = 0.2
_LONGEST_DELAY: Final = 5.0
_ANSWER_PATIENCE: Final = 2.0


class ApiRetriesExhausted(TransientError):
    """The API server could not be reached within the runner's patience."""


class SessionSuspended(AgenticError):
    """The session is suspended: its phase is the operator's to change, nothing was written."""


def check_ours(session: AgenticSession, config: RunConfig) -> None:
    """Raise ``Superseded`` unless ``session`` is still the one this run works for."""
    name = f"{config.namespace}/{config.session_name}"
    if session.metadata.uid != config.session_uid:
        raise Superseded(f"session {name} was deleted and made again: this run was for uid {config.session_uid!r}")
    if session.metadata.deletion_timestamp is not None:
        raise Superseded(f"session {name} is being deleted")
    if (session.status.run or 0) > config.run:
        raise Superseded(f"run {session.status.run} of session {name} is on: this is run {config.run}")
    if session.status.phase is not None and session.status.phase.is_final:
        raise Superseded(f"session {name} is {session.status.phase} already")


def compute_delay(attempt: int, wish_seconds: float | None, chance: float) -> float:
    """Return the seconds to wait after failed ``attempt`` (1, 2, …).

    Doubling and bounded, spread by ``chance`` (0 to 1) over ±25 %, and never below what the server asked for.
    """
    delay = min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(attempt - 1, 10))
    return max(delay * (0.75 + 0.5 * chance), min(wish_seconds or 0.0, 60.0))


async def persist(call: Callable[[], Awaitable[T]], patience_seconds: float | None = None) -> T:
    """Repeat ``call`` over passing faults.

    Raises :class:`ApiRetriesExhausted` when the patience (None: endless) is over.
    """
    last: TransientError | None = None
    attempt = 0
    try:
        async with asyncio.timeout(patience_seconds):
            while True:
                try:
                    return await call()
                except TransientError as error:
                    last, attempt = error, attempt + 1
                    log.warning("trying again: %s", error, extra={"attempt": attempt})
                    await asyncio.sleep(compute_delay(attempt, error.retry_after_seconds, random.random()))  # noqa: S311
    except TimeoutError as error:
        trouble = last or "it does not answer"
        raise ApiRetriesExhausted(f"no success within {patience_seconds:g} s of trying: {trouble}") from error


class Reporter:
    """Writes one session's status. ``on_lost`` is called once, when the session is not ours any more."""

    def __init__(
        self,
        api: SessionApi,
        config: RunConfig,
        session: AgenticSession,
        on_lost: Callable[[Superseded], None],
        *,
        interval_seconds: float = 1.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._api = api
        self._config = config
        self._session = session
        self._is_current = True
        """Whether every write was answered: until then the session may be what was read or what was written."""
        self._writing = asyncio.Lock()
        self._on_lost = on_lost
        self._interval = interval_seconds
        self.now = now
        self._progress = Progress()
        # How Running is reported; also where a run ended before it could be.
        self._begin: Change = statuses.running
        self._trouble: tuple[Reason, str] | None = None
        self._turn: CurrentTurn | None = None
        self._owes_begin = False
        """Whether the run is on and that is not written yet."""
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._read_last_seq: Callable[[], int] = lambda: 0

    @property
    def last_seq(self) -> int | None:
        """The highest number of an event that this process or the status knows of."""
        return max(self._session.status.last_seq or 0, self._read_last_seq()) or None

    def follow_events(self, read_last_seq: Callable[[], int]) -> None:
        """Write the number of the last event with whatever is written from now on."""
        self._read_last_seq = read_last_seq

    @property
    def session(self) -> AgenticSession:
        """The session as last read."""
        return self._session

    def follow_turn(self, turn: CurrentTurn) -> None:
        """Report this turn of a conversation from now on, and nothing once it is not on any more."""
        self._turn = turn
        self._begin = statuses.running
        self._owes_begin = False
        self._progress = Progress()
        self._trouble = None

    def start(self, begin: Change) -> None:
        """Report from now on: ``begin`` first, then the latest of :meth:`update`."""
        self._begin = begin
        self._owes_begin = True
        self._task = asyncio.create_task(self._report(), name="report")

    def update(self, progress: Progress) -> None:
        """Take the latest progress; it is written when its time comes."""
        if progress != self._progress:
            self._progress = progress
            self._trouble = None
            self._wanted.set()

    def report_trouble(self, reason: Reason, message: str) -> None:
        """Report what keeps the run from going on; over once :meth:`update` has news."""
        self._trouble = (reason, message)
        self._wanted.set()

    async def close(self) -> None:
        """Stop reporting; progress not written yet is dropped."""
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                # Abandoned, a write could still arrive behind the next one that writes nothing new.
                async with asyncio.timeout(_ANSWER_PATIENCE), self._writing:
                    self._task.cancel()
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def conclude(self, change: Change, *, patience_seconds: float | None = None) -> None:
        """Write this run's last report at once, over faults, for as long as the patience lasts.

        Raises :class:`ApiRetriesExhausted` after that, ``Superseded`` when the session is not ours any more, and
        :class:`SessionSuspended` when it is suspended.
        """
        await self.close()
        if patience_seconds is None:
            patience_seconds = self._config.api_patience_seconds
        wanted = change(self._session, self.now()).phase
        try:
            await persist(lambda: self._write(change), patience_seconds)
        except Superseded:
            # Our own write can succeed and its answer be lost.
            if not self._is_written(wanted):
                raise

    def _is_written(self, wanted: Phase | None) -> bool:
        """Return whether the session, as last read, has what this run wanted to write last."""
        status = self._session.status
        is_ours = self._session.metadata.uid == self._config.session_uid and status.phase is wanted
        if self._turn is None or wanted is not Phase.IDLE:
            return is_ours
        return is_ours and status.turn_end is not None and status.turn_end.number == self._turn.number

    async def rewind(self, loss: LostCheckpoints) -> None:
        """Report at once that checkpoints were lost, and forget what was reported of them.

        Raises as :meth:`conclude` does.
        """
        self._progress = Progress()
        self._trouble = None
        await persist(partial(self._write, partial(statuses.rewound, loss=loss)), self._config.api_patience_seconds)

    async def await_begin(self, *, run: int = 1) -> AgenticSession:
        """Return the session once the operator has written that run ``run`` begins, and what its runs are given.

        The Job is made before that is written. Raises as :meth:`conclude` does.
        """

        async def fetch() -> None:
            if (self._session.status.run or 0) < run:
                await self._read_again()
            if (self._session.status.run or 0) < run:
                raise TransientError(f"the operator has not written yet that run {run} begins")

        await persist(fetch, self._config.api_patience_seconds)
        return self._session

    async def find_answers(self, questions: Collection[str]) -> bool | None:
        """Read the session; return whether one of its questions was answered, None if it waits no more.

        Raises ``TransientError``, and ``Superseded`` when the session is not ours any more.
        """
        await self._read_again()
        if self._session.status.phase is not Phase.WAITING_FOR_INPUT:
            return None
        return any(each.id in questions and each.is_pending for each in self._session.status.interrupts)

    async def find_turn(self) -> bool | None:
        """Read the session; return whether a turn is on that has not ended, None if it waits for none any more.

        Raises ``TransientError``, and ``Superseded`` when the session is not ours any more.
        """
        await self._read_again()
        if self._session.status.phase not in (Phase.IDLE, Phase.CREATING, Phase.RUNNING):
            return None
        return find_current(self._session) is not None

    async def _report(self) -> None:
        loop = asyncio.get_running_loop()
        change = self._begin
        try:
            while True:
                started = loop.time()
                await persist(partial(self._write, change))
                await asyncio.sleep(max(0.0, self._interval - (loop.time() - started)))
                await self._wanted.wait()
                self._wanted.clear()
                change = self._latest
        except Superseded as lost:
            self._on_lost(lost)
        except SessionSuspended:
            log.info("session suspended: leaving its status to the operator")
        except PermanentError:
            log.exception("writing the status failed; next attempt at the end of the run")

    def _latest(self, session: AgenticSession, _now: datetime) -> SessionStatus:
        if self._trouble is not None:
            return statuses.troubled(session, *self._trouble)
        return statuses.progressing(session, self._progress)

    async def _write(self, change: Change) -> None:
        """Write ``change``; go by way of Running where the table wants it; re-read where somebody else wrote.

        Invariant: when this returns, the status on the server is what ``change`` made of a status that it was read
        with. So nothing is decided on a session of which a write is not answered: compared with what was read before,
        ``change`` may seem to be there already.
        """
        async with self._writing:
            while not await self._try_to_write(change):
                pass

    async def _try_to_write(self, change: Change) -> bool:
        """Write once; return whether that was ``change``, and no step on its way."""
        try:
            if not self._is_current:
                await self._read_again()
            old = self._session.status.phase
            if self._turn is not None:
                require_on(self._session, self._turn)
            status = change(self._session, self.now())
            new = status.phase or Phase.PENDING
            if old is Phase.SUSPENDED:
                raise SessionSuspended(f"session {self._config.namespace}/{self._config.session_name} is suspended")
            is_due = self._owes_begin and change is not self._begin
            if is_legal(old, new, Actor.RUNNER) and not is_due:
                await self._put(status)
                self._owes_begin = self._owes_begin and change is not self._begin
                return True
            if is_legal(old, Phase.RUNNING, Actor.RUNNER):
                await self._put(self._begin(self._session, self.now()))
                self._owes_begin = False
                return False
        except Conflict:
            await self._read_again()
            return False
        await self._read_again()
        if self._session.status.phase is old:
            raise TransientError(f"the session is {old or 'new'}: waiting for the operator to write Creating")
        return False

    async def _put(self, status: SessionStatus) -> None:
        # After rows were lost, the next process knows by it which numbers were given.
        status = status.model_copy(update={"last_seq": self.last_seq})
        self._is_current = False
        self._session = await self._api.write_status(self._session, status)
        self._is_current = True

    async def _read_again(self) -> None:
        self._session = await self._api.fetch()
        self._is_current = True
        check_ours(self._session, self._config)
