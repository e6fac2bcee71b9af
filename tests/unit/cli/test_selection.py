"""Which sessions a command is for, and what becomes of the others where one of them is refused."""

from collections.abc import Callable

import click
import pytest

from agentic_cli.commands.selection import Filter, Selection, do_for_each, raise_refused
from agentic_cli.model.sessions import Session
from agentic_core.errors import ApiUnavailable, Conflict, PermanentError

SESSIONS = [Session(name, "team", {}) for name in ("a", "b", "c", "d")]


@pytest.mark.parametrize(
    ("selection", "told"),
    [
        (lambda: Selection(), "which sessions"),
        (lambda: Selection(names=("a",), phases=("Idle",)), "not both"),
        (lambda: Selection(names=("a",), selector=""), "-l is empty"),
        (lambda: Selection(selector=""), "-l is empty"),
        (lambda: Selection(selector=" \t", phases=("Running",)), "-l is empty"),
        (lambda: Selection(selector="team=risk", workflow=""), "--workflow is empty"),
    ],
)
def test_an_empty_choice_is_never_a_wider_one(selection: Callable[[], Selection], told: str) -> None:
    with pytest.raises(click.UsageError, match=told):
        selection()


@pytest.mark.parametrize(
    ("wanted", "is_taken"),
    [
        (Filter(), True),
        (Filter(("Idle", "Running")), True),
        (Filter(("Idle",)), False),
        (Filter(workflow="report"), True),
        (Filter(("Running",), "other"), False),
        (Filter(workflow=""), False),
    ],
)
def test_lists_and_commands_choose_by_the_same_rule(wanted: Filter, is_taken: bool) -> None:
    assert wanted.takes("Running", "report") is is_taken


def test_what_one_session_is_refused_keeps_no_other_from_its_turn() -> None:
    seen: list[str] = []

    def act(session: Session) -> None:
        seen.append(session.name)
        if session.name == "b":
            raise Conflict("b changed")
        if session.name != "d":
            raise PermanentError("you may not")

    refused = ["no session 'x'"]
    do_for_each(SESSIONS, act, refused)
    assert seen == ["a", "b", "c", "d"]
    with pytest.raises(PermanentError, match=r"^no session .x.; you may not; b changed$"):
        raise_refused(refused)


@pytest.mark.parametrize("cause", [ApiUnavailable("no answer"), KeyboardInterrupt(), click.Abort()])
def test_who_is_cut_off_learns_what_was_refused_and_how_many_are_left(
    cause: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    def act(session: Session) -> None:
        if session.name == "a":
            raise PermanentError("a: \x1b[2Jno")
        if session.name == "c":
            raise cause

    with pytest.raises(type(cause)):
        do_for_each(SESSIONS, act, [])
    assert capsys.readouterr().err == "a: \\u001b[2Jno\n2 of 4 are left, from c on\n"
