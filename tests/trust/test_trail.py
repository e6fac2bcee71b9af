"""The trail of who answered what, from the answer to an auditor's verdict: with the API server, a database, and rights
of those who take part alone."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from agentic_core import trail as chain
from agentic_core.contract import MAX_ANSWER_BYTES
from tests.support.commands import clean_environment, run_agentic
from tests.support.kube import GROUP_PATH, Json, OperatorProcess, Space
from tests.support.postgres import PostgresDatabase
from tests.support.waiting import PATIENCE_SECONDS, wait_for
from tests.trust.roles import JSON_PATCH, Answer, Client, a_pod_of, a_user

AT = "2026-03-01T12:00:00Z"


@dataclass
class Bed:
    """A namespace with an operator whose database can be taken away, and an auditor with a login of its own."""

    space: Space
    database: PostgresDatabase
    dsn: Path
    auditor: Path
    operator: OperatorProcess

    # -- the database

    def take_away(self) -> None:
        """Let the operator find no database, and end its connections."""
        self.dsn.write_text(self.database.server.dsn(self.database.name, user="nobody", password="x"))
        role = f"{self.database.name}_operator"
        self.database.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (role,))

    def give_back(self) -> None:
        self.dsn.write_text(
            self.database.server.dsn(self.database.name, user=f"{self.database.name}_operator", password="x")
        )

    def rows(self) -> list[Json]:
        found = self.database.execute(
            "SELECT session_name, entry::json, value FROM session_answers ORDER BY session_name, seq"
        )
        return [{**entry, "session": name, "value": value} for name, entry, value in found]

    def wait_rows(self, count: int, *, timeout: float = PATIENCE_SECONDS) -> list[Json]:
        return wait_for(
            self.rows,
            lambda rows: len(rows) >= count,
            what=f"{count} entries stored",
            timeout_seconds=timeout,
            every=0.1,
        )

    # -- the operator

    def restart(self) -> None:
        self.operator.start()

    # -- a session

    def trail(self, name: str = "s") -> Json:
        found: Json = self.space.status(name).get("trail") or {}
        return found

    def wait_settled(self, name: str = "s") -> Json:
        """Wait until the status holds no entry any more that the database has."""
        return wait_for(
            lambda: self.trail(name),
            lambda trail: trail.get("seq") and not trail.get("pending"),
            what="the trail stored",
            every=0.1,
        )

    # -- the auditor

    def audit(self, *arguments: str) -> CompletedProcess[str]:
        environment = clean_environment(
            POSTGRES_CONNECTION_STRING_FILE=str(self.auditor), KUBECONFIG=str(self.space.plane.kubeconfig)
        )
        return run_agentic("audit", *arguments, env=environment)

    def export(self, file: Path) -> Path:
        done = self.audit("export", "-n", self.space.name, "-o", str(file))
        assert done.returncode == 0, done.stderr
        return file

    def verify(self, file: Path) -> tuple[int, list[str]]:
        done = self.audit("verify", str(file), "--cluster")
        assert not done.stderr, done.stderr
        return done.returncode, done.stdout.splitlines()


def a_login(database: PostgresDatabase, kind: str, *grants: str) -> str:
    name = f"{database.name}_{kind}"
    database.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
    for grant in grants:
        database.execute(grant.format(name))
    return database.server.dsn(database.name, user=name, password="x")


@pytest.fixture
def bed(space: Space, database: PostgresDatabase, tmp_path: Path) -> Iterator[Bed]:
    dsn, auditor = tmp_path / "operator.dsn", tmp_path / "auditor.dsn"
    dsn.write_text(a_login(database, "operator", "GRANT agentic_operator TO {}"))
    rights = ("GRANT USAGE ON SCHEMA public TO {}", "GRANT SELECT ON session_answers TO {}")
    auditor.write_text(a_login(database, "auditor", *rights))
    # Not `auto`: no runner of these tests logs in to the database.
    operator = space.operator(POSTGRES_CONNECTION_STRING_FILE=str(dsn), TENANCY="off")
    yield Bed(space, database, dsn, auditor, operator)
    for made in space.operators:
        if made.process is not None and made.process.poll() is None:
            made.kill()
    for kind in ("operator", "auditor"):
        database.execute(f"DROP OWNED BY {database.name}_{kind}")
        database.execute(f"DROP ROLE {database.name}_{kind}")


def question(id_: str, **fields: Any) -> Json:
    return {"id": id_, "prompt": f"{id_}?", "value": {"id": id_}, "askedAt": AT, **fields}


def path(space: Space, name: str = "s", part: str = "") -> str:
    return f"{GROUP_PATH}/namespaces/{space.name}/agenticsessions/{name}{part}"


def write(pod: Client, space: Space, name: str, **status: Any) -> Answer:
    patch = [{"op": "add", "path": f"/status/{field}", "value": value} for field, value in status.items()]
    return pod.request("PATCH", path(space, name, "/status"), patch, kind=JSON_PATCH)


def ask(bed: Bed, *ids: str, name: str = "s", **fields: Any) -> Client:
    """Let a run of a new session ask questions; return the code in its pod, which goes on waiting for answers."""
    space = bed.space
    space.start(name, keepWarmSeconds=3600)
    pod_name = space.wait_pod(f"{name}-r1")
    space.wait_status(name, "Creating")
    space.set_pod(pod_name, "Running")
    pod = a_pod_of(space.plane, space.name, pod_name)
    assert write(pod, space, name, phase="Running").is_done
    asked = [question(id_, **fields) for id_ in ids]
    done = wait_for(
        lambda: write(pod, space, name, phase="WaitingForInput", interrupts=asked),
        lambda answer: answer.is_done,
        what="the questions asked",
    )
    assert done.is_done
    return pod


def answer(space: Space, id_: str, value: Any, *, by: str = "ann", name: str = "s") -> None:
    person = a_user(space.plane, space.name, "agentic-edit", "agentic-view", name=by)
    body = {
        "apiVersion": "agentic-operator.dev/v1alpha1",
        "kind": "AgenticSession",
        "metadata": {"name": name},
        "spec": {"responses": [{"interruptId": id_, "by": by, "value": value}]},
    }
    query = f"?fieldManager={by}-{id_}&force=true"
    done = person.request("PATCH", path(space, name) + query, body, kind="application/apply-patch+yaml")
    assert done.is_done, done


def wait_accepted(bed: Bed, *ids: str, name: str = "s") -> None:
    wait_for(
        lambda: {each["interruptId"] for each in bed.space.status(name).get("answers", [])},
        lambda found: found >= set(ids),
        what=f"answers to {ids}",
        every=0.05,
    )


def said(rows: list[Json]) -> list[tuple[str, str, str]]:
    return [(row["kind"], row.get("interruptId", ""), row.get("by", "")) for row in rows]


def test_what_was_answered_and_refused_is_proven_to_an_auditor(bed: Bed, tmp_path: Path) -> None:
    bed.space.define()
    ask(bed, "q1", "q2", schema={"type": "object"})
    answer(bed.space, "q1", {"ok": True, "note": None})
    wait_accepted(bed, "q1")
    answer(bed.space, "q2", "no object", by="bob")
    rows = bed.wait_rows(2)
    assert said(rows) == [("Accepted", "q1", "ann"), ("Refused", "q2", "bob")]
    assert rows[1]["reason"] == "InvalidAnswer"
    assert json.loads(rows[0]["value"]) == {"ok": True, "note": None}
    head = bed.wait_settled()
    # Said once, not by each pass, also by a new process.
    bed.operator.kill()
    bed.restart()
    answer(bed.space, "q2", {"ok": 2}, by="carl")
    bed.wait_rows(3)
    file = bed.export(tmp_path / "trail.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines[1]["hash"] == head["hash"]
    assert lines[2]["entry"]["prev"] == lines[1]["hash"]
    assert lines[-1]["end"] == {"entries": 3, "namespaces": [bed.space.name], "sessions": 1}
    assert bed.verify(file) == (0, ["INTACT: 3 entries of 1 sessions; 1 as in the cluster"])
    table = bed.audit("show", "s", "-n", bed.space.name).stdout
    assert "Refused" in table
    assert "InvalidAnswer" in table


def test_who_is_killed_after_any_answer_loses_and_doubles_none(bed: Bed, tmp_path: Path) -> None:
    bed.space.define()
    ids = [f"q{n}" for n in range(8)]
    ask(bed, *ids)
    for number, id_ in enumerate(ids):
        answer(bed.space, id_, {"n": number}, by=f"p{number}")
        wait_accepted(bed, id_)
        # Some have stored it by then, and others not.
        time.sleep(number * 0.004)
        bed.operator.kill()
        bed.restart()
    bed.wait_settled()
    assert sorted(said(bed.rows())) == [("Accepted", id_, f"p{number}") for number, id_ in enumerate(ids)]
    assert bed.verify(bed.export(tmp_path / "t"))[0] == 0


def test_two_operators_that_both_lead_keep_one_chain(bed: Bed, tmp_path: Path) -> None:
    bed.space.define()
    ids = [f"q{n}" for n in range(8)]
    ask(bed, *ids)
    bed.space.operator("second", POSTGRES_CONNECTION_STRING_FILE=str(bed.dsn), TENANCY="off")
    for id_ in ids:
        answer(bed.space, id_, {"id": id_}, by=f"of-{id_}")
    wait_accepted(bed, *ids)
    bed.wait_settled()
    assert sorted(said(bed.rows())) == [("Accepted", id_, f"of-{id_}") for id_ in ids]
    assert bed.verify(bed.export(tmp_path / "t"))[0] == 0


def test_without_the_database_answers_are_kept_as_far_as_there_is_room_and_then_wait(bed: Bed, tmp_path: Path) -> None:
    bed.space.define()
    ids = [f"q{n}" for n in range(6)]
    ask(bed, *ids)
    bed.take_away()
    for id_ in ids:
        answer(bed.space, id_, id_ + "x" * (MAX_ANSWER_BYTES - 20), by=f"of-{id_}")
    told = wait_for(
        lambda: [each for each in bed.space.status("s").get("conditions", []) if each["type"] == "InputAccepted"],
        lambda found: found and found[0]["reason"] == "TrailBehind",
        what="the answers that wait",
    )
    assert "it is accepted once the trail of the answers before it is in the database" in told[0]["message"]
    status = bed.space.status("s")
    assert 1 < len(status["answers"]) < 6
    assert len(status["trail"]["pending"]) == len(status["answers"])
    # Another process finds them there.
    bed.operator.kill()
    bed.restart()
    bed.give_back()
    wait_accepted(bed, *ids)
    bed.wait_settled()
    assert sorted(said(bed.rows())) == [("Accepted", id_, f"of-{id_}") for id_ in ids]
    assert bed.verify(bed.export(tmp_path / "t"))[0] == 0


def test_a_session_goes_only_once_its_trail_is_stored(bed: Bed, tmp_path: Path) -> None:
    bed.space.define()
    ask(bed, "q1")
    bed.take_away()
    answer(bed.space, "q1", 1)
    wait_accepted(bed, "q1")
    bed.space.delete("s")
    ended = wait_for(
        lambda: bed.trail().get("pending") or [], lambda found: len(found) == 2, what="the end of the trail", every=0.1
    )
    assert json.loads(ended[1]["entry"])["kind"] == "Deleted"
    # Longer than rows that can be deleted later hold a session up.
    wait_for(lambda: bed.operator.log, lambda log: "Deleted" in log or "deleted" in log or "trail" in log, what="a try")
    assert bed.space.find("s") is not None
    bed.give_back()
    bed.space.wait_gone("s")
    assert said(bed.rows()) == [("Accepted", "q1", "ann"), ("Deleted", "", "")]
    assert bed.verify(bed.export(tmp_path / "t")) == (
        0,
        ["INTACT: 2 entries of 1 sessions; 1 ended with their session"],
    )
    assert f"the trail ends with entry 2, hash {ended[1]['hash']}" in bed.operator.log


# What is done to it.


@pytest.fixture
def kept(bed: Bed) -> Bed:
    """Three answers, stored."""
    bed.space.define()
    ask(bed, "q1", "q2", "q3")
    for id_ in ("q1", "q2", "q3"):
        answer(bed.space, id_, {"pay": id_}, by=f"of-{id_}")
    wait_accepted(bed, "q1", "q2", "q3")
    bed.wait_settled()
    return bed


FORGED = {
    "an entry deleted": ("DELETE FROM session_answers WHERE seq = 2", "entry 2 is missing before entry 3"),
    "the last entry deleted": ("DELETE FROM session_answers WHERE seq = 3", "entries 3 to 3 are not in the file"),
    "all deleted": ("DELETE FROM session_answers", "is not in the file, its status names 3 entries"),
    "a value changed": (
        'UPDATE session_answers SET value = \'{"pay":"me"}\' WHERE seq = 2',
        "the value of entry 2 is not the one that was recorded",
    ),
    "an author changed, with its hash": (
        (
            "UPDATE session_answers SET entry = replace(entry, 'of-q2', 'cfo'),"
            " hash = encode(sha256(convert_to(replace(entry, 'of-q2', 'cfo'), 'UTF8')), 'hex') WHERE seq = 2"
        ),
        "entry 3 does not follow from entry 2",
    ),
    "the last author changed, with its hash": (
        (
            "UPDATE session_answers SET entry = replace(entry, 'of-q3', 'cfo'),"
            " hash = encode(sha256(convert_to(replace(entry, 'of-q3', 'cfo'), 'UTF8')), 'hex') WHERE seq = 3"
        ),
        "the session's status says that entry 3 has the hash",
    ),
    "moved to another session": (
        "UPDATE session_answers SET session_uid = 'other', session_name = 'other'",
        "entry 1 does not follow from the session's name and uid",
    ),
    "one added": (
        (
            "INSERT INTO session_answers (session_uid, seq, project_name, session_name, entry, hash)"
            " SELECT session_uid, 4, project_name, session_name, e, encode(sha256(convert_to(e, 'UTF8')), 'hex')"
            ' FROM session_answers, LATERAL (SELECT format(\'{"kind":"Accepted","prev":"%s","seq":4}\', hash)) AS t (e)'
            " WHERE seq = 3"
        ),
        "the file has entries up to 4, the session's status up to 3",
    ),
}


@pytest.mark.parametrize("case", FORGED)
def test_whoever_owns_the_database_changes_nothing_unnoticed(kept: Bed, tmp_path: Path, case: str) -> None:
    statement, expected = FORGED[case]
    kept.database.execute("ALTER TABLE session_answers DISABLE TRIGGER agentic_keep")
    kept.database.execute(statement)
    code, lines = kept.verify(kept.export(tmp_path / "t"))
    assert code == 1
    assert any(expected in line for line in lines), lines
    assert lines[-1].startswith("BROKEN: ")


def test_a_value_that_was_taken_away_leaves_the_chain_whole(kept: Bed, tmp_path: Path) -> None:
    kept.database.execute("UPDATE session_answers SET value = NULL WHERE seq = 2")
    assert kept.verify(kept.export(tmp_path / "t")) == (
        0,
        ["INTACT: 3 entries of 1 sessions, 1 without their value or text; 1 as in the cluster"],
    )


def test_a_database_with_another_entry_is_told_and_the_status_keeps_its_own(bed: Bed) -> None:
    """As after a database was restored that another cluster wrote, or by who has its owner's rights."""
    bed.space.define()
    ask(bed, "q1", "q2")
    answer(bed.space, "q1", 1)
    wait_accepted(bed, "q1")
    bed.wait_settled()
    uid = bed.space.session("s")["metadata"]["uid"]
    entry = chain.spell({"seq": 2, "kind": "Accepted", "by": "cfo", "prev": "0"})
    bed.database.execute(
        "INSERT INTO session_answers (session_uid, seq, project_name, session_name, entry, hash)"
        " VALUES (%s, 2, %s, 's', %s, %s)",
        (uid, bed.space.name, entry, chain.hash_text(entry)),
    )
    answer(bed.space, "q2", 2)
    wait_accepted(bed, "q2")
    told = wait_for(
        lambda: [each for each in bed.space.status("s")["conditions"] if each["type"] == "TrailKept"],
        bool,
        what="the conflict told",
    )
    assert (told[0]["status"], told[0]["reason"]) == ("False", "TrailConflict")
    assert [each["seq"] for each in bed.trail()["pending"]] == [2]


def test_people_write_no_trail(kept: Bed) -> None:
    person = a_user(kept.space.plane, kept.space.name, "agentic-edit", "agentic-view", name="mallory")
    before = kept.trail()
    for part in ("", "/status"):
        refused = person.request("PATCH", path(kept.space, "s", part), {"status": {"trail": {"seq": 0, "hash": ""}}})
        assert refused.code == 403 or not part
    assert kept.trail() == before


def test_an_export_says_what_is_missing_and_leaves_no_half_file(kept: Bed, tmp_path: Path) -> None:
    file = tmp_path / "t"
    absent = kept.audit("export", "-n", kept.space.name, "s", "nobody", "-o", str(file))
    assert (absent.returncode, absent.stderr.splitlines()[-1]) == (1, "error: there is no trail of: nobody")
    assert list(tmp_path.glob("t*")) == []
    unsaid = kept.audit("export")
    assert unsaid.returncode == 2
    assert "either -n NAMESPACE, or --all" in unsaid.stderr
    assert kept.export(file).stat().st_mode & 0o777 == 0o600
    one = kept.audit("export", "-n", kept.space.name, "s")
    assert one.stdout.splitlines()[:-1] == file.read_text().splitlines()[:-1]
    none = kept.audit("export", "--all", "--since", "2999-01-01")
    assert json.loads(none.stdout) == {"end": {"entries": 0, "sessions": 0}}
