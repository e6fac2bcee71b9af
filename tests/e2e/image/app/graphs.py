"""Small graphs that behave and misbehave on purpose, for the end-to-end tests.

Every node appends a line to a journal in the workspace, so that a test can count how often each really ran.
"""

import operator
import os
import signal
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import psycopg
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send, interrupt
from typing_extensions import TypedDict

JOURNAL = Path(os.environ.get("WORKSPACE_DIR", "/tmp")) / "journal"


def note(line: str) -> None:
    """Append a line to the journal, at once on disk."""
    with JOURNAL.open("a", encoding="utf-8") as journal:
        journal.write(f"{line}\n")
        journal.flush()
        os.fsync(journal.fileno())
    print(f"journal: {line}", flush=True)  # tests follow it in the pod's log


def journal() -> list[str]:
    return JOURNAL.read_text(encoding="utf-8").splitlines() if JOURNAL.exists() else []


class State(TypedDict, total=False):
    seconds: float
    count: int
    done: Annotated[list[str], operator.add]
    journal: list[str]


def hello(state: State) -> dict[str, Any]:
    return {"done": [f"hello after {state.get('seconds', 0)} s"]}


quick = StateGraph(State).add_node(hello).add_edge(START, "hello").add_edge("hello", END).compile()


class Letter(TypedDict):
    """A state as most people write it: no key is optional, and what a node fills in later is a key like any other."""

    topic: str
    draft: str
    words: int


def write(state: Letter) -> dict[str, Any]:
    return {"draft": f"Dear reader, {state['topic']}."}


def count(state: Letter) -> dict[str, Any]:
    return {"words": len(state["draft"].split())}


plain = (
    StateGraph(Letter)
    .add_node(write)
    .add_node(count)
    .add_edge(START, "write")
    .add_edge("write", "count")
    .add_edge("count", END)
    .compile()
)


def step(state: State) -> dict[str, Any]:
    """One super-step of many, each of which takes a moment."""
    number = len(state.get("done", [])) + 1
    note(f"start {number}")
    time.sleep(state.get("seconds", 1))
    note(f"end {number}")
    return {"done": [str(number)]}


def more(state: State) -> str:
    return "step" if len(state.get("done", [])) < state.get("count", 3) else "finish"


def finish(state: State) -> dict[str, Any]:
    return {"journal": journal()}


steps = (
    StateGraph(State)
    .add_node(step)
    .add_node(finish)
    .add_edge(START, "step")
    .add_conditional_edges("step", more, ["step", "finish"])
    .add_edge("finish", END)
    .compile()
)


def part(state: dict[str, Any]) -> dict[str, Any]:
    note(f"start {state['number']}")
    time.sleep(state["seconds"])
    note(f"end {state['number']}")
    return {"done": [str(state["number"])]}


def fan(state: State) -> list[Send]:
    """The parts take ever longer, so that some are done when the pod dies and some are not."""
    return [Send("part", {"number": n, "seconds": state.get("seconds", 1) * n}) for n in range(state.get("count", 3))]


fork = (
    StateGraph(State)
    .add_node(part)
    .add_node(finish)
    .add_conditional_edges(START, fan, ["part"])
    .add_edge("part", "finish")
    .add_edge("finish", END)
    .compile()
)


def fill(state: State) -> dict[str, Any]:
    """Write more to the node's disk than the pod may, and go on: the kubelet looks now and then."""
    with Path("/tmp/filled").open("wb") as file:
        for _ in range(state.get("count", 64)):
            file.write(os.urandom(1024 * 1024))
        os.fsync(file.fileno())
    time.sleep(state.get("seconds", 0))
    return {"done": ["filled"]}


fills = StateGraph(State).add_node(fill).add_edge(START, "fill").add_edge("fill", END).compile()


def grab(state: State) -> dict[str, Any]:
    """Take memory until the kernel says no."""
    held = []
    while True:
        held.append(bytearray(os.urandom(1 << 20) * 16))


hog = StateGraph(State).add_node(grab).add_edge(START, "grab").add_edge("grab", END).compile()


def ignore(state: State) -> dict[str, Any]:
    """Do not listen to SIGTERM, and hold the interpreter."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    time.sleep(state.get("seconds", 600))
    return {}


stubborn = StateGraph(State).add_node(ignore).add_edge(START, "ignore").add_edge("ignore", END).compile()


def fail_first(state: State) -> dict[str, Any]:
    note("try")
    if len(journal()) < state.get("count", 2):
        raise ConnectionError("the model's service is overloaded")
    return {"journal": journal()}


flaky = StateGraph(State).add_node(fail_first).add_edge(START, "fail_first").add_edge("fail_first", END).compile()


def divide(state: State) -> dict[str, Any]:
    return {"count": state.get("count", 1) // 0}


raises = StateGraph(State).add_node(divide).add_edge(START, "divide").add_edge("divide", END).compile()


def before(state: State) -> dict[str, Any]:
    note("before")
    return {}


def ask(state: State) -> dict[str, Any]:
    return {"done": [str(interrupt({"prompt": "go on?", "options": ["yes", "no"]}))]}


asks = (
    StateGraph(State)
    .add_node(before)
    .add_node(ask)
    .add_node(finish)
    .add_edge(START, "before")
    .add_edge("before", "ask")
    .add_edge("ask", "finish")
    .add_edge("finish", END)
    .compile()
)


def ask_left(state: State) -> dict[str, Any]:
    answer = interrupt({"prompt": "left?", "schema": {"type": "integer"}})
    note(f"left {answer}")
    return {"done": [f"left {answer}"]}


def ask_right(state: State) -> dict[str, Any]:
    answer = interrupt({"prompt": "right?", "schema": {"type": "integer"}})
    note(f"right {answer}")
    return {"done": [f"right {answer}"]}


pair = (
    StateGraph(State)
    .add_node(before)
    .add_node(ask_left)
    .add_node(ask_right)
    .add_node(finish)
    .add_edge(START, "before")
    .add_edge("before", "ask_left")
    .add_edge("before", "ask_right")
    .add_edge(["ask_left", "ask_right"], "finish")
    .add_edge("finish", END)
    .compile()
)


def effect(step: int, what: str) -> None:
    """Act on the world outside: one row in a table that no part of the system knows."""
    with psycopg.connect(os.environ["COUNTER_DSN"], autocommit=True) as conn:
        row = (os.environ["THREAD_ID"], step, what)
        conn.execute("INSERT INTO effects (thread_id, step, what) VALUES (%s, %s, %s)", row)


def act(state: State) -> dict[str, Any]:
    """One super-step of many that acts outside; its number is LangGraph's own."""
    number = len(state.get("done", [])) + 1
    effect(number, "start")
    # Not `time.sleep`: that fails in a process whose clock is shifted.
    threading.Event().wait(state.get("seconds", 1))
    effect(number, "end")
    return {"done": [str(number)]}


def ask_halfway(state: State) -> dict[str, Any]:
    answer = interrupt({"prompt": "go on?", "schema": {"type": "integer"}})
    effect(len(state["done"]) + 1, "answered")
    return {"done": [f"answer {answer}"]}


def act_or_ask(state: State) -> str:
    done, count = len(state["done"]), state.get("count", 4)
    if done == count // 2:
        return "ask_halfway"
    return "act" if done < count else END


counted = (
    StateGraph(State)
    .add_node(act)
    .add_node(ask_halfway)
    .add_edge(START, "act")
    .add_conditional_edges("act", act_or_ask, ["act", "ask_halfway", END])
    .add_edge("ask_halfway", "act")
    .compile()
)


def leak(state: State) -> dict[str, Any]:
    """Raise an error that quotes every secret the process can read."""
    files = [file for name, file in os.environ.items() if name.endswith("_FILE") and file]
    found = [Path(file).read_text(encoding="utf-8") for file in files]
    raise ValueError(" ".join(found))


leaks = StateGraph(State).add_node(leak).add_edge(START, "leak").add_edge("leak", END).compile()


class Rows(TypedDict, total=False):
    mebibytes: int
    note: str
    rows: list[str]


class RowsOutput(TypedDict):
    rows: list[str]


def build_rows(state: Rows) -> dict[str, Any]:
    """One text a thousand times a MiB: cheap to make and to keep, as long as any other on its way."""
    return {"rows": ["confidential".ljust(1021, "r")] * 1024 * state.get("mebibytes", 1)}


large = (
    StateGraph(Rows, output_schema=RowsOutput)
    .add_node(build_rows)
    .add_edge(START, "build_rows")
    .add_edge("build_rows", END)
    .compile()
)
