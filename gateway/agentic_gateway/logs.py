"""Logs: one JSON object a line, an access line for each request, and never a query, a token or a body."""

import logging
from typing import Final

from agentic_core.log_format import send_to_stderr

FIELDS: Final = ("method", "path", "status", "seconds", "caller", "namespace", "session", "trace_id")
# The server names every WebSocket with its query, and so with its token.
_QUIET: Final = {
    "uvicorn": logging.WARNING,
    "uvicorn.error": logging.WARNING,
    "uvicorn.access": logging.CRITICAL,
    "aiohttp": logging.WARNING,
    "asyncio": logging.WARNING,
}


def set_up_logs(log_format: str, level: str) -> None:
    """Send all logs to standard error."""
    send_to_stderr(log_format, level, FIELDS, _QUIET)
