"""The highest numbers that sessions' events were given by this process: they are never given again.

Together with ``status.lastSeq``, which the gateway writes with what a runner reports, as our runner does itself.
"""

from collections import OrderedDict
from typing import Final

MAX_REMEMBERED: Final = 10_000


class Floors:
    """Numbers by session; the sessions that reported longest ago are forgotten first."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, int] = OrderedDict()

    def find(self, session_uid: str, reported: int | None) -> int:
        """Return the highest number that is known to have been given; ``reported`` is the status' own."""
        return max(self._known.get(session_uid, 0), reported or 0)

    def note(self, session_uid: str, last: int) -> None:
        """Remember that a number was given."""
        self._known[session_uid] = max(last, self._known.get(session_uid, 0))
        self._known.move_to_end(session_uid)
        while len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
