"""What is put back on Jobs and pods that somebody edited, and by what they are known until then."""

from dataclasses import replace
from typing import Any

import pytest

from agentic_core.lifecycle import Phase
from agentic_core.names import (
    MANAGED_BY,
    MANAGED_BY_LABEL,
    RUN_LABEL,
    SESSION_LABEL,
    job_name,
    read_run,
    read_session_name,
)
from agentic_operator.sessions.children import observe_job, observe_pod, session_of
from agentic_operator.sessions.decide import decide
from agentic_operator.sessions.observation import Observation, Rules
from agentic_operator.sessions.plan import Plan
from tests.support.builders import NOW, a_definition, a_job, a_pod, a_session

OWNER = {"kind": "AgenticSession", "name": "s", "uid": "uid-s", "controller": True}
LABELS = {MANAGED_BY_LABEL: MANAGED_BY, SESSION_LABEL: "s", RUN_LABEL: "2"}


def raw_job(**metadata: Any) -> dict[str, Any]:
    env = [{"name": "SESSION_UID", "value": "uid-s"}]
    template = {"spec": {"containers": [{"name": "runner", "env": env}]}}
    return {
        "metadata": {"name": "s-r2", "uid": "job", "labels": LABELS, "ownerReferences": [OWNER], **metadata},
        "spec": {"parallelism": 1, "template": template},
    }


def raw_pod(**metadata: Any) -> dict[str, Any]:
    owner = {"kind": "Job", "name": "s-r2", "uid": "job", "controller": True}
    return {"metadata": {"name": "s-r2-abcde", "uid": "pod", "labels": LABELS, "ownerReferences": [owner], **metadata}}


@pytest.mark.parametrize(
    "edited",
    [{}, {"labels": None}, {"labels": {**LABELS, SESSION_LABEL: "other", RUN_LABEL: "9"}}, {"ownerReferences": None}],
)
def test_a_job_is_the_sessions_and_of_its_run_whatever_was_taken_off(edited: dict[str, Any]) -> None:
    job = observe_job(raw_job(**edited))
    assert (job.owner_uid, job.run) == ("uid-s", 2)
    assert session_of(raw_job(**edited)) == "s"
    assert (job.is_labelled, job.is_controlled) == ("labels" not in edited, "ownerReferences" not in edited)


def test_a_pod_is_its_jobs_whatever_was_taken_off() -> None:
    for edited in ({}, {"labels": None}, {"labels": {**LABELS, SESSION_LABEL: "other"}}, {"ownerReferences": None}):
        assert observe_pod(raw_pod(**edited)).job == "s-r2"
        assert session_of(raw_pod(**edited)) == "s"
    adopted = {**LABELS, "batch.kubernetes.io/controller-uid": "job"}
    assert observe_pod(raw_pod(labels=adopted, ownerReferences=None)).is_controlled
    assert not observe_pod(raw_pod(labels=LABELS, ownerReferences=None)).is_controlled


@pytest.mark.parametrize("session", ["s", "a-r1", "x-r", "r1", "a-r01"])
def test_names_of_runs_are_read_back(session: str) -> None:
    assert (read_session_name(job_name(session, 12)), read_run(session, job_name(session, 12))) == (session, 12)


@pytest.mark.parametrize("job", ["s", "s-r", "s-r0", "s-r01", "s-r1x", "wfd-steps-3ba54f7f99", "s-r٣", "s-r9999999999"])
def test_other_names_are_no_runs(job: str) -> None:
    assert read_session_name(job) == ""


def decided(job: Any, *pods: Any, phase: Phase = Phase.RUNNING) -> Plan:
    seen = Observation(definition=a_definition(), jobs=(job,), pods=pods)
    return decide(a_session().accepted(phase).build(), seen, NOW, Rules())


def test_what_was_taken_off_is_put_back_and_nothing_else_is_written() -> None:
    intact = decided(a_job(parallelism=1), a_pod(phase="Running", has_started=True))
    assert (intact.repairs, intact.delete_pods) == ((), ())
    (repair,) = decided(a_job(is_labelled=False, is_controlled=False, parallelism=0)).repairs
    assert (repair.kind, repair.name, repair.uid) == ("Job", "s-r1", "job-1")
    assert repair.patch["spec"] == {"parallelism": 1}
    assert repair.patch["metadata"]["labels"][SESSION_LABEL] == "s"
    assert repair.patch["metadata"]["ownerReferences"][0]["uid"] == "uid-s"


def test_a_pod_that_its_job_let_go_of_is_ended_and_stays_known_until_then() -> None:
    pod = a_pod(phase="Running", has_started=True, is_labelled=False, uid="pod")
    (repair,) = decided(a_job(), pod).repairs
    assert (repair.kind, repair.patch["metadata"]["labels"][RUN_LABEL]) == ("Pod", "1")
    released = decided(a_job(), replace(pod, is_controlled=False))
    assert released.delete_pods == (pod.name,)
    assert decided(a_job(), replace(pod, is_controlled=False, deleting_since=NOW)).delete_pods == ()


def test_what_has_ended_is_left_as_it_is() -> None:
    assert decided(a_job(is_labelled=False, is_complete=True)).repairs == ()
    assert decided(a_job(is_labelled=False, is_deleting=True)).repairs == ()
    assert decided(a_job(is_labelled=False), phase=Phase.COMPLETED).repairs == ()
