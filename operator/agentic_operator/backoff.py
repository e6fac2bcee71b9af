"""Back-off: the delay before a failed pass is tried again."""

import random
from typing import Final

from agentic_core.errors import AgenticError, Conflict, TransientError
from agentic_operator.kube.errors import Forbidden

FIRST: Final = 0.1
LONGEST: Final = 60.0
UNEXPECTED_FIRST: Final = 1.0
PERMANENT: Final = 30.0


def compute_delay(error: BaseException, failures: int, spread: float) -> float:
    """Return the seconds until the next try after ``failures`` failures in a row (1, 2, …).

    ``spread`` in [0, 1) moves the delay within ±20 %, so that what failed together does not come back together. A
    conflict is read again at once: somebody else made progress.
    """
    exponent = min(failures - 1, 30)
    if isinstance(error, Conflict):
        delay = 0.0 if failures <= 2 else FIRST * 2 ** (exponent - 2)
    elif isinstance(error, TransientError):
        delay = max(FIRST * 2**exponent, error.retry_after_seconds or 0.0)
    elif isinstance(error, Forbidden) and not error.is_terminating:
        delay = 2.0 * 2**exponent
    elif isinstance(error, AgenticError):
        delay = PERMANENT * 2**exponent
    else:
        delay = UNEXPECTED_FIRST * 2**exponent
    return min(delay, LONGEST) * (0.8 + 0.4 * spread)


def jitter() -> float:
    """Return a number for ``spread``."""
    return random.random()  # noqa: S311  (not for secrets)
