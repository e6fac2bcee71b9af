"""Keeping secrets and endless texts out of everything a runner says.

Exceptions of drivers and of authors' code quote connection strings and headers; every text that leaves the process
(status, termination log, event, log line) passes here first.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

_MASK = "***"
_SHORTEST_SECRET = 4


@dataclass
class Redactor:
    """The secrets that this process knows, and the text without them."""

    _secrets: set[str] = field(default_factory=set, repr=False)
    _filters: list[Callable[[str], str]] = field(default_factory=list, repr=False)

    def add(self, *secrets: str | None) -> None:
        """Keep these out from now on; texts too short to be a secret are ignored."""
        self._secrets.update(secret for secret in secrets if secret and len(secret) >= _SHORTEST_SECRET)

    def add_filter(self, redact: Callable[[str], str]) -> None:
        """Let this mask what it knows, too."""
        self._filters.append(redact)

    def redact(self, text: str) -> str:
        """Return ``text`` with every known secret masked, the longest first."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, _MASK)
        for redact in self._filters:
            text = redact(text)
        return text


def bounded(text: str, limit: int) -> str:
    """Return ``text`` in at most ``limit`` characters; what is cut says so."""
    if len(text) <= limit:
        return text
    mark = f"… ({len(text)} characters)"
    return text[: max(0, limit - len(mark))] + mark


def describe(error: BaseException) -> str:
    """Return ``Type: message`` of an exception, without a traceback."""
    message = str(error).strip()
    name = type(error).__name__
    return f"{name}: {message}" if message else name
