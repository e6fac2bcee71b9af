"""Quantities of bytes, as Kubernetes writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_core.quantities import format_bytes, parse_bytes


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("1", 1),
        ("1Ki", 1024),
        ("1k", 1000),
        ("1.5Gi", 1_610_612_736),
        ("2G", 2_000_000_000),
        ("1e9", 1_000_000_000),
        ("1E3", 1000),
        ("1E", 10**18),
        ("1500m", 2),
        ("1n", 1),
    ],
)
def test_every_form_of_a_quantity_is_read(text: str, number: int) -> None:
    assert parse_bytes(text) == number


@pytest.mark.parametrize("text", ["", "lots", "-1", "1e999999", "1 Gi", "1Gib"])
def test_what_is_none_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ValueError, match="is no quantity of bytes"):
        parse_bytes(text)


@given(st.integers(min_value=0, max_value=2**80))
def test_what_is_written_is_read_as_the_same(number: int) -> None:
    assert parse_bytes(format_bytes(number)) == number
