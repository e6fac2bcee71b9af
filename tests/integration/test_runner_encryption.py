"""Encrypted checkpoints with a real runner: nothing of the state is readable, and everything goes on as without."""

import base64
import json
import signal
import subprocess
from pathlib import Path
from typing import Any

from agentic_core.contract import ExitCode
from tests.support.objects import SECRET_KEY, Bucket
from tests.support.postgres_server import find_binaries
from tests.support.runner import RunnerBench, Session

OLD, NEW = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
TABLES = ("checkpoints", "checkpoint_blobs", "checkpoint_writes", "store")

# Every way into the tables: channels of every kind, a question, an item of the store, metadata, a subgraph, an error.
EVERYWHERE = """
    from langgraph.types import interrupt

    class State(TypedDict, total=False):
        text: str
        number: int
        unchanged: str
        items: Annotated[list, operator.add]
        answer: str

    class Inner(TypedDict, total=False):
        text: str
        inner: str

    def deep(state):
        return {"inner": "MARKER-subgraph", "text": "MARKER-inner-text"}

    inner = StateGraph(Inner).add_node(deep).add_edge(START, "deep").add_edge("deep", END).compile()

    def first(state, *, store):
        note("first")
        store.put(("notes",), "k", {"secret": "MARKER-store"})
        return {"text": "MARKER-text", "number": 987654321123, "items": [{"k": "MARKER-item"}]}

    def second(state):
        note("second")
        hold("second")
        return {"items": ["MARKER-second"], "number": 987654321124}

    def ask(state):
        return {"answer": interrupt({"prompt": "MARKER-question"})}

    def last(state, *, store):
        note("last")
        found = store.get(("notes",), "k").value["secret"]
        return {"text": f"{state['text']} {state['unchanged']} {state['answer']} {found}"}

    graph = StateGraph(State)
    for node in (first, second, ask, last):
        graph.add_node(node)
    graph.add_node("sub", inner)
    graph.add_edge(START, "first").add_edge("first", "sub").add_edge("sub", "second")
    graph.add_edge("second", "ask").add_edge("ask", "last").add_edge("last", END)
    graph = graph.compile().with_config(metadata={"about": "MARKER-metadata"})
"""


def dump(runners: RunnerBench) -> str:
    """Return what pg_dump writes of the tables, with its bytes as text."""
    arguments = [item for table in TABLES for item in ("-t", table)]
    done = subprocess.run(
        [find_binaries() / "pg_dump", *arguments, runners.database.dsn], capture_output=True, text=True, check=True
    )
    return done.stdout


def find_markers(text: str) -> list[str]:
    """Return the forms in which a marker stands in a dump."""
    forms = {
        b"MARKER",
        b"MARKER".hex().encode(),
        base64.b64encode(b"MARKER"),
        b"987654321",
        b"987654321".hex().encode(),
    }
    return sorted(form.decode() for form in forms if form.decode() in text)


def keys(folder: Path, *lines: str) -> str:
    file = folder / f"keys-{len(list(folder.iterdir()))}"
    file.write_text("\n".join(lines))
    return str(file)


def is_asking(session: Session) -> bool:
    return bool(session.status["phase"] == "WaitingForInput")


def test_nothing_of_the_state_is_readable_and_the_session_ends_as_without_encryption(
    runners: RunnerBench, tmp_path: Path
) -> None:
    results = {}
    for name, lines in (("plain", None), ("encrypted", (NEW,))):
        extra: dict[str, Any] = {"ENCRYPTION_KEYS_FILE": keys(tmp_path, *lines)} if lines else {}
        spec = {
            "config": {
                "configurable": {"tone": "MARKER-configurable", "nested": {"a": ["MARKER-nested"]}},
                "tags": ["MARKER-tag"],
                "metadata": {"team": "MARKER-team"},
            },
            "context": {"user": "MARKER-context"},
        }
        session = runners.session(EVERYWHERE, {"unchanged": "MARKER-input"}, spec=spec, **extra)
        killed = session.start()
        session.wait_until_reached("second")
        killed.signal(signal.SIGKILL)
        killed.wait()
        session.let_go("second")
        assert session.run() == ExitCode.DONE
        assert is_asking(session)
        session.answer(2, ask="MARKER-answer")
        assert session.run(2) == ExitCode.DONE
        assert session.ran == ["first", "second", "second", "last"]
        status = session.status
        results[name] = (status["result"], [(e["step"], e.get("node"), e.get("next")) for e in status["history"]])
        text = dump(runners)
        if lines:
            assert find_markers(text) == []
            assert "agentic-" in text
            assert lines[0] not in text
        else:
            assert "MARKER" in find_markers(text)
            assert "MARKER-configurable" in text
            for table in TABLES:
                runners.database.execute(f"DELETE FROM {table}")
    assert results["encrypted"] == results["plain"]
    assert results["encrypted"][0]["text"] == "MARKER-inner-text MARKER-input MARKER-answer MARKER-store"


def test_a_thread_goes_on_when_encryption_begins_when_the_key_changes_and_when_it_ends(
    runners: RunnerBench, tmp_path: Path
) -> None:
    code = """
    class State(TypedDict, total=False):
        kept: str
        long: str
        seen: Annotated[list, operator.add]

    def build(name):
        def node(state):
            note(name)
            hold(name)
            return {"seen": [state["kept"]]}
        return node

    graph = StateGraph(State)
    names = ["a", "b", "c", "d"]
    for name, before in zip(names, [START, *names]):
        graph.add_node(name, build(name)).add_edge(before, name)
    """
    # A short text stays in the checkpoint's row, a long one does not.
    given = {"kept": "MARKER", "long": "MARKER " * 1000}
    session = runners.session(code, given)
    turns = [None, (OLD,), (NEW, OLD), ("plain", NEW, OLD)]
    for name, lines in zip("abcd", turns, strict=True):
        extra: dict[str, Any] = {"ENCRYPTION_KEYS_FILE": keys(tmp_path, *lines)} if lines else {}
        runner = session.start(**extra)
        session.wait_until_reached(name)
        session.let_go(name)
        if name == "d":
            assert runner.wait() == ExitCode.DONE
        else:
            session.wait_until_reached(chr(ord(name) + 1))
            runner.signal(signal.SIGKILL)
            runner.wait()
            (session.project / f"{chr(ord(name) + 1)}.reached").unlink()
    assert session.status["result"] == {**given, "seen": ["MARKER"] * 4}
    found = runners.database.execute("SELECT DISTINCT type FROM checkpoint_blobs WHERE type <> 'empty'")
    assert len({type_.partition("+")[2] for (type_,) in found}) == 3


def test_without_the_key_the_session_says_so_and_a_fork_with_it_goes_on(runners: RunnerBench, tmp_path: Path) -> None:
    right: dict[str, Any] = {"ENCRYPTION_KEYS_FILE": keys(tmp_path, NEW)}
    session = runners.session(EVERYWHERE, {"unchanged": "u"})
    session.let_go("second")
    assert session.run(**right) == ExitCode.DONE
    assert is_asking(session)
    session.answer(2, ask="yes")
    before = runners.database.execute("SELECT count(*) FROM checkpoints")
    runner = session.start(2)
    assert runner.wait() == ExitCode.CONFIGURATION
    assert "and this runner has none: add that key to the Secret" in runner.termination
    assert (session.status["phase"], session.status["reason"]) == ("Failed", "RunnerMisconfigured")
    assert runners.database.execute("SELECT count(*) FROM checkpoints") == before
    spec = {"forkFrom": {"session": session.name}}
    wrong = runners.session(EVERYWHERE, None, spec=spec)
    assert wrong.run(ENCRYPTION_KEYS_FILE=keys(tmp_path, OLD)) == ExitCode.CONFIGURATION
    assert "add that key to the Secret" in wrong.status["message"]
    fork = runners.session(EVERYWHERE, None, spec=spec)
    assert fork.run(**right) == ExitCode.DONE
    assert is_asking(fork)
    fork.answer(2, ask="yes")
    assert fork.run(2, **right) == ExitCode.DONE
    assert fork.ran == ["last"]
    assert find_markers(dump(runners)) == []


def test_a_fork_changes_values_of_encrypted_checkpoints(runners: RunnerBench, tmp_path: Path) -> None:
    extra: dict[str, Any] = {"ENCRYPTION_KEYS_FILE": keys(tmp_path, NEW)}
    code = """
    class State(TypedDict, total=False):
        x: str
        y: str

    def one(state):
        note("one")
        return {"y": state["x"] + "1"}

    def two(state):
        note("two")
        return {"y": state["y"] + "2"}

    graph = StateGraph(State).add_sequence([one, two]).add_edge(START, "one")
    """
    session = runners.session(code, {"x": "MARKER"}, **extra)
    assert session.run() == ExitCode.DONE
    (point,) = [entry["id"] for entry in session.status["history"] if entry.get("next") == "two"]
    fork = runners.session(
        code,
        None,
        spec={"forkFrom": {"session": session.name, "checkpointId": point, "values": {"y": "changed"}}},
        **extra,
    )
    assert fork.run() == ExitCode.DONE
    assert fork.ran == ["two"]
    assert fork.status["result"] == {"x": "MARKER", "y": "changed2"}
    assert find_markers(dump(runners)) == []


def test_a_keys_file_that_is_missing_or_wrong_is_named_before_anything_runs(
    runners: RunnerBench, tmp_path: Path
) -> None:
    for file in (str(tmp_path / "nowhere"), keys(tmp_path, "no key")):
        session = runners.session(EVERYWHERE, {"unchanged": "u"})
        runner = session.start(ENCRYPTION_KEYS_FILE=file)
        assert runner.wait() == ExitCode.CONFIGURATION
        assert "ENCRYPTION_KEYS_FILE" in runner.errors
        assert session.ran == []


def test_no_key_is_in_any_place_that_people_read(runners: RunnerBench, bucket: Bucket, tmp_path: Path) -> None:
    code = f"""
    class State(TypedDict, total=False):
        x: str

    def fails(state):
        raise ValueError("it read the files: {NEW} and {SECRET_KEY}")

    graph = StateGraph(State).add_node(fails).add_edge(START, "fails")
    """
    secret = bucket.write_secret(tmp_path / "results")
    files = {"ENCRYPTION_KEYS_FILE": keys(tmp_path, NEW), "RESULT_STORE_DIR": str(secret)}
    session = runners.session(code, {"x": "y"}, LOG_LEVEL="DEBUG", **files)  # type: ignore[arg-type]  # variables
    runner = session.start()
    assert runner.wait() == ExitCode.GRAPH_FAILED
    rows = runners.database.execute(
        "SELECT w::text FROM workflow_sessions w UNION ALL SELECT e::text FROM session_events e"
    )
    for text in (runner.output, runner.termination, json.dumps(session.read()), str(rows), dump(runners)):
        assert NEW not in text
        assert SECRET_KEY not in text
