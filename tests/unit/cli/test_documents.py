"""Files of inputs: YAML that is JSON in other clothes, and nothing that could surprise or explode."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from agentic_cli.inputs.documents import MAX_DOCUMENT_BYTES, parse_document, read_document
from agentic_core.errors import PermanentError
from agentic_core.strict_json import JsonRefused


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('{"a": [1, 2.5, null, true]}', {"a": [1, 2.5, None, True]}, id="JSON"),
        pytest.param("a: [1, 2.5, null, true]\n", {"a": [1, 2.5, None, True]}, id="YAML"),
        pytest.param("{a: 1, b: x}", {"a": 1, "b": "x"}, id="YAML in braces"),
        pytest.param("country: no\n", {"country": "no"}, id="Norway is a country"),
        pytest.param(
            "a: on\nb: 010\nc: 0x1f\nd: 1_000\n", {"a": "on", "b": "010", "c": "0x1f", "d": "1_000"}, id="old numbers"
        ),
        pytest.param("when: 2024-01-01\n", {"when": "2024-01-01"}, id="a date is text"),
        pytest.param("a: 12:30:45\n", {"a": "12:30:45"}, id="a time is text"),
        pytest.param("a: \"5\"\nb: 'true'\n", {"a": "5", "b": "true"}, id="quoted is text"),
        pytest.param("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}, id="a block of text"),
        pytest.param("a:\nb: ~\n", {"a": None, "b": None}, id="nothing is null"),
        pytest.param("5: five\ntrue: yes\n", {"5": "five", "true": "yes"}, id="keys are text"),
        pytest.param("a: -1.5e3\n", {"a": -1500.0}, id="a number with an exponent"),
        pytest.param("- 1\n- [2]\n", [1, [2]], id="a list"),
        pytest.param("just text\n", "just text", id="text"),
        pytest.param("", None, id="nothing"),
        pytest.param("a: ü😀x\n", {"a": "ü😀x"}, id="any character"),
    ],
)
def test_what_is_json_is_read(text: str, expected: Any) -> None:
    value = parse_document(text.encode())
    assert value == expected
    assert str(value) == str(expected)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("a: &x [1]\nb: *x\n", "line 2: aliases are not JSON", id="an alias"),
        pytest.param("a: 1\na: 2\n", "line 2: the key 'a' occurs twice", id="a doubled key in YAML"),
        pytest.param("1: a\n'1': b\n", "line 2: the key '1' occurs twice", id="keys that become the same"),
        pytest.param('{"a": 1, "a": 2}', "the key 'a' occurs twice", id="a doubled key in JSON"),
        pytest.param('{"a": NaN}', "NaN is not a JSON number", id="NaN"),
        pytest.param("a: 1e999\n", "is not a JSON number", id="a number beyond a double"),
        pytest.param(
            "a: !!python/object:os.system x\n", "the tag tag:yaml.org,2002:python/object:os.system", id="a tag"
        ),
        pytest.param("a: !!set {b}\n", "is not JSON; remove it", id="a tagged collection"),
        pytest.param("<<: {a: 1}\nb: 2\n", "merge keys are not JSON", id="a merge key"),
        pytest.param("[a]: 1\n", "line 1: a key must be text", id="a list as a key"),
        pytest.param("a: 1\n---\nb: 2\n", "more than one document", id="two documents"),
        pytest.param("[" * 100_000, "nested more than 64 levels deep", id="a hundred thousand brackets"),
        pytest.param("- " * 1000 + "a", "nested more than 64 levels deep", id="a thousand dashes"),
        pytest.param("a: b: c\n", "not YAML", id="no YAML"),
        pytest.param("a: 1" + "0" * 10_000, "is too long; use a string", id="ten thousand digits"),
        pytest.param('a: "\\0"\n', "cannot be stored", id="a null character"),
    ],
)
def test_what_is_not_is_refused_with_its_place(text: str, complaint: str) -> None:
    with pytest.raises(JsonRefused) as refused:
        parse_document(text.encode())
    assert complaint in refused.value.message


def test_a_file_called_json_is_never_read_as_yaml(tmp_path: Path) -> None:
    file = tmp_path / "inputs.json"
    file.write_text("a: 1\n", encoding="utf-8")
    with pytest.raises(PermanentError, match=r"inputs\.json': not JSON"):
        read_document(str(file))


def test_a_bomb_of_aliases_costs_nothing() -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(8)
    )
    with pytest.raises(JsonRefused, match="aliases are not JSON"):
        parse_document(bomb.encode())


def test_over_a_mebibyte_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    file.write_bytes(b"#" * (MAX_DOCUMENT_BYTES + 1))
    with pytest.raises(PermanentError, match="over the limit of 1 MiB"):
        read_document(str(file))


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=r"nothing\.yaml' cannot be read: No such file or directory"):
        read_document(str(tmp_path / "nothing.yaml"))
    (tmp_path / "binary.yaml").write_bytes(b"a: \xff\n")
    with pytest.raises(PermanentError, match="not UTF-8 text"):
        read_document(str(tmp_path / "binary.yaml"))


def test_standard_input_is_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a: 1\n")))
    assert read_document("-") == {"a": 1}
