"""A runner that is a shell script with curl, on the gateway: neither the operator nor the gateway knows its kind."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentic_core.lifecycle import Phase
from hack.cluster.controlplane import ControlPlane
from tests.faults.bed import Bed, until
from tests.support.apiclient import jobs_path, sessions_path
from tests.support.commands import ROOT
from tests.support.gateway import Gateway, running_gateway
from tests.support.postgres import PostgresDatabase

IMAGE = "agentic-operator/curl:dev"


@pytest.fixture
def gateway(plane: ControlPlane, database: PostgresDatabase, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway beside the bed."""
    folder = tmp_path / "gateway"
    folder.mkdir()
    with running_gateway(plane, database, folder) as made:
        yield made


async def begin(bed: Bed, gateway: Gateway, **spec: Any) -> dict[str, Any]:
    """Start a session of the script, and return its question."""
    bed.kubelet.images[IMAGE] = ROOT / "tests/projects/curl"
    await bed.operator(GATEWAY_URL=gateway.address)
    await bed.define("main", image=IMAGE, reportsTo="Gateway")
    await bed.start("main", "s", inputs={"amount": 40}, **spec)
    status = await bed.wait_phase("s", Phase.WAITING_FOR_INPUT)
    (question,) = status["interrupts"]
    assert question["prompt"] == "Pay 40 EUR?"
    return dict(question)


async def answer(bed: Bed, question: dict[str, Any]) -> None:
    responses = [{"interruptId": question["id"], "value": True}]
    await bed.client.patch(sessions_path(bed.namespace, "s"), {"spec": {"responses": responses}})


async def test_a_shell_script_asks_leaves_and_its_next_pod_completes_the_session(bed: Bed, gateway: Gateway) -> None:
    question = await begin(bed, gateway)
    await until(lambda: not bed.kubelet.alive("s"), what="no pod while it waits")
    await answer(bed, question)
    status = await bed.wait_phase("s", Phase.COMPLETED)
    assert status["result"] == {"amount": 40, "paid": True, "run": 2}
    assert status["interrupts"][0]["resumedAt"]
    rows = bed.database.execute("SELECT run, type, data FROM session_events ORDER BY seq")
    assert [(run, type_, data["message"]) for run, type_, data in rows] == [
        (1, "custom", "run 1 asks"),
        (2, "progress", "done"),
    ]
    # It never spoke to the API server.
    assert bed.runners.passed == []
    await bed.check()


async def test_a_shell_script_waits_for_the_answer_in_its_pod(bed: Bed, gateway: Gateway) -> None:
    question = await begin(bed, gateway, keepWarmSeconds=60)
    (process,) = bed.kubelet.alive("s")
    await answer(bed, question)
    status = await bed.wait_phase("s", Phase.COMPLETED)
    assert status["result"] == {"amount": 40, "paid": True, "run": 1}
    assert process.exit_code in (None, 0)


async def test_a_script_that_is_killed_while_it_asks_goes_on_in_the_next_pod(bed: Bed, gateway: Gateway) -> None:
    question = await begin(bed, gateway, keepWarmSeconds=60)
    bed.kill_runners("s")
    await answer(bed, question)
    status = await bed.wait_phase("s", Phase.COMPLETED)
    assert status["result"]["paid"] is True


async def test_without_a_gateway_such_a_session_waits_with_the_reason(bed: Bed) -> None:
    bed.kubelet.images[IMAGE] = ROOT / "tests/projects/curl"
    await bed.operator()
    await bed.define("main", image=IMAGE, reportsTo="Gateway")
    await bed.start("main", "s", inputs={"amount": 40})

    async def reason() -> bool:
        return bool((await bed.status("s")).get("reason") == "GatewayNotConfigured")

    await until(reason, what="the reason")
    jobs = await bed.client.list(jobs_path(bed.namespace))
    assert [job["metadata"]["name"] for job in jobs if job["metadata"]["name"].startswith("s-r")] == []
