"""What a runner's token lets it do at the API server. The list of all rights is in ``tests/trust/rights.txt``."""

import pytest

from agentic_core.lifecycle import Phase
from tests.faults.bed import SYSTEM, Bed
from tests.support.apiclient import ApiError, core_path, open_client, sessions_path


async def test_a_runner_reads_nothing_of_another_namespace(bed: Bed) -> None:
    await bed.operator()
    await bed.define("steps")
    await bed.start("steps", "s", inputs={"count": 200, "seconds": 0.1})
    await bed.wait_phase("s", Phase.RUNNING)
    here, other = bed.namespace, f"{bed.namespace}-other"
    await bed.new_namespace(other)
    await bed.client.create(
        sessions_path(other),
        {
            "apiVersion": "agentic-operator.dev/v1alpha1",
            "kind": "AgenticSession",
            "metadata": {"name": "s"},
            "spec": {"workflowRef": {"name": "w"}},
        },
    )
    process = await bed.wait_runner("s")
    (token,) = [path.read_text(encoding="ascii") for path in process.folder.glob("volumes/*/token")]
    async with open_client(bed.plane, token=token) as runner:
        assert (await runner.get(sessions_path(here, "s")))["metadata"]["name"] == "s"
        for path in (
            sessions_path(other, "s"),
            sessions_path(other),
            sessions_path(here),
            core_path(here, "secrets", "agentic-postgres"),
            core_path(here, "pods"),
            core_path(SYSTEM, "secrets", "agentic-postgres-runner"),
        ):
            with pytest.raises(ApiError) as refused:
                await runner.get(path)
            assert refused.value.code == 403, path
        for body in ({"spec": {"stop": True}}, {"metadata": {"labels": {"a": "b"}}}):
            with pytest.raises(ApiError) as refused:
                await runner.patch(sessions_path(here, "s"), body)
            assert refused.value.code == 403, body
    await bed.stop("s")
    await bed.wait_phase("s", Phase.STOPPED)
