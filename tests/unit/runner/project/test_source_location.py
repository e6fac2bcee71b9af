"""Exceptions as people read them: where they were raised, and text that any reader can take."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_core.contract import MAX_MESSAGE_LENGTH
from agentic_core.resources import RunError
from agentic_runner.execution.failures import classify
from agentic_runner.execution.tracking import Tracker
from agentic_runner.output.redaction import bounded, clean, describe
from agentic_runner.project.source_location import find_source

CODE = """
import json

def helper():
    json.loads("{")

def node():
    helper()
"""


def raised(call: Callable[[], object]) -> BaseException:
    with pytest.raises(BaseException) as caught:
        call()
    return caught.value


def raised_in(folder: Path, name: str = "graph.py") -> Exception:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(CODE)
    names: dict[str, object] = {"__name__": "graph"}
    exec(compile(CODE, str(file), "exec"), names)  # noqa: S102  (an author's file)
    node = names["node"]
    assert callable(node)
    error = raised(node)
    assert isinstance(error, Exception)
    return error


def test_the_last_line_of_the_authors_own_files_is_named_and_no_librarys(tmp_path: Path) -> None:
    assert find_source(raised_in(tmp_path, "src/graph.py"), tmp_path) == "src/graph.py:5"
    # A library of the author's beside the project.
    assert find_source(raised_in(tmp_path / "libs", "graph.py"), tmp_path / "project") == "libs/graph.py:5"
    assert "site-packages" not in find_source(raised_in(tmp_path, "x/site-packages/graph.py"), tmp_path)
    assert find_source(ValueError("never raised"), tmp_path) == ""


def test_an_error_of_a_run_says_its_file_and_line(tmp_path: Path) -> None:
    tracker = Tracker()
    tracker.has_started = True
    failure = classify(raised_in(tmp_path), tracker, takes_inputs=False, root=tmp_path)
    assert failure.type == "JSONDecodeError"
    assert failure.message.endswith("(graph.py:5)")


def test_a_group_names_its_leaves_and_where_each_was_raised(tmp_path: Path) -> None:
    inner = ExceptionGroup("inner", [raised_in(tmp_path), KeyError("k")])
    text = describe(ExceptionGroup("outer", [inner, ValueError("v")]), lambda error: find_source(error, tmp_path))
    assert "JSONDecodeError" in text
    assert "(graph.py:5)" in text
    assert "KeyError: 'k'" in text
    assert "ValueError: v" in text
    assert "and 95 more" in describe(ExceptionGroup("many", [ValueError(n) for n in range(100)]))


class Unreadable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def cyclic() -> Exception:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    return one


@pytest.mark.parametrize(
    "error",
    [
        ValueError("half \ud800 a pair"),
        ValueError("zero \x00 and \x1b[31mred\x1b[0m and \x1b]0;title\x07bell"),
        ValueError("\u202eright to left"),
        ValueError("x" * 1_000_000),
        Unreadable(),
        cyclic(),
        type("Odd\x1bName" * 100, (Exception,), {})("named oddly"),
        BaseException("the base of all"),
        asyncio.CancelledError("mine"),
        GeneratorExit(),
        ExceptionGroup("\ud800", [ValueError("\udfff"), Unreadable()]),
    ],
)
def test_whatever_an_exception_holds_the_status_can_say_it(error: BaseException) -> None:
    failure = classify(error, Tracker(), takes_inputs=False)
    said = RunError(type=bounded(failure.type, 256), message=bounded(failure.message, MAX_MESSAGE_LENGTH))
    text = said.model_dump_json()
    assert len(text) < 3 * MAX_MESSAGE_LENGTH
    assert said.message
    assert not any(mark in said.message + said.type for mark in "\x00\x1b\x07\u202e")


def test_an_error_whose_text_cannot_be_read_says_so() -> None:
    assert describe(Unreadable()) == "Unreadable: its text cannot be read: RuntimeError"


@given(st.text(st.characters()), st.integers(32, 500))
def test_bounded_text_is_short_and_can_be_written_anywhere(text: str, limit: int) -> None:
    shown = bounded(text, limit)
    assert len(shown) <= limit
    shown.encode()
    assert "\x00" not in shown
    assert clean(shown) == shown


def test_lines_stay_lines() -> None:
    assert clean("first\n\tsecond") == "first\n\tsecond"
