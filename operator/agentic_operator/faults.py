"""Keeps a fault of one object from the others: in every loop over objects, each object's share stands apart.

Whoever may write an object can write one that nobody foresaw. A loop that ended there would end for all tenants, so no
loop does: the fault is logged with the object's name, counted by loop, and the next object is looked at.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from pydantic import ValidationError

from agentic_core.errors import AgenticError, TransientError

logger: Final = logging.getLogger(__name__)


class Outage:
    """Tells a service that is away from one object that it fails for: away is what fails for several in a row."""

    def __init__(self, limit: int = 3) -> None:
        self._limit = limit
        self._in_a_row = 0

    def succeed(self) -> None:
        self._in_a_row = 0

    def fail(self) -> bool:
        """Count a failure; say whether it is the service's."""
        self._in_a_row += 1
        return self._in_a_row >= self._limit


@dataclass
class Faults:
    """How often a share of a loop's work was left out, by loop, since the process began."""

    counts: Counter[str] = field(default_factory=Counter)

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
            self.tell(loop, error, **about)
        except Exception as error:  # noqa: BLE001  (the boundary between one object and all others)
            self.tell(loop, error, **about)
        else:
            if outage is not None:
                outage.succeed()

    def tell(self, loop: str, error: Exception, **about: str) -> None:
        """Log and count a fault of one object."""
        self.counts[loop] += 1
        if isinstance(error, AgenticError):
            logger.warning("left out of a round of %s: %s", loop, error, extra=about)
        elif isinstance(error, ValidationError):
            logger.error("left out of a round of %s, it cannot be read: %s", loop, describe_invalid(error), extra=about)
        else:
            logger.error("left out of a round of %s after an unexpected error", loop, exc_info=error, extra=about)


def describe_invalid(error: ValidationError) -> str:
    """Return the first thing that is wrong with an object; never the whole, which would quote inputs."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    return f"{'/'.join(str(part) for part in first['loc'])}: {first['msg']}"


async def repeat(
    loop: str,
    go_round: Callable[[], Awaitable[object]],
    faults: Faults,
    *,
    first_seconds: float,
    seconds: float,
    after_fault_seconds: float | None = None,
) -> None:
    """Go round for ever, with pauses; a round that ends in a fault is followed by the next like any other."""
    pause = first_seconds
    while True:
        await asyncio.sleep(pause)
        pause = seconds
        try:
            await go_round()
        except AgenticError as error:
            faults.counts[loop] += 1
            logger.warning("a round of %s was cut short, the next one goes on: %s", loop, error)
            pause = seconds if after_fault_seconds is None else after_fault_seconds
        except Exception:
            # A loop that ended would end the process, and with it the work of all tenants.
            faults.counts[loop] += 1
            logger.exception("a round of %s was cut short by an unexpected error, the next one goes on", loop)
            pause = seconds if after_fault_seconds is None else after_fault_seconds
