"""What a session keeps of its definition."""

import pytest

from agentic_core.contract import MAX_PINNED_SPEC_BYTES
from agentic_core.resources import WorkflowSnapshot
from agentic_operator.config import JobDefaults
from agentic_operator.images import EVERY_IMAGE, AllowedImages
from agentic_operator.manifests.inspection_jobs import build_inspection_job
from agentic_operator.manifests.jobs import build_job
from agentic_operator.sessions.admission import Admitted, Refused, admit_workflow
from agentic_operator.sessions.snapshot import find_spec, pin_image, pin_spec
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


INDEX, PLATFORM = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
REPOSITORY = "registry.example.com/team/flow"


@pytest.mark.parametrize(
    ("image", "found", "expected"),
    [
        (f"{REPOSITORY}:1", f"{REPOSITORY}@{PLATFORM}", f"{REPOSITORY}@{PLATFORM}"),
        (f"{REPOSITORY}@{INDEX}", f"{REPOSITORY}@{PLATFORM}", f"{REPOSITORY}@{INDEX}"),
        (f"{REPOSITORY}:1@{INDEX}", f"{REPOSITORY}@{PLATFORM}", f"{REPOSITORY}@{INDEX}"),
        (f"{REPOSITORY}:1", f"registry.example.com/other@{PLATFORM}", None),
        (f"{REPOSITORY}:1", PLATFORM, None),
    ],
)
def test_an_image_is_pinned_by_the_digest_that_it_names_or_the_node_found(
    image: str, found: str, expected: str | None
) -> None:
    assert pin_image(image, found) == expected


def test_a_definition_by_digest_runs_by_that_digest_where_only_its_registry_is_allowed() -> None:
    image = f"{REPOSITORY}:1@{INDEX}"
    definition = a_definition(image=image)
    admitted = admit_workflow(a_session().build(), definition, AllowedImages.parse("registry.example.com/team"))
    assert isinstance(admitted, Admitted)
    jobs = (
        build_job(a_session().build(), admitted.snapshot, definition.spec, 1, "t", JobDefaults()),
        build_inspection_job(definition, "team", JobDefaults()),
    )
    for job in jobs:
        assert job["spec"]["template"]["spec"]["containers"][0]["image"] == image
