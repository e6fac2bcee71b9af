"""The API server or PostgreSQL goes away during a run: the graph goes on, or waits, and nothing is lost."""

import json

from agentic_core.names import RUNNER_SERVICE_ACCOUNT
from tests.support.flows import HELD
from tests.support.runner import NAMESPACE, RunnerBench
from tests.support.waiting import wait_for


def test_the_graph_goes_on_while_the_api_server_is_away(runners: RunnerBench) -> None:
    session = runners.session(HELD, {})
    runner = session.start()
    session.wait_until_reached("second")
    runners.plane.kill_apiserver()
    try:
        session.let_go("second")
        wait_for(lambda: runners.row(session)[0], lambda status: status == "completed", what="the stored result")
        assert runner.process.poll() is None
    finally:
        runners.plane.start_apiserver()
    assert runner.wait() == 0
    assert session.status["result"] == {"x": 111}
    assert session.ran == ["first", "second", "third"]


def test_a_token_rotated_during_the_run_is_used_at_once(runners: RunnerBench) -> None:
    session = runners.session(HELD, {})
    good = runners.token_file.read_text()
    runner = session.start()
    session.wait_until_reached("second")
    session.wait_for_status(lambda status: status.get("currentNode") == "second", what="a report with the first token")
    runners.token_file.write_text("expired-token-of-the-past")
    session.let_go("second")
    wait_for(lambda: runner.output, lambda text: "401" in text, what="the refusal of the old token")
    runners.token_file.write_text(runners.plane.service_account_token(NAMESPACE, RUNNER_SERVICE_ACCOUNT))
    assert runner.wait() == 0
    assert session.status["phase"] == "Completed"
    for secret in (good, "expired-token-of-the-past", runners.token_file.read_text()):
        assert secret not in runner.output


def test_a_restarted_database_costs_no_finished_node(runners: RunnerBench) -> None:
    session = runners.session(HELD, {})
    runner = session.start()
    session.wait_until_reached("second")
    runners.database.server.restart()
    session.let_go("second")
    assert runner.wait() == 0, runner.output
    assert session.ran == ["first", "second", "third"]
    assert session.status["result"] == {"x": 111}


def test_while_the_database_is_away_the_session_says_so_and_goes_on_after(runners: RunnerBench) -> None:
    session = runners.session(HELD, {}, DATABASE_PATIENCE_SECONDS="12")
    runner = session.start()
    session.wait_until_reached("second")
    runners.database.server.kill()
    try:
        session.let_go("second")
        session.wait_for_status(lambda status: status.get("reason") == "DatabaseUnavailable", what="the reason")
        assert session.status["phase"] == "Running"
    finally:
        runners.database.server.start()
    assert runner.wait() == 0, runner.output
    status = session.status
    assert status["result"] == {"x": 111}
    assert status["reason"] == "Completed"
    # At most the super-step that was on is done again.
    assert session.ran in (["first", "second", "third"], ["first", "second", "second", "third"])


def test_a_database_that_stays_away_ends_the_pod_for_the_next_one(runners: RunnerBench) -> None:
    session = runners.session(HELD, {}, DATABASE_PATIENCE_SECONDS="1")
    runner = session.start()
    session.wait_until_reached("second")
    runners.database.server.kill()
    try:
        session.let_go("second")
        assert runner.wait() == 20, runner.output
        status = session.status
        assert (status["phase"], status["reason"]) == ("Running", "DatabaseUnavailable")
        assert session.run() == 20
    finally:
        runners.database.server.start()
    assert session.run() == 0
    assert session.status["result"] == {"x": 111}


def test_the_log_is_json_and_names_the_session(runners: RunnerBench) -> None:
    session = runners.session(HELD, {})
    session.let_go("second")
    runner = session.start()
    assert runner.wait() == 0
    lines = (runner.folder / "out").read_text().splitlines()
    assert lines
    for line in lines:
        assert json.loads(line)["session"] == f"{NAMESPACE}/{session.name}"
