"""What the service accounts may do, as the API server itself says it, against the list that was agreed on."""

import json
from pathlib import Path
from typing import Any

import pytest

from agentic_core.lifecycle import Phase
from tests.faults.bed import SYSTEM, Bed
from tests.support.apiclient import ApiError, Json, core_path, open_client, sessions_path

EXPECTED = Path(__file__).with_name("rights.json")
# Every authenticated client has these: discovery, and asking about itself.
_FOR_ALL = ("selfsubjectreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews")


def _normalise(rules: list[Json]) -> list[str]:
    """Return one line for every right, sorted: ``group/resource[name] verb,verb``."""
    lines: dict[str, set[str]] = {}
    for rule in rules:
        for group in rule.get("apiGroups") or [""]:
            for resource in rule["resources"]:
                for name in rule.get("resourceNames") or [""]:
                    if resource not in _FOR_ALL:
                        key = f"{group or 'core'}/{resource}" + (f"[{name}]" if name else "")
                        lines.setdefault(key, set()).update(rule["verbs"])
    return sorted(f"{key} {','.join(sorted(verbs))}" for key, verbs in lines.items())


async def _rights(bed: Bed, account: tuple[str, str], namespace: str) -> list[str]:
    token = bed.plane.service_account_token(*account)
    async with open_client(bed.plane, token=token) as client:
        review: dict[str, Any] = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": namespace},
        }
        answer = await client.create("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", review)
    assert not answer["status"]["incomplete"]
    return _normalise(answer["status"]["resourceRules"])


async def test_every_right_of_the_service_accounts_is_on_the_list(bed: Bed) -> None:
    await bed.operator()
    await bed.define("quick")
    await bed.start("quick", "s", inputs={})
    await bed.wait_phase("s", Phase.COMPLETED)
    await bed.new_namespace(f"{bed.namespace}-other")
    here, other = bed.namespace, f"{bed.namespace}-other"
    found = {
        "operator in its own namespace": await _rights(bed, (SYSTEM, "agentic-operator"), SYSTEM),
        "operator in a project": await _rights(bed, (SYSTEM, "agentic-operator"), here),
        "runner in its project": await _rights(bed, (here, "agentic-runner"), here),
        "runner in another project": await _rights(bed, (here, "agentic-runner"), other),
        "runner in the operator's namespace": await _rights(bed, (here, "agentic-runner"), SYSTEM),
        "inspector in its project": await _rights(bed, (here, "agentic-inspector"), here),
    }
    print(json.dumps(found, indent=2))
    assert found == json.loads(EXPECTED.read_text(encoding="utf-8"))


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
