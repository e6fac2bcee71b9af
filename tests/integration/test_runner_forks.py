"""Sessions that start from another session's checkpoint, in the real runner's process."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from psycopg.errors import CheckViolation

from agentic_core.threads import thread_id
from tests.support.flows import ASKING
from tests.support.postgres import PostgresDatabase
from tests.support.runner import NAMESPACE, RunnerBench, Session

# `publish` fails for as long as the cause of it, a file, is there.
LINE = """
class State(TypedDict, total=False):
    text: str
    tone: str
    published: bool

def draft(state):
    note("draft")
    return {"text": "hello", "tone": "plain"}

def polish(state):
    note("polish")
    return {"text": state["text"] + " in a " + state["tone"] + " tone"}

def publish(state):
    note("publish")
    if (HERE / "broken").exists():
        raise RuntimeError("the press is broken")
    return {"published": True}

graph = (
    StateGraph(State).add_node(draft).add_node(polish).add_node(publish)
    .add_edge(START, "draft").add_edge("draft", "polish").add_edge("polish", "publish").add_edge("publish", END)
    .compile()
)
"""


def fork(runners: RunnerBench, source: str, code: str = LINE, **fork_from: object) -> Session:
    return runners.session(code, spec={"forkFrom": {"session": source, **fork_from}})


def checkpoint_after(session: Session, node: str) -> str:
    """Return the checkpoint that a node wrote, as the session's status tells."""
    found: str = next(entry["id"] for entry in session.status["history"] if entry.get("node") == node)
    return found


def everything_of(runners: RunnerBench, session: Session) -> list[object]:
    """Return all rows of a session's thread."""
    return [
        runners.database.execute(
            f"SELECT to_jsonb(t) FROM {table} AS t WHERE thread_id = %s ORDER BY to_jsonb(t)", [session.thread_id]
        )
        for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes")
    ]


def test_the_status_lists_the_checkpoints_with_their_nodes(runners: RunnerBench) -> None:
    session = runners.session(LINE)
    assert session.run() == 0
    history = session.status["history"]
    assert [(entry["step"], entry.get("node"), entry.get("next")) for entry in history] == [
        (-1, None, "__start__"),
        (0, None, "draft"),
        (1, "draft", "polish"),
        (2, "polish", "publish"),
        (3, "publish", None),
    ]
    assert history[-1]["id"] == session.status["checkpointId"]
    assert all(entry["at"] for entry in history)


def test_a_fork_from_the_middle_runs_on_with_changed_values(runners: RunnerBench) -> None:
    source = runners.session(LINE)
    assert source.run() == 0
    before, status = everything_of(runners, source), source.status
    forked = fork(runners, source.name, checkpointId=checkpoint_after(source, "draft"), values={"tone": "warm"})
    runner = forked.start()
    assert runner.wait() == 0, runner.output
    assert forked.status["result"] == {"text": "hello in a warm tone", "tone": "warm", "published": True}
    assert forked.ran == ["polish", "publish"]
    assert everything_of(runners, source) == before
    assert source.status == status
    assert source.status["result"]["text"] == "hello in a plain tone"


def test_a_fork_from_the_middle_does_again_what_came_after(runners: RunnerBench) -> None:
    source = runners.session(LINE)
    assert source.run() == 0
    forked = fork(runners, source.name, checkpointId=checkpoint_after(source, "draft"))
    assert forked.run() == 0
    assert forked.status["result"] == source.status["result"]
    assert forked.ran == ["polish", "publish"]
    shared = {entry["id"] for entry in source.status["history"]} & {entry["id"] for entry in forked.status["history"]}
    assert len(shared) == 3


def test_a_failed_session_goes_on_in_a_fork_when_its_cause_is_gone(runners: RunnerBench) -> None:
    failed = runners.session(LINE)
    (failed.project / "broken").touch()
    assert failed.run() == 3
    before, status = everything_of(runners, failed), failed.status
    assert status["phase"] == "Failed"
    assert status["history"][-1]["next"] == "publish"

    retried = fork(runners, failed.name)
    assert retried.run() == 0
    assert retried.ran == ["publish"]
    assert retried.status["result"]["published"] is True
    assert everything_of(runners, failed) == before
    assert failed.status == status

    # And a fork of the fork, when the first source is gone.
    runners.database.execute("DELETE FROM workflow_sessions WHERE session_uid = %s", [failed.uid])
    again = fork(runners, retried.name, checkpointId=checkpoint_after(retried, "polish"), values={"text": "other"})
    assert again.run() == 0
    assert again.status["result"]["text"] == "other"


def test_a_fork_of_a_waiting_session_asks_the_same_question(runners: RunnerBench) -> None:
    waiting = runners.session(ASKING)
    assert waiting.run() == 0
    (asked,) = waiting.status["interrupts"]
    forked = fork(runners, waiting.name, ASKING)
    assert forked.run() == 0
    assert forked.status["phase"] == "WaitingForInput"
    (again,) = forked.status["interrupts"]
    assert (again["id"], again["value"], again["node"]) == (asked["id"], asked["value"], asked["node"])
    assert forked.ran == []
    assert waiting.status["interrupts"] == [asked]


def test_a_fork_of_a_waiting_session_with_changed_values_asks_anew(runners: RunnerBench) -> None:
    waiting = runners.session(ASKING)
    assert waiting.run() == 0
    forked = fork(runners, waiting.name, ASKING, values={"text": "changed"})
    assert forked.run() == 0
    (asked,) = forked.status["interrupts"]
    assert asked["value"]["text"] == "changed"
    assert asked["id"] != waiting.status["interrupts"][0]["id"]


PARALLEL = """
class State(TypedDict, total=False):
    done: Annotated[list, operator.add]
    factor: int

def left(state):
    note("left")
    return {"done": ["left"]}

def right(state):
    note("right")
    return {"done": ["right"]}

def join(state):
    note("join")
    return {"done": ["join x " + str(state.get("factor", 1))]}

graph = (
    StateGraph(State).add_node(left).add_node(right).add_node(join)
    .add_edge(START, "left").add_edge(START, "right").add_edge(["left", "right"], "join").add_edge("join", END)
    .compile()
)
"""


def test_after_parallel_nodes_the_writer_of_the_values_is_named(runners: RunnerBench) -> None:
    source = runners.session(PARALLEL)
    assert source.run() == 0
    middle = source.status["history"][2]
    assert (set(middle["node"].split(", ")), middle["next"]) == ({"left", "right"}, "join")
    ambiguous = fork(runners, source.name, PARALLEL, checkpointId=middle["id"], values={"factor": 2})
    assert ambiguous.run() == 6
    assert ambiguous.status["reason"] == "InvalidInput"
    assert "name the node in /spec/forkFrom/asNode" in ambiguous.status["message"]
    named = {"checkpointId": middle["id"], "values": {"factor": 2}, "asNode": "right"}
    forked = fork(runners, source.name, PARALLEL, **named)
    assert forked.run() == 0
    assert forked.status["result"]["done"][-1] == "join x 2"
    assert forked.ran == ["join"]


@pytest.mark.parametrize(
    ("fork_from", "message"),
    [
        ({"session": "nobody"}, "namespace 'runners' has no session 'nobody' that ever ran"),
        ({"checkpointId": "1f000000-0000-0000-0000-000000000000"}, "has no checkpoint '1f000000"),
    ],
    ids=["a session that is not there", "a checkpoint that is not there"],
)
def test_a_fork_of_what_is_not_there_fails_and_says_so(
    runners: RunnerBench, fork_from: dict[str, str], message: str
) -> None:
    source = runners.session(LINE)
    assert source.run() == 0
    forked = fork(runners, **{"source": source.name, **{k: v for k, v in fork_from.items() if k != "session"}})
    if "session" in fork_from:
        forked = fork(runners, fork_from["session"])
    assert forked.run() == 6
    status = forked.status
    assert (status["phase"], status["reason"]) == ("Failed", "ForkSourceNotFound")
    assert message in status["message"]
    assert forked.ran == []
    assert runners.row(forked)[0] == "failed"


def test_a_fork_with_a_value_that_the_state_does_not_have_fails_and_names_it(runners: RunnerBench) -> None:
    source = runners.session(LINE)
    assert source.run() == 0
    forked = fork(runners, source.name, values={"nosuchkey": 3, "tone": "warm"})
    assert forked.run() == 6
    status = forked.status
    assert (status["phase"], status["reason"]) == ("Failed", "InvalidInput")
    assert status["message"].startswith(
        "/spec/forkFrom/values/nosuchkey: the state of the graph has no such key; it has "
    )
    assert "published, text, tone" in status["message"]
    assert forked.ran == []


@contextmanager
def lifted(database: PostgresDatabase, constraint: str) -> Iterator[None]:
    """Take a constraint of ``workflow_sessions`` away for as long as the block takes."""
    query = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s"
    ((definition,),) = database.execute(query, [constraint])
    database.execute(f"ALTER TABLE workflow_sessions DROP CONSTRAINT {constraint}")
    yield
    database.execute(f"ALTER TABLE workflow_sessions ADD CONSTRAINT {constraint} {definition}")


def test_a_session_of_another_namespace_cannot_be_forked(runners: RunnerBench) -> None:
    source = runners.session(LINE)
    assert source.run() == 0
    elsewhere = thread_id("other", source.name)
    # Its row and thread as they would be, had it run in another namespace.
    runners.database.execute(
        "UPDATE workflow_sessions SET project_name = 'other', thread_id = %s WHERE session_uid = %s",
        [elsewhere, source.uid],
    )
    hidden = fork(runners, source.name)
    assert hidden.run() == 6
    assert hidden.status["reason"] == "ForkSourceNotFound"
    # The database takes no row that points to another project's thread, and one from before it did so is not believed.
    forge = "UPDATE workflow_sessions SET project_name = %s, thread_id = %s WHERE session_uid = %s"
    with pytest.raises(CheckViolation):
        runners.database.execute(forge, [NAMESPACE, elsewhere, source.uid])
    with lifted(runners.database, "workflow_sessions_thread_check"):
        runners.database.execute(forge, [NAMESPACE, elsewhere, source.uid])
    forged = fork(runners, source.name)
    assert forged.run() == 6
    assert forged.status["reason"] == "Forbidden"
    assert runners.checkpoints(forged) == 0


def test_a_private_session_is_forked_by_a_private_one_of_the_same_user_alone(runners: RunnerBench) -> None:
    def a_session(user: str | None, **spec: object) -> Session:
        context = {"userContext": {"userId": user, "private": True}} if user else {}
        session = runners.session(LINE, spec={**context, **spec})
        session.environment["THREAD_ID"] = thread_id(NAMESPACE, session.name, user)
        return session

    source = a_session("ann")
    assert source.run() == 0
    for user in ("bob", None):
        refused = a_session(user, forkFrom={"session": source.name})
        assert refused.run() == 6
        assert refused.status["reason"] == "Forbidden"
        assert "is private" in refused.status["message"]
    allowed = a_session("ann", forkFrom={"session": source.name})
    assert allowed.run() == 0
    assert allowed.status["result"] == source.status["result"]


HOLDING_UPDATE = LINE.replace("def polish(state):", "def polish(state):\n    hold('polish')")


def test_a_fork_that_is_killed_goes_on_and_changes_its_values_once(runners: RunnerBench) -> None:
    source = runners.session(LINE)
    assert source.run() == 0
    middle = checkpoint_after(source, "draft")
    forked = fork(runners, source.name, HOLDING_UPDATE, checkpointId=middle, values={"tone": "warm"})
    killed = forked.start()
    forked.wait_until_reached("polish")
    killed.signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    # Neither the source nor its row is needed any more.
    for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes", "workflow_sessions"):
        runners.database.execute(f"DELETE FROM {table} WHERE thread_id = %s", [source.thread_id])
    forked.let_go("polish")
    assert forked.run() == 0
    assert forked.status["result"]["text"] == "hello in a warm tone"
    updates = "SELECT count(*) FROM checkpoints WHERE thread_id = %s AND metadata ->> 'source' = 'update'"
    assert runners.database.execute(updates, [forked.thread_id]) == [(1,)]


def test_a_fork_that_died_between_copy_and_change_changes_its_values(runners: RunnerBench) -> None:
    source = runners.session(LINE)
    assert source.run() == 0
    middle = checkpoint_after(source, "draft")
    forked = fork(runners, source.name, checkpointId=middle, values={"tone": "warm"})
    assert forked.run() == 0
    # As it was after the copy: nothing but the ancestors, and the session still running.
    runners.database.execute(
        "DELETE FROM checkpoints WHERE thread_id = %s AND checkpoint_id > %s", [forked.thread_id, middle]
    )
    runners.database.execute("DELETE FROM workflow_sessions WHERE session_uid = %s", [forked.uid])
    second = fork(runners, source.name, checkpointId=middle, values={"tone": "warm"})
    second.environment["THREAD_ID"] = forked.thread_id
    runners.database.execute(
        "UPDATE thread_fences SET session_uid = %s WHERE thread_id = %s", [second.uid, forked.thread_id]
    )
    assert second.run() == 0
    assert second.status["result"]["text"] == "hello in a warm tone"


TALKING = """
class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]

def only(state):
    note("only")
    if state["log"][-1] == "hold":
        hold("only")
    return {"log": ["only"]}

graph = StateGraph(State).add_node(only).add_edge(START, "only").compile()
"""


def test_inputs_beside_a_fork_are_given_to_the_copied_thread_once(runners: RunnerBench) -> None:
    source = runners.session(TALKING, {"log": ["in 1"]})
    assert source.run() == 0
    before = everything_of(runners, source)
    forked = runners.session(TALKING, {"log": ["hold"]}, spec={"forkFrom": {"session": source.name}})
    runner = forked.start()
    forked.wait_until_reached("only")
    runner.signal(signal.SIGKILL)
    runner.wait()
    forked.let_go("only")
    assert forked.run() == 0
    assert forked.status["result"] == {"log": ["in 1", "only", "hold", "only"]}
    # The inputs of a fork of that fork are its own: the copy's are not taken for them.
    again = runners.session(TALKING, {"log": ["in 3"]}, spec={"forkFrom": {"session": forked.name}})
    assert again.run() == 0
    assert again.status["result"] == {"log": ["in 1", "only", "hold", "only", "in 3", "only"]}
    assert everything_of(runners, source) == before


def test_values_of_a_fork_are_changed_before_its_inputs_are_given(runners: RunnerBench) -> None:
    source = runners.session(TALKING, {"log": ["in 1"]})
    assert source.run() == 0
    spec = {"forkFrom": {"session": source.name, "values": {"log": ["changed"]}, "asNode": "only"}}
    forked = runners.session(TALKING, {"log": ["in 2"]}, spec=spec)
    assert forked.run() == 0
    assert forked.status["result"] == {"log": ["in 1", "only", "changed", "in 2", "only"]}
