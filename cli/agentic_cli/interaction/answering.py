"""Gives an answer: reads, checks and writes it in one step, so that the second of two simultaneous answers fails."""

from collections.abc import Callable
from typing import Any, Final

from agentic_cli.inputs.questions import AskedQuestion, check_answer, choose_question
from agentic_cli.interaction.following import Clock
from agentic_cli.interaction.target import Project
from agentic_cli.model.exit_status import TimedOut
from agentic_cli.model.manifests import build_answer, replaces_answer
from agentic_cli.model.sessions import Session
from agentic_core.approvals import count_left, describe_rule
from agentic_core.digests import digest_value
from agentic_core.errors import Conflict, PermanentError

ATTEMPTS: Final = 8
RECORD_SECONDS: Final = 15.0
RECORD_PAUSE_SECONDS: Final = 0.5


def answer_question(
    project: Project,
    name: str,
    wanted: str | None,
    find_answer: Callable[[AskedQuestion], Any],
    *,
    replace: bool = False,
    session: Session | None = None,
) -> tuple[Session, AskedQuestion]:
    """Answer a session's question and return it as it is then.

    ``find_answer`` is asked once; if the session changed in between it is read again, and what holds no longer
    (the question was answered, the session ended) is refused. Raises ``PermanentError``, ``InvalidResource``.
    """
    given: list[Any] = []
    digest = ""
    for attempt in range(ATTEMPTS):
        session = session if session is not None and attempt == 0 else project.fetch_session(name)
        question = choose_question(session, wanted, may_replace=replace)
        session = wait_for_rule(project, session, question.id)
        wanted = question.id
        if not given:
            given.append(find_answer(question))
            check_answer(question, given[0])
            digest = question.digest
        try:
            by = project.fetch_username()
            check_turn(session, question.id, by)
            body = build_answer(session, question.id, given[0], by, digest)
            return project.answer(name, question.id, body, replace=replaces_answer(session, question.id, by)), question
        except Conflict as conflict:
            # A runner writes its status every second; only a question that is gone is a reason to stop.
            last = conflict
    raise last


def wait_for_rule(project: Project, session: Session, id_: str, clock: Clock | None = None) -> Session:
    """Return the session once the rule of a question that has one is recorded: before, admission takes no answer.

    That is a moment after it is asked. After ``RECORD_SECONDS`` admission reports what is missing.
    """
    clock = clock or Clock.with_timeout(RECORD_SECONDS)
    while any(
        each.id == id_ and each.is_open and each.has_rule and each.approval is None for each in session.interrupts
    ):
        try:
            clock.sleep(clock.limit(RECORD_PAUSE_SECONDS))
        except TimedOut:
            break
        session = project.fetch_session(session.name)
    return session


def describe_given(session: Session, question: AskedQuestion, by: str) -> tuple[str, int]:
    """Return what became of an answer that was just given, and how many persons have to give the same one yet."""
    interrupt = next((each for each in session.interrupts if each.id == question.id), None)
    mine = (each for each in session.spec.get("responses") or () if each.get("interruptId") == question.id)
    value = next((each.get("value") for each in mine if (each.get("by") or "") == by), None)
    approval = interrupt.approval if interrupt is not None else None
    if approval is None:
        return "", 0
    left = count_left(approval, by, digest_value(value))
    if not left:
        return "", 0
    who = describe_rule(approval.get("rule") or {}, session.creator, session.asker)
    more = f"{left} more {'person has' if left == 1 else 'persons have'} to give the same one"
    return f"{more} ({who})" if who else more, left


def check_turn(session: Session, id_: str, by: str) -> None:
    """Raise ``PermanentError`` if somebody else's answer to the question comes first, and is theirs alone to change.

    An answer with an author replaces one without.
    """
    interrupt = next((each for each in session.interrupts if each.id == id_), None)
    others = [name for name in interrupt.responded_by if name not in ("", by)] if interrupt is not None else []
    if interrupt is not None and others and not interrupt.is_refused and not interrupt.needs_several:
        raise PermanentError(
            f"the question {id_!r} was answered by {others[0]}; that answer has not been taken yet, and is theirs alone"
            " to replace"
        )
