"""Secrets in every form that texts show them in, below whatever prints them."""

import base64
import html
import io
import json
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_runner.output.masked_output import MaskedOutput
from agentic_runner.output.redaction import Redactor
from agentic_runner.output.secret_env import find_secret_values

AWKWARD = "p\"ä/+ ü\\%&<s>'7=\tx"


def redactor(*secrets: str) -> Redactor:
    made = Redactor()
    made.add(*secrets)
    return made


@pytest.mark.parametrize("secret", ["hunter2hunter2", AWKWARD, "sk-" + "aB3_" * 12, "12345678"])
@pytest.mark.parametrize(
    "show",
    [
        lambda s: f"key={s};",
        repr,
        lambda s: json.dumps({"a": [s]}),
        lambda s: json.dumps({"a": s}, ensure_ascii=False),
        lambda s: json.dumps(json.dumps({"a": s})),
        lambda s: f"https://x/?key={quote(s, safe='')}&b",
        lambda s: f"https://x/{quote(s)}",
        lambda s: f"a={quote_plus(s)}",
        lambda s: quote(quote(s, safe=""), safe=""),
        html.escape,
        lambda s: s.encode().hex(),
        lambda s: "Basic " + base64.b64encode(f"user:{s}".encode()).decode(),
        lambda s: base64.b64encode(s.encode()).decode(),
        lambda s: base64.b64encode(f"a{s}bc".encode()).decode(),
        lambda s: base64.urlsafe_b64encode(f"ab{s}c".encode()).decode(),
    ],
)
def test_a_secret_is_masked_in_every_form(secret: str, show: object) -> None:
    shown = redactor(secret).redact(show(secret))  # type: ignore[operator]
    assert "***" in shown
    for form in (
        secret,
        quote(secret, safe=""),
        secret.encode().hex(),
        base64.b64encode(secret.encode()).decode()[:-4],
    ):
        assert form not in shown


@given(st.text(min_size=8, max_size=40), st.binary(max_size=7), st.binary(max_size=7))
def test_whatever_stands_around_it_base64_does_not_show_a_secret(secret: str, before: bytes, behind: bytes) -> None:
    if any(0xD800 <= ord(each) <= 0xDFFF for each in secret):
        return
    shown = redactor(secret).redact(base64.b64encode(before + secret.encode() + behind).decode())
    assert "***" in shown


def test_parts_that_are_secrets_by_themselves_are_masked() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n-----END KEY-----\n"
    account = json.dumps({"type": "service", "private_key": key, "client": "a-name-of-some-length"})
    made = redactor("postgresql://user:pass%20w0rd@db/x", account)
    assert made.redact("password is 'pass w0rd'") == "password is '***'"
    assert made.redact("line AQEFAASCBKcwggSjAgEAAoIB ends") == "line *** ends"
    assert made.redact("of type service") == "of type service"


def test_nested_values_are_masked_and_keep_their_shape() -> None:
    told = {"a": [{"hunter2hunter2": 1}, "x hunter2hunter2", 2.5, None, True], "b": ("hunter2hunter2",)}
    assert redactor("hunter2hunter2").redact_all(told) == {
        "a": [{"***": 1}, "x ***", 2.5, None, True],
        "b": ["***"],
    }


def test_values_of_fewer_than_eight_characters_are_words(tmp_path: Path) -> None:
    folder = tmp_path / "0"
    folder.mkdir()
    (folder / "LONG").write_text("from-a-whole-secret")
    (folder / "SHORT").write_text("true")
    environ = {
        "SECRET_ENV": "KEY,WORD,ABSENT",
        "SECRET_ENV_FOLDERS": f"{tmp_path}/absent:{folder}",
        "KEY": "hunter2hunter2",
        "WORD": "seven77",
        "PLAIN": "not-a-secret-at-all",
        "MY_LONG": "as-it-was-at-the-start",
        "MY_SHORT": "true",
    }
    assert find_secret_values(environ) == {"hunter2hunter2", "from-a-whole-secret", "as-it-was-at-the-start"}


@given(st.lists(st.integers(0, 60), max_size=8), st.sampled_from([b"", b"\n", b"\xff"]))
def test_a_secret_that_is_written_in_pieces_is_masked(cuts: list[int], end: bytes) -> None:
    secret = "hunter2hunter2"
    data = f"a line\nkey {secret} and äöü, {secret}".encode() + end
    target = io.BytesIO()
    output = MaskedOutput(target, redactor(secret))
    last = 0
    for cut in sorted(cuts):
        output.write(data[last:cut])
        output.flush()
        last = max(last, min(cut, len(data)))
    output.write(data[last:])
    output.flush()
    output.close()
    assert target.getvalue() == "a line\nkey *** and äöü, ***".encode() + end


def test_a_flush_shows_what_was_printed() -> None:
    target = io.BytesIO()
    output = MaskedOutput(target, redactor("hunter2hunter2"))
    output.write(b"how many? ")
    output.flush()
    assert target.getvalue() == b"how many? "
