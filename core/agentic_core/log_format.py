"""How records of a log are written: one JSON object or one line for people each, with nothing invisible in it."""

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from agentic_core.display import escape_json, show_line, show_text


def read_fields(record: logging.LogRecord, names: Sequence[str]) -> Mapping[str, object]:
    """Return those of a record's own fields that are named and set."""
    return {name: value for name in names if (value := getattr(record, name, None)) is not None}


class JsonFormatter(logging.Formatter):
    """One record as one line of JSON; ``fields`` are the names of the records' own fields that are written."""

    def __init__(self, fields: Sequence[str]) -> None:
        super().__init__()
        self._fields = tuple(fields)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "logger": record.name,
            **read_fields(record, self._fields),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return escape_json(json.dumps(line, ensure_ascii=False, default=str))


class TextFormatter(logging.Formatter):
    """One record as a line for people; ``fields`` as for :class:`JsonFormatter`."""

    def __init__(self, fields: Sequence[str]) -> None:
        super().__init__()
        self._fields = tuple(fields)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        about = " ".join(f"{name}={value}" for name, value in read_fields(record, self._fields).items())
        # Not strftime: it imports, and the last records are written while the interpreter ends.
        at = datetime.fromtimestamp(record.created, UTC).time().isoformat(timespec="milliseconds")
        text = f"{at} {record.levelname:7} {record.getMessage()}"
        if about:
            text = f"{text} [{about}]"
        # One record, one line: a message of a stranger must not be able to look like another record.
        text = show_line(text)
        return f"{text}\n{show_text(self.formatException(record.exc_info))}" if record.exc_info else text


def send_to_stderr(log_format: str, level: str, fields: Sequence[str], quiet: Mapping[str, int]) -> None:
    """Send all logs to standard error, as ``json`` or ``text``; ``quiet`` are levels of loggers by their names."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(fields) if log_format == "json" else TextFormatter(fields))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, least in quiet.items():
        logging.getLogger(name).setLevel(least)
