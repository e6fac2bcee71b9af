"""Keeping secrets and endless texts out of everything a runner says.

Exceptions of drivers and of authors' code quote connection strings and headers; every text that leaves the process
(status, termination log, event, log line) passes here first.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agentic_core.display import cut, show_text
from agentic_runner.secret_forms import list_forms

_MASK = "***"
_SHORTEST_SECRET = 4
# Of an exception's text; what is shown of it anywhere is far less.
_LONGEST_TEXT: Final = 16_384
_LONGEST_NAME: Final = 200
_MOST_LEAVES: Final = 5
# Colours, which many exceptions have for a terminal: they say nothing, and go.
_COLOURS: Final = re.compile("\x1b\\[[0-9;:]*m")


@dataclass
class Redactor:
    """The secrets that this process knows, and the text without them."""

    _secrets: set[str] = field(default_factory=set, repr=False)
    _filters: list[Callable[[str], str]] = field(default_factory=list, repr=False)
    _forms: tuple[str, ...] = field(default=(), repr=False)
    """What is masked, the longest first."""

    def add(self, *secrets: str | None) -> None:
        """Keep these out from now on; texts too short to be a secret are ignored."""
        new = {secret for secret in secrets if secret and len(secret) >= _SHORTEST_SECRET} - self._secrets
        if new:
            self._secrets |= new
            forms = {form for secret in new for form in list_forms(secret)} | set(self._forms)
            self._forms = tuple(sorted(forms, key=len, reverse=True))

    def add_filter(self, redact: Callable[[str], str]) -> None:
        """Let this mask what it knows, too."""
        self._filters.append(redact)

    def redact(self, text: str) -> str:
        """Return ``text`` with every known secret masked, the longest first."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, _MASK)
        for redact in self._filters:
            text = redact(text)
        return text

    def redact_all(self, value: Any) -> Any:
        """Return JSON with every text in it masked, keys as well."""
        match value:
            case str():
                return self.redact(value)
            case Mapping():
                return {
                    self.redact(key) if isinstance(key, str) else key: self.redact_all(v) for key, v in value.items()
                }
            case list() | tuple():
                return [self.redact_all(each) for each in value]
            case _:
                return value

    def count_begun(self, text: str) -> int:
        """Return how many characters at the end of ``text`` may be the beginning of a secret."""
        longest = len(self._forms[0]) if self._forms else 0
        for count in range(min(len(text), longest - 1), 0, -1):
            end = text[-count:]
            if any(form.startswith(end) for form in self._forms):
                return count
        return 0


def clean(text: str) -> str:
    """Return ``text`` as any reader can take it: without colours, and with what steers or hides written out.

    Neither the API server, a database nor a terminal has to cope with what an exception of an author's holds.
    """
    return show_text(_COLOURS.sub("", text))


def bounded(text: str, limit: int) -> str:
    """Return ``text``, cleaned, in at most ``limit`` characters; what is cut says so."""
    # What is far longer than the limit is never shown: it need not be looked at either.
    shown = clean(text[: 4 * limit + 64])
    if len(text) <= 4 * limit + 64 and len(shown) <= limit:
        return shown
    return cut(shown, min(limit, len(shown) - 1), f"… ({len(text)} characters)")


def describe(error: BaseException, locate: Callable[[BaseException], str] = lambda _: "") -> str:
    """Return ``Type: message (place)`` of an exception, without a traceback; of a group, its leaves as well.

    ``locate`` says where an exception was raised. Whatever the exception is, this returns.
    """
    if not isinstance(error, BaseExceptionGroup):
        return _describe_one(error, locate)
    leaves = _list_leaves(error)
    named = "; ".join(_describe_one(leaf, locate) for leaf in leaves[:_MOST_LEAVES])
    more = f"; and {len(leaves) - _MOST_LEAVES} more" if len(leaves) > _MOST_LEAVES else ""
    return f"{_describe_one(error, lambda _: '')}: {named}{more}"


def _describe_one(error: BaseException, locate: Callable[[BaseException], str]) -> str:
    try:
        message = str(error)
    except Exception as trouble:  # noqa: BLE001  (an author's __str__ may do anything)
        message = f"its text cannot be read: {type(trouble).__name__}"
    name = clean(type(error).__name__[:_LONGEST_NAME])
    place = locate(error)
    text = f"{name}: {_shorten(message)}" if message.strip() else name
    return f"{text} ({place})" if place else text


def _shorten(message: str) -> str:
    if len(message) <= _LONGEST_TEXT:
        return clean(message.strip())
    return f"{clean(message[:_LONGEST_TEXT].strip())}… ({len(message)} characters)"


def _list_leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    leaves: list[BaseException] = []
    seen: set[int] = set()
    waiting: list[BaseException] = [group]
    while waiting:
        error = waiting.pop(0)
        if id(error) in seen:
            continue
        seen.add(id(error))
        if isinstance(error, BaseExceptionGroup):
            waiting[:0] = error.exceptions
        else:
            leaves.append(error)
    return leaves
