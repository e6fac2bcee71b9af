"""Config, context and limits as the operator sees them: what it refuses, warns of, pins and passes on."""

import json
from typing import Any

import pytest

from agentic_core.conditions import Reason, find_condition
from agentic_core.contract import GRAPH_DEFAULTS
from agentic_core.input_rules import GRAPH_ACCEPTS
from agentic_core.resources.graph_config import RunLimits
from agentic_operator.config import JobDefaults
from agentic_operator.manifests.inspection_jobs import build_inspection_job, inspection_fingerprint
from agentic_operator.manifests.jobs import effective_limits
from agentic_operator.sessions.admission import check_settings
from agentic_operator.sessions.observation import Observation, Rules
from agentic_operator.sessions.snapshot import find_spec
from agentic_operator.sessions.starting import start
from agentic_operator.sessions.status import build_exact_patch
from tests.support.builders import NOW, SessionBuilder, a_definition, a_session

SCHEMA = {
    "properties": {"model": {}, "user": {}},
    GRAPH_ACCEPTS: {"required": ["user"], "properties": {"model": {}, "user": {}}, "additionalProperties": False},
}
STATUS = {"contextSchema": SCHEMA, "configSchema": SCHEMA}


@pytest.mark.parametrize(
    ("spec", "defaults", "expected"),
    [
        pytest.param({}, {}, "/spec/context/user: is missing", id="a required field that nobody gives"),
        pytest.param({}, {"context": {"user": "ann"}}, "", id="a required field that the definition gives"),
        pytest.param({"context": {"user": "a", "usr": 1}}, {}, "did you mean 'user'?", id="a field that there is not"),
        pytest.param({"workflowRef": {"name": "report", "graph": "other"}}, {}, "", id="a graph nobody has inspected"),
    ],
)
def test_a_session_is_judged_by_the_context_schema_of_its_graph(
    spec: dict[str, Any], defaults: dict[str, Any], expected: str
) -> None:
    definition = a_definition(status=STATUS, defaults=defaults)
    refused = check_settings(a_session().with_spec(**spec).build(), definition)
    assert (refused is None) == (not expected)
    if refused is not None:
        assert refused.reason is Reason.INVALID_CONFIG
        assert expected in refused.message


def test_a_name_of_the_system_is_refused_where_no_policy_did() -> None:
    session = a_session().with_spec(config={"configurable": {"checkpoint_ns": "x"}}).build()
    plan = start(session, Observation(definition=a_definition()), NOW, Rules())
    assert plan.job is None
    assert plan.status is not None
    assert plan.status.reason == "InvalidConfig"
    assert "/spec/config/configurable/checkpoint_ns" in (plan.status.message or "")


def test_a_key_that_looks_mistyped_is_told_and_runs() -> None:
    session = a_session().with_spec(config={"configurable": {"modle": 1}}, context={"user": "ann"}).build()
    plan = start(session, Observation(definition=a_definition(status=STATUS)), NOW, Rules())
    assert plan.job is not None
    assert plan.status is not None
    warned = find_condition(plan.status.conditions, "InputsKnown")
    assert warned is not None
    assert "/spec/config/configurable/modle" in warned.message


def test_a_session_pins_config_and_context_of_its_definition_with_their_nulls() -> None:
    defaults = {"config": {"configurable": {"a": None}, "recursion_limit": 7}, "context": {"b": [None]}}
    plan = start(a_session().build(), Observation(definition=a_definition(defaults=defaults)), NOW, Rules())
    assert plan.status is not None
    assert plan.status.workflow is not None
    assert plan.status.workflow.spec is not None
    assert plan.status.workflow.spec["defaults"]["context"] == {"b": [None]}
    pinned = find_spec(plan.status.workflow, None)
    assert pinned is not None
    assert pinned.defaults is not None
    assert pinned.defaults.config is not None
    assert pinned.defaults.config.configurable == {"a": None}
    assert plan.status.limits == RunLimits(recursion_limit=7, timeout_seconds=86_400)


@pytest.mark.parametrize(
    ("session", "definition", "expected"),
    [
        (a_session(), {}, (10_000, 86_400)),
        (a_session(), {"config": {"recursion_limit": 5}, "timeoutSeconds": 60}, (5, 60)),
        (
            a_session().with_spec(config={"recursion_limit": 9}, timeoutSeconds=90),
            {"config": {"recursion_limit": 5}, "timeoutSeconds": 60},
            (9, 90),
        ),
    ],
)
def test_limits_come_from_the_session_then_the_definition_then_the_setting(
    session: SessionBuilder, definition: dict[str, Any], expected: tuple[int, int]
) -> None:
    found = effective_limits(session.build(), a_definition(defaults=definition).spec, JobDefaults())
    assert (found.recursion_limit, found.timeout_seconds) == expected


def test_limits_stay_when_the_settings_change() -> None:
    limits = {"recursionLimit": 10, "timeoutSeconds": 20}
    session = a_session().accepted().with_status(phase="Pending", limits=limits).build()
    plan = start(session, Observation(definition=a_definition()), NOW, Rules())
    assert plan.status is not None
    assert plan.status.limits == RunLimits(recursion_limit=10, timeout_seconds=20)
    assert plan.job is not None
    assert plan.job["spec"]["activeDeadlineSeconds"] == 20


def test_an_inspection_is_given_the_definitions_config_and_is_made_again_when_it_changes() -> None:
    plain = a_definition()
    given = a_definition(defaults={"config": {"configurable": {"price": "$(HOME)"}}, "context": {"a": None}})
    assert inspection_fingerprint(plain.spec) != inspection_fingerprint(given.spec)
    assert inspection_fingerprint(plain.spec) == inspection_fingerprint(a_definition(defaults={"retries": 1}).spec)
    job = build_inspection_job(given, "team", JobDefaults())
    env = {each["name"]: each.get("value") for each in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    # As Kubernetes reads it: two dollar signs are one, and begin no reference.
    assert json.loads(env[GRAPH_DEFAULTS].replace("$$", "$")) == {
        "config": {"configurable": {"price": "$(HOME)"}},
        "context": {"a": None},
    }


def test_a_first_status_is_written_whole_where_there_is_none_to_add_to() -> None:
    """A pinned workflow may hold nulls, which a merge patch would take for removals."""
    session = a_session().build()
    status = session.status.model_copy(update={"limits": RunLimits(recursion_limit=1)})
    first = build_exact_patch("10", session.status, status, is_first=True)
    assert [(each["op"], each["path"]) for each in first] == [
        ("replace", "/metadata/resourceVersion"),
        ("add", "/status"),
    ]
    later = build_exact_patch("10", session.status, status)
    assert [each["path"] for each in later] == ["/metadata/resourceVersion", "/status/limits"]
