"""Which sessions are due for retention.

Three clocks wrote a session's times: the database's, the API server's and the runner's, and any may have been wrong. So
the latest time counts, except a time in the future: a session is kept too long rather than too short. Times never
decide whether a session is active: its row and its resource must both be final first.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from agentic_core.names import GROUP
from agentic_core.times import add, in_utc
from agentic_operator.cache.entries import Entry
from agentic_store.retention import Ended, Thread

RETENTION_ANNOTATION: Final = f"{GROUP}/checkpoint-retention-days"
PRUNE_ANNOTATION: Final = f"{GROUP}/checkpoint-prune-days"
MAX_DAYS: Final = 36_500
# Clocks of a cluster's machines are seconds apart. Hours mean that one of them jumped, and nobody knows which.
MAX_CLOCK_DIFFERENCE: Final = timedelta(hours=1)

_UUID_EPOCH: Final = datetime(1582, 10, 15, tzinfo=UTC)
_UUID6: Final = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-6([0-9a-f]{3})-[0-9a-f]{4}-[0-9a-f]{12}")
_THREAD: Final = re.compile(r"project-(?P<project>[a-z0-9-]+):(?:user-[^:]+:)?session-(?P<session>[a-z0-9.-]+)")


class InvalidDays(ValueError):
    """An annotation that is not a number of days; the message gives the form."""


@dataclass(frozen=True)
class Keep:
    """How many days checkpoints stay, whole and at all; 0 is for ever."""

    days: int
    prune_days: int = 0


def read_keep(annotations: Mapping[str, str], default: Keep) -> Keep:
    """Return the days of a namespace's annotations, or the default; raise :class:`InvalidDays`."""
    return Keep(
        _read_days(annotations, RETENTION_ANNOTATION, default.days),
        _read_days(annotations, PRUNE_ANNOTATION, default.prune_days),
    )


def compute_idle_since(seen: Ended, now: datetime) -> datetime:
    """Return since when nothing has happened to a session, by the latest of the times that are known of it."""
    times = [
        seen.completed_at,
        seen.updated_at,
        *(time for time in (read_time(seen.ts), read_id_time(seen.checkpoint_id)) if time is not None and time <= now),
    ]
    return max(times)


def is_due(seen: Ended, entry: Entry | None, *, age: timedelta, now: datetime) -> bool:
    """Whether a session's time has come: ended by its row and by its resource, and idle for ``age`` (0: never)."""
    if not age or entry is None or entry.uid != seen.session_uid or not entry.is_final or entry.is_deleting:
        return False
    return compute_idle_since(seen, now) < add(now, -age)


def find_owner(thread: Thread, *, days: int, now: datetime) -> tuple[str, str] | None:
    """Return project and session from the id of a thread without a fence, if it is ours and old enough."""
    if thread.is_fenced or (named := _THREAD.fullmatch(thread.thread_id)) is None:
        return None
    times = [read_time(thread.ts), read_id_time(thread.checkpoint_id)]
    known = [time for time in times if time is not None and time <= now]
    if known and max(known) >= add(now, -timedelta(days=max(days, 1))):
        return None
    return named["project"], named["session"]


def read_time(text: str | None) -> datetime | None:
    """Return the time of writing in a checkpoint; None if it is invalid."""
    if text is None:
        return None
    try:
        return in_utc(datetime.fromisoformat(text))
    except ValueError:
        return None


def read_id_time(checkpoint_id: str | None) -> datetime | None:
    """Return the time in a checkpoint's id, a UUID of version 6; None for other ids."""
    match = _UUID6.fullmatch(checkpoint_id or "")
    if match is None:
        return None
    return add(_UUID_EPOCH, timedelta(microseconds=int("".join(match.groups()), 16) // 10))


def _read_days(annotations: Mapping[str, str], name: str, default: int) -> int:
    text = annotations.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= 6) or int(text) > MAX_DAYS:
        raise InvalidDays(
            f"annotation {name} is {text[:100]!r}: write a number of days up to {MAX_DAYS}, 0 to keep for ever;"
            " nothing of this namespace is removed meanwhile"
        )
    return int(text)


def pack(session_uids: Sequence[str], sizes: Mapping[str, int], rows: int) -> list[list[str]]:
    """Return the sessions in pieces, in their order, that have at most so many rows together; a larger one alone."""
    pieces: list[list[str]] = []
    total = 0
    for uid in session_uids:
        size = sizes.get(uid, 0)
        if pieces and total + size <= rows:
            pieces[-1].append(uid)
        else:
            pieces.append([uid])
            total = 0
        total += size
    return pieces
