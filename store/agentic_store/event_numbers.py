"""The numbers of a session's events, and what holds of them. Pure; ``sql/events.sql`` does the same in one statement.

Let *known* be the highest number in the table, *floor* the highest number that the writer knows to have been given: the
last one that was confirmed to it, or the session's ``status.lastSeq`` where it has just begun. New events get the
numbers that follow ``max(known, floor)``, one after the other. Then

1. numbers of a session have no gap, but for those that rows were lost or removed of: they only grow;
2. a number that the writer knows of is never given again, whatever rows the database lost in a failover or a restore;
3. where rows are missing between *known* and *floor*, the first new row is a ``gap`` that says from which number to
   which.

A number can be given twice in one case alone: the rows were lost, *and* the process that wrote them died, *and* they
were younger than the last status that it wrote.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Numbers:
    """The numbers of a batch: of its events from ``first`` to ``last``, and which ones before are missing."""

    first: int
    last: int
    missing: tuple[int, int] | None = None

    @property
    def gap(self) -> int | None:
        """The number of the row that tells what is missing."""
        return None if self.missing is None else self.first - 1


def compute_numbers(known: int, floor: int, count: int) -> Numbers:
    """Return the numbers of ``count`` new events."""
    missing = (known + 1, floor) if floor > known else None
    first = max(known, floor) + (1 if missing is None else 2)
    return Numbers(first, first + count - 1, missing)
