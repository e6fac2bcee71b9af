"""Secrets and endless texts stay inside."""

import json
import logging
from pathlib import Path

from agentic_runner.output.logs import JsonLines
from agentic_runner.output.redaction import Redactor, bounded, describe
from agentic_runner.output.termination import write_termination


def test_every_known_secret_is_masked_the_longest_first() -> None:
    redactor = Redactor()
    redactor.add("secret", "secret-and-more", None, "", "abc")
    assert redactor.redact("a secret-and-more, a secret, abc") == "a ***, a ***, abc"
    assert "secret" not in repr(redactor)


def test_texts_are_cut_where_they_end_and_say_so() -> None:
    assert bounded("short", 10) == "short"
    cut = bounded("x" * 5000, 100)
    assert len(cut) == 100
    assert cut.endswith("(5000 characters)")


def test_an_exception_is_described_in_one_line() -> None:
    assert describe(ValueError("no")) == "ValueError: no"
    assert describe(KeyError()) == "KeyError"


def test_a_log_line_is_json_with_its_fields_and_without_secrets() -> None:
    redactor = Redactor()
    redactor.add("hunter22")
    formatter = JsonLines(redactor, {"session": "n/s"})
    try:
        int("bad hunter22")
    except ValueError:
        record = logging.getLogger("x").makeRecord(
            "x", logging.ERROR, __file__, 1, "failed with %s\nand a line", ("hunter22",), __import__("sys").exc_info(),
            extra={"epoch": 3},
        )  # fmt: skip
    line = formatter.format(record)
    assert "\n" not in line
    parsed = json.loads(line)
    assert (parsed["level"], parsed["message"], parsed["epoch"]) == ("error", "failed with ***\nand a line", 3)
    assert "hunter22" not in line
    assert "'bad ***'" in parsed["traceback"]


def test_the_termination_message_is_bounded_and_a_missing_file_no_trouble(tmp_path: Path) -> None:
    file = tmp_path / "log"
    write_termination({"TERMINATION_LOG": str(file)}, "x" * 9000)
    assert len(file.read_text()) == 1000
    write_termination({"TERMINATION_LOG": str(tmp_path / "no" / "log")}, "x")
