"""The runner's log: one JSON object per line on stdout, including the author's own logging."""

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from agentic_core.display import escape_json
from agentic_runner.output.masked_output import open_masked
from agentic_runner.output.redaction import Redactor

# The attributes of every LogRecord; others came by `extra=` and are added to the line.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON, with secrets masked."""

    def __init__(self, redactor: Redactor, common: dict[str, str]) -> None:
        super().__init__()
        self._redactor = redactor
        self._common = common

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._common,
            **{key: value for key, value in vars(record).items() if key not in _STANDARD},
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return escape_json(self._redactor.redact(json.dumps(line, default=repr, ensure_ascii=False)))


def _open_stdout(redactor: Redactor) -> TextIO:
    try:
        # Masked here too: the project may set its own formatter on the handler.
        return open_masked(os.dup(1), redactor)
    except OSError:
        return sys.stdout


def let_go_of_streams() -> None:
    """Flush the output; streams that the author's code broke must not change the process's exit code."""
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except (AttributeError, OSError, ValueError):
            setattr(sys, name, None)


def configure_logging(redactor: Redactor, *, level: str = "INFO", **common: str) -> None:
    """Send all logging to stdout as JSON lines, each with ``common``; repeatable.

    By a descriptor of its own: whatever an author's code does to ``sys.stdout`` and the first descriptors, what the
    runner says is still heard, and saying it raises nothing.
    """
    handler = logging.StreamHandler(_open_stdout(redactor))
    logging.raiseExceptions = False
    handler.setFormatter(JsonLines(redactor, common))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level if level in logging.getLevelNamesMapping() else "INFO")
    # One line for each request would show our heartbeat rather than the run.
    for chatty in ("httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
