"""Keys and what is encrypted with them: rotation, wrong keys, tampering, and a file that is wrong."""

import base64
from enum import StrEnum
from pathlib import Path

import ormsgpack
import pytest

from agentic_core.errors import PermanentError
from agentic_runner.checkpoints.encrypted_saver import EncryptingSerializer
from agentic_runner.keyring import CannotDecrypt, Keyring, parse_keyring, read_keyring

OLD, NEW, OTHER = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2, 3))


class Color(StrEnum):
    RED = "red"


def a_serializer(*lines: str) -> EncryptingSerializer:
    return EncryptingSerializer(parse_keyring("\n".join(lines)) if lines else Keyring())


@pytest.mark.parametrize("value", ["a text", 7, None, b"bytes", {"a": [1, {"b": None}]}, ("x", 1), b"", [Color.RED]])
def test_what_is_encrypted_comes_back(value: object) -> None:
    serializer = a_serializer(NEW)
    type_, data = serializer.dumps_typed(value)
    assert "+agentic-" in type_
    assert b"a text" not in data
    plain = EncryptingSerializer(Keyring())
    assert serializer.loads_typed((type_, data)) == plain.loads_typed(plain.dumps_typed(value))


def test_the_same_value_never_looks_the_same() -> None:
    serializer = a_serializer(NEW)
    assert len({serializer.dumps_typed("same")[1] for _ in range(100)}) == 100
    assert a_serializer(NEW).dumps_typed("same")[1][:16] != serializer.dumps_typed("same")[1][:16]


def test_with_a_new_key_in_front_what_the_old_one_encrypted_stays_readable() -> None:
    written = a_serializer(OLD).dumps_typed("kept")
    rotated = a_serializer(NEW, OLD)
    assert rotated.loads_typed(written) == "kept"
    assert rotated.dumps_typed("new")[0] != written[0]
    with pytest.raises(CannotDecrypt, match=r"and this runner has \w{8}: add that key"):
        a_serializer(NEW).loads_typed(written)
    with pytest.raises(CannotDecrypt, match="and this runner has none"):
        a_serializer().loads_typed(written)


def test_plain_in_front_ends_encryption_and_reads_on() -> None:
    written = a_serializer(OLD).dumps_typed("kept")
    ended = a_serializer("plain", OLD)
    assert ended.dumps_typed("x")[0] == "msgpack"
    assert ended.loads_typed(written) == "kept"


def test_what_was_written_before_encryption_is_read() -> None:
    assert a_serializer(NEW).loads_typed(a_serializer().dumps_typed({"a": 1})) == {"a": 1}


@pytest.mark.parametrize("position", [0, 20, -1])
def test_what_was_changed_is_refused(position: int) -> None:
    serializer = a_serializer(NEW)
    type_, data = serializer.dumps_typed("a text")
    changed = bytearray(data)
    changed[position] ^= 1
    with pytest.raises(CannotDecrypt, match="not as it was written"):
        serializer.loads_typed((type_, bytes(changed)))
    for wrong in (type_.replace("msgpack", "json"), type_.replace("msgpack", "pickle")):
        with pytest.raises(CannotDecrypt):
            serializer.loads_typed((wrong, data))
    with pytest.raises(CannotDecrypt):
        serializer.loads_typed((type_, b"short"))


@pytest.mark.parametrize("is_encrypted", [True, False])
def test_crafted_values_call_nothing_also_when_they_are_encrypted(is_encrypted: bool) -> None:
    serializer = a_serializer(NEW) if is_encrypted else a_serializer()
    called = ormsgpack.packb(ormsgpack.Ext(0, ormsgpack.packb(("builtins", "eval", "1/0"))))
    constructor = b'{"lc": 2, "type": "constructor", "id": ["subprocess", "Popen"], "args": [["false"]]}'
    for type_, data in (("msgpack", called), ("json", constructor), ("pickle", b"cos\nsystem\n(S'false'\ntR.")):
        typed = serializer.seal(type_, data) if is_encrypted else (type_, data)
        try:
            value = serializer.loads_typed(typed)
        except NotImplementedError:
            assert type_ == "pickle"
        else:
            assert type_ != "pickle"
            assert not callable(value)
            assert "Popen" not in type(value).__name__


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", "there is no key; write one key a line", id="empty"),
        pytest.param("# only this\nplain\n", "there is no key", id="no key at all"),
        pytest.param(f"{NEW}\nnot base64!\n", "line 2 is not base64", id="no base64"),
        pytest.param(base64.b64encode(b"short").decode(), "line 1 has 5 bytes and not 32", id="too short"),
        pytest.param(f"{NEW}\nplain\n", "line 2 is not base64|line 2 has", id="plain not first"),
    ],
)
def test_a_file_that_is_wrong_says_where_and_not_what(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(PermanentError, match=expected) as error:
        read_keyring(file)
    assert NEW not in str(error.value)
    with pytest.raises(PermanentError, match="cannot be read"):
        read_keyring(tmp_path / "none")


def test_a_keyring_shows_no_key() -> None:
    keyring = parse_keyring(f"{NEW}  # since March\n{OLD}\n")
    assert NEW not in repr(vars(keyring))
    assert keyring.secrets == (NEW, OLD)
    assert keyring.cipher == f"agentic-{keyring.names[0]}"


@pytest.mark.parametrize("value", ["MARKER", 10**40, -1.5, True, float("inf"), "", "\ud800", "agentic_sealed:x"])
def test_what_stands_in_a_row_comes_back_and_is_not_seen(value: object) -> None:
    serializer = a_serializer(NEW)
    text = serializer.seal_text(value)
    assert text.isascii()
    assert "MARKER" not in text
    assert serializer.open_text(text) == value
    assert serializer.open_json(serializer.seal_json({"a": value})) == {"a": value}
    with pytest.raises(CannotDecrypt):
        a_serializer().open_text(text)


@pytest.mark.parametrize("value", ["agentic_sealed:not this", 7, None, ["agentic_sealed"]])
def test_what_only_looks_encrypted_is_left_as_it_is(value: object) -> None:
    serializer = a_serializer(NEW)
    assert serializer.open_text(value) == value
    for thing in ({"agentic_sealed": value}, {"agentic_sealed": value, "more": 1}, {}):
        assert serializer.open_json(thing) == thing
