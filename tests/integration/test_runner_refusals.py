"""What a runner refuses: each with its exit code, a message that says what to do, and nothing run."""

import pickle
from collections.abc import Callable
from pathlib import Path

import ormsgpack
import pytest

from tests.support.flows import TWO_NODES
from tests.support.postgres import PostgresDatabase
from tests.support.runner import RunnerBench

REQUIRED = (
    "SESSION_NAME",
    "SESSION_UID",
    "NAMESPACE",
    "RUN",
    "THREAD_ID",
    "BACKEND_URL",
    "TOKEN_FILE",
    "POSTGRES_CONNECTION_STRING_FILE",
)


def test_each_missing_variable_is_named(runners: RunnerBench) -> None:
    session = runners.session(TWO_NODES, {"x": 1})
    started = {name: session.start(unset=[name]) for name in REQUIRED}
    for name, runner in started.items():
        assert runner.wait() == 2
        (line,) = runner.errors.splitlines()
        assert f"variable {name} is not set" in line
        assert name in runner.termination
    assert session.ran == []


def test_a_database_that_is_not_migrated_is_refused_with_both_versions(
    runners: RunnerBench, empty_database: PostgresDatabase, tmp_path: Path
) -> None:
    session = runners.session(TWO_NODES, {"x": 1})
    (tmp_path / "dsn-empty").write_text(empty_database.dsn)
    runner = session.start(POSTGRES_CONNECTION_STRING_FILE=str(tmp_path / "dsn-empty"))
    assert runner.wait() == 5, runner.output
    assert "database is at version 0" in runner.termination
    assert "agentic migrate up" in runner.termination
    status = session.status
    assert (status["phase"], status["reason"]) == ("Failed", "DatabaseNotMigrated")
    assert session.ran == []


@pytest.mark.parametrize(
    ("library", "version", "floor"),
    [("langgraph", "1.2.12", "1.2.13"), ("langgraph-checkpoint-postgres", "3.0.0", "3.2")],
)
def test_a_library_that_is_too_old_fails_the_session_before_a_node_runs(
    runners: RunnerBench, tmp_path: Path, library: str, version: str, floor: str
) -> None:
    folder = tmp_path / "old" / f"{library.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {library}\nVersion: {version}\n")
    session = runners.session(TWO_NODES, {"x": 1})
    runner = session.start(PYTHONPATH=str(tmp_path / "old"))
    assert runner.wait() == 4, runner.output
    told = f"libraries of the image are too old: {library} is {version}, {floor} or newer is needed"
    assert told in runner.termination
    status = session.status
    assert (status["phase"], status["reason"]) == ("Failed", "GraphLoadFailed")
    assert told in status["message"]
    assert session.ran == []


STRICT = """
from pydantic import BaseModel
class State(BaseModel):
    x: int
def n(state):
    note("n")
graph = StateGraph(State).add_node(n).add_edge(START, "n").add_edge("n", END).compile()
"""


@pytest.mark.parametrize(
    ("code", "inputs"),
    [
        pytest.param(STRICT, {"x": "many"}, id="a value of the wrong type"),
        pytest.param(TWO_NODES, [1, 2], id="a list where the state is an object"),
    ],
)
def test_inputs_that_the_graph_does_not_take_fail_the_session(runners: RunnerBench, code: str, inputs: object) -> None:
    session = runners.session(code, inputs, RETRIES="3")
    runner = session.start()
    assert runner.wait() == 6, runner.output
    status = session.status
    assert (status["phase"], status["reason"]) == ("Failed", "InvalidInput")
    assert "the graph refuses the inputs" in status["message"]
    assert session.ran == []


@pytest.mark.parametrize(
    ("code", "message"),
    [
        pytest.param("import not_installed", "No module named 'not_installed' (graph.py:", id="an import that fails"),
        pytest.param("import sys; sys.exit(9)", "calls sys.exit(9) while it is imported", id="a module that exits"),
        pytest.param("other = 1", "has no attribute 'graph'", id="no such attribute"),
        pytest.param("graph = 7", "is 'int': it must be a compiled graph", id="something that is no graph"),
        pytest.param(
            "graph = StateGraph(dict).add_edge(START, 'nowhere')", "does not compile", id="a builder with a dead end"
        ),
    ],
)
def test_a_graph_that_cannot_be_loaded_fails_the_session(runners: RunnerBench, code: str, message: str) -> None:
    session = runners.session(code, {}, RETRIES="3")
    runner = session.start()
    assert runner.wait() == 4, runner.output
    status = session.status
    assert (status["phase"], status["reason"]) == ("Failed", "GraphLoadFailed")
    assert message in status["message"]
    assert message in runner.termination


def test_a_session_that_is_final_or_of_a_later_run_is_left_alone(runners: RunnerBench) -> None:
    session = runners.session(TWO_NODES, {"x": 1})
    session.set_status(run=2)
    assert session.run(1) == 8
    session.set_status(phase="Stopped")
    assert session.run(2) == 8
    assert session.ran == []


ENDLESS = """
class State(TypedDict):
    x: int
def n(state):
    return {"x": state["x"] + 1}
graph = StateGraph(State).add_node(n).add_edge(START, "n").add_edge("n", "n").compile().with_config(recursion_limit=5)
"""


def test_a_graph_without_end_fails_at_once_whatever_retries_says(runners: RunnerBench) -> None:
    session = runners.session(ENDLESS, {"x": 0}, RETRIES="3")
    assert session.run() == 3
    status = session.status
    assert status["error"]["type"] == "GraphRecursionError"
    assert status["error"]["retriable"] is False


LEAVING = """
import sys
class State(TypedDict):
    x: int
KIND n(state):
    sys.exit(0)
graph = StateGraph(State).add_node(n).add_edge(START, "n").add_edge("n", END).compile()
"""


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_node_that_exits_the_process_does_not_pass_for_a_success(runners: RunnerBench, kind: str) -> None:
    session = runners.session(LEAVING.replace("KIND", kind), {"x": 1})
    runner = session.start()
    assert runner.wait() == 3, runner.output
    assert "the graph called sys.exit(0) in a node (graph.py:" in runner.termination
    assert session.status["phase"] == "Running"


LEAKING = """
class State(TypedDict):
    x: int
def n(state):
    token = pathlib.Path(os.environ["TOKEN_FILE"]).read_text()
    get_stream_writer()({"progress": 0.1, "message": "with " + token})
    raise RuntimeError("could not log in with " + token)
graph = StateGraph(State).add_node(n).add_edge(START, "n").add_edge("n", END).compile()
"""


def test_a_secret_in_an_exception_reaches_no_sink(runners: RunnerBench) -> None:
    session = runners.session(LEAKING, {"x": 1})
    runner = session.start()
    assert runner.wait() == 3
    token = runners.token_file.read_text()
    assert "could not log in with ***" in session.status["message"]
    sinks = [
        runner.output,
        runner.termination,
        str(session.read()),
        str(runners.events(session)),
        str(runners.row(session)),
    ]
    assert [sink for sink in sinks if token in sink] == []


PLANTED = """
class State(TypedDict):
    x: Any
def n(state):
    note("n")
    hold("n")
    return {"x": "done"}
graph = StateGraph(State).add_node(n).add_edge(START, "n").add_edge("n", END).compile()
"""


def _pack(code: str) -> bytes:
    return ormsgpack.packb(ormsgpack.Ext(0, ormsgpack.packb(("builtins", "eval", code))))


def _pickle(code: str) -> bytes:
    class Planted:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return eval, (code,)

    return pickle.dumps(Planted())


@pytest.mark.parametrize(("kind", "encode"), [("msgpack", _pack), ("pickle", _pickle)])
def test_a_function_planted_in_a_checkpoint_is_not_called(
    runners: RunnerBench, tmp_path: Path, kind: str, encode: Callable[[str], bytes]
) -> None:
    session = runners.session(PLANTED, {"x": ["kept in a blob of its own"]})
    killed = session.start()
    session.wait_until_reached("n")
    killed.process.kill()
    killed.wait()
    session.let_go("n")
    canary = tmp_path / "canary"
    planted = runners.database.execute(
        "UPDATE checkpoint_blobs SET type = %s, blob = %s WHERE thread_id = %s AND channel = 'x' RETURNING 1",
        [kind, encode(f"__import__('pathlib').Path({str(canary)!r}).touch()"), session.thread_id],
    )
    assert planted
    runner = session.start()
    runner.wait()
    assert "entering thread" in runner.output or "Unknown serialization type" in runner.output
    assert not canary.exists()
