"""Values of Secrets in what a run tells: in no log, status, event, row or termination message."""

import base64
import json

from agentic_core.contract import ExitCode
from tests.support.runner import RunnerBench

SECRET = 'hunter2"hunter2/ä'
WHOLE = "from-a-whole-secret-1"

CODE = """
    import base64, json, logging, sys

    class State(TypedDict):
        n: int

    KEY, WHOLE = os.environ["KEY"], os.environ["MY_WHOLE"]
    # As projects do that want their own format: our handler is gone.
    first = logging.getLogger().handlers[0]
    first.setFormatter(logging.Formatter("first says %(message)s"))
    first.emit(logging.makeLogRecord({"msg": KEY}))
    logging.basicConfig(force=True, level="INFO", format="%(message)s")

    def tell(state):
        logging.info("root says %s", KEY)
        logging.getLogger("mine").warning("as json %s", json.dumps({"k": KEY}))
        print("printed", KEY, WHOLE)
        print("to stderr", WHOLE, file=sys.stderr)
        sys.stdout.buffer.write(("bytes " + KEY + "\\n").encode())
        sys.__stdout__.write("the first stdout " + KEY + "\\n")
        get_stream_writer()({"nested": [{"headers": {"Authorization": "Basic " + base64.b64encode(
            ("me:" + KEY).encode()).decode(), WHOLE: 1}}]})
        return {"n": 1}

    def fail(state):
        raise RuntimeError("the service refused " + KEY + " and " + json.dumps([WHOLE, KEY]))

    builder = StateGraph(State).add_node("tell", tell).add_node("fail", fail)
    graph = builder.add_edge(START, "tell").add_edge("tell", "fail").compile()
"""


def test_no_value_of_a_secret_is_in_anything_that_a_run_tells(runners: RunnerBench) -> None:
    folder = runners.folder / "whole"
    folder.mkdir()
    (folder / "WHOLE").write_text(WHOLE)
    session = runners.session(CODE)
    session.is_isolated = True
    runner = session.start(KEY=SECRET, MY_WHOLE=WHOLE, SECRET_ENV="KEY", SECRET_ENV_FOLDERS=str(folder))
    assert runner.wait() == ExitCode.GRAPH_FAILED, runner.output
    # All of it was told.
    for words in (
        "first says ***",
        "root says ***",
        "as json",
        "printed *** ***",
        "to stderr ***",
        "bytes ***",
        "the first stdout ***",
    ):
        assert words in runner.output, words
    assert "the service refused *** and" in session.status["message"]
    (custom,) = (data for type_, data in runners.events(session) if type_ == "custom")
    assert "***" in json.dumps(custom)
    rows = {
        table: runners.database.execute(f"SELECT t::text FROM {table} t")
        for table in ("workflow_sessions", "session_events", "checkpoints", "checkpoint_writes", "checkpoint_blobs")
    }
    stored = runners.database.execute("SELECT blob FROM checkpoint_writes")
    told = "\n".join(
        [runner.output, runner.termination, json.dumps(session.read(), ensure_ascii=False), str(rows)]
        + [bytes(blob or b"").decode(errors="replace") for (blob,) in stored]
    )
    assert "the service refused ***" in told
    encoded = base64.b64encode(b"me:" + SECRET.encode()).decode()
    for form in (SECRET, json.dumps(SECRET)[1:-1], json.dumps(SECRET, ensure_ascii=False)[1:-1], WHOLE, encoded):
        assert form not in told, form
    assert (WHOLE.encode().hex() in told, SECRET.encode().hex() in told) == (False, False)
