"""The operator killed, doubled, cut off and started again: nothing happens twice and nothing is lost."""

import json
import time
from pathlib import Path

from hack.cluster.controlplane import ControlPlane
from tests.support.kube import SYSTEM, Json, Space
from tests.support.postgres import PostgresDatabase
from tests.support.waiting import wait_for


def versions(space: Space) -> dict[str, str]:
    """Return the version of everything that an operator writes in a namespace."""
    found = {s["metadata"]["name"]: s["metadata"]["resourceVersion"] for s in space.sessions()}
    found.update((j["metadata"]["name"], j["metadata"]["resourceVersion"]) for j in space.jobs())
    found["report"] = space.definition()["metadata"]["resourceVersion"]
    return found


def test_a_restart_over_settled_sessions_writes_nothing(space: Space) -> None:
    space.define()
    first = space.operator()
    for number in range(5):
        space.start(f"done{number}")
        space.wait_status(f"done{number}", "Creating")
        space.report(f"done{number}", phase="Running")
        space.report(f"done{number}", phase="Completed", completionTime="2026-01-01T00:00:00Z")
    space.start("asks")
    space.wait_status("asks", "Creating")
    pod = space.wait_pod("asks-r1")
    space.report("asks", phase="Running")
    space.report("asks", phase="WaitingForInput", interrupts=[{"id": "q", "value": "ok?"}])
    space.end_pod(pod, 0)
    space.start("refused", inputs={"a": "x" * 300_000})
    space.wait_status("refused", "Failed")
    space.start("runs")
    space.wait_status("runs", "Creating")
    wait_for(space.definition, lambda d: d["status"].get("activeSessions") == 1, what="the count", every=0.1)
    space.settle(2)
    first.kill()
    before = versions(space)
    second = space.operator("second", LOG_LEVEL="debug")
    space.start("after")
    space.wait_status("after", "Creating")
    space.settle(2)
    after = versions(space)
    assert second.process is not None
    assert second.process.poll() is None
    assert {name: after[name] for name in before if name != "report"} == {
        name: version for name, version in before.items() if name != "report"
    }


def test_a_session_made_while_no_operator_runs_and_a_job_made_just_before_a_crash_are_taken_up(space: Space) -> None:
    space.define()
    operator = space.operator()
    space.start("s")
    space.wait_status("s", "Creating")
    operator.kill()
    # As after a crash between the Job and the status: the session knows nothing of its Job.
    before = space.wait_job("s-r1")
    space.plane.request(
        "PATCH",
        f"/apis/agentic-operator.dev/v1alpha1/namespaces/{space.name}/agenticsessions/s/status",
        {"status": {"run": None, "jobName": None, "workflow": None}},
    )
    space.start("late")
    operator.start()
    space.wait_status("late", "Creating")
    status = wait_for(lambda: space.status("s"), lambda s: s.get("run") == 1, what="the run", every=0.05)
    assert (status["phase"], status["jobName"]) == ("Creating", "s-r1")
    assert space.wait_job("s-r1")["metadata"]["uid"] == before["metadata"]["uid"]
    assert space.session_jobs() == ["late-r1", "s-r1"]


def test_an_operator_killed_again_and_again_makes_each_job_once(space: Space) -> None:
    space.define()
    operator = space.operator()
    uids: dict[str, str] = {}
    for number in range(30):
        space.start(f"s{number:02}")
        if number % 6 == 5:
            operator.kill()
            uids.update((j["metadata"]["name"], j["metadata"]["uid"]) for j in space.jobs())
            operator.start()
    for number in range(30):
        space.wait_status(f"s{number:02}", "Creating", "JobCreated")
    jobs = {job["metadata"]["name"]: job["metadata"]["uid"] for job in space.jobs()}
    assert sorted(jobs) == [f"s{number:02}-r1" for number in range(30)]
    assert all(jobs[name] == uid for name, uid in uids.items())


def test_two_operators_without_election_make_each_job_once(space: Space) -> None:
    space.define(maxActiveSessions=100)
    one, two = space.operator("one"), space.operator("two")
    for number in range(40):
        space.start(f"s{number:02}")
    for number in range(40):
        space.wait_status(f"s{number:02}", "Creating", "JobCreated")
    space.settle()
    assert space.session_jobs() == [f"s{number:02}-r1" for number in range(40)]
    assert all(s["status"]["run"] == 1 for s in space.sessions())
    for operator in (one, two):
        assert operator.process is not None
        assert operator.process.poll() is None
        assert "unexpected error" not in operator.log


def test_one_of_two_replicas_leads_and_the_other_takes_over(space: Space) -> None:
    space.define()
    one = space.operator("one", LEADER_ELECTION="true", LEASE_SECONDS="3")
    wait_for(lambda: one.log, lambda log: "became leader" in log, what="the first leads", every=0.05)
    two = space.operator("two", LEADER_ELECTION="true", LEASE_SECONDS="3")
    wait_for(lambda: two.log, lambda log: "waiting for the lease" in log, what="the second waits", every=0.05)
    space.start("a")
    space.wait_status("a", "Creating")
    one.kill()
    space.start("b")
    space.wait_status("b", "Creating")
    assert "became leader" in two.log
    assert two.end() == 0
    lease = space.plane.request("GET", f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/agentic-operator")
    assert not lease["spec"].get("holderIdentity")


def test_a_leader_whose_lease_is_taken_stops_at_once(space: Space) -> None:
    operator = space.operator("one", LEADER_ELECTION="true", LEASE_SECONDS="3")
    wait_for(lambda: operator.log, lambda log: "became leader" in log, what="it leads", every=0.05)
    path = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/agentic-operator"
    space.plane.request(
        "PATCH", path, {"spec": {"holderIdentity": "thief", "renewTime": "2026-01-01T00:00:00.000000Z"}}
    )
    assert operator.wait() == 1
    assert "stopping at once" in operator.log
    space.plane.request("DELETE", path)


def test_a_lease_is_given_back_although_the_last_renewal_was_applied_unseen(space: Space) -> None:
    operator = space.operator("one", LEADER_ELECTION="true", LEASE_SECONDS="60")
    wait_for(lambda: operator.log, lambda log: "became leader" in log, what="it leads", every=0.05)
    path = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/agentic-operator"
    # As where a replica is ended between its renewal and the answer: the Lease is newer than what it knows.
    space.plane.request("PATCH", path, {"spec": {"renewTime": "2026-01-01T00:00:00.000000Z"}})
    assert operator.end() == 0
    assert not space.plane.request("GET", path)["spec"].get("holderIdentity")


def test_a_lost_api_server_costs_nothing_but_time(space: Space, control_plane: ControlPlane) -> None:
    space.define()
    operator = space.operator()
    space.start("before")
    space.wait_status("before", "Creating")
    control_plane.kill_apiserver()
    time.sleep(3)  # the outage itself
    control_plane.start_apiserver()
    space.start("after")
    space.wait_status("after", "Creating")
    space.change("before", stop=True)
    space.wait_status("before", "Stopped")
    assert operator.process is not None
    assert operator.process.poll() is None
    assert operator.end() == 0


def dsn_file(folder: Path, database: PostgresDatabase) -> str:
    path = folder / "dsn"
    path.write_text(database.dsn, encoding="utf-8")
    return str(path)


def test_every_session_has_its_row_and_deletion_purges_it(
    space: Space, database: PostgresDatabase, tmp_path: Path
) -> None:
    space.define(inputSchema={"type": "object"})
    space.operator(POSTGRES_CONNECTION_STRING_FILE=dsn_file(tmp_path, database))
    space.start("runs", inputs={"a": 1})
    space.start("fails", inputs=7)
    space.wait_status("runs", "Creating")
    space.wait_status("fails", "Failed")

    def rows() -> dict[str, tuple[str, Json]]:
        found = database.execute("SELECT session_name, status, input_data, error FROM workflow_sessions")
        return {name: (status, {"input": data, "error": error}) for name, status, data, error in found}

    found = wait_for(rows, lambda r: len(r) == 2 and r["fails"][0] == "failed", what="both rows", every=0.05)
    assert found["runs"] == ("creating", {"input": {"a": 1}, "error": None})
    assert found["fails"][1]["error"]["type"] == "InvalidInput"
    space.delete("runs")
    space.wait_gone("runs")
    assert set(rows()) == {"fails"}


def test_a_database_that_is_away_delays_rows_not_sessions_and_holds_no_deletion_for_ever(
    space: Space, database: PostgresDatabase, tmp_path: Path
) -> None:
    space.define()
    operator = space.operator(POSTGRES_CONNECTION_STRING_FILE=dsn_file(tmp_path, database))
    space.start("first")
    space.wait_status("first", "Creating")
    operator.kill()
    database.server.kill()
    try:
        space.operator("second", POSTGRES_CONNECTION_STRING_FILE=dsn_file(tmp_path, database))
        for name in ("stays", "goes"):
            space.start(name)
            space.wait_status(name, "Creating")
        space.delete("goes")
        space.wait_gone("goes")
    finally:
        database.server.start()
    wait_for(
        lambda: [name for (name,) in database.execute("SELECT session_name FROM workflow_sessions")],
        lambda names: "stays" in names,
        what="the row",
    )


def test_the_first_session_of_a_namespace_says_that_it_waits_for_the_database(
    space: Space, database: PostgresDatabase, tmp_path: Path
) -> None:
    space.define()
    database.server.kill()
    try:
        space.operator(POSTGRES_CONNECTION_STRING_FILE=dsn_file(tmp_path, database))
        space.start("s")
        said = space.wait_status("s", "Pending", "DatabaseUnavailable")["message"]
        assert said.startswith("the namespace's login cannot be made yet: ")
        assert not space.jobs()
    finally:
        database.server.start()
    space.wait_status("s", "Creating")


def test_logs_hold_one_object_a_line_and_no_secret(space: Space, database: PostgresDatabase, tmp_path: Path) -> None:
    space.define()
    operator = space.operator(
        LOG_FORMAT="json", LOG_LEVEL="debug", POSTGRES_CONNECTION_STRING_FILE=dsn_file(tmp_path, database)
    )
    space.start("s", inputs={"password": "canary-of-the-inputs"})
    space.wait_status("s", "Creating")

    def find_ours() -> list[dict[str, object]]:
        whole, _, _ = operator.log.rpartition("\n")
        return [line for line in map(json.loads, whole.splitlines()) if line.get("session") == "s"]

    # What was done is told after it was written.
    ours = wait_for(find_ours, bool, what="a line of the session", every=0.05)
    assert {"time", "level", "message", "namespace", "session"} <= set(ours[0])
    config = Path(operator.environment["KUBECONFIG"]).read_text(encoding="utf-8")
    token = json.loads(config)["users"][0]["user"]["token"]
    for secret in ("canary-of-the-inputs", "postgresql://runner@db/agentic", token):
        assert secret
        assert secret not in operator.log
