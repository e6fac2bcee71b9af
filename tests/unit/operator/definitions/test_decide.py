"""Every decision about a definition: its conditions, its inspection, its count of sessions."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from agentic_core.conditions import Reason, find_condition
from agentic_core.errors import Problem
from agentic_core.inspection import REPORT_BEGIN, REPORT_END
from agentic_core.names import inspection_job_name
from agentic_core.resources import CheckpointTtl, IgnoredSetting, ProjectStatus, WorkflowDefinition
from agentic_operator.config import JobDefaults
from agentic_operator.definitions.decide import (
    COUNT_INTERVAL,
    MAX_RETRY,
    MIN_RETRY,
    VECTORS_INTERVAL,
    DefinitionSeen,
    Report,
    Vectors,
    decide_definition,
    read_report,
)
from agentic_operator.images import AllowedImages
from agentic_operator.manifests.inspection_jobs import inspection_fingerprint
from agentic_operator.sessions.children import ObservedJob, ObservedPod, StuckPod
from agentic_operator.sessions.observation import Rules
from agentic_operator.sessions.plan import DefinitionPlan
from agentic_operator.sessions.snapshot import pin_image
from tests.support.builders import IMAGE, NOW, READY, a_definition, condition

NEW = a_definition(conditions=())
NAME = inspection_job_name("report", "WorkflowDefinition", inspection_fingerprint(NEW.spec))
JOB = ObservedJob(NAME, "job-1", "uid-report", active=1, created_at=NOW - timedelta(seconds=30))
POD = ObservedPod(f"{NAME}-abcde", NAME, created_at=NOW - timedelta(seconds=30))
REPORT = Report(input_schema={"type": "object"}, langgraph_version="1.0.0")
DIGEST = "sha256:" + "b" * 64


def decided(
    definition: WorkflowDefinition = NEW, seen: DefinitionSeen | None = None, rules: Rules | None = None
) -> DefinitionPlan:
    return decide_definition(definition, seen or DefinitionSeen(), NOW, rules or Rules(), "team")


def conditions(plan: DefinitionPlan) -> dict[str, tuple[str, str]]:
    assert plan.status is not None
    return {c.type: (c.status, c.reason) for c in plan.status.conditions}


def test_a_new_definition_is_inspected_and_unknown_until_then() -> None:
    plan = decided()
    assert conditions(plan) == {
        "SchemaValid": ("True", "Valid"),
        "ImageAllowed": ("True", "ImageAllowed"),
        "PodAllowed": ("True", "PodAllowed"),
        "Inspected": ("Unknown", "Inspecting"),
        "ProjectSupported": ("Unknown", "Inspecting"),
        "Ready": ("Unknown", "Inspecting"),
    }
    assert plan.job is not None
    assert plan.job["metadata"]["name"] == NAME


def test_a_broken_schema_and_a_foreign_image_are_refused_without_a_job() -> None:
    broken = decided(seen=DefinitionSeen(schema_problems=(Problem("/spec/inputSchema/type", "7 is not a type"),)))
    assert conditions(broken)["SchemaValid"] == ("False", "InvalidSchema")
    assert conditions(broken)["Ready"] == ("False", "InvalidSchema")
    foreign = decided(rules=Rules(allowed=AllowedImages.parse("docker.io/team")))
    assert conditions(foreign)["ImageAllowed"] == ("False", "ImageNotAllowed")
    for plan in (broken, foreign):
        assert plan.job is None
        assert conditions(plan)["Inspected"][0] == "Unknown"
        assert plan.notes
    assert broken.status is not None
    schema = find_condition(broken.status.conditions, "SchemaValid")
    assert schema is not None
    assert schema.message == "/spec/inputSchema/type: 7 is not a type"


def test_a_completed_inspection_makes_the_definition_ready_with_what_was_found() -> None:
    done = replace(JOB, is_complete=True)
    pod = replace(POD, phase="Succeeded", image_id=f"registry.example.com/team/workflow@{DIGEST}")
    plan = decided(seen=DefinitionSeen(jobs=(done,), pods=(pod,), report=REPORT))
    assert conditions(plan)["Ready"] == ("True", "Ready")
    assert plan.status is not None
    assert plan.status.input_schema == {"type": "object"}
    assert plan.status.langgraph_version == "1.0.0"
    assert plan.status.image_digest == f"registry.example.com/team/workflow@{DIGEST}"


def _inspected_as(project: ProjectStatus | None) -> DefinitionPlan:
    report = replace(REPORT, project=project)
    return decided(NEW, DefinitionSeen(jobs=(replace(JOB, is_complete=True),), pods=(POD,), report=report))


def test_settings_without_effect_are_named_and_leave_the_definition_ready() -> None:
    ignored = (
        IgnoredSetting(setting="/auth", message="people are known by the cluster: remove it"),
        IgnoredSetting(setting="/store/index", message="there are no vectors"),
    )
    plan = _inspected_as(ProjectStatus(ignored=ignored))
    assert plan.status is not None
    found = find_condition(plan.status.conditions, "ProjectSupported")
    assert found is not None
    assert (found.status, found.reason) == ("False", "SettingsIgnored")
    assert found.message == (
        "langgraph.json: /auth: people are known by the cluster: remove it; /store/index: there are no vectors"
    )
    assert [note.reason for note in plan.notes] == ["SettingsIgnored"]
    assert conditions(plan)["Ready"] == ("True", "Ready")
    # It stays said while nothing changes, without another word.
    settled = NEW.model_copy(update={"status": plan.status})
    assert decided(settled).status == plan.status


def test_a_project_without_such_settings_is_supported_and_an_older_runner_reports_none() -> None:
    assert conditions(_inspected_as(ProjectStatus()))["ProjectSupported"] == ("True", "Supported")
    assert conditions(_inspected_as(None))["ProjectSupported"] == ("Unknown", "NotReported")


@pytest.mark.parametrize(
    ("vectors", "has_encryption", "expected", "words"),
    [
        pytest.param(Vectors(1536), False, ("True", "Supported"), "", id="the dimension that is wanted"),
        pytest.param(Vectors(None), False, ("False", "SettingsIgnored"), "migrate vectors --dims 1536", id="none"),
        pytest.param(Vectors(768), False, ("False", "SettingsIgnored"), "has vectors of 768 dimensions", id="another"),
        pytest.param(Vectors(1536), True, ("False", "SettingsIgnored"), "items are encrypted", id="with encryption"),
        pytest.param(None, False, ("Unknown", "DatabaseUnavailable"), "could not be asked", id="no database"),
    ],
)
def test_an_index_is_compared_with_the_vectors_that_the_database_has(
    vectors: Vectors | None, has_encryption: bool, expected: tuple[str, str], words: str
) -> None:
    report = replace(REPORT, project=ProjectStatus(vector_dims=1536))
    done = (replace(JOB, is_complete=True),)
    rules = Rules(jobs=JobDefaults(has_encryption=has_encryption))
    plan = decided(NEW, DefinitionSeen(jobs=done, pods=(POD,), report=report, vectors=vectors), rules)
    assert plan.status is not None
    found = find_condition(plan.status.conditions, "ProjectSupported")
    assert found is not None
    assert (found.status, found.reason) == expected
    assert words in found.message
    assert ("langgraph.json: /store/index: " in found.message) is (expected[0] == "False")
    assert conditions(plan)["Ready"] == ("True", "Ready")
    # The database may be migrated at any time: it is looked at again, and what it said stays while it is away.
    assert plan.wake_at == NOW + VECTORS_INTERVAL
    settled = NEW.model_copy(update={"status": plan.status})
    assert conditions(decided(settled, rules=rules))["ProjectSupported"] == expected
    later = decided(settled, DefinitionSeen(vectors=Vectors(1536)), Rules())
    assert conditions(later)["ProjectSupported"] == ("True", "Supported")


def test_a_ready_definition_needs_nothing_more() -> None:
    ready = a_definition(status={"activeSessions": 0})
    again = decided(ready)
    assert again == DefinitionPlan(status=again.status)
    first = decided(NEW, DefinitionSeen(jobs=(replace(JOB, is_complete=True),), pods=(POD,), report=REPORT))
    assert first.status is not None
    settled = NEW.model_copy(update={"status": first.status})
    assert decided(settled).status == first.status


def test_a_changed_spec_is_inspected_again_and_the_old_inspection_deleted() -> None:
    changed = a_definition(image="registry.example.com/team/workflow:2")
    changed = changed.model_copy(update={"metadata": changed.metadata.model_copy(update={"generation": 2})})
    plan = decided(changed, DefinitionSeen(jobs=(JOB,)))
    assert conditions(plan)["Ready"][0] == "Unknown"
    assert plan.job is not None
    assert plan.job["metadata"]["name"] != NAME
    assert plan.delete_jobs == (NAME,)


@pytest.mark.parametrize(
    ("job", "pods", "reason"),
    [
        (
            {"failure_reason": "BackoffLimitExceeded"},
            ({"phase": "Failed", "exit_code": 4, "exit_message": "no module named x"},),
            "GraphLoadFailed",
        ),
        ({"failure_reason": "BackoffLimitExceeded"}, ({"phase": "Failed", "exit_code": 1},), "InspectionFailed"),
        (
            {"failure_reason": "BackoffLimitExceeded"},
            ({"phase": "Failed", "exit_code": 137, "exit_reason": "OOMKilled"},),
            "OOMKilled",
        ),
        ({"failure_reason": "BackoffLimitExceeded"}, (), "InspectionFailed"),
        ({"failure_reason": "DeadlineExceeded"}, (), "InspectionFailed"),
        ({"is_complete": True}, ({"phase": "Succeeded", "exit_code": 0},), "InspectionFailed"),
    ],
)
def test_a_failed_inspection_says_why(job: dict[str, Any], pods: tuple[dict[str, Any], ...], reason: str) -> None:
    seen = DefinitionSeen(jobs=(replace(JOB, **job),), pods=tuple(replace(POD, **pod) for pod in pods))
    plan = decided(seen=seen)
    assert conditions(plan)["Inspected"] == ("False", reason)
    assert conditions(plan)["Ready"] == ("False", reason)
    assert plan.wake_at is not None
    assert NOW < plan.wake_at <= NOW + MAX_RETRY


@pytest.mark.parametrize(
    ("waiting", "reason"),
    [
        ("InvalidImageName", "ImagePullFailed"),
        ("ImagePullBackOff", "ImagePullFailed"),
        ("CreateContainerConfigError", "ContainerConfigError"),
    ],
)
def test_a_pod_that_does_not_start_is_told_and_left_until_its_deadline(waiting: str, reason: str) -> None:
    stuck = replace(POD, waiting_reason=waiting, waiting_message="why", created_at=NOW - timedelta(seconds=61))
    plan = decided(seen=DefinitionSeen(jobs=(JOB,), pods=(stuck,)))
    assert conditions(plan)["Ready"] == ("False", reason)
    assert plan.delete_jobs == ()
    assert plan.status is not None
    told = NEW.model_copy(update={"status": plan.status})

    # It started after all.
    done = DefinitionSeen(jobs=(replace(JOB, is_complete=True),), pods=(POD,), report=REPORT)
    assert conditions(decided(told, done))["Ready"] == ("True", "Ready")
    # It did not: the deadline took its pod, and what was told stays.
    ended = replace(JOB, failure_reason="DeadlineExceeded", finished_at=NOW)
    after = decided(told, DefinitionSeen(jobs=(ended,)))
    assert after.status is not None
    assert after.status.conditions == plan.status.conditions
    assert after.wake_at == NOW + MIN_RETRY


def test_a_pull_that_fails_is_told_with_its_remedy_while_it_is_still_tried() -> None:
    young = replace(POD, waiting_reason="ErrImagePull", waiting_message="no such image", created_at=NOW)
    plan = decided(seen=DefinitionSeen(jobs=(JOB,), pods=(young,)))
    assert conditions(plan)["Ready"] == ("Unknown", "ImagePullFailed")
    assert plan.status is not None
    ready = find_condition(plan.status.conditions, "Ready")
    assert ready is not None
    assert ready.message.startswith("ErrImagePull: no such image; push the image to its registry")
    assert plan.wake_at == NOW + timedelta(seconds=60)


def test_what_keeps_an_inspections_pod_from_starting_is_told_until_it_starts() -> None:
    stuck_pod = StuckPod(NAME, POD.name, Reason.POD_NOT_STARTED, "configmap not found")
    waiting = decided(seen=DefinitionSeen(jobs=(JOB,), pods=(POD,), stuck_pod=stuck_pod))
    assert conditions(waiting)["Ready"] == ("Unknown", "PodNotStarted")
    told = NEW.model_copy(update={"status": waiting.status})
    going = decided(told, DefinitionSeen(jobs=(JOB,), pods=(replace(POD, has_started=True),)))
    assert conditions(going)["Ready"] == ("Unknown", "Inspecting")
    ended = decided(told, DefinitionSeen(jobs=(replace(JOB, failure_reason="DeadlineExceeded", finished_at=NOW),)))
    assert conditions(ended)["Ready"] == ("False", "PodNotStarted")


def test_a_failed_inspection_is_tried_again_after_growing_delays() -> None:
    def failing(since: timedelta, ended: timedelta) -> tuple[DefinitionPlan, timedelta]:
        old = condition("Inspected", "False", "GraphLoadFailed")
        old["lastTransitionTime"] = NOW - since
        job = replace(JOB, failure_reason="BackoffLimitExceeded", finished_at=NOW - ended)
        seen = DefinitionSeen(jobs=(job,), pods=(replace(POD, phase="Failed", exit_code=4),))
        plan = decided(a_definition(conditions=(*READY[:2], old)), seen)
        assert plan.wake_at is not None
        return plan, plan.wake_at - NOW

    assert failing(timedelta(seconds=1), timedelta(seconds=1))[1] == MIN_RETRY - timedelta(seconds=1)
    assert failing(timedelta(seconds=100), timedelta(0))[1] == timedelta(seconds=100)
    assert failing(timedelta(hours=5), timedelta(0))[1] == MAX_RETRY
    due, _ = failing(timedelta(seconds=90), timedelta(seconds=60))
    assert due.delete_jobs == (NAME,)
    # The next pass finds no Job and makes one; the failure stays visible until it succeeds.
    old = {**condition("Inspected", "False", "GraphLoadFailed"), "lastTransitionTime": NOW - timedelta(hours=1)}
    later = decide_definition(
        a_definition(conditions=(*READY[:2], old)), DefinitionSeen(), NOW + MAX_RETRY, Rules(), "team"
    )
    assert later.job is not None
    assert conditions(later)["Inspected"] == ("False", "GraphLoadFailed")


def test_the_count_of_sessions_is_written_at_most_every_few_seconds() -> None:
    status = decided(a_definition(), DefinitionSeen(active_sessions=1)).status
    ready = a_definition().model_copy(update={"status": status})
    first = decided(ready, DefinitionSeen(active_sessions=3))
    assert first.status is not None
    assert first.status.active_sessions == 3
    soon = decided(ready, DefinitionSeen(active_sessions=3, counted_at=NOW - timedelta(seconds=1)))
    assert soon.status == ready.status
    assert soon.wake_at == NOW - timedelta(seconds=1) + COUNT_INTERVAL


def test_a_report_is_read_from_between_its_markers() -> None:
    raw: dict[str, Any] = {
        "nodes": ["a", "b"],
        "edges": ["a -> b"],
        "mermaid": "graph TD;",
        "inputSchema": {},
        "langgraphVersion": "1",
    }
    log = f"noise\n{REPORT_BEGIN}\n{json.dumps(raw)}\n{REPORT_END}\nmore noise"
    report = read_report(log)
    assert report is not None
    assert report.drawing is not None
    assert (report.drawing.nodes, report.drawing.edges) == (("a", "b"), ("a -> b",))
    assert report.input_schema == {}
    assert report.project is None
    settings = {"ignored": [], "vectorDims": 3, "checkpointTtl": {"strategy": "delete", "seconds": 60}}
    newer = read_report(f"{REPORT_BEGIN}\n{json.dumps({**raw, **settings})}\n{REPORT_END}")
    assert newer is not None
    assert newer.project == ProjectStatus(vector_dims=3, checkpoint_ttl=CheckpointTtl(strategy="delete", seconds=60))


@pytest.mark.parametrize(
    "log",
    [
        "",
        "no markers",
        f"{REPORT_BEGIN}\n{{}}",
        f"{REPORT_BEGIN}\nnot json\n{REPORT_END}",
        f"{REPORT_BEGIN}\n[1]\n{REPORT_END}",
        f"{REPORT_BEGIN}\n{'[' * 100_000}\n{REPORT_END}",
        f"{REPORT_END}\n{{}}\n{REPORT_BEGIN}",
    ],
)
def test_a_report_that_cannot_be_read_is_none(log: str) -> None:
    assert read_report(log) is None


def test_a_hostile_report_is_bounded() -> None:
    raw = {
        "nodes": ["n" * 10_000] * 5000,
        "mermaid": "x" * 100_000,
        "inputSchema": {"description": "x" * 100_000},
        "langgraphVersion": "1" * 1000,
        "ignored": ["no object", {"setting": 7}, *({"setting": "/x" * 1000, "message": "m" * 10_000},) * 5000],
    }
    report = read_report(f"{REPORT_BEGIN}\n{json.dumps(raw)}\n{REPORT_END}")
    assert report is not None
    assert report.drawing is not None
    assert len(report.drawing.nodes) == 1000
    assert len(report.drawing.nodes[0]) == 256
    assert report.drawing.mermaid is None
    assert report.input_schema is None
    assert report.project is not None
    assert len(report.project.ignored) == 32
    assert (len(report.project.ignored[0].setting), len(report.project.ignored[0].message)) == (256, 1024)


@pytest.mark.parametrize(
    ("image", "image_id", "pinned"),
    [
        (IMAGE, f"registry.example.com/team/workflow@{DIGEST}", f"registry.example.com/team/workflow@{DIGEST}"),
        ("python:3", f"docker.io/library/python@{DIGEST}", f"docker.io/library/python@{DIGEST}"),
        (IMAGE, DIGEST, None),
        (IMAGE, "", None),
        (IMAGE, f"docker.io/library/import-2026@{DIGEST}", None),
        (IMAGE, "registry.example.com/team/workflow:1", None),
    ],
)
def test_an_image_is_pinned_only_to_a_digest_that_other_nodes_can_pull(
    image: str, image_id: str, pinned: str | None
) -> None:
    assert pin_image(image, image_id) == pinned
