"""The workflow: plan → many `work` at once, wave after wave → reduce.

Each part counts the primes of its own thousand and takes some seconds. What a crash costs can be seen in the journal, a
file in the workspace with one line for each part that really ran: parts that were done do not run again, not even
those of a wave that was only half done, because every part's result is saved when the part ends.
"""

import asyncio
import os
from operator import add
from pathlib import Path
from typing import Annotated, Any

from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from typing_extensions import TypedDict

NUMBERS_A_PART = 1000


class Inputs(TypedDict, total=False):
    """What a session may choose; the input schema of the definition says the same with limits."""

    parts: int
    wave_size: int
    seconds: float


class Done(TypedDict):
    """What one part found."""

    part: int
    primes: int


class State(Inputs, total=False):
    """What the nodes hand on, and what every checkpoint holds."""

    done: Annotated[list[Done], add]
    waves: int
    summary: dict[str, Any]


class Part(TypedDict):
    """What one part is told."""

    part: int
    seconds: float


class Output(TypedDict):
    """The result of the session."""

    summary: dict[str, Any]


def plan(state: State) -> State:
    """Start a wave, or find that all are done."""
    parts, done = state.get("parts", 20), len(state.get("done", []))
    get_stream_writer()({"progress": done / parts, "message": f"{done} of {parts} parts"})
    return {"waves": state.get("waves", 0) + (done < parts)}


def send_wave(state: State) -> list[Send] | str:
    """Fan out over the next parts, each a task of its own with its own saved result."""
    parts, done = state.get("parts", 20), len(state.get("done", []))
    wave = range(done, min(done + state.get("wave_size", 5), parts))
    return [Send("work", {"part": part, "seconds": state.get("seconds", 2)}) for part in wave] or "reduce"


async def work(state: Part) -> State:
    """Count the primes of one part, slowly, and note in the journal that it was done."""
    number = state["part"]
    primes = count_primes(number * NUMBERS_A_PART, (number + 1) * NUMBERS_A_PART)
    await asyncio.sleep(state["seconds"])
    write_journal(f"part {number} run {os.environ.get('RUN', '1')}")
    return {"done": [{"part": number, "primes": primes}]}


def reduce(state: State) -> State:
    """Add the parts up."""
    get_stream_writer()({"progress": 1.0, "message": f"all {len(state['done'])} parts"})
    return {
        "summary": {
            "parts": len(state["done"]),
            "waves": state["waves"],
            "numbers": len(state["done"]) * NUMBERS_A_PART,
            "primes": sum(done["primes"] for done in state["done"]),
        }
    }


def count_primes(start: int, end: int) -> int:
    """Return how many primes there are from ``start`` up to, but not including, ``end``."""
    return sum(
        number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))
        for number in range(start, end)
    )


def write_journal(line: str) -> None:
    """Append one line to the journal in a single write, so that parts side by side do not mix theirs."""
    journal = Path(os.environ.get("WORKSPACE_DIR", ".")) / "journal"
    with journal.open("ab", buffering=0) as file:
        file.write(f"{line}\n".encode())


builder = StateGraph(State, input_schema=Inputs, output_schema=Output)
builder.add_node(plan)
builder.add_node("work", work, input_schema=Part)
builder.add_node(reduce)
builder.add_edge(START, "plan")
builder.add_conditional_edges("plan", send_wave, ["work", "reduce"])
builder.add_edge("work", "plan")
builder.add_edge("reduce", END)

graph = builder.compile(name="fanout")
