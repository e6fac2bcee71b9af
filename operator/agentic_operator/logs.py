"""Logs: one JSON object a line."""

import logging
from typing import Final

from agentic_core.log_format import send_to_stderr

FIELDS: Final = ("namespace", "session", "definition", "kind", "uid", "run", "identity")

# Kopf tells every watch it opens and every event it sees; the library's own noise is not our log.
_QUIET: Final = {
    "kopf": logging.WARNING,
    "aiohttp": logging.WARNING,
    "asyncio": logging.WARNING,
    "psycopg": logging.ERROR,
}


def set_up_logs(log_format: str, level: str) -> None:
    """Send all logs to standard error."""
    send_to_stderr(log_format, level, FIELDS, {} if level == "debug" else _QUIET)
