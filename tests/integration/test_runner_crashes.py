"""A runner that dies or is told to go, and the one that follows it: what was done is not done again."""

import re
import signal
from collections import Counter

import psycopg

from tests.support.flows import HELD, PARALLEL, RAISING, TWO_NODES
from tests.support.runner import RunnerBench, Session
from tests.support.waiting import wait_for


def _writes_of(runners: RunnerBench, session: Session, channel: str) -> int:
    statement = "SELECT count(*) FROM checkpoint_writes WHERE thread_id = %s AND channel = %s"
    count: int = runners.database.execute(statement, [session.thread_id, channel])[0][0]
    return count


def test_after_a_kill_the_next_runner_repeats_no_finished_node(runners: RunnerBench) -> None:
    session = runners.session(HELD, {})
    killed = session.start()
    session.wait_until_reached("second")
    killed.signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    session.let_go("second")
    assert session.run() == 0
    assert session.ran == ["first", "second", "second", "third"]
    assert session.status["result"] == {"x": 111}


def test_sigterm_finishes_the_super_step_and_the_next_runner_goes_on(runners: RunnerBench) -> None:
    session = runners.session(HELD, {})
    drained = session.start()
    session.wait_until_reached("second")
    drained.signal(signal.SIGTERM)
    session.let_go("second")
    assert drained.wait() == 143
    assert session.ran == ["first", "second"]
    assert session.status["phase"] == "Running"
    assert session.run() == 0
    assert session.ran == ["first", "second", "third"]
    assert session.status["result"] == {"x": 111}


def test_a_second_sigterm_ends_the_runner_at_once(runners: RunnerBench) -> None:
    session = runners.session(HELD, {})
    runner = session.start()
    session.wait_until_reached("second")
    runner.signal(signal.SIGTERM)
    wait_for(lambda: runner.output, lambda text: "SIGTERM" in text, what="the first signal's effect")
    runner.signal(signal.SIGTERM)
    assert runner.wait() == 143


def test_a_node_that_never_ends_is_given_up_when_the_grace_is_over(runners: RunnerBench) -> None:
    session = runners.session(HELD, {})
    runner = session.start(TERMINATION_GRACE_SECONDS="6")
    session.wait_until_reached("second")
    runner.signal(signal.SIGTERM)
    assert runner.wait() == 143


def test_a_graph_that_raises_is_tried_again_as_often_as_retries_says(runners: RunnerBench) -> None:
    session = runners.session(RAISING, {"x": 9}, RETRIES="2")
    assert session.run() == 1
    status = session.status
    assert (status["phase"], status["reason"]) == ("Running", "Retrying")
    assert re.fullmatch(r"attempt 1 of 3 failed: ValueError: no luck with 9 \(graph.py:\d+\)", status["message"])
    assert session.run() == 1
    assert session.status["message"].startswith("attempt 2 of 3 failed")
    last = session.start()
    assert last.wait() == 3
    status = session.status
    assert (status["phase"], status["reason"]) == ("Failed", "GraphError")
    message = status["error"].pop("message")
    assert re.fullmatch(r"ValueError: no luck with 9 \(graph.py:\d+\)", message)
    assert status["error"] == {"type": "ValueError", "node": "risky", "retriable": True}
    assert last.termination == message
    assert session.ran == ["prepare", "risky", "risky", "risky"]
    assert runners.row(session)[0] == "failed"
    assert any("Traceback" in line.get("traceback", "") for line in last.log)


def test_a_graph_that_raises_once_completes_at_the_second_attempt(runners: RunnerBench) -> None:
    session = runners.session(RAISING, {"x": 1}, RETRIES="1")
    assert session.run() == 1
    assert session.run() == 0
    assert session.ran == ["prepare", "risky", "risky"]
    assert session.status["phase"] == "Completed"


def test_beside_a_node_that_raises_the_one_that_succeeded_runs_once(runners: RunnerBench) -> None:
    session = runners.session(PARALLEL, {"done": []}, RETRIES="1")
    runner = session.start()
    session.wait_until_reached("bad")
    wait_for(lambda: _writes_of(runners, session, "done"), bool, what="the write of the good node", every=0.05)
    session.let_go("bad")
    assert runner.wait() == 1, runner.output
    assert session.run() == 0
    assert Counter(session.ran) == {"good": 1, "bad": 2}
    assert sorted(session.status["result"]["done"]) == ["bad", "good"]


def test_a_runner_killed_after_its_last_checkpoint_is_followed_by_one_that_only_reports(runners: RunnerBench) -> None:
    session = runners.session(HELD, {})
    runner = session.start()
    session.wait_until_reached("second")
    with psycopg.connect(runners.database.dsn) as blocker:
        # Nobody can store the result while we hold its row.
        blocker.execute("SELECT 1 FROM workflow_sessions WHERE session_uid = %s FOR UPDATE", [session.uid])
        session.let_go("second")
        wait_for(lambda: runners.checkpoints(session), lambda n: n == 5, what="the last checkpoint", every=0.05)
        runner.signal(signal.SIGKILL)
        runner.wait()
    assert session.status["phase"] == "Running"
    assert session.run() == 0
    assert session.ran == ["first", "second", "third"]
    assert session.status["result"] == {"x": 111}


def test_a_result_that_was_stored_but_not_told_is_told_by_the_next_runner(runners: RunnerBench) -> None:
    session = runners.session(HELD, {})
    runner = session.start(API_PATIENCE_SECONDS="1")
    session.wait_until_reached("second")
    runners.plane.kill_apiserver()
    try:
        session.let_go("second")
        assert runner.wait() == 21
    finally:
        runners.plane.start_apiserver()
    assert runners.row(session)[0] == "completed"
    assert session.status["phase"] == "Running"
    (session.project / "graph.py").unlink()
    assert session.run() == 0
    assert session.status["phase"] == "Completed"
    assert session.status["result"] == {"x": 111}


def test_a_runner_that_was_asleep_is_fenced_off_by_its_successor(runners: RunnerBench) -> None:
    session = runners.session(HELD, {})
    asleep = session.start()
    session.wait_until_reached("second")
    asleep.signal(signal.SIGSTOP)
    session.set_status(phase="Creating", run=2)
    session.let_go("second")
    assert session.run(2) == 0
    before = runners.checkpoints(session)
    asleep.signal(signal.SIGCONT)
    assert asleep.wait() == 8, asleep.output
    assert runners.checkpoints(session) == before
    assert Counter(session.ran) == {"first": 1, "second": 2, "third": 1}
    assert session.status["run"] == 2
    assert session.status["phase"] == "Completed"


# Every epoch that the fence of a thread has had.
NOTE_TAKES = (
    "CREATE TABLE takes (epoch bigint PRIMARY KEY)",
    """
    CREATE FUNCTION note_take() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        INSERT INTO takes VALUES (NEW.epoch) ON CONFLICT DO NOTHING;
        RETURN NULL;
    END $$
    """,
    "CREATE TRIGGER note_take AFTER INSERT OR UPDATE ON thread_fences FOR EACH ROW EXECUTE FUNCTION note_take()",
)


def test_of_eight_runners_at_once_on_a_fresh_thread_exactly_one_completes(runners: RunnerBench) -> None:
    session = runners.session(HELD, {})
    for statement in NOTE_TAKES:
        runners.database.execute(statement)
    crowd = [session.start() for _ in range(8)]
    wait_for(
        lambda: runners.database.execute("SELECT count(*) FROM takes"),
        lambda rows: rows[0][0] == 8,
        what="all eight at the fence",
    )
    session.let_go("second")
    codes = Counter(runner.wait() for runner in crowd)
    assert codes == {0: 1, 8: 7}
    assert session.ran.count("third") == 1
    assert session.status["result"] == {"x": 111}
    assert runners.checkpoints(session) == 5


def test_a_session_deleted_during_its_run_stops_the_runner(runners: RunnerBench) -> None:
    session = runners.session(HELD, {})
    runner = session.start()
    session.wait_until_reached("second")
    session.wait_for_status(lambda status: status.get("currentNode") == "second", what="the report of the node")
    runners.plane.request("DELETE", session.path)
    session.let_go("second")
    assert runner.wait() == 8, runner.output


def test_a_session_made_again_under_its_name_does_not_see_the_old_thread(runners: RunnerBench) -> None:
    session = runners.session(TWO_NODES, {"x": 1})
    assert session.run() == 0
    runners.plane.request("DELETE", session.path)
    again = runners.session(TWO_NODES, {"x": 5}, name=session.name)
    assert again.uid != session.uid
    assert session.run() == 8
    assert again.run() == 0
    assert again.status["result"] == {"x": 6, "y": 12}
