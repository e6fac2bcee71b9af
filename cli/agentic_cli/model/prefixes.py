"""Ids that people shorten: questions and checkpoints are named by the first characters of their ids. Pure."""

from collections.abc import Iterable

from agentic_core.errors import PermanentError

MAX_SHOWN = 5


def find_id(known: Iterable[str], wanted: str, what: str) -> str | None:
    """Return the id that ``wanted`` names: itself, or the only one that begins with it; None if there is none.

    Raises ``PermanentError`` if several begin with it; ``what`` is the plural noun of the message.
    """
    ids = tuple(dict.fromkeys(known))
    if wanted in ids:
        return wanted
    found = [each for each in ids if wanted and each.startswith(wanted)]
    if len(found) > 1:
        shown = ", ".join(found[:MAX_SHOWN]) + (", …" if len(found) > MAX_SHOWN else "")
        raise PermanentError(f"{wanted!r} is the beginning of {len(found)} {what}: {shown}; write more of it")
    return found[0] if found else None
