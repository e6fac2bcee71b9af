"""Results of every size, from a real runner process: in the row, or in an object store that fails in every way."""

import hashlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from agentic_core.contract import ExitCode
from tests.support.objects import ACCESS_KEY, SECRET_KEY, Bucket, ObjectServer, full_server, make_bucket
from tests.support.runner import NAMESPACE, RunnerBench, Session
from tests.support.waiting import wait_for

MIB = 1024 * 1024
SIZE = int(os.environ.get("RESULT_MEBIBYTES", "120"))

# One text a thousand times a MiB: cheap to make and to keep, as long as any other on its way.
LARGE = """
    class State(TypedDict, total=False):
        mebibytes: int
        rows: list

    class Output(TypedDict):
        rows: list

    def build(state):
        note("build")
        return {"rows": ["r" * 1021] * 1024 * state["mebibytes"]}

    graph = StateGraph(State, output_schema=Output).add_node(build).add_edge(START, "build").add_edge("build", END)
"""

# The same, of texts that each take their own memory, and never in a checkpoint.
UNSAVED = """
    import atexit
    from langgraph.channels import UntrackedValue

    class State(TypedDict, total=False):
        mebibytes: int
        rows: Annotated[list, UntrackedValue]

    class Output(TypedDict):
        rows: Annotated[list, UntrackedValue]

    def build(state):
        count = state["mebibytes"] * 1024
        return {"rows": [str(n).ljust(1021, "r") for n in range(count)]}

    graph = StateGraph(State, output_schema=Output).add_node(build).add_edge(START, "build").add_edge("build", END)
    atexit.register(lambda: (HERE / "process").write_text(pathlib.Path("/proc/self/status").read_text()))
"""


def expected_text(mebibytes: int) -> bytes:
    return json.dumps({"rows": ["r" * 1021] * 1024 * mebibytes}, separators=(",", ":")).encode()


def read_row(session: Session) -> Any:
    rows = session.bench.database.execute(
        "SELECT status, output_data FROM workflow_sessions WHERE session_uid = %s", [session.uid]
    )
    return rows[0]


def peak_mebibytes(session: Session) -> float:
    status = (session.project / "process").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


@pytest.fixture
def secret(bucket: Bucket, tmp_path: Path) -> Path:
    return bucket.write_secret(tmp_path / "results")


def test_91_mb_go_to_the_object_store_and_the_reference_fits(
    runners: RunnerBench, bucket: Bucket, secret: Path
) -> None:
    session = runners.session(LARGE, {"mebibytes": 91}, RESULT_STORE_DIR=str(secret), LOG_LEVEL="DEBUG")
    runner = session.start()
    assert runner.wait() == ExitCode.DONE
    text = expected_text(91)
    (key,) = bucket.keys
    assert key.startswith(f"{NAMESPACE}/{session.uid}/result-r1-")
    assert (bucket.folder / key).read_bytes() == text
    reference = {"size": len(text), "sha256": hashlib.sha256(text).hexdigest()}
    url = f"s3://{bucket.config.bucket}/{key}"
    assert read_row(session) == ("completed", {"result_url": url, **reference})
    status = session.status
    assert status["resultRef"] == {"url": url, **reference}
    assert "result" not in status
    assert bucket.uploads == 0
    rows = runners.database.execute(
        "SELECT w::text FROM workflow_sessions w UNION ALL SELECT e::text FROM session_events e"
    )
    for sink in (runner.output, runner.termination, json.dumps(session.read()), str(rows)):
        assert SECRET_KEY not in sink
        assert ACCESS_KEY not in sink


def test_89_mb_stay_in_the_database(runners: RunnerBench, bucket: Bucket, secret: Path) -> None:
    session = runners.session(LARGE, {"mebibytes": 89})
    assert session.run(RESULT_STORE_DIR=str(secret)) == ExitCode.DONE
    assert bucket.keys == []
    sizes = runners.database.execute(
        "SELECT length(output_data::text), jsonb_array_length(output_data -> 'rows') FROM workflow_sessions"
    )
    assert sizes[0][1] == 89 * 1024
    reference = session.status["resultRef"]
    assert reference["size"] == len(expected_text(89))
    assert reference["url"] == f"db://workflow_sessions/{NAMESPACE}/{session.name}"


def test_without_an_object_store_100_mb_are_refused_in_the_documented_words(runners: RunnerBench) -> None:
    session = runners.session(LARGE, {"mebibytes": 101})
    assert session.run() == ExitCode.OUTPUT_TOO_LARGE
    status = session.status
    assert (status["phase"], status["reason"]) == ("Failed", "OutputTooLarge")
    assert status["message"] == "output data exceeds 100MB limit"


def test_the_memory_of_a_large_result_is_its_own_and_a_little(
    runners: RunnerBench, bucket: Bucket, secret: Path
) -> None:
    small = runners.session(UNSAVED, {"mebibytes": 1})
    large = runners.session(UNSAVED, {"mebibytes": SIZE})
    assert small.run(RESULT_STORE_DIR=str(secret)) == ExitCode.DONE
    assert large.run(RESULT_STORE_DIR=str(secret), timeout_seconds=240) == ExitCode.DONE
    assert large.status["resultRef"]["size"] >= SIZE * MIB
    beside = peak_mebibytes(large) - peak_mebibytes(small) - SIZE
    print(f"{SIZE} MiB: peak {peak_mebibytes(large):.0f} MiB, {beside:.0f} beside the result and the process of 1 MiB")
    # Ninety of these are what was encoded before it was known to be large.
    assert beside < 200, f"{beside:.0f} MiB beside the result itself"


def test_a_store_that_is_away_costs_no_result(
    runners: RunnerBench, tmp_path: Path, object_server: ObjectServer
) -> None:
    bucket = make_bucket(object_server)
    secret = bucket.write_secret(tmp_path / "results")
    session = runners.session(LARGE, {"mebibytes": 91}, RESULT_STORE_DIR=str(secret), RESULT_STORE_PATIENCE_SECONDS="1")
    object_server.kill()
    try:
        first = session.start()
        assert first.wait() == ExitCode.RESULTS_UNAVAILABLE
    finally:
        object_server.start()
    assert "does not answer" in first.termination
    assert "the last checkpoint has the result" in first.termination
    status = session.status
    assert (status["phase"], status["reason"]) == ("Running", "ResultStoreUnavailable")
    # The Job's next pod; the store is back.
    assert session.run() == ExitCode.DONE
    assert session.ran == ["build"]
    assert session.status["resultRef"]["sha256"] == hashlib.sha256(expected_text(91)).hexdigest()
    assert len(bucket.keys) == 1


def test_a_store_that_comes_back_in_time_is_waited_for(
    runners: RunnerBench, tmp_path: Path, object_server: ObjectServer
) -> None:
    bucket = make_bucket(object_server)
    secret = bucket.write_secret(tmp_path / "results")
    session = runners.session(LARGE, {"mebibytes": 91}, RESULT_STORE_DIR=str(secret))
    object_server.kill()
    try:
        runner = session.start()
        session.wait_for_status(lambda s: s.get("reason") == "ResultStoreUnavailable", what="being told the trouble")
    finally:
        object_server.start()
    assert runner.wait() == ExitCode.DONE
    assert session.status["phase"] == "Completed"
    assert len(bucket.keys) == 1


def test_a_store_that_refuses_fails_the_session_and_a_fork_stores_the_result_later(
    runners: RunnerBench, bucket: Bucket, tmp_path: Path
) -> None:
    wrong = bucket.write_secret(tmp_path / "wrong", secret_key="wrong-secret-canary")
    session = runners.session(LARGE, {"mebibytes": 91})
    runner = session.start(RESULT_STORE_DIR=str(wrong))
    assert runner.wait() == ExitCode.CONFIGURATION
    status = session.status
    assert (status["phase"], status["reason"]) == ("Failed", "ResultStoreUnavailable")
    assert "SignatureDoesNotMatch" in status["message"]
    assert "the last checkpoint has the result" in status["message"]
    fork = runners.session(LARGE, None, spec={"forkFrom": {"session": session.name}})
    assert fork.run(RESULT_STORE_DIR=str(bucket.write_secret(tmp_path / "right"))) == ExitCode.DONE
    assert fork.ran == []
    assert fork.status["resultRef"]["sha256"] == hashlib.sha256(expected_text(91)).hexdigest()
    (key,) = bucket.keys
    assert key.startswith(f"{NAMESPACE}/{fork.uid}/")
    for text in (runner.output, runner.termination, json.dumps(session.read())):
        assert "wrong-secret-canary" not in text
        assert SECRET_KEY not in text


def test_a_full_store_is_a_passing_fault_and_a_missing_bucket_is_not(
    runners: RunnerBench, bucket: Bucket, tmp_path: Path
) -> None:
    missing = runners.session(UNSAVED, {"mebibytes": 91})
    assert missing.run(RESULT_STORE_DIR=str(bucket.write_secret(tmp_path / "m", bucket="no-such-bucket"))) == 2
    assert "NoSuchBucket" in missing.status["message"]
    with full_server(tmp_path / "full") as server:
        secret = make_bucket(server).write_secret(tmp_path / "f")
        full = runners.session(UNSAVED, {"mebibytes": 91}, RESULT_STORE_PATIENCE_SECONDS="1")
        runner = full.start(RESULT_STORE_DIR=str(secret))
        assert runner.wait() == ExitCode.RESULTS_UNAVAILABLE
    assert "the object store failed" in runner.termination
    assert full.status["phase"] == "Running"


def test_a_runner_killed_while_it_uploads_leaves_nothing_behind_its_successor(
    runners: RunnerBench, bucket: Bucket, secret: Path, object_server: ObjectServer
) -> None:
    session = runners.session(LARGE, {"mebibytes": 91}, RESULT_STORE_DIR=str(secret))
    first = session.start()
    wait_for(lambda: bucket.uploads, bool, what="the beginning of the upload", every=0.005)
    first.signal(signal.SIGKILL)
    first.wait()
    assert session.status["phase"] == "Running"
    assert session.run() == ExitCode.DONE
    assert session.ran == ["build"]
    assert bucket.uploads == 0
    (key,) = bucket.keys
    assert session.status["resultRef"]["url"] == f"s3://{bucket.config.bucket}/{key}"


def test_sigterm_while_it_uploads_gives_up_in_time_and_the_next_pod_stores_it(
    runners: RunnerBench, bucket: Bucket, secret: Path, object_server: ObjectServer
) -> None:
    session = runners.session(LARGE, {"mebibytes": 91}, RESULT_STORE_DIR=str(secret), TERMINATION_GRACE_SECONDS="6")
    first = session.start()
    wait_for(lambda: bucket.uploads, bool, what="the beginning of the upload", every=0.005)
    object_server.pause()
    try:
        first.signal(signal.SIGTERM)
        assert first.wait() == ExitCode.DRAINED
    finally:
        object_server.resume()
    assert session.run() == ExitCode.DONE
    assert session.ran == ["build"]
    assert bucket.uploads == 0
    assert len(bucket.keys) == 1


def test_an_end_that_is_only_in_the_row_is_told_with_its_reference(runners: RunnerBench) -> None:
    session = runners.session(LARGE, {"mebibytes": 91})
    reference = {"size": 95_000_000, "sha256": "0" * 64}
    url = f"s3://results/{NAMESPACE}/{session.uid}/result-r1-0.json"
    runners.database.execute(
        "INSERT INTO workflow_sessions (session_uid, project_name, session_name, workflow_name, status, output_data,"
        " thread_id, run, completed_at) VALUES (%s, %s, %s, 'w', 'completed', %s::jsonb, %s, 1, now())",
        [session.uid, NAMESPACE, session.name, json.dumps({"result_url": url, **reference}), session.thread_id],
    )
    assert session.run() == ExitCode.DONE
    assert session.ran == []
    assert session.status["resultRef"] == {"url": url, **reference}


def test_an_object_store_that_is_not_described_is_named_before_anything_runs(
    runners: RunnerBench, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    session = runners.session(LARGE, {"mebibytes": 1})
    runner = session.start(RESULT_STORE_DIR=str(tmp_path / "empty"))
    assert runner.wait() == ExitCode.CONFIGURATION
    for word in ("endpoint", "bucket", "access-key", "secret-key", "RESULT_STORE_DIR"):
        assert word in runner.errors
    assert session.ran == []
