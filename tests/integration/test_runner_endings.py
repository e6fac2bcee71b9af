"""Every way a run can end is told: what its graph raises, in which text and from where."""

import signal

import pytest

from agentic_operator.sessions.diagnosis import classify_pod
from tests.support.builders import a_pod
from tests.support.flows import HELD
from tests.support.runner import RunnerBench

STATE = """
class State(TypedDict, total=False):
    x: int
    done: Annotated[list, operator.add]
"""
ONE_NODE = (
    STATE
    + """
def n(state):
    RAISE
graph = StateGraph(State).add_node(n).add_edge(START, "n").add_edge("n", END).compile()
"""
)


@pytest.mark.parametrize(
    ("statement", "kind", "said"),
    [
        (r'raise ValueError("half \ud800 \x00 \x1b[31mred" + "x" * 1_000_000)', "ValueError", "\\u0000 redxxx"),
        (
            'raise ExceptionGroup("both", [KeyError("k"), ExceptionGroup("in", [OSError("disk")])])',
            "ExceptionGroup",
            "KeyError: 'k'; OSError: disk",
        ),
        ('raise type("Odd", (BaseException,), {})("odd")', "Odd", "Odd: odd ("),
        ('import asyncio; raise asyncio.CancelledError("mine")', "NodeCancelledError", "Node 'n' raised"),
        ('json = __import__("json"); json.loads("{")', "JSONDecodeError", ".py:"),
    ],
)  # fmt: skip
def test_whatever_a_node_raises_is_told_with_its_place(
    runners: RunnerBench, statement: str, kind: str, said: str
) -> None:
    session = runners.session(ONE_NODE.replace("RAISE", statement), {"x": 1})
    runner = session.start()
    assert runner.wait() == 3, runner.output
    status = session.status
    assert (status["phase"], status["reason"]) == ("Failed", "GraphError")
    assert status["error"]["type"] == kind
    assert said in status["error"]["message"]
    assert status["error"]["node"] == "n"
    assert len(status["error"]["message"]) <= 2048


FACTORY = (
    STATE
    + """
import contextlib
def n(state):
    BODY
@contextlib.asynccontextmanager
async def graph():
    EXIT
"""
)
WITH = 'yield StateGraph(State).add_node(n).add_edge(START, "n").add_edge("n", END)'
RAISES_AT_ITS_END = f"""
    try:
        {WITH}
    finally:
        raise OSError("the pool was closed twice")
"""
SWALLOWS = f"""
    with contextlib.suppress(Exception):
        {WITH}
"""


@pytest.mark.parametrize(
    ("body", "exits", "phase", "said"),
    [
        ("return {'x': 2}", RAISES_AT_ITS_END, "Completed", ""),
        ("raise ValueError('the real one')", RAISES_AT_ITS_END, "Failed", "the real one"),
        ("raise ValueError('the real one')", SWALLOWS, "Failed", "the real one"),
    ],
)
def test_the_end_of_a_factory_changes_nothing_about_how_the_run_ended(
    runners: RunnerBench, body: str, exits: str, phase: str, said: str
) -> None:
    code = FACTORY.replace("BODY", body).replace("    EXIT", exits)
    session = runners.session(code, {"x": 1})
    runner = session.start()
    assert runner.wait() == (0 if phase == "Completed" else 3), runner.output
    assert session.status["phase"] == phase
    assert said in (session.status.get("message") or "")


MANY = (
    STATE
    + """
def fan(state):
    return [Send("ask", {"x": n}) for n in range(300)]
def ask(state):
    return {"done": [interrupt(f"question {state['x']}?")]}
graph = (
    StateGraph(State).add_node(ask).add_conditional_edges(START, fan, ["ask"]).add_edge("ask", END).compile()
)
"""
)


def test_more_questions_than_a_status_lists_are_asked_once_the_first_are_answered(runners: RunnerBench) -> None:
    session = runners.session(MANY, {"x": 1})
    assert session.start().wait() == 0
    asked = session.status
    assert asked["phase"] == "WaitingForInput"
    assert len(asked["interrupts"]) == 256
    assert "waits for 300 answers" in asked["message"]
    assert "256 questions are listed" in asked["message"]
    session.answer(2, ask=True)
    assert session.start(run=2).wait() == 0
    rest = session.status
    assert len([each for each in rest["interrupts"] if "answeredAt" not in each]) == 44
    assert len(rest["interrupts"]) <= 256


@pytest.mark.parametrize("kind", ["def", "async def"])
@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("import sys; sys.exit(7)", "sys.exit(7) in a node (graph.py:"),
        ("raise SystemExit('that is all')", "sys.exit('that is all') in a node (graph.py:"),
        ("raise KeyboardInterrupt", "raised KeyboardInterrupt in a node (graph.py:"),
    ],
)
def test_a_node_that_ends_the_process_is_the_graphs_failure_with_its_place(
    runners: RunnerBench, kind: str, statement: str, said: str
) -> None:
    session = runners.session(ONE_NODE.replace("def n", f"{kind} n").replace("RAISE", statement), {"x": 1})
    runner = session.start()
    assert runner.wait() == 3, runner.output
    assert said in runner.termination
    verdict = classify_pod(a_pod(phase="Failed", exit_code=3, exit_message=runner.termination))
    assert (verdict.reason, verdict.is_lost) == ("GraphError", False)
    assert said in verdict.message


@pytest.mark.parametrize(
    ("statement", "code", "said"),
    [
        ("os._exit(9)", 9, "exit code 9"),
        ("os._exit(0)", 0, "ended without a verdict"),
        ("os.abort()", -signal.SIGABRT, "(signal 6)"),
        ("import ctypes; ctypes.string_at(0)", -signal.SIGSEGV, "(signal 11)"),
    ],
)
def test_a_process_that_ends_without_a_word_is_told_by_its_code(
    runners: RunnerBench, statement: str, code: int, said: str
) -> None:
    session = runners.session(ONE_NODE.replace("RAISE", statement), {"x": 1})
    runner = session.start()
    assert runner.wait() == code, runner.output
    assert session.status["phase"] == "Running"
    verdict = classify_pod(a_pod(phase="Failed", exit_code=code if code >= 0 else 128 - code))
    assert (verdict.reason, said in verdict.message) == ("RunnerLost", True), verdict


DEEP = """
def down(depth):
    return down(depth + 1)
"""


@pytest.mark.parametrize(
    ("before", "statement", "kind"),
    [
        (DEEP, "down(0)", "RecursionError"),
        ("", "raise MemoryError('no room')", "MemoryError"),
        ("", "import sys; sys.stdout.close(); sys.stderr.close(); raise ValueError('after')", "ValueError"),
        ("", "os.close(1); os.close(2); raise ValueError('after')", "ValueError"),
    ],
    ids=["a stack that overflows", "no memory", "closed streams", "closed descriptors"],
)
def test_what_a_node_does_to_its_process_before_it_raises_changes_nothing(
    runners: RunnerBench, before: str, statement: str, kind: str
) -> None:
    session = runners.session(before + ONE_NODE.replace("RAISE", statement), {"x": 1})
    assert session.start().wait() == 3
    status = session.status
    assert (status["phase"], status["error"]["type"], status["error"]["node"]) == ("Failed", kind, "n")


@pytest.mark.parametrize(
    "statement",
    [
        "import threading, time; threading.Thread(target=time.sleep, args=(600,)).start(); return {'x': 2}",
        "import sys; sys.stdout.close(); sys.stderr.close(); return {'x': 2}",
        "import atexit, time; atexit.register(time.sleep, 600); return {'x': 2}",
    ],
    ids=["a thread that goes on", "closed streams", "a handler that never ends"],
)
def test_what_a_graph_leaves_behind_does_not_keep_its_run_from_ending(runners: RunnerBench, statement: str) -> None:
    session = runners.session(ONE_NODE.replace("RAISE", statement), {"x": 1})
    assert session.start().wait() == 0
    assert (session.status["phase"], session.status["result"]["x"]) == ("Completed", 2)


def test_a_module_that_leaves_while_it_is_imported_is_told(runners: RunnerBench) -> None:
    session = runners.session("raise SystemExit('not today')\n", {"x": 1})
    runner = session.start()
    assert runner.wait() == 4, runner.output
    assert (session.status["phase"], session.status["reason"]) == ("Failed", "GraphLoadFailed")
    assert "sys.exit('not today')" in session.status["message"]


def test_sigint_drains_as_sigterm_does(runners: RunnerBench) -> None:
    session = runners.session(HELD, {})
    runner = session.start()
    session.wait_until_reached("second")
    runner.signal(signal.SIGINT)
    session.let_go("second")
    assert runner.wait() == 143
    assert session.run() == 0
    assert session.ran == ["first", "second", "third"]
