"""What a run shows of its state: the output channels where the definition says so, and nothing anywhere else."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from agentic_gateway.api.state_values import decode_values
from agentic_store.database import open_database
from tests.support.gateway import make_login
from tests.support.runner import NAMESPACE, RunnerBench, Session

SECRET = "hunter2-of-the-project"

ASKING = f"""
from langchain_core.messages import AIMessage

class State(TypedDict):
    messages: Annotated[list[Any], operator.add]
    private: str
    count: int

class Output(TypedDict):
    messages: list[Any]
    count: int

def first(state):
    return {{"messages": [AIMessage("{SECRET} is said", id="m1")], "private": "hidden", "count": 1}}

def ask(state):
    return {{"messages": [interrupt("ok?")], "count": 2}}

graph = StateGraph(State, output_schema=Output)
graph.add_node("first", first).add_node("ask", ask)
graph = graph.add_edge(START, "first").add_edge("first", "ask").add_edge("ask", END).compile()
"""
INPUTS = {"messages": ["in"], "private": "", "count": 0}


def rows(runners: RunnerBench, session: Session) -> list[tuple[Any, ...]]:
    return runners.database.execute(
        "SELECT state, checkpoint_id, keeps_history, channels FROM thread_values WHERE session_uid = %s", [session.uid]
    )


def test_nothing_is_kept_unless_the_definition_says_so(runners: RunnerBench) -> None:
    session = runners.session(ASKING, INPUTS)
    assert session.run() == 0
    assert rows(runners, session) == []


def test_at_a_question_and_at_the_end_the_output_channels_are_there_and_no_others(runners: RunnerBench) -> None:
    session = runners.session(ASKING, INPUTS, STATE_API="Latest")
    assert session.run(PROJECT_PASSWORD=SECRET, SECRET_ENV="PROJECT_PASSWORD") == 0
    ((state, checkpoint, keeps_history, channels),) = rows(runners, session)
    assert (checkpoint, keeps_history, sorted(channels)) == (
        session.status["checkpointId"],
        False,
        ["count", "messages"],
    )
    assert state["count"] == 1
    assert [each if isinstance(each, str) else each["id"] for each in state["messages"]] == ["in", "m1"]
    # A secret is masked here as everywhere, and what the graph does not give out is not shown.
    assert SECRET not in json.dumps(state)
    assert "hidden" not in json.dumps(state)
    session.answer(run=2, ask="yes")
    assert session.run(2) == 0
    ((state, checkpoint, *_),) = rows(runners, session)
    assert (state["count"], state["messages"][-1]) == (2, "yes")
    assert checkpoint == session.status["checkpointId"]


async def test_with_history_each_checkpoints_output_channels_can_be_read_as_data(runners: RunnerBench) -> None:
    session = runners.session(ASKING, INPUTS, STATE_API="History")
    assert session.run() == 0
    gateway = make_login(runners.database, "agentic_gateway")
    async with open_database(gateway, application_name="gateway") as database:
        values = database.view(NAMESPACE).values
        kept = await values.read(session.uid)
        assert kept is not None
        assert kept.keeps_history
        ids = [each["id"] for each in session.status["history"]]
        found = [decode_values(await values.read_checkpoint(NAMESPACE, session.uid, id_)) for id_ in ids]
        assert [each.get("count") for each in found] == [None, 0, 1][-len(found) :]
        assert found[-1]["messages"][1]["content"] == f"{SECRET} is said"
        assert all("private" not in each for each in found)
        # Of another namespace, or without a history, nothing.
        assert await values.read_checkpoint("other", session.uid, ids[-1]) == []
        runners.database.execute("UPDATE thread_values SET keeps_history = false")
        assert await values.read_checkpoint(NAMESPACE, session.uid, ids[-1]) == []


def test_a_state_that_is_too_large_is_told_as_that(runners: RunnerBench) -> None:
    large = """
class State(TypedDict):
    text: str

graph = StateGraph(State).add_node("n", lambda state: {"text": "x" * 2_000_000})
graph = graph.add_edge(START, "n").add_edge("n", END).compile()
"""
    session = runners.session(large, {"text": ""}, STATE_API="Latest")
    assert session.run() == 0
    ((state, checkpoint, *_),) = rows(runners, session)
    assert (state, checkpoint) == (None, session.status["checkpointId"])


def test_an_encrypted_state_is_never_shown_and_what_was_shown_before_goes(runners: RunnerBench, tmp_path: Path) -> None:
    session = runners.session(ASKING, INPUTS, STATE_API="History")
    assert session.run() == 0
    assert len(rows(runners, session)) == 1
    file = tmp_path / "keys"
    file.write_text(base64.b64encode(bytes(32)).decode())
    session.answer(run=2, ask="yes")
    assert session.run(2, ENCRYPTION_KEYS_FILE=str(file)) == 0
    ((state, _, keeps_history, channels),) = rows(runners, session)
    assert (state, keeps_history, channels) == (None, False, [])


def test_models_are_not_streamed_where_the_definition_says_so(runners: RunnerBench) -> None:
    talking = """
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

class Model(GenericFakeChatModel):
    def _stream(self, *args, **kwargs):
        raise AssertionError("streamed")

class State(TypedDict):
    said: str

def talk(state):
    return {"said": Model(messages=iter([AIMessage("one two")])).invoke("x").content}

graph = StateGraph(State).add_node("talk", talk).add_edge(START, "talk").add_edge("talk", END).compile()
"""
    session = runners.session(talking, {"said": ""}, STREAM_TOKENS="false")
    assert session.run() == 0
    assert session.status["phase"] == "Completed"
    assert not [type_ for type_, _ in runners.events(session) if type_.startswith(("message", "content"))]


@pytest.mark.parametrize(
    ("variable", "why"),
    [("STATE_API", "None, Latest, History"), ("STREAM_TOKENS", "true, false")],
)
def test_a_wrong_setting_is_refused_by_name(runners: RunnerBench, variable: str, why: str) -> None:
    runner = runners.session(ASKING, INPUTS).start(1, **{variable: "perhaps"})
    assert runner.wait() != 0
    assert f"variable {variable} is 'perhaps': set it to one of {why}" in runner.output


def test_the_trace_of_the_request_is_in_every_line_of_the_log(runners: RunnerBench) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    traced = runners.session(ASKING, INPUTS).start(1, TRACEPARENT=f"00-{trace}-00f067aa0ba902b7-01")
    assert traced.wait() == 0
    lines = [json.loads(line) for line in traced.output.splitlines() if line.startswith("{")]
    assert {line["trace_id"] for line in lines} == {trace}
    untraced = runners.session(ASKING, INPUTS).start(1, TRACEPARENT="none")
    assert untraced.wait() == 0
    assert "trace_id" not in untraced.output
