"""A database that went back under a session, and runners killed while they make up for it: no answer is lost."""

import signal

import psycopg

from tests.support.runner import RunnerBench, Session

ASKS = """
class State(TypedDict, total=False):
    said: str

def first(state):
    note("first")
    return {}

def ask(state):
    note("ask")
    hold("asking")
    return {"said": interrupt("which way?")}

def last(state):
    note("last")
    hold("last")
    return {}

builder = StateGraph(State)
for node in (first, ask, last):
    builder.add_node(node)
builder.add_edge(START, "first")
builder.add_edge("first", "ask")
builder.add_edge("ask", "last")
graph = builder.compile()
"""


def go_back(runners: RunnerBench, session: Session, checkpoint_id: str) -> None:
    """Take away what came after a checkpoint, also what its own tasks wrote: a standby never had it."""
    where = "WHERE thread_id = %s AND checkpoint_id"
    runners.database.execute(f"DELETE FROM checkpoint_writes {where} >= %s", [session.thread_id, checkpoint_id])
    runners.database.execute(f"DELETE FROM checkpoints {where} > %s", [session.thread_id, checkpoint_id])


def hold_again(session: Session, point: str) -> None:
    for file in (f"{point}.go", f"{point}.reached"):
        (session.project / file).unlink()


def test_a_runner_killed_after_it_told_of_the_loss_is_followed_by_one_that_uses_the_answer_again(
    runners: RunnerBench,
) -> None:
    session = runners.session(ASKS, {})
    session.let_go("asking")
    assert session.run() == 0
    asked_at = session.status["checkpointId"]
    session.answer(run=2, ask="left")
    runner = session.start(2)
    session.wait_until_reached("last")
    session.wait_for_status(lambda status: status["checkpointId"] > asked_at, what="the checkpoint after the answer")
    runner.signal(signal.SIGKILL)
    runner.wait()
    go_back(runners, session, asked_at)
    hold_again(session, "asking")

    # It tells of the loss, and dies in the node, before that asks again.
    runner = session.start(2)
    session.wait_until_reached("asking")
    status = session.wait_for_status(lambda status: status["checkpointId"] == asked_at, what="the loss")
    assert "CheckpointsLost" in {each["type"] for each in status["conditions"]}
    runner.signal(signal.SIGKILL)
    runner.wait()
    session.let_go("asking")
    session.let_go("last")
    last = session.start(2)
    assert last.wait() == 0, last.output
    status = session.status
    assert (status["phase"], status["result"]) == ("Completed", {"said": "left"}), status["message"]
    (question,) = status["interrupts"]
    assert question["answer"] == "left"


THREE = """
class State(TypedDict, total=False):
    done: Annotated[list[str], operator.add]

def one(state):
    note("one")
    return {"done": ["one"]}

def two(state):
    note("two")
    hold("two")
    return {"done": ["two"]}

def three(state):
    note("three")
    hold("three")
    return {"done": ["three"]}

builder = StateGraph(State)
for node in (one, two, three):
    builder.add_node(node)
builder.add_edge(START, "one")
builder.add_edge("one", "two")
builder.add_edge("two", "three")
graph = builder.compile()
"""


def test_what_is_not_saved_yet_is_not_told_so_that_a_kill_looks_like_no_loss(runners: RunnerBench) -> None:
    session = runners.session(THREE, {}, DURABILITY="async")
    runner = session.start()
    session.wait_until_reached("two")
    with psycopg.connect(runners.database.dsn) as blocker:
        # Everybody may read, and nobody can save.
        blocker.execute("LOCK TABLE checkpoints IN EXCLUSIVE MODE")
        session.let_go("two")
        session.wait_until_reached("three")
        status = session.wait_for_status(lambda status: status.get("currentNode") == "three", what="the third node")
        runner.signal(signal.SIGKILL)
        runner.wait()
        # A server goes on with what it was asked for, though nobody is there any more.
        others = "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        blocker.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity {others}")
    there = {row[0] for row in runners.database.execute("SELECT checkpoint_id FROM checkpoints")}
    assert {status["checkpointId"], *(each["id"] for each in status["history"])} <= there
    session.let_go("three")
    assert session.run() == 0
    status = session.status
    assert status["result"] == {"done": ["one", "two", "three"]}
    assert session.ran[-2:] == ["two", "three"]
    assert status["steps"] == 3
    assert "CheckpointsLost" not in {each["type"] for each in status["conditions"]}
    saved = {row[0] for row in runners.database.execute("SELECT checkpoint_id FROM checkpoints")}
    assert {status["checkpointId"], *(each["id"] for each in status["history"])} <= saved
