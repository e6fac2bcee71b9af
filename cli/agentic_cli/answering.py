"""Giving an answer: read, checked and written as one step, so that of two people who answer one is told."""

from collections.abc import Callable
from typing import Any, Final

from agentic_cli.manifests import build_answer, replaces_answer
from agentic_cli.questions import Question, check_answer, choose_question
from agentic_cli.sessions import Session
from agentic_cli.target import Project
from agentic_core.errors import Conflict

ATTEMPTS: Final = 8


def answer_question(
    project: Project,
    name: str,
    wanted: str | None,
    find_answer: Callable[[Question], Any],
    *,
    replace: bool = False,
    session: Session | None = None,
) -> tuple[Session, Question]:
    """Answer a session's question and return it as it is then.

    ``find_answer`` is asked once; where the session changed in between it is read again, and what holds no longer
    (the question was answered, the session ended) is refused. Raises ``PermanentError``, ``InvalidResource``.
    """
    given: list[Any] = []
    for attempt in range(ATTEMPTS):
        session = session if session is not None and attempt == 0 else project.fetch_session(name)
        question = choose_question(session, wanted, may_replace=replace)
        wanted = question.id
        if not given:
            given.append(find_answer(question))
            check_answer(question, given[0])
        try:
            body = build_answer(session, question.id, given[0])
            return project.answer(name, question.id, body, replace=replaces_answer(session, question.id)), question
        except Conflict as conflict:
            # A runner writes its status every second; only a question that is gone is a reason to stop.
            last = conflict
    raise last
