"""Runs the graph: one stream from its entry to the end, an interrupt, a drain or an error."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from agentic_runner.config import Durability
from agentic_runner.drain import Drain
from agentic_runner.execution.stream_events import StreamEvent
from agentic_runner.execution.thread_entry import Entry, EntryAction, PendingInterrupt, decide_entry, read_thread
from agentic_runner.execution.tracking import MESSAGES, STREAM_MODES, Tracker

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from agentic_runner.project.loading import Graph

OnEvents = Callable[[Sequence[StreamEvent]], Awaitable[None]]


@dataclass(frozen=True)
class Finished:
    """The graph ended with this output."""

    output: Any


@dataclass(frozen=True)
class Waits:
    """The graph asks these questions."""

    questions: tuple[PendingInterrupt, ...]


@dataclass(frozen=True)
class Drained:
    """The run stopped on request; its thread can be continued."""


Outcome = Finished | Waits | Drained


def find_first_step(graph: "Graph") -> int:
    """Return the number of the first super-step of nodes: a state graph's step 0 takes the inputs."""
    return 1 if "__start__" in graph.nodes else 0


def build_tracker(graph: "Graph", now: Callable[[], datetime]) -> Tracker:
    """Return a tracker that counts super-steps as this graph numbers them."""
    return Tracker(first_step=find_first_step(graph), now=now)


async def find_entry(
    graph: "Graph", config: "RunnableConfig", responses: Mapping[str, Any], asked: Sequence[str]
) -> Entry:
    """Read the thread's last checkpoint and decide how to enter it."""
    thread = read_thread(await graph.aget_state(config))
    before = graph.interrupt_before_nodes
    return decide_entry(
        thread, responses, asked=asked, breakpoints=[before] if isinstance(before, str) else tuple(before)
    )


def build_input(entry: Entry, inputs: Any) -> Any:
    """Return the graph's input for an entry. It is never the inputs again: they would restart an existing thread."""
    match entry.action:
        case EntryAction.START:
            return {} if inputs is None else inputs
        case EntryAction.RESUME:
            from langgraph.types import Command

            return Command(resume=dict(entry.answers))
        case _:
            return None


async def execute(
    graph: "Graph",
    config: "RunnableConfig",
    given: Any,
    *,
    thread: "RunnableConfig | None" = None,
    context: Any = None,
    durability: Durability,
    tracker: Tracker,
    drain: Drain,
    grace_seconds: float,
    on_events: OnEvents,
    with_messages: bool = True,
) -> Outcome:
    """Run the graph until it ends, asks, is drained or raises.

    A drain lets the super-step end and be saved; when the grace is over the step is given up, and the next run does it
    again. ``thread`` names the thread alone, where ``config`` addresses one of its checkpoints. ``with_messages`` asks
    models for their answers token by token.
    """
    from langgraph.errors import GraphDrained
    from langgraph.runtime import RunControl

    control = RunControl()
    drain.arm(control.request_drain)
    if drain.reason is not None:
        return Drained()

    async def consume() -> None:
        parts = graph.astream(
            given,
            config,
            context=context,
            stream_mode=[*STREAM_MODES, MESSAGES] if with_messages else list(STREAM_MODES),
            # What `ainvoke` returns: the graph's output schema, not its whole state.
            output_keys=graph.output_channels,
            subgraphs=True,
            durability=durability,
            control=control,
        )
        async for namespace, mode, data in parts:
            await on_events(tracker.see(tuple(namespace), mode, data))

    running = asyncio.create_task(consume(), name="graph")
    patience = asyncio.create_task(drain.wait(grace_seconds), name="drain")
    try:
        await asyncio.wait({running, patience}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            running.cancel()
            # A node that ignores its cancellation must not keep the process.
            await asyncio.wait({running}, timeout=1.0)
            return Drained()
        await running
    except GraphDrained:
        return Drained()
    finally:
        for task in (running, patience):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await patience
    if tracker.is_finished:
        return Finished(tracker.output)
    state = read_thread(await graph.aget_state(thread or config))
    return Waits(state.questions or (state.breakpoint,))
