"""JSON whose numbers are kept as exactly as the caller wants them."""

import json
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from typing import Any, Final

# Python refuses to convert longer ones to int, which takes quadratic time.
_MAX_DIGITS: Final = 4300


class Numbers(Enum):
    """How the numbers of a result are returned."""

    PYTHON = "python"
    """``int`` and ``float``, as :mod:`json` does it. Fractions are rounded to 53 bits; an integer of more than 4,300
    digits is a ``Decimal``."""
    DECIMAL = "decimal"
    """``int`` for integers, ``Decimal`` for all others: every digit is kept."""
    TEXT = "text"
    """``str``, exactly as it was written; a text of JSON is then no longer told from a number."""


def parse_json(text: bytes | str, numbers: Numbers = Numbers.PYTHON) -> Any:
    """Return the value of a JSON text; raises ``ValueError`` for what is none, ``NaN`` and ``Infinity`` included."""
    parse_float: Callable[[str], object] = float
    parse_int: Callable[[str], object] = _read_integer
    match numbers:
        case Numbers.DECIMAL:
            parse_float = Decimal
        case Numbers.TEXT:
            parse_float = parse_int = str
        case Numbers.PYTHON:
            pass
    try:
        return json.loads(text, parse_float=parse_float, parse_int=parse_int, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def _read_integer(text: str) -> int | Decimal:
    return int(text) if len(text) <= _MAX_DIGITS else Decimal(text)


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is no JSON")
