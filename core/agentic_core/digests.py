"""Digests of questions: an answer that names one is an answer to exactly what was shown.

The canonical form is RFC 8785 (JSON Canonicalization Scheme), with one addition: integers keep all of their digits,
also those that a double would round, because the API server keeps 64 bits.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["canonicalize", "digest_question", "digest_value"]


def digest_question(prompt: str | None, value: Any, options: Iterable[Mapping[str, Any]], schema: Any) -> str:
    """Return the SHA-256 of a question's content, in hexadecimal.

    All four members are always there, ``null`` for what the question lacks and ``[]`` for no options, each of which
    has a ``label`` and a ``value``.
    """
    shown = [{"label": each.get("label"), "value": each.get("value")} for each in options]
    question = {"prompt": prompt or None, "value": value, "options": shown, "schema": schema}
    return hashlib.sha256(canonicalize(question)).hexdigest()


def digest_value(value: Any) -> str:
    """Return the SHA-256 of a JSON value in its canonical form, in hexadecimal."""
    return hashlib.sha256(canonicalize(value)).hexdigest()


def canonicalize(value: Any) -> bytes:
    """Return the one spelling of a JSON value: no spaces, members by their UTF-16 code units, numbers as in ECMAScript.

    Half a surrogate pair is spelled as it is.
    """
    return _spell(value).encode("utf-8", "surrogatepass")


def _spell(value: Any) -> str:
    if isinstance(value, Mapping):
        names = sorted(value, key=lambda name: str(name).encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{_spell_text(name)}:{_spell(value[name])}" for name in names) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_spell, value)) + "]"
    if isinstance(value, float):
        return _spell_float(value)
    return _spell_text(value)


def _spell_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _spell_float(value: float) -> str:
    """Return a finite number as ECMAScript writes it; Python finds the same shortest digits."""
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    # The number is 0.DIGITS times ten to the power of `point`.
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if 0 < point <= 21:
        padded = digits.ljust(point, "0")
        return f"{sign}{padded[:point]}" + (f".{padded[point:]}" if padded[point:] else "")
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    rest = f".{digits[1:]}" if digits[1:] else ""
    return f"{sign}{digits[0]}{rest}e{'+' if point > 0 else '-'}{abs(point - 1)}"
