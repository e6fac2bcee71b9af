"""Operator and runner of conversations, as far as a client sees them: takes turns in order and answers by their words.

Each turn is answered with all messages so far and ``you said WORDS``. Words that do something else: ``fail ...`` fails
the turn, ``ask ...`` asks a question first, ``slow ...`` goes on until the turn is cancelled. The real ones write the
same fields: tests of the operator and the runner hold them to that.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from tests.support.kube import Json, Space

QUESTION: Final[Json] = {"id": "q1", "node": "ask", "value": {"prompt": "Really?", "options": ["yes", "no"]}}


class PlayedOperator(threading.Thread):
    """Serves the conversations of a namespace until it is ended."""

    def __init__(self, space: Space) -> None:
        super().__init__(daemon=True)
        self._space = space
        self._ended = threading.Event()
        self._error: BaseException | None = None

    def run(self) -> None:
        """Look at each conversation again and again."""
        try:
            while not self._ended.wait(0.05):
                for session in self._space.sessions():
                    if session["spec"].get("mode") == "Conversation":
                        self._look(session)
        except BaseException as error:  # noqa: BLE001  (told to the test, in `end`)
            self._error = error

    def end(self) -> None:
        """End it, and raise what went wrong."""
        self._ended.set()
        self.join(10)
        if self._error is not None:
            raise self._error

    def _look(self, session: Json) -> None:
        name, status = session["metadata"]["name"], session.get("status") or {}
        if status.get("phase") in ("Completed", "Stopped"):
            return
        current = status.get("turn")
        if current is not None:
            self._go_on(session, status, current)
            return
        recorded = {each["name"] for each in status.get("turns", ())}
        waiting = [each for each in session["spec"].get("turns", ()) if each["name"] not in recorded]
        if waiting:
            turn = waiting[0]
            number = status.get("turnCount", 0) + 1
            mark = {"name": turn["name"], "number": number, "by": turn.get("by", ""), "startedAt": now()}
            turns = [*status.get("turns", ()), {**mark, "phase": "Running"}]
            self._space.report(name, phase="Running", reason="Running", turn=mark, turnCount=number, turns=turns)
        elif session["spec"].get("close"):
            self._space.report(name, phase="Completed", reason="Closed")
        elif status.get("phase") != "Idle":
            self._space.report(name, phase="Idle", reason="Idle")

    def _go_on(self, session: Json, status: Json, current: Json) -> None:
        turn = next(each for each in session["spec"]["turns"] if each["name"] == current["name"])
        words = read_words(turn)
        if turn.get("cancel"):
            self._end_turn(session, status, current, "Canceled")
        elif words.startswith("fail"):
            self._end_turn(session, status, current, "Failed", error={"type": "ValueError", "message": words})
        elif words.startswith("ask") and not session["spec"].get("responses"):
            if status["phase"] != "WaitingForInput":
                self._space.report(session["metadata"]["name"], phase="WaitingForInput", interrupts=[QUESTION])
        elif not words.startswith("slow"):
            said = [*((status.get("result") or {}).get("messages") or ()), {"type": "human", "content": words}]
            answers = "".join(f" ({each['value']})" for each in session["spec"].get("responses", ()))
            said.append({"type": "ai", "content": f"you said {words}{answers}"})
            self._end_turn(session, status, current, "Completed", result={"messages": said})

    def _end_turn(self, session: Json, status: Json, current: Json, phase: str, **came_of_it: Any) -> None:
        name = session["metadata"]["name"]
        error = {"error": came_of_it["error"]} if "error" in came_of_it else {}
        end = {"name": current["name"], "number": current["number"], "phase": phase, "finishedAt": now(), **error}
        turns = [{**each, **end} if each["name"] == current["name"] else each for each in status["turns"]]
        if phase != "Canceled":
            if status["phase"] == "WaitingForInput":
                self._space.report(name, phase="Running")
            self._space.report(name, phase="Idle", reason="Idle", turnEnd=end, interrupts=None, **came_of_it)
        self._space.report(name, phase="Idle", turn=None, turns=turns, interrupts=None)


def read_words(turn: Json) -> str:
    """Return what a turn says."""
    given = turn.get("input")
    if isinstance(given, dict) and "messages" in given:
        return str(given["messages"][-1]["content"])
    return str(given if given is not None else turn.get("command"))


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def play_operator(space: Space) -> Iterator[PlayedOperator]:
    """Serve the conversations of a namespace while the block runs."""
    played = PlayedOperator(space)
    played.start()
    try:
        yield played
    finally:
        played.end()
