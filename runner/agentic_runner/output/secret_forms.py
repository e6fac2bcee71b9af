"""Finds the forms in which a secret appears in texts: plain, escaped, encoded, or as a part that is a secret itself."""

import base64
import html
import json
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus, unquote, urlsplit

SHORTEST: Final = 8
"""The shortest value that is masked: shorter ones are words that occur by chance."""
_SHORTEST_PART: Final = 16


def list_forms(secret: str) -> set[str]:
    """Return every text that reveals the secret."""
    forms: set[str] = set()
    for part in (secret, *_list_parts(secret)):
        forms.update(_list_encoded(part))
    return {form for form in forms if len(form) >= min(SHORTEST, len(secret))}


def _list_parts(secret: str) -> Iterator[str]:
    """Yield the parts that are secrets themselves: a URL's password, lines of a key, texts in JSON."""
    stripped = secret.strip()
    if len(stripped) >= SHORTEST:
        yield stripped
    if "://" in secret:
        try:
            password = urlsplit(secret).password or ""
        except ValueError:
            password = ""
        yield from {each for each in (password, unquote(password)) if len(each) >= SHORTEST}
    if "\n" in stripped:
        yield from (line for line in map(str.strip, stripped.splitlines()) if _is_long(line) and "-----" not in line)
    if stripped.startswith(("{", "[")):
        try:
            yield from _list_texts(json.loads(stripped))
        except (ValueError, RecursionError):
            return


def _list_texts(value: object) -> Iterator[str]:
    if isinstance(value, str) and _is_long(value):
        yield value
        if "\n" in value:
            yield from (line for line in value.splitlines() if _is_long(line) and "-----" not in line)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _list_texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _list_texts(each)


def _is_long(text: str) -> bool:
    return len(text) >= _SHORTEST_PART


def _list_encoded(text: str) -> Iterator[str]:
    escaped = {text, repr(text)[1:-1], html.escape(text)}
    for is_ascii in (True, False):
        once = json.dumps(text, ensure_ascii=is_ascii)[1:-1]
        # JSON inside a JSON text, as clients log responses.
        escaped |= {once, json.dumps(once, ensure_ascii=is_ascii)[1:-1]}
    yield from escaped
    raw = text.encode(errors="surrogatepass")
    yield from {quote(raw), quote(raw, safe=""), quote_plus(raw)}
    yield from {quote(raw, safe="").replace("%", "%25"), raw.hex()}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        # Behind other bytes, as in `user:password`, it begins within a group of three, and ends in one before others.
        for before in range(3):
            yield encode(b"\0" * before + raw).decode()[_FIRST_WHOLE[before] :].rstrip("=")[: _whole(before, len(raw))]


_FIRST_WHOLE: Final = (0, 2, 3)
"""Of the characters of base64, the first that no byte before the secret has a part in."""


def _whole(before: int, length: int) -> int:
    """Return how many characters, from the first, no byte before or behind the secret has a part in."""
    return (before + length) * 8 // 6 - _FIRST_WHOLE[before]
