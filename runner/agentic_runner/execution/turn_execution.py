"""Gives a turn to its thread: looks where the thread ends, prepares a branch, and builds what the graph is given."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from agentic_runner.execution.execute import build_input
from agentic_runner.execution.thread_entry import read_thread
from agentic_runner.execution.turn_entry import Base, Gift, Turn, TurnEntry, check_command, decide_turn_entry

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from agentic_runner.checkpoints.new_start import NewStart
    from agentic_runner.project.loading import Graph


@dataclass(frozen=True)
class Given:
    """What the graph is run with."""

    value: Any
    config: "RunnableConfig"


async def find_turn_entry(
    graph: "Graph", config: "RunnableConfig", turn: Turn, responses: Mapping[str, Any], asked: Sequence[str]
) -> TurnEntry:
    """Read where the thread ends, and the checkpoint that the turn names, and decide how to enter the thread.

    ``config`` names the thread alone. Raises ``TurnRefused`` where the turn cannot be given.
    """
    newest = read_thread(await graph.aget_state(config))
    if turn.from_checkpoint == "" and newest.turn != turn.label:
        turn = replace(turn, from_checkpoint=await _find_start(graph, config))
    elif turn.from_checkpoint is None and newest.turn in turn.rolled_back:
        # The turn that rolled it back ended before it saved anything.
        turn = replace(turn, from_checkpoint=await _find_before(graph, config, turn.rolled_back))
    base = None
    if turn.from_checkpoint and newest.turn != turn.label:
        base = read_thread(await graph.aget_state(_address(config, turn.from_checkpoint)))
    before = graph.interrupt_before_nodes
    entry = decide_turn_entry(
        turn,
        newest,
        base,
        responses,
        asked=asked,
        breakpoints=[before] if isinstance(before, str) else tuple(before),
    )
    if entry.gift is Gift.COMMAND:
        check_command(turn, tuple(graph.nodes), tuple(graph.stream_channels_list))
    return entry


async def _find_start(graph: "Graph", config: "RunnableConfig") -> str:
    """Return the checkpoint that the thread's first turn went on from, as of a fork; empty if there was none."""
    newest, first = None, None
    async for snapshot in graph.aget_state_history(config):
        newest = newest or snapshot
        if read_thread(snapshot).turn is not None:
            first = snapshot
    place = first.parent_config if first is not None else newest.config if newest is not None else None
    return str(place["configurable"].get("checkpoint_id") or "") if place is not None else ""


async def _find_before(graph: "Graph", config: "RunnableConfig", labels: Collection[str]) -> str:
    """Return the checkpoint that the turns of these labels, at the thread's end, went on from; empty for none."""
    place: RunnableConfig | None = config
    while place is not None:
        snapshot = await graph.aget_state(place)
        if read_thread(snapshot).turn not in labels:
            return str(snapshot.config["configurable"].get("checkpoint_id") or "")
        place = snapshot.parent_config
    return ""


async def prepare_turn(
    graph: "Graph", thread: "RunnableConfig", config: "RunnableConfig", turn: Turn, entry: TurnEntry
) -> Given:
    """Return what the graph is run with for an entry.

    ``thread`` names the thread alone; ``config`` is the run's, which has the turn's label. A copy that a branch needs
    is made under ``thread``: it is not the turn's, and a process that dies after it has given nothing.
    """
    if entry.copies_first:
        await graph.aupdate_state(thread, None, as_node="__copy__")
    if entry.base is Base.CHECKPOINT and entry.checkpoint_id is not None:
        config = _address(config, entry.checkpoint_id)
    return Given(_build_value(turn, entry), config)


@contextmanager
def entering(saver: "NewStart", entry: TurnEntry, thread_id: str) -> Iterator[None]:
    """While the block runs, let the thread look empty if the turn begins it anew, until its first checkpoint."""
    if entry.base is not Base.EMPTY:
        yield
        return
    with saver.starting_anew(thread_id):
        yield


def _build_value(turn: Turn, entry: TurnEntry) -> Any:
    match entry.gift:
        case Gift.INPUT:
            return turn.input
        case Gift.COMMAND:
            from langgraph.types import Command

            return Command(goto=turn.goto, update=dict(turn.update) or None)
        case _:
            return build_input(entry.entry, None)


def _address(config: "RunnableConfig", checkpoint_id: str) -> "RunnableConfig":
    return {**config, "configurable": {**config.get("configurable", {}), "checkpoint_id": checkpoint_id}}
