"""Which status of a row may follow which.

A row follows its session from outside: between two writes a session can have passed through several phases. So a status
may replace every one from which the lifecycle leads to it, in any number of steps. None leads away from a final one.
"""

from functools import cache

from agentic_core.lifecycle import TRANSITIONS, Phase


@cache
def sources_of(status: Phase) -> frozenset[Phase]:
    """Return the statuses that a row may have before it gets ``status``; a status that is not final may be repeated."""
    reached = set() if status.is_final else {status}
    waiting = [status]
    while waiting:
        target = waiting.pop()
        found = {old for old, news in TRANSITIONS.items() if target in news} - reached
        reached |= found
        waiting.extend(found)
    return frozenset(reached)
