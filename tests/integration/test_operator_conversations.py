"""Conversations on a real API server and a real PostgreSQL: people add turns, the test plays the runner's pod."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest

from agentic_core.contract import KEPT_TURNS
from agentic_core.names import notify_channel
from hack.cluster.errors import ClusterError
from tests.support.kube import Json, OperatorProcess, Space
from tests.support.postgres import PostgresDatabase
from tests.support.waiting import PATIENCE_SECONDS, wait_for
from tests.trust.roles import APPLY_PATCH, Client, a_pod_of, a_user

READY: Json = {"runnerContract": 3}


def converse(space: Space, *turns: str, **spec: Any) -> None:
    space.start("s", mode="Conversation", turns=[{"name": name, "input": {"say": name}} for name in turns], **spec)


def add(space: Space, name: str, **fields: Any) -> None:
    """Add a turn, as whoever applies it alone."""
    body = {
        "apiVersion": "agentic-operator.dev/v1alpha1",
        "kind": "AgenticSession",
        "metadata": {"name": "s"},
        "spec": {"turns": [{"name": name, "input": {"say": name}, **fields}]},
    }
    person = a_user(space.plane, space.name, "agentic-edit", "agentic-view", name=f"who-adds-{name}")
    answer = person.request(
        "PATCH", f"{space._path('agenticsessions', 's')}?fieldManager={name}", body, kind=APPLY_PATCH
    )
    assert answer.is_done, answer


def cancel(space: Space, name: str) -> None:
    turns = [{**each, "cancel": True} if each["name"] == name else each for each in space.session("s")["spec"]["turns"]]
    space.change("s", turns=turns)


def wait_turn(space: Space, name: str) -> Json:
    """Wait until a turn is on; return the status."""
    return wait_for(
        lambda: space.status("s"),
        lambda status: (status.get("turn") or {}).get("name") == name,
        what=f"turn {name} on",
        every=0.02,
    )


def wait_end(space: Space, name: str, phase: str) -> Json:
    """Wait until a turn is recorded as ended; return its record."""
    found = wait_for(
        lambda: find_record(space, name),
        lambda record: record is not None and record["phase"] == phase,
        what=f"turn {name} {phase}",
        every=0.02,
    )
    assert found is not None
    return found


def find_record(space: Space, name: str) -> Json | None:
    return next((each for each in space.status("s").get("turns", []) if each["name"] == name), None)


def runner_of(space: Space, run: int) -> tuple[str, Client]:
    """Wait for the pod of a run; return its name, and the code in it."""
    pod = space.wait_pod(f"s-r{run}")
    wait_for(lambda: space.status("s"), lambda s: s.get("run") == run, what=f"run {run}", every=0.02)
    return pod, a_pod_of(space.plane, space.name, pod)


def say(runner: Client, space: Space, **status: Any) -> None:
    """Write the status with the rights of the pod."""
    answer = runner.request("PATCH", space._path("agenticsessions", "s", "status"), {"status": status})
    assert answer.is_done, answer


def run_turn(space: Space, run: int, *, phase: str = "Completed", is_warm: bool = False) -> str:
    """Play the runner of a run for the turn that is on; return its name."""
    pod, runner = runner_of(space, run)
    turn: Json = space.status("s")["turn"]
    say(runner, space, phase="Running")
    end_turn(space, runner, turn, phase)
    if not is_warm:
        space.end_pod(pod, 0)
    return str(turn["name"])


def end_turn(space: Space, runner: Client, turn: Json, phase: str = "Completed") -> None:
    end = {"name": turn["name"], "number": turn["number"], "phase": phase, "checkpointId": f"c{turn['number']}"}
    if phase == "Failed":
        end["error"] = {"type": "ToolDown", "message": "the tool is down"}
    say(runner, space, phase="Idle", turnEnd=end, result={"said": turn["name"]})


@contextmanager
def an_operator(space: Space, database: PostgresDatabase, **variables: str) -> Iterator[OperatorProcess]:
    dsn = space.folder / "dsn"
    dsn.write_text(database.dsn)
    made = space.operator(is_started=True, POSTGRES_CONNECTION_STRING_FILE=str(dsn), TENANCY="off", **variables)
    try:
        yield made
    finally:
        assert "Traceback" not in made.log, made.log[-4000:]


@pytest.fixture
def operator(space: Space, database: PostgresDatabase) -> Iterator[OperatorProcess]:
    """An operator with a database, and a definition that is ready."""
    space.define(status=READY)
    with an_operator(space, database) as made:
        yield made


def rows(database: PostgresDatabase) -> list[tuple[Any, ...]]:
    return database.execute("SELECT number, name, phase, author, run FROM session_turns ORDER BY number")


def wait_rows(database: PostgresDatabase, *wanted: tuple[Any, ...]) -> None:
    wait_for(lambda: rows(database), lambda found: found == list(wanted), what=f"the rows {wanted}", every=0.05)


def test_turns_run_one_after_another_each_in_a_run_of_its_own(
    space: Space, database: PostgresDatabase, operator: OperatorProcess
) -> None:
    converse(space)
    idle = space.wait_status("s", "Idle", "Idle")
    assert (idle.get("run"), idle.get("turn"), space.session_jobs()) == (None, None, [])
    assert idle["workflow"]["runnerContract"] == 3
    add(space, "one", by="who-adds-one")
    add(space, "two")
    assert run_turn(space, 1) == "one"
    record = wait_end(space, "one", "Completed")
    assert (record["number"], record["by"], record["checkpointId"]) == (1, "who-adds-one", "c1")
    assert run_turn(space, 2, phase="Failed") == "two"
    failed = wait_end(space, "two", "Failed")
    assert failed["error"] == {"type": "ToolDown", "message": "the tool is down"}
    status = space.wait_status("s", "Idle", "TurnFailed")
    assert (status["turnCount"], status.get("turn")) == (2, None)
    wait_rows(database, (1, "one", "completed", "who-adds-one", 1), (2, "two", "failed", "", 2))
    add(space, "three")
    assert run_turn(space, 3) == "three"
    wait_end(space, "three", "Completed")
    notes = [note for reason, note in space.events() if reason.startswith("Turn")]
    assert any("turn two failed: the tool is down" in note for note in notes)


def test_a_warm_pod_is_told_of_the_next_turn_and_takes_it_without_a_job(
    space: Space, database: PostgresDatabase, operator: OperatorProcess
) -> None:
    converse(space, "one", keepWarmSeconds=600)
    run_turn(space, 1, is_warm=True)
    wait_end(space, "one", "Completed")
    uid = space.session("s")["metadata"]["uid"]
    with closing(psycopg.connect(database.dsn, autocommit=True)) as conn:
        conn.execute(f"LISTEN {notify_channel(uid)}".encode())
        add(space, "two")
        (told,) = list(conn.notifies(timeout=PATIENCE_SECONDS, stop_after=1))
    assert told.payload == "2"
    status = wait_turn(space, "two")
    assert (status["phase"], status["run"], space.session_jobs()) == ("Idle", 1, ["s-r1"])
    job = space.wait_job("s-r1")
    assert "activeDeadlineSeconds" not in job["spec"]
    _, runner = runner_of(space, 1)
    say(runner, space, phase="Running")
    end_turn(space, runner, status["turn"])
    wait_end(space, "two", "Completed")
    wait_rows(database, (1, "one", "completed", "", 1), (2, "two", "completed", "", 1))


def test_a_warm_pod_is_told_of_an_answer(space: Space, database: PostgresDatabase, operator: OperatorProcess) -> None:
    space.start("s", keepWarmSeconds=600)
    _, runner = runner_of(space, 1)
    say(runner, space, phase="Running")
    say(runner, space, phase="WaitingForInput", interrupts=[{"id": "q", "value": "ok?"}])
    uid = space.session("s")["metadata"]["uid"]
    with closing(psycopg.connect(database.dsn, autocommit=True)) as conn:
        conn.execute(f"LISTEN {notify_channel(uid)}".encode())
        space.change("s", responses=[{"interruptId": "q", "value": True}])
        assert len(list(conn.notifies(timeout=PATIENCE_SECONDS, stop_after=1))) == 1
    assert space.status("s")["answers"][0]["value"] is True


def test_a_warm_pod_that_is_gone_is_followed_by_a_run_for_the_turn(space: Space, operator: OperatorProcess) -> None:
    converse(space, "one", keepWarmSeconds=600)
    run_turn(space, 1, is_warm=True)
    wait_end(space, "one", "Completed")
    add(space, "two")
    wait_turn(space, "two")
    space.end_pod(space.wait_pod("s-r1"), 0)
    assert run_turn(space, 2, is_warm=True) == "two"
    wait_end(space, "two", "Completed")


def test_a_turn_is_cancelled_while_it_runs_while_it_asks_and_before_it_begins(
    space: Space, database: PostgresDatabase, operator: OperatorProcess
) -> None:
    converse(space, "one", "two", "three", "four")
    _, runner = runner_of(space, 1)
    say(runner, space, phase="Running")
    cancel(space, "two")
    cancel(space, "one")
    assert "number" not in wait_end(space, "two", "Canceled")
    wait_end(space, "one", "Canceled")
    # The next one does not begin before nothing of the cancelled one lives.
    pod, runner = runner_of(space, 2)
    assert space.status("s")["turn"]["name"] == "three"
    say(runner, space, phase="Running")
    say(runner, space, phase="WaitingForInput", interrupts=[{"id": "q", "value": "ok?"}], question="ok?")
    space.end_pod(pod, 0)
    cancel(space, "three")
    wait_end(space, "three", "Canceled")
    assert run_turn(space, 3) == "four"
    status = space.wait_status("s", "Idle", "TurnCompleted")
    assert (status.get("interrupts"), status.get("question")) == ([], None)
    wait_rows(database, (1, "one", "canceled", "", 1), (2, "three", "canceled", "", 2), (3, "four", "completed", "", 3))


def test_a_turn_that_preempts_goes_first_and_rolls_the_other_one_back(space: Space, operator: OperatorProcess) -> None:
    converse(space, "one", "two", "three")
    run_turn(space, 1)
    _, runner = runner_of(space, 2)
    say(runner, space, phase="Running", checkpointId="c-within-two")
    add(space, "now", preempt="Rollback")
    wait_end(space, "two", "Canceled")
    status = wait_turn(space, "now")
    assert status["turn"]["fromCheckpoint"] == "c1"
    assert run_turn(space, 3) == "now"
    assert run_turn(space, 4) == "three"
    assert "fromCheckpoint" not in (find_record(space, "three") or {})


def test_a_turn_of_which_all_runs_are_lost_fails_and_the_next_one_runs(
    space: Space, database: PostgresDatabase, operator: OperatorProcess
) -> None:
    converse(space, "one", "two")
    for run in range(1, 5):
        pod, runner = runner_of(space, run)
        say(runner, space, phase="Running")
        space.end_pod(pod, 0)
    assert wait_end(space, "one", "Failed")["error"]["type"] == "RunnerLost"
    assert run_turn(space, 5) == "two"
    status = space.wait_status("s", "Idle", "TurnCompleted")
    assert not any(each["type"] == "Failed" for each in status["conditions"])
    wait_rows(database, (1, "one", "failed", "", 4), (2, "two", "completed", "", 5))


def test_an_end_that_was_stored_stands_where_its_turn_is_cancelled(
    space: Space, database: PostgresDatabase, operator: OperatorProcess
) -> None:
    converse(space, "one")
    _, runner = runner_of(space, 1)
    say(runner, space, phase="Running")
    wait_rows(database, (1, "one", "running", "", 1))
    # The runner stores its end, and is killed before it tells it.
    database.execute(
        "UPDATE session_turns SET phase = 'completed', finished_at = now(), output = '{\"n\": 1}', checkpoint_id = 'c9'"
    )
    cancel(space, "one")
    record = wait_end(space, "one", "Completed")
    assert record["checkpointId"] == "c9"
    assert space.status("s")["result"] == {"n": 1}


def test_what_cannot_run_is_refused_with_the_place_and_the_remedy_and_the_next_one_runs(
    space: Space, database: PostgresDatabase
) -> None:
    schema = {"type": "object", "properties": {"say": {"enum": ["good", "fine"]}}}
    space.define(status=READY, inputSchema=schema)
    with an_operator(space, database):
        converse(space)
        add(space, "bad")
        add(space, "worse", input={"say": "good"}, context={"text": "a\0b"})
        add(space, "good")
        bad, worse = wait_end(space, "bad", "Refused"), wait_end(space, "worse", "Refused")
        assert bad["error"]["message"].startswith("/spec/turns/0/input/say: ")
        assert (
            worse["error"]["message"] == "/spec/turns/1/context/text: the character \\u0000 cannot be stored; remove it"
        )
        assert run_turn(space, 1) == "good"
        wait_end(space, "good", "Completed")
        condition = next(each for each in space.status("s")["conditions"] if each["type"] == "TurnAccepted")
        assert (condition["status"], condition["reason"]) == ("True", "TurnAccepted")


def test_an_old_runner_takes_no_conversation_and_no_turn(space: Space, database: PostgresDatabase) -> None:
    space.define(status={"runnerContract": 2})
    space.define("new", status=READY)
    with an_operator(space, database):
        space.start("old", mode="Conversation")
        failed = space.wait_status("old", "Failed", "RunnerTooOld")
        accepted = next(each for each in failed["conditions"] if each["type"] == "Accepted")
        assert accepted["status"] == "False"
        assert "build it anew on the current base image" in accepted["message"]
        space.start("s", "new", mode="Conversation")
        space.wait_status("s", "Idle")
        space.check("new", status={"runnerContract": 2})
        add(space, "one")
        assert wait_end(space, "one", "Refused")["error"]["type"] == "RunnerTooOld"
        space.check("new", status=READY)
        add(space, "two")
        assert run_turn(space, 1) == "two"


def test_the_next_turn_runs_the_latest_revision_or_the_pinned_one(
    space: Space, database: PostgresDatabase, operator: OperatorProcess
) -> None:
    converse(space, "one")
    run_turn(space, 1)
    wait_end(space, "one", "Completed")
    path = space._path("workflowdefinitions", "report")
    space.plane.request("PATCH", path, {"spec": {"image": "registry.example.com/team/workflow:2"}})
    space.check("report", status=READY)
    add(space, "two")
    assert run_turn(space, 2) == "two"
    wait_end(space, "two", "Completed")
    assert space.status("s")["workflow"]["image"].endswith(":2")
    space.change("s", revision="Pinned")
    space.plane.request("PATCH", path, {"spec": {"image": "registry.example.com/team/workflow:3"}})
    space.check("report", status=READY)
    add(space, "three")
    run_turn(space, 3)
    wait_end(space, "three", "Completed")
    assert space.status("s")["workflow"]["image"].endswith(":2")


def test_a_conversation_ends_when_it_is_closed_and_when_nobody_says_anything(
    space: Space, operator: OperatorProcess
) -> None:
    converse(space, "one", "two")
    space.change("s", close=True)
    run_turn(space, 1)
    # The last pod is deleted once its turn has ended: who plays it may come too late to end it.
    run_turn(space, 2, is_warm=True)
    status = space.wait_status("s", "Completed", "Closed")
    assert [each["phase"] for each in status["turns"]] == ["Completed", "Completed"]
    assert next(each for each in status["conditions"] if each["type"] == "Complete")["status"] == "True"
    with pytest.raises(ClusterError, match="takes no more turns"):
        space.change("s", turns=[*space.session("s")["spec"]["turns"], {"name": "late"}])
    space.start("quiet", mode="Conversation", idleDeadlineSeconds=2)
    space.wait_status("quiet", "Completed", "IdleDeadlineExceeded")


def test_turns_over_twenty_go_and_their_names_are_not_used_again(
    space: Space, database: PostgresDatabase, operator: OperatorProcess
) -> None:
    converse(space, keepWarmSeconds=600)
    space.wait_status("s", "Idle")
    add(space, "t1")
    run_turn(space, 1, is_warm=True)
    _, runner = runner_of(space, 1)
    for number in range(2, KEPT_TURNS + 6):
        add(space, f"t{number}")
        status = wait_turn(space, f"t{number}")
        say(runner, space, phase="Running")
        end_turn(space, runner, status["turn"])
    last = [f"t{number}" for number in range(6, KEPT_TURNS + 6)]

    def kept() -> tuple[list[str], list[str]]:
        session = space.session("s")
        return [each["name"] for each in session["spec"]["turns"]], [
            each["name"] for each in session["status"]["turns"]
        ]

    wait_for(kept, lambda found: found == (last, last), what="the last twenty", every=0.1)
    assert space.status("s")["turnCount"] == KEPT_TURNS + 5
    add(space, "t3")
    refused = wait_end(space, "t3", "Refused")
    assert "a turn 't3' ran before" in refused["error"]["message"]
    add(space, "t99")
    wait_turn(space, "t99")
    # Rows are written behind the status.
    wait_for(lambda: len(rows(database)), lambda found: found == KEPT_TURNS + 6, what="the rows of all turns")


def test_a_namespace_has_as_many_conversations_as_the_setting_says(space: Space, database: PostgresDatabase) -> None:
    space.define(status=READY)
    with an_operator(space, database, MAX_CONVERSATIONS="2"):
        for name in ("a", "b"):
            space.start(name, mode="Conversation")
            space.wait_status(name, "Idle")
        space.start("c", mode="Conversation")
        waiting = space.wait_status("c", "Pending", "TooManyConversations")
        assert "MAX_CONVERSATIONS" in waiting["message"]
        space.start("once")
        space.wait_status("once", "Creating")
        space.change("a", close=True)
        space.wait_status("a", "Completed")
        space.wait_status("c", "Idle")


def test_an_operator_that_is_killed_anywhere_goes_on_with_the_turns(space: Space, database: PostgresDatabase) -> None:
    space.define(status=READY)
    with an_operator(space, database) as operator:
        converse(space, "one", "two", "three")
        for run, name in enumerate(("one", "two", "three"), start=1):
            operator.kill()
            operator.start()
            pod, runner = runner_of(space, run)
            assert wait_turn(space, name)["turn"]["number"] == run
            say(runner, space, phase="Running")
            operator.kill()
            end_turn(space, runner, space.status("s")["turn"])
            space.end_pod(pod, 0)
            operator.start()
            wait_end(space, name, "Completed")
        # Which run an end came from, a process that did not see it cannot tell: the runner's own row does.
        wait_for(
            lambda: [row[:3] for row in rows(database)],
            lambda found: found == [(n, name, "completed") for n, name in enumerate(("one", "two", "three"), start=1)],
            what="the rows of all turns",
        )
