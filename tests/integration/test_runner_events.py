"""What a session's event log says of a run: each token, node and question, and nothing of its state."""

import base64
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from agentic_gateway.feeds.hub import build_frames
from agentic_store.database import open_database
from agentic_store.dsn import Dsn
from tests.support.frames import read_frame
from tests.support.runner import NAMESPACE, RunnerBench, Session
from tests.support.waiting import wait_for

Json = dict[str, Any]

MARK = "state-marker-4711"
SECRET = "hunter2-of-the-project"

TALKING = f"""
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

class State(TypedDict):
    messages: Annotated[list[Any], operator.add]
    hidden: str
    answers: Annotated[list[Any], operator.add]

model = GenericFakeChatModel(messages=iter([AIMessage("one two {SECRET} three"), AIMessage("four")]))

async def talk(state):
    said = await model.ainvoke([SystemMessage("{MARK}"), HumanMessage("{MARK}")])
    return {{"messages": [said, HumanMessage("{MARK}")], "hidden": "{MARK}"}}

def share(state):
    write = get_stream_writer()
    for number in range(1000):
        write({{"progress": number / 999}})
    write({{"progress": 0.2}})
    write({{"progress": 7}})
    return {{}}

def ask(name, options):
    def node(state):
        return {{"answers": [interrupt({{"prompt": f"choose {{name}}", "options": options}})]}}
    return node

graph = StateGraph(State)
graph.add_node("talk", talk).add_node("share", share)
graph.add_node("left", ask("left", ["a", "b"])).add_node("right", ask("right", [1, 2]))
graph.add_edge(START, "talk").add_edge("talk", "share").add_edge("share", "left").add_edge("share", "right")
graph = graph.add_edge(["left", "right"], END).compile()
"""


def test_each_token_node_and_question_is_told_and_nothing_of_the_state(runners: RunnerBench) -> None:
    session = runners.session(TALKING, {"messages": [MARK], "hidden": MARK, "answers": []})
    assert session.run(PROJECT_PASSWORD=SECRET) == 0
    events = runners.events(session)
    text = json.dumps(events)
    assert MARK not in text

    assert [data["node"] for type_, data in events if type_ == "node_started"][:2] == ["talk", "share"]
    said = "".join(data["text"] for type_, data in events if type_ == "content-block-delta")
    assert said.startswith("one two ")
    assert said.endswith(" three")
    starts = [data for type_, data in events if type_ == "message-start"]
    assert [start["node"] for start in starts] == ["talk"]
    types = [type_ for type_, _ in events]
    assert types.index("message-start") < types.index("content-block-delta") < types.index("message-finish")
    assert types.index("message-finish") < types.index("node_finished")

    shares = [data["progress"] for type_, data in events if type_ == "progress"]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(shares) <= 6
    assert {data["node"] for type_, data in events if type_ == "progress"} == {"share"}

    asked = [data for type_, data in events if type_ == "waiting_for_input"]
    assert sorted((each["prompt"], each["options"]) for each in asked) == [
        ("choose left", ["a", "b"]),
        ("choose right", [1, 2]),
    ]
    assert {each["interrupt"] for each in asked} == {each["id"] for each in session.status["interrupts"]}
    assert len(asked) == 2


@pytest.fixture
def encryption(tmp_path: Path) -> dict[str, str]:
    """Variables of a run whose state is encrypted."""
    file = tmp_path / "keys"
    file.write_text(base64.b64encode(bytes(32)).decode())
    return {"ENCRYPTION_KEYS_FILE": str(file)}


def test_what_a_model_says_stays_out_of_the_log_where_the_state_is_encrypted(
    runners: RunnerBench, encryption: dict[str, str]
) -> None:
    session = runners.session(TALKING, {"messages": [], "hidden": "", "answers": []})
    session.environment |= encryption
    assert session.run() == 0
    events = runners.events(session)
    assert "message-start" not in {type_ for type_, _ in events}
    assert "three" not in json.dumps(events)


LARGE = """
class State(TypedDict):
    text: str

graph = StateGraph(State).add_node("n", lambda state: {"text": "x" * 5_000_000})
graph = graph.add_edge(START, "n").add_edge("n", END).compile()
"""
WRITING = """
class State(TypedDict):
    x: int

def node(name):
    def run(state):
        get_stream_writer()({"said": name})
        hold(name)
        return {"x": state["x"] + 1}
    return run

graph = StateGraph(State).add_node("one", node("one")).add_node("two", node("two"))
graph = graph.add_edge(START, "one").add_edge("one", "two").add_edge("two", END).compile()
"""


def numbers(runners: RunnerBench, session: Session) -> dict[int, tuple[str, Json]]:
    """Return the rows of a session's log by their numbers."""
    rows = runners.database.execute(
        "SELECT seq, type, data FROM session_events WHERE session_uid = %s ORDER BY seq", [session.uid]
    )
    return {seq: (type_, data) for seq, type_, data in rows}


def lose(runners: RunnerBench, session: Session, *, after: int) -> None:
    """Let the newest rows be gone, as after a failover to a standby that lagged."""
    runners.database.execute("DELETE FROM session_events WHERE session_uid = %s AND seq > %s", [session.uid, after])


def test_numbers_of_rows_that_were_lost_under_a_run_are_not_given_again(runners: RunnerBench) -> None:
    session = runners.session(WRITING, {"x": 1})
    runner = session.start()
    session.wait_until_reached("one")
    before = wait_for(
        lambda: numbers(runners, session), lambda rows: "custom" in {type_ for type_, _ in rows.values()}, what="rows"
    )
    last = max(before)
    lose(runners, session, after=1)
    session.let_go("one")
    session.wait_until_reached("two")
    session.let_go("two")
    assert runner.wait() == 0, runner.output
    after = numbers(runners, session)
    assert list(after)[:2] == [1, last + 1]
    assert after[last + 1] == ("gap", {"from": 2, "to": last, "reason": "lost"})
    assert list(after)[1:] == list(range(last + 1, max(after) + 1))
    assert session.status["lastSeq"] <= max(after)


def test_the_next_process_knows_by_the_status_which_numbers_were_given(runners: RunnerBench) -> None:
    session = runners.session(WRITING, {"x": 1})
    runner = session.start()
    session.wait_until_reached("one")
    session.let_go("one")
    session.wait_until_reached("two")
    known = session.wait_for_status(
        lambda status: status.get("currentNode") == "two" and status.get("lastSeq", 0) >= 2, what="a number"
    )["lastSeq"]
    runner.signal(signal.SIGKILL)
    runner.wait()
    lose(runners, session, after=1)
    session.let_go("two")
    assert session.run() == 0
    after = numbers(runners, session)
    assert list(after)[:2] == [1, known + 1]
    assert after[known + 1] == ("gap", {"from": 2, "to": known, "reason": "lost"})
    assert session.status["phase"] == "Completed"


async def test_of_a_large_result_the_log_has_a_reference(runners: RunnerBench) -> None:
    session = runners.session(LARGE, {"text": ""})
    assert session.run() == 0
    async with open_database(Dsn.parse(runners.database.dsn), application_name="test") as store:
        frames = build_frames(await store.events.read(session.uid), 0)
    # Read as clients read them: each is smaller than 1 MB, and has its schema.
    found = [read_frame(frame.text)["data"]["metadata"] for frame in frames]
    about = next(each for each in found if each["event"] == "completed")
    assert about["size"] > 5_000_000
    assert about["result"] == f"db://workflow_sessions/{NAMESPACE}/{session.name}"
    assert "xxxx" not in "".join(frame.text for frame in frames)
