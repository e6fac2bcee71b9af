"""Fault isolation: an error with one object never stops a loop over the others.

Whoever may write an object can write one that nobody foresaw. A loop that ended there would end for all tenants, so no
loop does: the fault is logged with the object's name, counted by loop, and the next object is looked at.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from pydantic import ValidationError

from agentic_core.errors import AgenticError, TransientError

logger: Final = logging.getLogger(__name__)


# What may pass by itself is told once, and again only after this time, then twice that, and so on.
QUIET_SECONDS: Final = 60.0
LONGEST_QUIET_SECONDS: Final = 3600.0
_MOST_QUIET: Final = 1000


class Quiet:
    """Says which of many equal complaints are worth a line in the log: the first, and ever fewer of the others."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[Hashable, tuple[float, float]] = {}

    def is_due(self, about: Hashable) -> bool:
        """Return whether to report now; from then on it is quiet for longer than the time before."""
        now = self._clock()
        until, seconds = self._until.get(about, (0.0, 0.0))
        if about in self._until and now < until:
            return False
        # One that was not heard of for long begins anew.
        seconds = min(2 * seconds, LONGEST_QUIET_SECONDS) if seconds and now < until + seconds else QUIET_SECONDS
        if len(self._until) >= _MOST_QUIET:
            self._until.clear()
        self._until[about] = now + seconds, seconds
        return True

    def end(self, about: Hashable) -> bool:
        """Forget a complaint that is over; return whether it was told."""
        return self._until.pop(about, None) is not None


class Outage:
    """Tells a service that is away from one object that it fails for: away is what fails for several in a row."""

    def __init__(self, limit: int = 3) -> None:
        self._limit = limit
        self._in_a_row = 0

    def succeed(self) -> None:
        self._in_a_row = 0

    def fail(self) -> bool:
        """Count a failure; return whether it is the service's."""
        self._in_a_row += 1
        return self._in_a_row >= self._limit


@dataclass
class Faults:
    """How often a share of a loop's work was left out, by loop, since the process began."""

    counts: Counter[str] = field(default_factory=Counter)
    quiet: Quiet = field(default_factory=Quiet)

    @contextmanager
    def apart(self, loop: str, outage: Outage | None = None, **about: str) -> Iterator[None]:
        """Do one object's share of a loop: whatever it raises is told and counted, and ends nothing else.

        With ``outage``, what may pass by itself is raised once it fails for several objects in a row: then it is none
        of theirs, and each of the others would only wait for the same.
        """
        try:
            yield
        except TransientError as error:
            if outage is not None and outage.fail():
                raise
            self.report(loop, error, **about)
        except Exception as error:  # noqa: BLE001  (the boundary between one object and all others)
            self.report(loop, error, **about)
        else:
            if outage is not None:
                outage.succeed()

    def report(self, loop: str, error: Exception, **about: str) -> None:
        """Count a fault of one object, and log it: what may pass by itself once, and then ever less often."""
        self.counts[loop] += 1
        if isinstance(error, TransientError) and not self.quiet.is_due((loop, type(error), *sorted(about.items()))):
            logger.debug("skipped in %s again: %s", loop, error, extra=about)
        elif isinstance(error, AgenticError):
            logger.warning("skipped in %s: %s", loop, error, extra=about)
        elif isinstance(error, ValidationError):
            logger.error("skipped in %s, invalid object: %s", loop, describe_invalid(error), extra=about)
        else:
            logger.error("skipped in %s after an unexpected error", loop, exc_info=error, extra=about)


def describe_invalid(error: ValidationError) -> str:
    """Return the first thing that is wrong with an object; never the whole, which would quote inputs."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    return f"{'/'.join(str(part) for part in first['loc'])}: {first['msg']}"


async def repeat(
    loop: str,
    run_once: Callable[[], Awaitable[object]],
    faults: Faults,
    *,
    first_seconds: float,
    seconds: float,
    after_fault_seconds: float | None = None,
) -> None:
    """Go round for ever, with pauses; a round that ends in a fault is followed by the next like any other.

    An outage is told when it begins, then ever less often, and when it is over.
    """
    pause, failed = first_seconds, 0
    while True:
        await asyncio.sleep(pause)
        pause = seconds
        try:
            await run_once()
            if failed and faults.quiet.end(loop):
                logger.info("rounds of %s go on again, after %d that were cut short", loop, failed)
            failed = 0
        except AgenticError as error:
            faults.counts[loop] += 1
            failed += 1
            level = logging.WARNING if faults.quiet.is_due(loop) else logging.DEBUG
            logger.log(level, "%s interrupted, continuing in the next round: %s", loop, error)
            pause = seconds if after_fault_seconds is None else after_fault_seconds
        except Exception:
            # A loop that ended would end the process, and with it the work of all tenants.
            faults.counts[loop] += 1
            logger.exception("%s interrupted by an unexpected error, continuing in the next round", loop)
            pause = seconds if after_fault_seconds is None else after_fault_seconds
