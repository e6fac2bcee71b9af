"""What the code in a session's pod may write of the session's status: the fields of its contract, within bounds."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from agentic_core import contract
from agentic_core.lifecycle import Actor, Phase, is_legal
from agentic_core.resources.session import SessionStatus
from agentic_runner.execution.tracking import Progress
from agentic_runner.session import status as statuses
from hack.kubectl import ROOT
from tests.support.kube import GROUP_PATH, Space
from tests.trust.roles import JSON_PATCH, Answer, Client, a_pod_of

Json = dict[str, Any]
AT = "2026-03-01T12:00:00Z"
HUGE = 9223372036854775807


def a_condition(type_: str, status: str = "True", **fields: Any) -> Json:
    return {"type": type_, "status": status, "reason": "Because", "message": "", "lastTransitionTime": AT, **fields}


RUNNING: Json = {
    "phase": "Running",
    "reason": "Running",
    "run": 3,
    "restarts": 1,
    "jobName": "s-r3",
    "threadId": "project-x:session-s",
    "observedGeneration": 1,
    "limits": {"recursionLimit": 100, "timeoutSeconds": 60},
    "workflow": {"image": "registry.example.com/workflow:1", "spec": {"defaults": {"retries": 1}}},
    "conditions": [a_condition("Accepted"), a_condition("Running")],
    "interrupts": [{"id": "q", "value": "approve?", "askedAt": AT}],
    "trail": {"seq": 2, "hash": "a" * 64, "pending": [{"seq": 2, "entry": "{}", "hash": "a" * 64}]},
}


def make_pod(space: Space, name: str, *, account: str = "agentic-runner") -> str:
    """Make a pod and its service account with the runner's role, as the administrator; return the pod's uid."""
    core, rbac = f"/api/v1/namespaces/{space.name}", "/apis/rbac.authorization.k8s.io/v1"
    if not any(
        each["metadata"]["name"] == account for each in space.plane.request("GET", f"{core}/serviceaccounts")["items"]
    ):
        space.plane.request("POST", f"{core}/serviceaccounts", {"metadata": {"name": account}})
        binding = {
            "metadata": {"name": account},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "agentic-runner"},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": space.name}],
        }
        space.plane.request("POST", f"{rbac}/namespaces/{space.name}/rolebindings", binding)
    security = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    spec = {"serviceAccountName": account, "containers": [{"name": "c", "image": "i", "securityContext": security}]}
    made = space.plane.request("POST", f"{core}/pods", {"metadata": {"name": name}, "spec": spec})
    return str(made["metadata"]["uid"])


def a_runner(space: Space, status: Mapping[str, Any] = RUNNING, *, account: str = "agentic-runner") -> Client:
    """Make the session ``s`` in a status, and its pod; return the code in the pod."""
    space.start("s")
    if status.get("phase") not in (None, "Creating"):
        space.report("s", phase="Creating")
    if status.get("phase") in ("WaitingForInput",):
        space.report("s", phase="Running")
    space.report("s", **status)
    pod = f"{status['jobName']}-abcde"
    make_pod(space, pod, account=account)
    return a_pod_of(space.plane, space.name, pod, account=account)


def write(runner: Client, space: Space, status: object) -> Answer:
    path = f"{GROUP_PATH}/namespaces/{space.name}/agenticsessions/s/status"
    return runner.request("PATCH", path, {"status": status})


def test_a_runner_writes_the_fields_of_its_contract(space: Space) -> None:
    runner = a_runner(space)
    assert write(runner, space, {"currentNode": "load", "progress": "40%", "steps": 3, "message": "going on"}).is_done
    assert write(runner, space, {"checkpointId": "1ef", "history": [{"id": "1ef", "step": 1, "at": AT}]}).is_done
    assert write(runner, space, {"startTime": AT, "limits": {"recursionLimit": 25}}).is_done
    conditions = [*RUNNING["conditions"][:1], a_condition("Running", "False"), a_condition("WaitingForInput")]
    asked = [*RUNNING["interrupts"], {"id": "r", "value": "and now?", "askedAt": AT}]
    waiting = {"phase": "WaitingForInput", "interrupts": asked, "conditions": conditions, "question": "and now?"}
    assert write(runner, space, waiting).is_done
    assert write(runner, space, {"phase": "Running"}).is_done
    result = {"phase": "Completed", "completionTime": AT, "resultRef": {"size": 1, "sha256": "0", "url": "s3://b/k"}}
    assert write(runner, space, result).is_done


FOREIGN: dict[str, Json] = {
    "a run without end": {"run": HUGE},
    "the next run": {"run": 4},
    "no run": {"run": None},
    "restarts": {"restarts": 0},
    "another Job": {"jobName": "other-r1"},
    "no Job": {"jobName": None},
    "another thread": {"threadId": "project-other:session-s"},
    "no thread": {"threadId": None},
    "another image": {"workflow": {"image": "registry.example.com/other:1"}},
    "another definition within the pinned one": {"workflow": {"spec": {"defaults": {"retries": 100}}}},
    "a digest": {"workflow": {"imageDigest": "registry.example.com/other@sha256:0"}},
    "no workflow": {"workflow": None},
    "a longer time": {"limits": {"timeoutSeconds": 31_536_000}},
    "no time limit": {"limits": {"timeoutSeconds": None}},
    "no limits": {"limits": None},
    "another generation": {"observedGeneration": 2},
    "a trail of its own": {"trail": {"seq": 1, "hash": "0" * 64, "pending": [{"seq": 1, "entry": "{}", "hash": "0"}]}},
    "no trail": {"trail": None},
    "a trail without what is not stored": {"trail": {"pending": []}},
    "a trail of an older time": {"trail": {"seq": 1}},
    "an operator's condition": {"conditions": [a_condition("Accepted", "False"), a_condition("Running")]},
    "an operator's condition from another time": {
        "conditions": [a_condition("Accepted", lastTransitionTime="2020-01-01T00:00:00Z"), a_condition("Running")]
    },
    "no operator's condition": {"conditions": [a_condition("Running")]},
    "one more operator's condition": {"conditions": [*RUNNING["conditions"], a_condition("InputAccepted")]},
    "a phase of the operator": {"phase": "Suspended"},
    "the end by a person": {"phase": "Stopped"},
    "the queue": {"phase": "Creating"},
    "a link": {"resultRef": {"size": 1, "sha256": "0", "url": "s3://b/k", "downloadUrl": "https://evil.example"}},
    "how long a link is good": {"resultRef": {"size": 1, "sha256": "0", "url": "s3://b/k", "downloadExpiresAt": AT}},
}


@pytest.mark.parametrize("status", FOREIGN.values(), ids=FOREIGN)
def test_what_is_the_operators_is_refused(space: Space, status: Json) -> None:
    runner = a_runner(space)
    before = space.status("s")
    refused = write(runner, space, status)
    assert refused.code in (403, 422), refused.body
    assert space.status("s") == before


WITHOUT_BOUND: dict[str, Json] = {
    "steps": {"steps": HUGE},
    "fewer steps than none": {"steps": -1},
    "a question asked at the end of time": {"interrupts": [{"id": "q", "askedAt": "9999-12-31T23:59:59Z"}]},
    "a question of the year 1": {"interrupts": [{"id": "q", "askedAt": "0001-01-01T00:00:00Z"}]},
    "a start in the year 0": {"startTime": "0000-01-01T00:00:00Z"},
    "an end at the end of time": {"completionTime": "9999-12-31T23:59:59-12:00"},
    "a checkpoint of the future": {"history": [{"id": "x", "at": "9000-01-01T00:00:00Z"}]},
    "a checkpoint's step": {"history": [{"id": "x", "step": HUGE}]},
    "a condition of the future": {
        "conditions": [a_condition("Accepted"), a_condition("Running", lastTransitionTime="9999-01-01T00:00:00Z")]
    },
    "a recursion limit": {"limits": {"recursionLimit": HUGE}},
    "a result of any size": {"resultRef": {"size": HUGE, "sha256": "0", "url": "s3://b/k"}},
    "a message": {"message": "x" * 5000},
    "a reason": {"reason": "x" * 100},
    "a node": {"currentNode": "x" * 300},
    "more questions than are listed": {"interrupts": [{"id": f"q{n}"} for n in range(300)]},
    "a longer history": {"history": [{"id": f"c{n}"} for n in range(100)]},
}


@pytest.mark.parametrize("status", WITHOUT_BOUND.values(), ids=WITHOUT_BOUND)
def test_every_value_has_its_bounds(space: Space, status: Json) -> None:
    runner = a_runner(space)
    refused = write(runner, space, status)
    assert refused.code == 422, refused.body


def test_a_pod_with_an_account_of_its_own_is_a_runner_all_the_same(space: Space) -> None:
    runner = a_runner(space, account="of-a-workflow")
    assert write(runner, space, {"currentNode": "load"}).is_done
    assert write(runner, space, {"run": 4}).code == 403
    other = make_pod(space, "s-r2-abcde", account="of-a-workflow")
    assert other
    stranger = a_pod_of(space.plane, space.name, "s-r2-abcde", account="of-a-workflow")
    assert write(stranger, space, {"currentNode": "load"}).code == 403


def test_every_status_that_our_runner_writes_is_admitted(space: Space) -> None:
    """By the very functions of the runner, one after the other, from a status that an operator wrote."""
    runner = a_runner(space, {**RUNNING, "phase": "Creating"})
    path = f"{GROUP_PATH}/namespaces/{space.name}/agenticsessions/s"
    now = datetime(2026, 3, 1, 13, tzinfo=UTC)

    def go(change: Any, *arguments: Any, **options: Any) -> None:
        from agentic_core.resources import AgenticSession

        session = AgenticSession.model_validate(runner.request("GET", path).body)
        patch = statuses.build_patch(session, change(session, *arguments, **options))
        answer = runner.request("PATCH", f"{path}/status", patch, kind=JSON_PATCH)
        assert answer.is_done, answer.body

    from agentic_core.conditions import Reason
    from agentic_core.resources import Interrupt

    go(statuses.running, now, recursion_limit=25)
    go(statuses.progressing, Progress(steps=2, current_node="load", checkpoint_id="1ef"))
    go(statuses.retrying, now, "once more")
    go(statuses.troubled, Reason.DATABASE_UNAVAILABLE, "away")
    go(statuses.waiting, now, [Interrupt(id="q2", value={"any": "thing"})], Progress(steps=3))
    go(statuses.running, now)
    go(statuses.completed, now, statuses.Result(size=2, sha256="0", url="db", value={}), Progress(steps=4))
    assert space.status("s")["phase"] == "Completed"


# The policy and the code say the same.


def runners_policy() -> Json:
    documents = yaml.safe_load_all((ROOT / "manifests/operator/admission.yaml").read_text(encoding="utf-8"))
    (found,) = [
        each
        for each in documents
        if each["kind"] == "ValidatingAdmissionPolicy" and each["metadata"]["name"].startswith("runner-writes-own")
    ]
    spec: Json = found["spec"]
    return spec


def find_rules(part: str) -> list[str]:
    return [each["expression"] for each in runners_policy()["validations"] if part in each["expression"]]


def quoted(text: str) -> list[str]:
    return re.findall(r"'(\w+)'", text)


def test_the_policy_names_the_fields_of_the_contract() -> None:
    variables = {each["name"]: each["expression"] for each in runners_policy()["variables"]}
    for name in ("changed", "removed"):
        assert tuple(quoted(variables[name])) == contract.RUNNER_FIELDS
    known = {info.alias for info in SessionStatus.model_fields.values()}
    assert set(contract.RUNNER_FIELDS) < known


def test_the_policy_names_the_phases_of_the_table() -> None:
    (rule,) = [
        each["expression"] for each in runners_policy()["validations"] if "variables.phases in" in each["expression"]
    ]
    pairs = re.findall(r"\['(\w+)', '(\w+)'\]", rule)
    legal = [(old, new) for old in Phase for new in Phase if old is not new and is_legal(old, new, Actor.RUNNER)]
    assert sorted(pairs) == sorted((old.value, new.value) for old, new in legal)


def test_the_policy_names_the_conditions_of_the_contract() -> None:
    (rule,) = find_rules("c.type in")
    lists = re.findall(r"c\.type in \[([^\]]*)\]", rule)
    assert [tuple(quoted(each)) for each in lists] == [contract.RUNNER_CONDITIONS] * 2
