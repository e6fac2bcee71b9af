"""Delays between tries."""

import pytest

from agentic_core.errors import Conflict, PermanentError, TransientError
from agentic_operator.backoff import LONGEST, compute_delay
from agentic_operator.kube.errors import Forbidden


@pytest.mark.parametrize(
    ("error", "failures", "delay"),
    [
        (Conflict("x"), 1, 0.0),
        (Conflict("x"), 2, 0.0),
        (Conflict("x"), 4, 0.2),
        (TransientError("x"), 1, 0.1),
        (TransientError("x"), 5, 1.6),
        (TransientError("x", retry_after_seconds=7), 1, 7.0),
        (TransientError("x"), 1000, LONGEST),
        (Forbidden("quota"), 1, 2.0),
        (PermanentError("x"), 1, 30.0),
        (RuntimeError("bug"), 1, 1.0),
        (RuntimeError("bug"), 99, LONGEST),
    ],
)
def test_the_delay_follows_from_the_error_and_the_failures_in_a_row(
    error: Exception, failures: int, delay: float
) -> None:
    assert compute_delay(error, failures, 0.5) == pytest.approx(delay)


def test_the_spread_stays_within_a_fifth() -> None:
    assert compute_delay(TransientError("x"), 1, 0.0) == pytest.approx(0.08)
    assert compute_delay(TransientError("x"), 1, 1.0) == pytest.approx(0.12)
