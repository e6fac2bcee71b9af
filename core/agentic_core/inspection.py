"""The report of an inspection as it goes through a pod's log: framed, so that no other line can be taken for it.

The log mixes two streams, may cut a line in two, and holds whatever the author's project prints. A report is compressed
and written in short lines, each with its place and the digest of the whole. Whoever reads takes the last one that is
whole.
"""

import base64
import hashlib
import json
import re
import zlib
from collections import defaultdict
from typing import Any, Final

MAX_REPORT_BYTES: Final = 4 * 1024 * 1024
"""How long a report may be before it is compressed."""
MAX_LINES: Final = 250
"""How many lines its frames may be; whoever reads the log needs no more of its end."""
MAX_LOG_BYTES: Final = 1024 * 1024
_CHUNK: Final = 3000
_FRAME: Final = re.compile(r"<agentic-inspection ([0-9a-f]{64}) (\d{1,4})/(\d{1,4}) ([A-Za-z0-9+/=]+)>")

# What a runner of another make may print instead: one JSON object between these lines.
REPORT_BEGIN: Final = "-----BEGIN AGENTIC INSPECTION-----"
REPORT_END: Final = "-----END AGENTIC INSPECTION-----"


class ReportTooLarge(ValueError):
    """The report does not fit into the frames that a reader looks for."""


def frame_report(report: dict[str, Any]) -> str:
    """Return the lines of a report; raise :class:`ReportTooLarge`."""
    text = json.dumps(report, ensure_ascii=False).encode("utf-8", errors="surrogatepass")
    payload = base64.b64encode(zlib.compress(text, 9)).decode()
    chunks = [payload[start : start + _CHUNK] for start in range(0, len(payload), _CHUNK)]
    if len(text) > MAX_REPORT_BYTES or len(chunks) > MAX_LINES:
        raise ReportTooLarge(f"the report has {len(text)} bytes in {len(chunks)} lines")
    digest = hashlib.sha256(text).hexdigest()
    lines = (
        f"<agentic-inspection {digest} {number}/{len(chunks)} {chunk}>\n" for number, chunk in enumerate(chunks, 1)
    )
    return "\n" + "".join(lines)


def find_report(log: str) -> dict[str, Any] | None:
    """Return the last complete report in the end of a log; None if there is no readable one."""
    found: dict[tuple[str, int], dict[int, str]] = defaultdict(dict)
    ends: dict[tuple[str, int], int] = {}
    for match in _FRAME.finditer(log):
        key = (match[1], int(match[3]))
        found[key][int(match[2])] = match[4]
        ends[key] = match.end()
    for key in sorted(ends, key=lambda each: ends[each], reverse=True):
        report = _unpack(found[key], *key)
        if report is not None:
            return report
    return _find_plain(log)


def _unpack(chunks: dict[int, str], digest: str, count: int) -> dict[str, Any] | None:
    if sorted(chunks) != list(range(1, count + 1)):
        return None
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(
            base64.b64decode("".join(chunks[number] for number in sorted(chunks))), MAX_REPORT_BYTES
        )
    except (ValueError, zlib.error):
        return None
    if unpacker.unconsumed_tail or hashlib.sha256(text).hexdigest() != digest:
        return None
    return _parse(text.decode("utf-8", errors="replace"))


def _find_plain(log: str) -> dict[str, Any] | None:
    _, begin, rest = log.rpartition(REPORT_BEGIN)
    text, end, _ = rest.partition(REPORT_END)
    return _parse(text) if begin and end else None


def _parse(text: str) -> dict[str, Any] | None:
    try:
        report = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return report if isinstance(report, dict) else None
