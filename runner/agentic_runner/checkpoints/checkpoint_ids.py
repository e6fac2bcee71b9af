"""Checkpoint ids that sort after those of the thread, independent of the node's clock.

LangGraph takes the greatest id of a thread for its newest checkpoint, and makes ids from the clock. After a run on a
node whose clock was ahead, the next run's checkpoints would sort before the older ones, and be passed over: super-steps
would run again, answers would be lost.
"""

import uuid
from typing import Final

from agentic_core.errors import GraphLoadError

_TIME_ORDERED: Final = 6


def follow(newest: str) -> None:
    """Let every checkpoint that this process makes sort after ``newest``.

    The library's ids never go back within a process: it remembers the last one's time, which is moved on here. Raises
    :class:`GraphLoadError` where an installed library does not make use of that any more.
    """
    from langgraph.checkpoint.base import id as ids

    last = ids.UUID(hex=newest)
    if last.version != _TIME_ORDERED:
        return
    remembered = getattr(ids, "_last_v6_timestamp", None) or 0
    setattr(ids, "_last_v6_timestamp", max(remembered, last.time))  # noqa: B010  (the library types it as None)
    made = ids.uuid6(clock_seq=0)
    if not _sorts_after(made, last):
        raise GraphLoadError(
            f"the node's clock is behind checkpoint {newest!r}, and the installed langgraph-checkpoint does not let new"
            " checkpoints follow it: set the node's clock, or install a release that is known to work"
        )


def _sorts_after(made: uuid.UUID, last: uuid.UUID) -> bool:
    return str(made) > str(last)
