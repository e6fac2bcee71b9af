"""Masks secrets and shortens long texts in everything that a runner outputs.

Exceptions of drivers and of authors' code quote connection strings and headers; every text that leaves the process
(status, termination log, event, log line) passes here first.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agentic_core.display import cut, show_text
from agentic_runner.output.secret_forms import list_forms

_MASK = "***"
_SHORTEST_SECRET = 4
# Limit of an exception's text; every place shows far less.
_LONGEST_TEXT: Final = 16_384
_LONGEST_NAME: Final = 200
_MOST_LEAVES: Final = 5
# Terminal colours, which many exceptions contain, are removed.
_COLOURS: Final = re.compile("\x1b\\[[0-9;:]*m")


@dataclass
class Redactor:
    """The secrets that this process knows; masks them in texts."""

    _secrets: set[str] = field(default_factory=set, repr=False)
    _filters: list[Callable[[str], str]] = field(default_factory=list, repr=False)
    _forms: tuple[str, ...] = field(default=(), repr=False)
    """The masked texts, the longest first."""

    def add(self, *secrets: str | None) -> None:
        """Mask these from now on; texts too short to be a secret are ignored."""
        new = {secret for secret in secrets if secret and len(secret) >= _SHORTEST_SECRET} - self._secrets
        if new:
            self._secrets |= new
            forms = {form for secret in new for form in list_forms(secret)} | set(self._forms)
            self._forms = tuple(sorted(forms, key=len, reverse=True))

    def add_filter(self, redact: Callable[[str], str]) -> None:
        """Also mask the secrets of another redactor."""
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
        """Return a JSON value with every text in it masked, including keys."""
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

    def find_cut(self, text: str) -> int:
        """Return where ``text`` can be cut: no secret, whole or begun, reaches over that place.

        What is before it can be shown once it is masked; what is after it waits for what follows.
        """
        cut = len(text)
        for form in self._forms:
            for count in range(min(len(text), len(form) - 1), 0, -1):
                if text.endswith(form[:count]):
                    cut = min(cut, len(text) - count)
                    break
        # A whole secret may reach over the cut: it waits as well, and so on.
        while (earlier := min((self._find_over(text, form, cut) for form in self._forms), default=cut)) < cut:
            cut = earlier
        return cut

    @staticmethod
    def _find_over(text: str, form: str, cut: int) -> int:
        start = text.find(form, max(0, cut - len(form) + 1), cut + len(form) - 1)
        return start if 0 <= start < cut else cut


def clean(text: str) -> str:
    """Return ``text`` safe for any reader: without colours, and with control and invisible characters escaped.

    API server, database and terminals must not have to handle arbitrary content of an author's exception.
    """
    return show_text(_COLOURS.sub("", text))


def bounded(text: str, limit: int) -> str:
    """Return ``text``, cleaned and in at most ``limit`` characters; a cut text ends with a note."""
    # Text far beyond the limit is never shown, so it is not processed either.
    shown = clean(text[: 4 * limit + 64])
    if len(text) <= 4 * limit + 64 and len(shown) <= limit:
        return shown
    return cut(shown, min(limit, len(shown) - 1), f"… ({len(text)} characters)")


def describe(error: BaseException, locate: Callable[[BaseException], str] = lambda _: "") -> str:
    """Return ``Type: message (place)`` of an exception, without a traceback; of a group, its leaves as well.

    ``locate`` returns the place where an exception was raised. This never raises.
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
