"""The task of one execution of the graph: a one-shot session's inputs, or a turn of a conversation."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from agentic_core.resources.session import AgenticSession
from agentic_core.resources.turns import CurrentTurn
from agentic_core.resources.turns import Turn as TurnSpec
from agentic_core.run_settings import RunSettings, add_settings, read_settings
from agentic_runner.execution.turn_entry import FORK_TURN, Gift, Turn, TurnRefused
from agentic_runner.session import status as statuses
from agentic_runner.session import turn_status
from agentic_runner.session.reporter import Change


@dataclass(frozen=True)
class Task:
    """The input, config and context of one execution."""

    settings: RunSettings
    place: str = "/spec"
    """The JSON pointer to the settings."""
    inputs: Any = None
    """The input for an empty thread; unused in a turn."""
    turn: Turn | None = None
    current: CurrentTurn | None = None
    """The turn as the operator wrote it; None for a one-shot session."""

    def report_start(self, answered: Collection[str], recursion_limit: int | None, *, begins: bool) -> Change:
        """Return the status that reports a running graph; ``begins`` if the turn's input is given now."""
        if self.current is None:
            return partial(statuses.running, answered=answered, recursion_limit=recursion_limit)
        return partial(
            turn_status.turn_running,
            begins=begins,
            answered=answered,
            # The status shows the session's own settings: a turn's settings must not become the next turn's default.
            recursion_limit=recursion_limit if self.place == "/spec" else None,
        )


def build_session_task(session: AgenticSession) -> Task:
    """Return the task of a one-shot session.

    Inputs beside ``forkFrom`` are given to the copied thread, which is not empty: as a turn is.
    """
    inputs, settings = session.spec.inputs, read_settings(session)
    if session.spec.fork_from is None or inputs in (None, {}):
        return Task(settings, inputs=inputs)
    return Task(settings, turn=Turn(FORK_TURN, Gift.INPUT, inputs))


def build_turn_task(session: AgenticSession, current: CurrentTurn) -> Task:
    """Return the task of the current turn; raise :class:`TurnRefused` if the spec has no such turn or it is invalid."""
    spec = session.find_turn(current.name)
    if spec is None:
        raise TurnRefused(f"/spec/turns: turn {current.name!r} was removed before it ended")
    place = f"/spec/turns/{session.spec.turns.index(spec)}"
    has_settings = spec.config is not None or spec.context is not None
    return Task(
        add_settings(read_settings(session), spec.config, spec.context),
        place if has_settings else "/spec",
        turn=replace(_build_turn(spec, current, place), rolled_back=_find_rolled_back(session)),
        current=current,
    )


def _find_rolled_back(session: AgenticSession) -> frozenset[str]:
    """Return the labels of the turns that were rolled back."""
    return frozenset(str(each.number) for each in session.status.turns if each.rolled_back)


def _build_turn(spec: TurnSpec, current: CurrentTurn, place: str) -> Turn:
    from_checkpoint = current.from_checkpoint if current.from_checkpoint is not None else spec.from_checkpoint
    if spec.command is not None:
        try:
            goto = spec.command.nodes
        except ValueError as error:
            raise TurnRefused(f"{place}/command/goto: {error}") from error
        update = spec.command.update or {}
        if goto or update:
            return Turn(current.number, Gift.COMMAND, None, goto, update, from_checkpoint, place)
        raise TurnRefused(f"{place}/command: is empty; give goto, update or both, or leave command out")
    if spec.has_input:
        inputs = {} if spec.input is None else spec.input
        return Turn(current.number, Gift.INPUT, inputs, from_checkpoint=from_checkpoint, place=place)
    return Turn(current.number, Gift.NOTHING, from_checkpoint=from_checkpoint, place=place)
