"""Byte ranges of an answer (RFC 9110, 14)."""

import re
from typing import Final

from agentic_gateway.problems import Refused

_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


def read_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the first byte that is asked for and the one after the last; None for all of them.

    Several ranges at once, other units and what cannot be read count as none, as the RFC allows. Raises ``Refused``
    (416) for a range that begins behind the end.
    """
    found = _RANGE.fullmatch(header.replace(" ", "")) if header else None
    if found is None or found[0] == "bytes=-":
        return None
    first, last = found[1], found[2]
    if not first:
        length = min(int(last), size)
        if not length:
            raise _refuse(size)
        return size - length, size
    start, stop = int(first), min(int(last) + 1 if last else size, size)
    if last and int(last) < int(first):
        return None
    if start >= size:
        raise _refuse(size)
    return start, stop


def _refuse(size: int) -> Refused:
    return Refused(
        "range-not-satisfiable",
        f"it has {size} bytes: ask for bytes below that",
        headers={"Content-Range": f"bytes */{size}"},
    )
