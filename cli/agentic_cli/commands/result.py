"""``result``: the result of a session, or of one turn of a conversation."""

import json
from pathlib import Path

import click

from agentic_cli.commands.completions import complete_sessions, complete_turns
from agentic_cli.commands.options import (
    no_answer_option,
    output_option,
    require_following,
    target_options,
    timeout_option,
)
from agentic_cli.interaction.following import Clock
from agentic_cli.interaction.target import Project, Target
from agentic_cli.interaction.turns import follow_turn
from agentic_cli.interaction.watching import QuietView, watch_session
from agentic_cli.model.exit_status import ExitStatus, TimedOut, find_outcome, find_turn_outcome
from agentic_cli.model.sessions import Session
from agentic_cli.model.turns import find_last_ended, is_conversation, owns_result, require_conversation, require_turn
from agentic_cli.output import terminal
from agentic_cli.output.rendering import describe_reference
from agentic_core.downloads import is_outside
from agentic_core.errors import PermanentError


@click.command()
@click.argument("name", metavar="SESSION", shell_complete=complete_sessions)
@click.option(
    "--turn", metavar="NAME", shell_complete=complete_turns, help="Of a conversation: the turn. [default: the last]"
)
@click.option("--wait", is_flag=True, help="Wait for the session, or the turn, to end.")
@timeout_option("How long to wait:")
@no_answer_option
@click.option("--save", metavar="FILE", type=click.Path(dir_okay=False), help="Write the result to a file, as JSON.")
@click.option("--url", "wants_url", is_flag=True, help="Print a link to a result in an object store, good for an hour.")
@output_option("json", "yaml", default="json")
@target_options
def result(
    target: Target,
    name: str,
    turn: str | None,
    wait: bool,
    timeout: float | None,
    no_answer: bool,
    save: str | None,
    wants_url: bool,
    output: str,
) -> int:
    """Print a completed session's result as JSON.

    Exits with 1 for a failed session, 3 for a stopped one, 4 for one that waits for an answer. A result over 32 KiB is
    not in the cluster; the message names its place. One in an object store is streamed by --save, which
    checks its digest, or linked to by --url: anybody who has the link can read the result.

    Of a conversation it is the result of the turn that ended last; the status holds no other.

    \b
    Examples:
      agentic result outliers-x7k2p
      agentic result outliers-x7k2p | jq .outliers
      agentic result outliers-x7k2p --wait --timeout 10m
      agentic result outliers-x7k2p --save result.json
      agentic result support-x7k2p --turn t0003 --wait
    """
    require_following({"wait": wait, "timeout": timeout, "no_answer": no_answer}, "--wait", "wait")
    with target.open() as project:
        name = project.name_session(name)
        session = project.fetch_session(name)
        if turn is not None:
            require_conversation(session)
        if wait:
            session = _wait(project, name, turn, Clock.with_timeout(timeout), may_answer=not no_answer)
        status, why = find_result(session, turn)
        if status is not ExitStatus.COMPLETED:
            terminal.fail(why)
            return status
        if "resultRef" in session.status:
            _fetch_outside(project, session, save, wants_url=wants_url)
            return status
    value = session.status.get("result")
    if wants_url:
        raise PermanentError(f"the result of {session.name!r} is in its status: there is nothing to link to")
    if save is not None:
        _save(Path(save), json.dumps(value, ensure_ascii=False))
        return status
    if output == "json":
        terminal.print_json(value)
    else:
        terminal.print_yaml(value)
    return status


def _save(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PermanentError(f"{str(path)!r} cannot be written: {error.strerror}") from error


def _wait(project: Project, name: str, turn: str | None, clock: Clock, *, may_answer: bool) -> Session:
    if turn is None:
        return watch_session(project, name, QuietView(), clock, dialogue=None, may_answer=may_answer)[1]
    return follow_turn(project, name, turn, QuietView(), clock, dialogue=None, may_answer=may_answer)[1]


def find_result(session: Session, name: str | None) -> tuple[ExitStatus, str]:
    """Return the exit status of a session or its turn ``name``, and if it has no result, why.

    The default turn is the one that ended last. Raises ``PermanentError`` for an unknown turn, and for one whose result
    was replaced by a later one's.
    """
    if not is_conversation(session):
        status = find_outcome(session, may_answer=False)
        return ExitStatus.FAILED if status is None else status, _explain_no_result(session)
    turn = require_turn(session, name) if name is not None else find_last_ended(session)
    if turn is None:
        return ExitStatus.FAILED, f"session {session.name!r} has no result yet: none of its turns has ended"
    place = f"turn {turn.name!r} of session {session.name!r}"
    status = find_turn_outcome(session, turn.name, may_answer=False)
    if status is None:
        return ExitStatus.FAILED, f"{place} has no result yet, it is {turn.phase}"
    if status is ExitStatus.COMPLETED and not owns_result(session, turn):
        raise PermanentError(
            f"the status of session {session.name!r} has the result of the last turn alone; that of {turn.name!r} is in"
            " the database: `output` of `session_turns`"
        )
    error = f": {turn.error}" if turn.error else ""
    return status, f"{place} has no result, it is {turn.phase}{error}"


def _fetch_outside(project: Project, session: Session, save: str | None, *, wants_url: bool) -> None:
    from agentic_cli.interaction.download import LINK_WAIT_SECONDS, obtain_link, save_result

    reference = session.status["resultRef"]
    if save is None and not wants_url:
        hint = f": agentic result {session.name} --save FILE" if is_outside(reference) else ""
        raise PermanentError(f"{describe_reference(reference)}{hint}")
    try:
        link = obtain_link(project, session, Clock.with_timeout(LINK_WAIT_SECONDS))
    except TimedOut:
        raise TimedOut(
            f"the operator made no link within {LINK_WAIT_SECONDS:.0f} s: it may be away, have no object store"
            " (RESULT_STORE=on), or this machine's clock be wrong"
        ) from None
    if wants_url:
        terminal.say(link)
    if save is not None:
        size = save_result(link, reference, Path(save))
        terminal.note(f"{size} bytes in {save}, sha256 {reference['sha256']}")


def _explain_no_result(session: Session) -> str:
    if session.is_final:
        detail = f": {session.message}" if session.message else ""
        return f"session {session.name!r} has no result, it is {session.phase} ({session.reason}){detail}"
    following = "respond" if session.is_waiting else "watch"
    return f"session {session.name!r} has no result yet, it is {session.phase}: agentic {following} {session.name}"
