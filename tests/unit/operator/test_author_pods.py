"""Which parts of a pod a definition may choose, by lists of the operator's settings."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_core.names import RUNNER_SERVICE_ACCOUNT
from agentic_core.resources import WorkflowSpec
from agentic_operator.author_pods import AllowedPods, Listed, find_account, list_pod_problems
from agentic_operator.namespaces.prepare import find_own_annotations
from tests.support.builders import a_definition

OPEN = Listed(("*",))
EVERYTHING = AllowedPods(priority_classes=OPEN, tolerations=OPEN)


def a_spec(**template: Any) -> WorkflowSpec:
    return a_definition(podTemplate=template).spec


def pointers(allowed: AllowedPods = AllowedPods(), /, **template: Any) -> list[str]:  # noqa: B008  (frozen)
    return [
        problem.pointer.removeprefix("/spec/podTemplate/") for problem in list_pod_problems(a_spec(**template), allowed)
    ]


@pytest.mark.parametrize(
    ("text", "name", "allowed"),
    [
        ("none", "a", False),
        ("*", "a", True),
        ("a, b", "b", True),
        ("a", "ab", False),
        ("a*", "ab", True),
        ("a/*", "a", False),
        ("", "", False),
    ],
)
def test_a_list_holds_names_and_beginnings(text: str, name: str, allowed: bool) -> None:
    assert Listed.parse(text).allows(name) is allowed


@pytest.mark.parametrize("text", ["*a", "a*b", "a b", "**"])
def test_what_can_match_nothing_is_no_list(text: str) -> None:
    with pytest.raises(ValueError, match="names, or beginnings"):
        Listed.parse(text)


@given(st.text(alphabet="ab/.-", min_size=1), st.text(alphabet="ab/.-", min_size=1))
def test_a_name_is_allowed_if_and_only_if_it_is_listed(listed: str, name: str) -> None:
    assert Listed((listed,)).allows(name) == (listed == name)
    assert Listed((f"{listed}*",)).allows(name) == name.startswith(listed)


def test_by_default_nothing_reaches_before_other_pods_or_past_taints() -> None:
    assert pointers(priorityClassName="system-cluster-critical") == ["priorityClassName"]
    assert pointers(tolerations=[{"operator": "Exists"}]) == ["tolerations/0"]
    assert pointers(tolerations=[{"operator": "Exists", "effect": "NoExecute"}]) == ["tolerations/0"]
    assert pointers(tolerations=[{"key": "nvidia.com/gpu"}, {"key": "node-role.kubernetes.io/master"}]) == [
        "tolerations/1/key"
    ]
    assert pointers(nodeSelector={"a": "b"}, runtimeClassName="gvisor", labels={"a": "b"}, annotations={"c": "d"}) == []


def test_every_list_is_asked_for_what_it_lists() -> None:
    closed = Listed()
    nothing = AllowedPods(closed, closed, closed, closed, closed, closed)
    assert pointers(
        nothing,
        nodeSelector={"example.com/pool": "x"},
        runtimeClassName="r",
        labels={"l~": "1"},
        annotations={"iam.amazonaws.com/role": "everything"},
    ) == ["runtimeClassName", "nodeSelector/example.com~1pool", "labels/l~0", "annotations/iam.amazonaws.com~1role"]
    terms = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "pool", "operator": "Exists"}]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    place = (
        "affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchExpressions/0"
    )
    assert pointers(nothing, affinity=affinity) == [f"{place}/key"]
    assert pointers(affinity=affinity) == []


@pytest.mark.parametrize("kind", ["podAffinity", "podAntiAffinity"])
@pytest.mark.parametrize("reach", [{"namespaces": ["other"]}, {"namespaceSelector": {}}])
def test_pods_of_other_namespaces_are_never_an_authors(kind: str, reach: dict[str, Any]) -> None:
    term = {"topologyKey": "zone", **reach}
    (name,) = reach
    weighted = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    for terms in (weighted, required):
        (pointer,) = pointers(EVERYTHING, affinity={kind: terms})
        assert pointer.endswith(f"/{name}")
    own = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}}
    assert pointers(affinity={kind: {"requiredDuringSchedulingIgnoredDuringExecution": [own]}}) == []


def test_the_shared_accounts_annotations_are_refused_unless_the_admin_keeps_them() -> None:
    template = {"serviceAccountAnnotations": {"a": "b"}}
    assert pointers(**template) == ["serviceAccountAnnotations"]
    assert pointers(AllowedPods(has_shared_annotations=True), **template) == []
    assert list_pod_problems(a_spec(**template), AllowedPods(), "reports") == []


def test_a_session_of_the_time_before_runs_as_the_account_that_its_definition_names_now() -> None:
    before, named, plain = a_spec(serviceAccountAnnotations={"a": "b"}), a_spec(serviceAccountName="n"), a_spec()
    assert find_account(before, named) == "n"
    assert find_account(before, before) == find_account(before, None) == find_account(plain, named) == ""
    assert find_account(named, plain) == "n"


def test_only_what_the_operator_wrote_is_taken_off() -> None:
    def managed(manager: str, *names: str) -> dict[str, Any]:
        return {"manager": manager, "fieldsV1": {"f:metadata": {"f:annotations": {f"f:{name}": {} for name in names}}}}

    account = {
        "metadata": {
            "name": RUNNER_SERVICE_ACCOUNT,
            "annotations": {"a": "1", "b": "2"},
            "managedFields": [managed("agentic-operator", "a", "gone"), managed("kubectl-annotate", "b")],
        }
    }
    assert find_own_annotations(account) == ["a"]
    assert find_own_annotations({"metadata": {"name": RUNNER_SERVICE_ACCOUNT}}) == []
