"""What a session keeps of its definition."""

from agentic_core.contract import MAX_PINNED_SPEC_BYTES
from agentic_core.resources import WorkflowSnapshot
from agentic_operator.admission import Admitted, Refused, admit_workflow
from agentic_operator.images import EVERY_IMAGE
from agentic_operator.pinning import find_spec, pin_spec
from tests.support.builders import IMAGE, a_definition, a_session

FURNISHED = a_definition(
    env=[{"name": "A", "value": "1"}],
    envFrom=[{"secretRef": {"name": "keys"}}],
    resources={"limits": {"memory": "1Gi"}},
    podTemplate={"nodeSelector": {"disk": "fast"}},
    workspace={"size": "1Gi"},
    defaults={"retries": 4, "keepWarmSeconds": 9},
    imagePullSecrets=[{"name": "pull"}],
    imagePullPolicy="Always",
    graph="main",
    inputSchema={"type": "object"},
    description="x" * 4000,
    maxActiveSessions=3,
)


def test_all_that_shapes_a_pod_is_pinned_and_nothing_else() -> None:
    pinned = pin_spec(FURNISHED.spec)
    assert pinned is not None
    assert set(pinned) == {
        "image",
        "env",
        "envFrom",
        "resources",
        "podTemplate",
        "workspace",
        "defaults",
        "imagePullSecrets",
        "imagePullPolicy",
        "graph",
    }
    found = find_spec(WorkflowSnapshot(image=IMAGE, spec=pinned), None)
    assert found is not None
    assert pin_spec(found) == pinned


def test_what_is_pinned_counts_before_what_the_definition_says_now() -> None:
    changed = a_definition(env=[{"name": "A", "value": "2"}])
    snapshot = WorkflowSnapshot(image=IMAGE, spec=pin_spec(FURNISHED.spec))
    pinned = find_spec(snapshot, changed)
    assert pinned is not None
    assert pinned.env == FURNISHED.spec.env
    assert find_spec(WorkflowSnapshot(image=IMAGE), changed) == changed.spec
    assert find_spec(None, None) is None


def test_a_definition_that_is_too_large_to_keep_is_refused_with_the_way_out() -> None:
    entries = [{"name": f"V{number}", "value": "x" * 4000} for number in range(MAX_PINNED_SPEC_BYTES // 4000 + 1)]
    refused = admit_workflow(a_session().build(), a_definition(env=entries), EVERY_IMAGE)
    assert isinstance(refused, Refused)
    assert refused.reason == "InvalidSpec"
    assert "envFrom" in refused.message
    assert isinstance(admit_workflow(a_session().build(), FURNISHED, EVERY_IMAGE), Admitted)
