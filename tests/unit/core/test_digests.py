"""The canonical form of questions, and their digests."""

import hashlib
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_core.digests import canonicalize, digest_question


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        # The table of RFC 8785, appendix B.
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("ffefffffffffffff", "-1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("c340000000000000", "-9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("44b52d02c7e14af7", "1.0000000000000001e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef4f", "999999999999999900000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("41b3de4355555557", "333333333.33333343"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_numbers_are_spelled_as_in_ecmascript(bits: str, text: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonicalize(number) == text.encode()


def test_members_are_ordered_by_utf_16_and_texts_escaped_as_little_as_possible() -> None:
    # From RFC 8785, 3.2.3.
    names = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7}
    assert list(json.loads(canonicalize(names)).values()) == [2, 4, 6, 7, 1, 5, 3]
    assert canonicalize('\u20ac$\u000f\nA\'B"\\"/') == '"€$\\u000f\\nA\'B\\"\\\\\\"/"'.encode()
    assert (
        canonicalize([None, True, 2**63 - 1, {"b": [], "a": {}}]) == b'[null,true,9223372036854775807,{"a":{},"b":[]}]'
    )


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(-1e15, 1e15) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_the_form_says_the_value_and_is_the_same_once_more(value: Any) -> None:
    once = canonicalize(value)
    assert json.loads(once) == value
    assert canonicalize(json.loads(once)) == once


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_is_read_back_as_it_was(number: float) -> None:
    assert float(canonicalize(number)) == number


def test_a_digest_can_be_made_by_anybody() -> None:
    """As the guide says it, for questions without unusual numbers."""
    question: dict[str, Any] = {
        "prompt": "pay 10?",
        "value": {"to": "ann", "amount": 10},
        "options": [{"label": "yes", "value": {"ok": True}}],
        "schema": None,
    }
    text = json.dumps(question, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert digest_question(**question) == hashlib.sha256(text.encode()).hexdigest()


BASE: dict[str, Any] = {
    "prompt": "?",
    "value": {"n": 1},
    "options": [{"label": "a", "value": 1}],
    "schema": {"type": "integer"},
}


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "? "},
        {"value": {"n": 2}},
        {"value": {"n": True}},
        {"value": {"n": 1, "m": None}},
        {"options": []},
        {"options": [{"label": "b", "value": 1}]},
        {"options": [{"label": "a"}]},
        {"schema": {}},
        {"schema": None},
    ],
)
def test_whatever_a_question_shows_is_in_its_digest(change: dict[str, Any]) -> None:
    assert digest_question(**{**BASE, **change}) != digest_question(**BASE)


def test_what_the_api_server_does_not_keep_apart_has_one_digest() -> None:
    assert digest_question(None, 1.0, [], None) == digest_question("", 1, (), None)
    assert digest_question("?", None, [{"label": "a"}], None) == digest_question(
        "?", None, [{"label": "a", "value": None}], None
    )
