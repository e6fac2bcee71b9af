"""Operator, runner and people write one session at the same time: nobody's write is lost, and none is misread."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from agentic_core.errors import Conflict, TransientError
from agentic_core.lifecycle import Phase
from agentic_core.resources import AgenticSession
from agentic_runner.config import RunConfig, TokenSource
from agentic_runner.output.redaction import Redactor
from agentic_runner.session.api import open_api
from agentic_store.database import open_database
from agentic_store.dsn import Dsn
from agentic_store.records import SessionRecord
from tests.faults.bed import LONG, Bed, seeded, seeds
from tests.support.apiclient import ApiError, sessions_path
from tests.support.postgres import PostgresDatabase


async def test_a_field_that_somebody_else_removed_meanwhile_is_a_conflict(bed: Bed) -> None:
    """A JSON patch that removes what is gone fails before its resource version is compared."""
    operator = await bed.operator()
    await bed.define("steps")
    await bed.start("steps", "s", inputs={"count": 100, "seconds": 0.2})
    process = await bed.wait_runner("s")
    await bed.wait_phase("s", Phase.RUNNING)
    await operator.kill_and_wait()
    token = (next(process.folder.glob("volumes/*/token"))).read_text(encoding="ascii")
    bed.kubelet.exhaust_memory(process)
    await process.ended.wait()
    config = RunConfig(
        session_name="s", session_uid="", namespace=bed.namespace, run=1, thread_id="t", job_name="s-r1",
        backend_url=bed.runners.url, token=TokenSource(value=token), api_ca_file=None,
    )  # fmt: skip
    path = sessions_path(bed.namespace, "s", "status")
    await bed.client.patch(path, {"status": {"message": "written by one", "progress": "1%"}})
    async with open_api(config, Redactor()) as api:
        session = await api.fetch()
        await bed.client.patch(path, {"status": {"message": None}})
        wanted = session.status.model_copy(update={"message": None, "progress": "2%"})
        with pytest.raises(Conflict):
            await api.write_status(session, wanted)
        again = await api.fetch()
        written = await api.write_status(again, again.status.model_copy(update={"progress": "3%"}))
        assert written.status.progress == "3%"


@pytest.mark.parametrize("seed", seeds(short=1, long=10))
async def test_people_write_status_and_spec_while_it_runs(bed: Bed, seed: int) -> None:
    random = seeded(seed)
    await bed.operator()
    await bed.define("steps")
    names = [f"s-{number}" for number in range(10 if LONG else 5)]
    for name in names:
        await bed.start("steps", name, inputs={"count": 15, "seconds": 0.05})
    refused = 0

    async def meddle(name: str) -> None:
        nonlocal refused
        while (phase := bed.phase(name)) is None or not phase.is_final:
            changes: list[tuple[str, dict[str, Any]]] = [
                ("status", {"status": {"message": f"a note {random.random()}"}}),
                ("status", {"status": {"message": None}}),
                ("status", {"status": {"progress": "99%"}}),
                ("status", {"status": {"phase": random.choice([Phase.PENDING, Phase.WAITING_FOR_INPUT])}}),
                ("", {"spec": {"displayName": f"name {random.random()}"}}),
                ("", {"spec": {"timeoutSeconds": 1}}),
                ("", {"metadata": {"labels": {"team": f"t{random.randrange(9)}"}, "annotations": {"a": "b"}}}),
            ]
            part, body = random.choice(changes)
            try:
                # A phase that was written by hand is legal for the server, and not what this is about.
                dry = "?dryRun=All" if "phase" in body.get("status", {}) else ""
                await bed.client.patch(sessions_path(bed.namespace, name, part) + dry, body)
            except ApiError as error:
                assert error.code in (403, 409, 422), error  # noqa: PT017 - the code is what matters
                refused += 1
            await asyncio.sleep(random.uniform(0, 0.05))

    async with asyncio.TaskGroup() as tasks:
        for name in names:
            tasks.create_task(meddle(name))
    await bed.wait_rest()
    await bed.check()
    assert refused
    for name in names:
        found = await bed.session(name)
        assert found["status"]["phase"] == Phase.COMPLETED
        assert found["status"]["result"]["done"] == [str(n) for n in range(1, 16)]
        assert found["spec"].get("timeoutSeconds") is None
    assert {bed.life(name).last.run for name in names} == {1}  # type: ignore[union-attr]  # all exist
    failed = [process for process in bed.kubelet.processes if process.exit_code]
    assert failed == []


async def test_a_final_phase_stays_final_whoever_writes(bed: Bed) -> None:
    await bed.operator()
    await bed.define("quick")
    await bed.start("quick", "s", inputs={})
    ended = await bed.wait_phase("s", Phase.COMPLETED)
    session = AgenticSession.model_validate(await bed.session("s"))
    for phase in Phase:
        if phase is Phase.COMPLETED:
            continue
        with pytest.raises(ApiError, match="phase cannot change from Completed"):
            await bed.client.patch(sessions_path(bed.namespace, "s", "status"), {"status": {"phase": phase}})
    assert (await bed.status("s")) == ended
    assert session.status.phase is Phase.COMPLETED
    await bed.wait_rest()
    await bed.check()


async def test_a_row_recorded_while_its_run_starts_is_never_taken_for_another_runs(database: PostgresDatabase) -> None:
    """The operator records a session at the moment in which its runner, finding no row, asks why."""
    async with open_database(Dsn.parse(database.dsn), application_name="test", min_size=4, max_size=4) as db:

        async def race(number: int) -> None:
            record = SessionRecord(
                project_name="p",
                session_name=f"s-{number}",
                session_uid=f"uid-{number}",
                workflow_name="w",
                status=Phase.CREATING,
                thread_id=f"t-{number}",
                created_at=datetime.now(UTC),
                run=1,
            )
            recording = asyncio.create_task(db.sessions.record_session(record))
            while True:
                try:
                    await db.sessions.start_run(record.session_uid, 1)
                except TransientError:
                    continue
                break
            await recording

        for number in range(0, 600, 2):
            await asyncio.gather(race(number), race(number + 1))
    assert database.execute("SELECT DISTINCT status FROM workflow_sessions") == [("running",)]
