"""Which sessions would be made again by whoever declares them."""

from datetime import timedelta
from typing import Any

import pytest

from agentic_core.conditions import find_condition
from agentic_core.lifecycle import Phase
from agentic_operator.sessions.decide import decide
from agentic_operator.sessions.declared import find_declaration
from agentic_operator.sessions.ending import KEPT_LOOK
from agentic_operator.sessions.observation import Observation, Rules
from tests.support.builders import NOW, a_definition, a_session

APPLIED = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
OURS = "agentic-operator.dev/declared"
ARGO = {"argocd.argoproj.io/tracking-id": "x"}


@pytest.mark.parametrize(
    ("metadata", "managers", "mark"),
    [
        pytest.param({}, [], None, id="made by a client"),
        pytest.param({"annotations": APPLIED}, ["kubectl-client-side-apply"], None, id="applied by a person"),
        pytest.param({"annotations": ARGO}, [], "argocd.argoproj.io/tracking-id", id="ArgoCD"),
        pytest.param(
            {"labels": {"app.kubernetes.io/instance": "x"}}, ["backend"], None, id="a label that anybody sets"
        ),
        pytest.param(
            {"labels": {"app.kubernetes.io/instance": "x"}},
            ["argocd-controller"],
            "app.kubernetes.io/instance",
            id="ArgoCD by label",
        ),
        pytest.param(
            {"labels": {"app.kubernetes.io/instance": "x"}, "annotations": APPLIED},
            [],
            "app.kubernetes.io/instance",
            id="the same, applied",
        ),
        pytest.param(
            {"labels": {"kustomize.toolkit.fluxcd.io/name": "x"}}, [], "kustomize.toolkit.fluxcd.io/name", id="Flux"
        ),
        pytest.param(
            {"labels": {"helm.toolkit.fluxcd.io/name": "x"}}, [], "helm.toolkit.fluxcd.io/name", id="Flux by Helm"
        ),
        pytest.param({"annotations": {"meta.helm.sh/release-name": "x"}}, [], "meta.helm.sh/release-name", id="Helm"),
        pytest.param({"annotations": {**ARGO, "argocd.argoproj.io/hook": "Sync"}}, [], None, id="a hook of ArgoCD"),
        pytest.param({"annotations": {**ARGO, OURS: "false"}}, [], None, id="said not to be"),
        pytest.param({"annotations": {OURS: "true"}}, [], OURS, id="said to be"),
        pytest.param(
            {"annotations": {**ARGO, OURS: "perhaps"}}, [], "argocd.argoproj.io/tracking-id", id="said in riddles"
        ),
    ],
)
def test_marks_of_tools_that_make_again_what_is_gone(metadata: Any, managers: list[str], mark: str | None) -> None:
    assert find_declaration(a_session().with_metadata(**metadata).build().metadata, managers) == mark


def test_a_declared_session_stays_after_its_time_to_live_and_says_so_once() -> None:
    ended = a_session().with_spec(ttlSecondsAfterFinished=60).with_metadata(annotations=ARGO)
    ended = ended.ended(Phase.COMPLETED, timedelta(seconds=90))
    plan = decide(ended.build(), Observation(definition=a_definition()), NOW, Rules())
    assert not plan.delete_session
    assert plan.status is not None
    assert plan.wake_at == NOW + KEPT_LOOK
    expired = find_condition(plan.status.conditions, "Expired")
    assert expired is not None
    assert (expired.status, expired.reason) == ("True", "DeclaredElsewhere")
    assert [note.reason for note in plan.notes] == ["DeclaredElsewhere"]
    told = ended.with_status(conditions=[each.to_wire() for each in plan.status.conditions])
    again = decide(told.build(), Observation(definition=a_definition()), NOW, Rules())
    assert again.status == told.build().status
    assert again.notes == ()
    undeclared = told.with_metadata(annotations={})
    assert decide(undeclared.build(), Observation(), NOW, Rules()).delete_session
