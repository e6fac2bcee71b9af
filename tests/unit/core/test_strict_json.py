"""The edges of JSON: what is refused, with which words and which pointer."""

import contextlib
import json
import time

import pytest

from agentic_core.strict_json import (
    MAX_DEPTH,
    MAX_INSTANCE_BYTES,
    JsonRefused,
    clip,
    encode_json,
    has_deeper_nesting,
    json_pointer,
    parse_strict_json,
    spell_wide_integers,
)


@pytest.mark.parametrize(
    ("text", "message", "pointer"),
    [
        pytest.param('{"a": 1, "a": 2}', "the key 'a' occurs twice", "", id="a doubled key"),
        pytest.param(
            '{"a": [1e400]}', "the number 1e400 is beyond the range of a double", "/a/0", id="a number over a double"
        ),
        pytest.param("[-1E+999]", "the number -1E+999 is beyond", "/0", id="a number below a double"),
        pytest.param(f"[{'9' * 320}.5]", "is beyond the range of a double", "/0", id="a long number over a double"),
        pytest.param("[NaN]", "NaN is not a JSON number", "/0", id="NaN"),
        pytest.param("[-Infinity]", "-Infinity is not a JSON number", "/0", id="infinity"),
        pytest.param('{"a": 1, "b": 1e-400}', "too small for a double", "/b", id="a number that would become 0"),
        pytest.param("[" + "9" * 5000 + "]", "an integer of 5000 digits is too long", "/0", id="5000 digits"),
        pytest.param(r'["a", {"b/c": "x\u0000"}]', r"the character \u0000", "/1/b~1c", id="a NUL in a value"),
        pytest.param(r'{"a\u0000": 1}', r"the character \u0000", "/a�", id="a NUL in a key"),
        pytest.param(r'{"a": ["\ud800"]}', "a lone surrogate", "/a/0", id="a lone surrogate as an escape"),
        pytest.param('{"a": ["\ud800"]}', "a lone surrogate", "/a/0", id="a lone surrogate in the text"),
        pytest.param(b'["\xff"]', "not UTF-8 text", "", id="bytes that are no UTF-8"),
        pytest.param("[" * 65 + "]" * 65, "nested more than 64 levels", "", id="65 levels"),
        pytest.param('{"a":' * 65 + "1" + "}" * 65, "nested more than 64 levels", "", id="65 objects"),
        pytest.param("[" * 200_000, "nested more than 64 levels", "", id="200,000 brackets that never close"),
        pytest.param("][" * 100, "not JSON", "", id="brackets in the wrong order"),
        pytest.param("", "not JSON", "", id="nothing"),
        pytest.param("[1,]", "not JSON", "", id="a trailing comma"),
        pytest.param(json.dumps("x" * MAX_INSTANCE_BYTES), "are over the limit of 262144", "", id="too large"),
    ],
)
def test_refuses(text: str | bytes, message: str, pointer: str) -> None:
    with pytest.raises(JsonRefused) as refused:
        parse_strict_json(text)
    assert message in refused.value.message
    assert refused.value.pointer == pointer


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param('{"a": [1, 2.5, null, true, "ü"]}', {"a": [1, 2.5, None, True, "ü"]}, id="ordinary JSON"),
        pytest.param(r'["\\u0000", "\\ud800"]', ["\\u0000", "\\ud800"], id="backslashes before u"),
        pytest.param(r'["\ud83d\ude00"]', ["😀"], id="a surrogate pair"),
        pytest.param("[1e5, 1e300, 0e-400, 0.0E-999, -0.0]", [1e5, 1e300, 0.0, 0.0, 0.0], id="exponents that fit"),
        pytest.param('"' + "[" * 500 + '"', "[" * 500, id="brackets in a string"),
        pytest.param("[" + "[]," * 500 + "[]]", [[]] * 501, id="many lists side by side"),
    ],
)
def test_accepts(text: str, value: object) -> None:
    assert parse_strict_json(text) == value
    assert parse_strict_json(text.encode(), unique_keys=False) == value


def test_allows_exactly_the_depth_of_the_limit() -> None:
    assert not has_deeper_nesting(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, MAX_DEPTH)
    assert has_deeper_nesting(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), MAX_DEPTH)


def test_writes_compact_text_and_refuses_what_is_no_json() -> None:
    assert encode_json({"a": [1, "ü"]}) == '{"a":[1,"ü"]}'.encode()
    with pytest.raises(JsonRefused, match="not JSON"):
        encode_json({"a": object()})
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(JsonRefused, match="not JSON"):
        encode_json(endless)
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(JsonRefused, match="nested more than 64"):
        encode_json(deep)


def test_pointers_are_escaped_and_bounded() -> None:
    assert json_pointer([]) == ""
    assert json_pointer(["a/b", 0, "m~n", ""]) == "/a~1b/0/m~0n/"
    assert len(json_pointer(["x" * 10_000])) == 512
    assert clip("a\0b\ud800", 10) == "a�b�"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[" + "[]," * 80_000 + "[]]", id="many empty lists"),
        pytest.param("[" + ",".join(["[" * 63 + "]" * 63] * 2000) + "]", id="many deep towers"),
        pytest.param('"' + "\\\\" * 130_000 + '"', id="backslashes"),
        pytest.param("[" * 131_000 + "]" * 131_000, id="one deep tower"),
        pytest.param('"' + "\\u0000 " * 30_000 + '"', id="NULs"),
    ],
)
def test_the_largest_documents_take_milliseconds(text: str) -> None:
    def measure() -> float:
        began = time.process_time()
        with contextlib.suppress(JsonRefused):
            parse_strict_json(text, unique_keys=False)
        return time.process_time() - began

    # The least of three: a busy neighbour makes CPU time longer too, and the fault that this looks for takes seconds.
    assert min(measure() for _ in range(3)) < 1


WIDE = [2**63, -(2**63) - 1, 12345678901234567890, 10**22 + 1, 10**400]
KEPT = [2**53 + 1, 2**63 - 1, -(2**63), 1e15, -0.0, 1e-300, "12345678901234567890"]


@pytest.mark.parametrize("number", [*WIDE, 1e22, -1e300, 2.0**63], ids=lambda each: str(each)[:24])
def test_numbers_that_the_api_server_would_round_are_refused_with_their_place(number: float) -> None:
    text = encode_json({"a/b": [0, number]})
    with pytest.raises(JsonRefused, match="is beyond 64 bits") as refused:
        parse_strict_json(text, as_stored=True)
    assert refused.value.pointer == "/a~1b/1"
    assert len(refused.value.message) < 200
    assert parse_strict_json(text) == {"a/b": [0, number]}


@pytest.mark.parametrize("number", KEPT, ids=str)
def test_numbers_that_it_keeps_are_taken_to_the_last_digit(number: object) -> None:
    assert parse_strict_json(encode_json([number]), as_stored=True) == [number]
    assert spell_wide_integers([number]) == [number]


@pytest.mark.parametrize("number", WIDE, ids=lambda each: str(each)[:24])
def test_what_has_to_be_shown_is_spelled_with_every_digit(number: int) -> None:
    assert spell_wide_integers({"a": [number, 1.5, True]}) == {"a": [str(number), 1.5, True]}
