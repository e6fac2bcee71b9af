"""A database that went back under a session, and runners killed while they make up for it: no answer is lost."""

import signal

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
