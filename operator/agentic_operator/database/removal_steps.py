"""Removes in small steps with pauses, so that others get the database meanwhile; counts what was removed."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from agentic_core.errors import DatabaseUnavailable, TransientError
from agentic_store.retention import Gone, Step

# A step is followed by a pause of a fiftieth of its own time.
REST: Final = 0.02
LONGEST_REST: Final = 2.0

logger: Final = logging.getLogger(__name__)


@dataclass
class Progress:
    """What rounds have done since the process began, for the metrics."""

    gone: Gone = field(default_factory=Gone)
    threads: Counter[str] = field(default_factory=Counter)
    """Numbers by action: removed, pruned, ownerless."""
    expired: int = 0
    """Items of the long-term store."""
    rounds: int = 0
    failures: int = 0
    is_running: bool = False
    ended_at: float = 0.0
    """Unix time of the last round that went to its end."""
    seconds: float = 0.0
    """How long that one took."""
    busy_seconds: float = 0.0
    """How long all steps took, without the pauses between them."""


Take: TypeAlias = Callable[[Sequence[str]], Awaitable[Step]]


@dataclass(frozen=True)
class Done:
    """How many threads were gone through, and what was removed of them."""

    sessions: int = 0
    gone: Gone = field(default_factory=Gone)

    def __add__(self, other: "Done") -> "Done":
        return Done(self.sessions + other.sessions, self.gone + other.gone)


async def take_steps(action: str, wanted: Sequence[str], take: Take, progress: Progress) -> Done:
    """Take steps, with a pause after each, until everything is removed; ``progress`` counts them under ``action``."""
    done, left = Done(), tuple(wanted)
    while left:
        began = time.monotonic()
        try:
            step = await take(left)
        except DatabaseUnavailable:
            raise
        except TransientError as error:
            # Somebody holds what we would wait for: the next round finds it again.
            progress.failures += 1
            logger.warning("left %d sessions for the next round: %s", len(left), error)
            return done
        left = step.left
        done += Done(len(step.finished), step.gone)
        progress.busy_seconds += time.monotonic() - began - step.rested
        progress.gone += step.gone
        progress.threads[action] += len(step.finished)
        await pause(began)
    return done


async def pause(began: float) -> None:
    """Rest after a step that began at ``began``, by the monotonic clock."""
    await asyncio.sleep(min((time.monotonic() - began) * REST, LONGEST_REST))
