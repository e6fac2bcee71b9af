"""A namespace that lacks what a run needs: the status says so within seconds, and the run starts when it is there."""

import base64
import copy
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from hack.cluster.errors import ClusterError
from tests.support.kube import SYSTEM, Json, Space
from tests.support.waiting import wait_for

RBAC = "/apis/rbac.authorization.k8s.io/v1"
POLICIES = "/apis/admissionregistration.k8s.io/v1"
# Visible within seconds, on a crowded machine.
SOON = 45.0
# The longest back-off, and the work.
AGAIN = 100.0


def path(space: Space, plural: str, name: str = "", api: str = "/api/v1") -> str:
    return "/".join(part for part in (f"{api}/namespaces/{space.name}/{plural}", name) if part)


def set_quota(space: Space, **hard: str) -> None:
    """Make a quota that is full; what controllers of the quota would compute is written beside it."""
    named = {name.replace("__", "/").replace("_", "."): value for name, value in hard.items()}
    body = {"metadata": {"name": "q"}, "spec": {"hard": named}}
    space.plane.request("POST", path(space, "resourcequotas"), body)
    status = {"status": {"hard": named, "used": dict.fromkeys(named, "0")}}
    space.plane.request("PATCH", path(space, "resourcequotas", "q/status"), status)


def remove(space: Space, plural: str, name: str) -> None:
    space.plane.request("DELETE", path(space, plural, name))


def put_secret(space: Space, namespace: str, name: str, **data: str) -> None:
    body = {"metadata": {"name": name}, "stringData": data}
    space.plane.request("POST", f"/api/v1/namespaces/{namespace}/secrets", body)


def is_told(space: Space, phase: str, reason: str, *texts: str) -> Json:
    """Wait for status, condition and Event that give the reason, the place and the remedy."""
    status = space.wait_status("s", phase, reason, timeout=SOON)
    condition = {c["type"]: c for c in status["conditions"]}["Scheduled"]
    assert (condition["status"], condition["reason"], condition["message"]) == ("False", reason, status["message"])
    for text in (*texts, f"'{space.name}'"):
        assert text in status["message"]
    wait_for(
        space.events, lambda said: (reason, status["message"][:1024]) in said, what="the Event", timeout_seconds=SOON
    )
    return status


def starts(space: Space) -> None:
    status = space.wait_status("s", "Creating", "JobCreated", timeout=AGAIN)
    assert not [c for c in status.get("conditions", ()) if c["type"] == "Scheduled" and c["status"] == "False"]


def wait_refused(space: Space, text: str) -> None:
    """Wait until the API server asks what was just configured: it reads it in its own time."""
    pod = {"containers": [{"name": "c", "image": "x"}], "restartPolicy": "Never"}
    probe = {"metadata": {"name": "probe"}, "spec": {"suspend": True, "template": {"spec": pod}}}

    def try_it() -> str:
        try:
            space.plane.request("POST", path(space, "jobs?dryRun=All", api="/apis/batch/v1"), probe)
        except ClusterError as error:
            return str(error)
        return ""

    wait_for(try_it, lambda said: text in said, what=text, timeout_seconds=SOON, every=0.1)


@pytest.fixture
def defined(space: Space) -> Space:
    space.define()
    return space


def test_a_full_quota_of_jobs_is_told_once_however_often_it_is_tried(defined: Space) -> None:
    set_quota(defined, count__jobs_batch="0")
    operator = defined.operator()
    defined.start("s")
    is_told(defined, "Pending", "QuotaExceeded", "exceeded quota: q", "raise it, or delete what fills it")
    before = defined.session("s")["metadata"]["resourceVersion"]
    tries = operator.log.count("retrying in")
    wait_for(lambda: operator.log.count("retrying in"), lambda n: n > tries, what="one more")
    assert defined.session("s")["metadata"]["resourceVersion"] == before
    remove(defined, "resourcequotas", "q")
    starts(defined)


def test_a_full_quota_of_what_is_made_for_the_namespace_is_told(defined: Space) -> None:
    set_quota(defined, count__secrets="0")
    defined.operator()
    defined.start("s")
    is_told(defined, "Pending", "QuotaExceeded", "secrets", "raise it, or delete what fills it")
    assert not defined.session_jobs()
    remove(defined, "resourcequotas", "q")
    starts(defined)


def test_a_workspace_outside_of_the_limit_range_is_told(space: Space) -> None:
    limits = {"limits": [{"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}}]}
    space.plane.request("POST", path(space, "limitranges"), {"metadata": {"name": "l"}, "spec": limits})
    space.define(workspace={"size": "5Gi"})
    space.operator()
    space.start("s")
    is_told(space, "Pending", "OutsideLimitRange", "maximum storage usage", "change the LimitRange")
    remove(space, "limitranges", "l")
    starts(space)


@pytest.fixture
def refusing_policy(space: Space) -> Iterator[str]:
    """A policy of somebody else that takes no Jobs in the namespace."""
    name = f"no-jobs-{space.name}"
    only_here = {"matchLabels": {"kubernetes.io/metadata.name": space.name}}
    rule = {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]}
    policy = {
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"namespaceSelector": only_here, "resourceRules": [rule]},
            "validations": [{"expression": "false", "message": "no Jobs before the audit"}],
        },
    }
    binding = {"metadata": {"name": name}, "spec": {"policyName": name, "validationActions": ["Deny"]}}
    space.plane.request("POST", f"{POLICIES}/validatingadmissionpolicies", policy)
    made = f"{POLICIES}/validatingadmissionpolicybindings"
    space.plane.request("POST", made, binding)
    yield f"{made}/{name}"
    space.plane.request("DELETE", f"{POLICIES}/validatingadmissionpolicies/{name}")


def test_a_policy_that_refuses_the_job_is_told_with_its_words_and_fails_nothing(
    defined: Space, refusing_policy: str
) -> None:
    wait_refused(defined, "denied request")
    defined.operator()
    defined.start("s")
    is_told(defined, "Pending", "AdmissionRefused", "no Jobs before the audit", "change the policy")
    defined.plane.request("DELETE", refusing_policy)
    starts(defined)


def test_a_webhook_that_does_not_answer_is_told(defined: Space) -> None:
    name = f"away-{defined.name}"
    hook = {
        "name": "jobs.example.com",
        "clientConfig": {"url": "https://127.0.0.1:1/", "caBundle": ""},
        "rules": [{"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": defined.name}},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "timeoutSeconds": 2,
    }
    hooks = f"{POLICIES}/validatingwebhookconfigurations"
    defined.plane.request("POST", hooks, {"metadata": {"name": name}, "webhooks": [hook]})
    try:
        wait_refused(defined, "failed calling webhook")
        defined.operator()
        defined.start("s")
        is_told(defined, "Pending", "AdmissionUnavailable", "jobs.example.com", "look after the service behind it")
    finally:
        defined.plane.request("DELETE", f"{hooks}/{name}")
    starts(defined)


def test_a_secret_that_is_nowhere_or_lacks_its_key_is_named_until_it_is_there(defined: Space) -> None:
    put_secret(defined, defined.name, "agentic-postgres", user="me")
    defined.operator(ENCRYPTION="on")
    defined.start("s")
    is_told(defined, "Pending", "SecretMissing", "Secret 'agentic-postgres'", "nothing under 'dsn'")
    text = base64.b64encode(b"postgresql://mine@db/x").decode()
    defined.plane.request("PATCH", path(defined, "secrets", "agentic-postgres"), {"data": {"dsn": text}})
    status = wait_for(
        lambda: defined.status("s"),
        lambda status: "'agentic-encryption'" in status["message"],
        what="the other Secret",
        timeout_seconds=AGAIN,
    )
    assert (status["phase"], status["reason"]) == ("Pending", "SecretMissing")
    assert f"make Secret 'agentic-encryption' in '{SYSTEM}', or in '{defined.name}'" in status["message"]
    put_secret(defined, defined.name, "agentic-encryption", keys="1: x")
    starts(defined)


OPERATORS_ROLE = f"{RBAC}/clusterroles/agentic-operator"


@pytest.fixture
def whole_rules(space: Space) -> Iterator[Json]:
    """All of the operator's rights; it has lost that to create Jobs. A policy lets nobody else make them."""
    whole: Json = {"rules": space.plane.request("GET", OPERATORS_ROLE)["rules"]}
    rules = copy.deepcopy(whole["rules"])
    for rule in rules:
        if rule["resources"] == ["jobs"]:
            rule["verbs"].remove("create")
    space.plane.request("PATCH", OPERATORS_ROLE, {"rules": rules})
    yield whole
    space.plane.request("PATCH", OPERATORS_ROLE, whole)


def test_a_right_that_the_operator_lacks_is_told(defined: Space, whole_rules: Json) -> None:
    defined.operator()
    defined.start("s")
    is_told(defined, "Pending", "Forbidden", "cannot create resource", "give the operator the rights")
    defined.plane.request("PATCH", OPERATORS_ROLE, whole_rules)
    starts(defined)


def test_a_pod_that_the_quota_refuses_is_told_although_the_job_is_there(defined: Space) -> None:
    set_quota(defined, pods="0")
    defined.operator()
    defined.start("s")
    is_told(defined, "Creating", "QuotaExceeded", "Job 's-r1'", "gets no pod", "exceeded quota: q")
    before = defined.session("s")["metadata"]["resourceVersion"]
    wait_for(
        lambda: [e for e in defined.plane.request("GET", path(defined, "events"))["items"] if is_refusal(e)],
        lambda found: sum(e.get("count", 1) for e in found) >= 2,
        what="further refusals",
    )
    assert defined.session("s")["metadata"]["resourceVersion"] == before
    remove(defined, "resourcequotas", "q")
    starts(defined)


def is_refusal(event: Json) -> bool:
    return bool(event["reason"] == "FailedCreate")


def test_a_service_account_that_was_deleted_is_told_and_made_again(defined: Space) -> None:
    defined.operator()
    defined.start("first")
    defined.wait_status("first", "Creating")
    remove(defined, "serviceaccounts", "agentic-runner")
    defined.start("s")
    is_told(defined, "Creating", "NamespaceNotPrepared", 'serviceaccount "agentic-runner" not found')
    starts(defined)


def test_what_the_kubelet_cannot_mount_is_told(defined: Space) -> None:
    defined.operator()
    defined.start("s")
    pod = defined.wait_pod("s-r1")
    uid = defined.pods("s-r1")[0]["metadata"]["uid"]
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    note = 'MountVolume.SetUp failed for volume "postgres" : secret "agentic-postgres" not found'
    body = {
        "metadata": {"name": f"{pod}.1", "namespace": defined.name},
        "eventTime": now,
        "type": "Warning",
        "reason": "FailedMount",
        "action": "Mount",
        "note": note,
        "regarding": {"kind": "Pod", "name": pod, "namespace": defined.name, "uid": uid, "apiVersion": "v1"},
        "reportingController": "kubelet",
        "reportingInstance": "node",
    }
    defined.plane.request("POST", path(defined, "events", api="/apis/events.k8s.io/v1"), body)
    remove(defined, "secrets", "agentic-postgres")
    is_told(defined, "Creating", "SecretMissing", note, pod)
    wait_for(
        lambda: defined.plane.request("GET", path(defined, "secrets"))["items"],
        lambda found: any(secret["metadata"]["name"] == "agentic-postgres" for secret in found),
        what="the Secret, made again",
        timeout_seconds=AGAIN,
    )
    defined.set_pod(pod, "Running", state={"running": {"startedAt": "2026-01-01T00:00:00Z"}})
    starts(defined)


def test_a_job_that_somebody_holds_back_is_told(defined: Space) -> None:
    defined.operator()
    defined.start("s")
    defined.wait_pod("s-r1")
    job = path(defined, "jobs", "s-r1", api="/apis/batch/v1")
    defined.plane.request("PATCH", job, {"spec": {"suspend": True}})
    is_told(defined, "Creating", "Queued", "Job 's-r1'", "spec.suspend")
    defined.plane.request("PATCH", job, {"spec": {"suspend": False}})
    starts(defined)


def test_an_inspection_that_gets_no_job_is_told(space: Space) -> None:
    set_quota(space, count__jobs_batch="0")
    space.define(is_ready=False)
    space.operator()

    def reads(definition: Json) -> bool:
        found = {c["type"]: c for c in (definition.get("status") or {}).get("conditions") or ()}
        return {found.get(type_, {}).get("reason") for type_ in ("Inspected", "Ready")} == {"QuotaExceeded"}

    told = wait_for(space.definition, reads, what="the quota", timeout_seconds=SOON, every=0.05)
    assert "exceeded quota: q" in told["status"]["conditions"][-1]["message"]
    remove(space, "resourcequotas", "q")
    wait_for(space.jobs, bool, what="the inspection", timeout_seconds=AGAIN, every=0.05)


def test_an_inspection_whose_pod_is_refused_is_told(space: Space) -> None:
    set_quota(space, pods="0")
    space.define(is_ready=False)
    space.operator()

    def reads(reason: str) -> Callable[[Json], bool]:
        def is_so(definition: Json) -> bool:
            found = {c["type"]: c for c in (definition.get("status") or {}).get("conditions") or ()}
            return {found.get(type_, {}).get("reason") for type_ in ("Inspected", "Ready")} == {reason}

        return is_so

    told = wait_for(space.definition, reads("QuotaExceeded"), what="the quota", timeout_seconds=SOON, every=0.05)
    assert "gets no pod: pods " in told["status"]["conditions"][-1]["message"]
    remove(space, "resourcequotas", "q")
    wait_for(space.definition, reads("Inspecting"), what="the inspection", timeout_seconds=AGAIN, every=0.05)
    assert space.pods()


def test_many_that_wait_for_the_same_write_their_status_once_each(defined: Space) -> None:
    defined.operator(ENCRYPTION="on")
    for number in range(30):
        defined.start(f"s{number}")
    for number in range(30):
        defined.wait_status(f"s{number}", "Pending", "SecretMissing", timeout=SOON)
    defined.settle(2)
    put_secret(defined, defined.name, "agentic-encryption", keys="1: x")
    for number in range(30):
        defined.wait_status(f"s{number}", "Creating", timeout=AGAIN)
