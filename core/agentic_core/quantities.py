"""Kubernetes quantities of bytes: ``512Mi``, ``1.5G``, ``1e9``."""

import re
from decimal import Decimal
from typing import Final

_SHAPE: Final = re.compile(
    r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?:[eE](?P<exponent>[0-9]+)|(?P<suffix>m|[kKMGTPE]i?|u|n))?"
)
_BINARY: Final = {f"{prefix}i": 1024**power for power, prefix in enumerate("KMGTPE", start=1)}
_DECIMAL: Final = {prefix: 1000**power for power, prefix in enumerate("KMGTPE", start=1)} | {"k": 1000, "ki": 1024}
_PARTS: Final = {"m": Decimal("1e-3"), "u": Decimal("1e-6"), "n": Decimal("1e-9")}
_FACTORS: Final = {suffix: Decimal(factor) for suffix, factor in (_BINARY | _DECIMAL).items()} | _PARTS
# More than any disk has; an exponent beyond it would make a number of as many digits.
_MAX_EXPONENT: Final = 24


def parse_bytes(text: str) -> int:
    """Return a quantity in bytes, rounded up; raise :class:`ValueError` if it is none."""
    found = _SHAPE.fullmatch(text)
    exponent = int(found["exponent"] or 0) if found is not None else 0
    if found is None or exponent > _MAX_EXPONENT:
        raise ValueError(f"{text!r} is no quantity of bytes: write one like 512Mi")
    factor = _FACTORS.get(found["suffix"] or "", Decimal(1)) * Decimal(10) ** exponent
    return int((Decimal(found["number"]) * factor).to_integral_value(rounding="ROUND_CEILING"))


def format_bytes(number: int) -> str:
    """Return a quantity of exactly that many bytes, in the largest binary unit that has no fraction."""
    for suffix, factor in sorted(_BINARY.items(), key=lambda each: -each[1]):
        if number and number % factor == 0:
            return f"{number // factor}{suffix}"
    return str(number)
