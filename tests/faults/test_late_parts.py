"""Secrets and ConfigMaps that come later than the pods which need them are waited for, by name."""

import pytest

from agentic_core.lifecycle import Phase
from tests.faults.bed import Bed, until
from tests.support.apiclient import Json, core_path, definitions_path

KEY = {"name": "WANTED", "valueFrom": {"secretKeyRef": {"name": "wanted", "key": "WANTED"}}}


@pytest.mark.parametrize(
    ("plural", "spec", "said"),
    [
        ("secrets", {"env": [KEY]}, 'secret "wanted" not found'),
        ("configmaps", {"envFrom": [{"configMapRef": {"name": "wanted"}}]}, 'configmap "wanted" not found'),
    ],
)
async def test_what_a_variable_needs_is_waited_for_and_told_by_name(
    bed: Bed, plural: str, spec: Json, said: str
) -> None:
    await bed.operator()
    part = "stringData" if plural == "secrets" else "data"
    wanted = {"metadata": {"name": "wanted"}, part: {"WANTED": "x"}}
    await bed.define("quick", is_awaited=False, **spec)

    async def is_told() -> bool:
        found = await bed.client.get(definitions_path(bed.namespace, "quick"))
        conditions = {each["type"]: each for each in (found.get("status") or {}).get("conditions") or ()}
        told = conditions.get("Inspected", {})
        return told.get("reason") == "ContainerConfigError" and said in told["message"]

    await until(is_told, what="the definition's condition")
    await bed.client.create(core_path(bed.namespace, plural), wanted)
    await until(lambda: bed._is_ready("quick"), what="the definition ready")
    await bed.client.delete(core_path(bed.namespace, plural, "wanted"))
    await bed.start("quick", "s", inputs={})

    async def is_held() -> bool:
        status = await bed.status("s")
        return status.get("reason") == "ContainerConfigError" and said in status["message"]

    await until(is_held, what="the session's reason")
    await bed.client.create(core_path(bed.namespace, plural), wanted)
    status = await bed.wait_phase("s", Phase.COMPLETED)
    assert (status["run"], status.get("restarts")) == (1, None)
    await bed.wait_rest()
    await bed.check()
