"""Logs: one JSON object a line."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final

from agentic_core.display import escape_json, show_line, show_text

FIELDS: Final = ("namespace", "session", "definition", "kind", "uid", "run", "identity")

# Kopf tells every watch it opens and every event it sees; the library's own noise is not our log.
_QUIET: Final = {
    "kopf": logging.WARNING,
    "aiohttp": logging.WARNING,
    "asyncio": logging.WARNING,
    "psycopg": logging.ERROR,
}


class JsonFormatter(logging.Formatter):
    """One record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "logger": record.name,
        }
        line.update((name, value) for name in FIELDS if (value := getattr(record, name, None)) is not None)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return escape_json(json.dumps(line, ensure_ascii=False, default=str))


class TextFormatter(logging.Formatter):
    """One record as a line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        about = " ".join(f"{name}={value}" for name in FIELDS if (value := getattr(record, name, None)) is not None)
        # Not strftime: it imports, and the last records are written while the interpreter ends.
        at = datetime.fromtimestamp(record.created, UTC).time().isoformat(timespec="milliseconds")
        text = f"{at} {record.levelname:7} {record.getMessage()}"
        if about:
            text = f"{text} [{about}]"
        # One record, one line: a message of a stranger must not be able to look like another record.
        text = show_line(text)
        return f"{text}\n{show_text(self.formatException(record.exc_info))}" if record.exc_info else text


def set_up_logs(log_format: str, level: str) -> None:
    """Send all logs to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    if level != "debug":
        for name, quiet in _QUIET.items():
            logging.getLogger(name).setLevel(quiet)
