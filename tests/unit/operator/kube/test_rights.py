"""What the operator has to be allowed, what of it it lacks, and that the manifests grant exactly that."""

import asyncio
import logging
from typing import Any

import pytest
import yaml

from agentic_operator.config import Settings
from agentic_operator.kube import rights
from agentic_operator.kube.rights import (
    Rights,
    Rule,
    find_lacks,
    list_cluster_rules,
    list_inspection_rules,
    list_served_rules,
)
from agentic_operator.variables import ClusterDefinitions
from hack.kubectl import ROOT
from tests.support.waiting import PATIENCE_SECONDS

Json = dict[str, Any]
Granted = set[tuple[str, str, str, str]]


def grants(file: str, kind: str, name: str = "agentic-operator", namespace: str = "") -> list[Json]:
    documents = yaml.load_all((ROOT / "manifests" / file).read_text(encoding="utf-8"), yaml.CSafeLoader)
    (found,) = (
        one
        for one in documents
        if (one["kind"], one["metadata"]["name"]) == (kind, name)
        and namespace in ("", one["metadata"].get("namespace"))
    )
    rules: list[Json] = found["rules"]
    return rules


def spread(rules: list[Json]) -> Granted:
    return {
        (group, resource, verb, name)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }


def needed(rules: tuple[Rule, ...]) -> Granted:
    return {
        (rule.group, rule.resource, verb, name) for rule in rules for verb in rule.verbs for name in rule.names or ("",)
    }


def test_the_manifests_of_namespaces_grant_what_is_needed_there_and_no_more() -> None:
    settings = Settings()
    assert spread(grants("namespaced/role.yaml", "Role")) == needed(list_served_rules(settings))
    file = "namespaced/cluster-definitions.yaml"
    assert spread(grants(file, "Role")) == needed(list_inspection_rules())
    assert spread(grants(file, "ClusterRole", "agentic-definitions")) == needed(list_cluster_rules(settings))


def test_the_cluster_role_grants_the_same_and_lists_namespaces() -> None:
    settings = Settings()
    everything = needed((*list_served_rules(settings), *list_cluster_rules(settings), *list_inspection_rules()))
    assert spread(grants("operator/rbac.yaml", "ClusterRole")) == everything | {("", "namespaces", "list", "")}


@pytest.mark.parametrize("chosen", ClusterDefinitions)
def test_without_definitions_of_the_cluster_nothing_is_needed_in_it(chosen: ClusterDefinitions) -> None:
    verbs = [verb for rule in list_cluster_rules(Settings(cluster_definitions=chosen)) for verb in rule.verbs]
    assert verbs == {"off": [], "read": ["get", "list", "watch"], "inspect": ["get", "list", "watch", "patch"]}[chosen]


def a_grant(*names: str, group: str = "", resource: str = "secrets", verbs: tuple[str, ...] = ("get", "patch")) -> Json:
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs), "resourceNames": list(names)}


@pytest.mark.parametrize(
    ("granted", "lacking"),
    [
        ([a_grant("a", "b")], []),
        ([a_grant("a"), a_grant("b")], []),
        ([a_grant(group="*", resource="*", verbs=("*",))], []),
        ([a_grant("a")], ["get, patch"]),
        ([a_grant(verbs=("get",))], ["patch"]),
        ([a_grant(group="batch", verbs=("*",))], ["get, patch"]),
        ([], ["get, patch"]),
    ],
)
def test_what_is_lacking_is_named(granted: list[Json], lacking: list[str]) -> None:
    rule = Rule("", "secrets", ("get", "patch"), ("a", "b"))
    assert [str(each) for each in find_lacks([rule], granted)] == [f"{verbs} secrets a, b" for verbs in lacking]


class Reviewer:
    """The API server's reviews: what is granted, by namespace."""

    def __init__(self, settings: Settings) -> None:
        self._all = [
            {"apiGroups": [r.group], "resources": [r.resource], "verbs": list(r.verbs), "resourceNames": list(r.names)}
            for r in list_served_rules(settings)
        ]
        self.without: dict[str, str] = {}
        self.is_incomplete = False

    async def create(self, kind: Any, namespace: str, body: Json) -> Json:
        assert namespace == ""
        if kind is rights.ACCESS_REVIEWS:
            attributes = body["spec"]["resourceAttributes"]
            return {"status": {"allowed": attributes["resource"] != self.without.get(attributes["namespace"])}}
        left_out = self.without.get(body["spec"]["namespace"])
        granted = [] if self.is_incomplete else [each for each in self._all if left_out not in each["resources"]]
        return {"status": {"resourceRules": granted, "incomplete": self.is_incomplete}}


@pytest.mark.parametrize("is_incomplete", [False, True])
async def test_a_namespace_is_served_without_what_it_can_do_without_and_each_lack_is_told_once(
    is_incomplete: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(watch_namespaces=("a", "b", "c"), cluster_definitions=ClusterDefinitions.OFF)
    reviewer = Reviewer(settings)
    reviewer.is_incomplete = is_incomplete
    reviewer.without = {"b": "pods", "c": "events"}
    monkeypatch.setattr(rights, "INTERVAL_SECONDS", 0.001)
    asked = Rights(reviewer, settings)  # type: ignore[arg-type]  # what is needed of the client
    with caplog.at_level(logging.INFO):
        assert (await asked.choose_served()).watch_namespaces == ("a", "c")
        watching = asyncio.create_task(asked.watch(("a", "c")))
        await asyncio.sleep(0.05)
        assert not watching.done()
        reviewer.without = {"c": "events"}
        await asyncio.wait_for(watching, PATIENCE_SECONDS)
    told = [(each.levelname, each.getMessage()) for each in caplog.records]
    assert [level for level, _ in told] == ["WARNING", "WARNING", "INFO", "INFO"]
    assert told[0][1].startswith("in namespace 'b' the operator serves nothing until it may: get, list, watch pods")
    assert told[1][1].startswith(
        "in namespace 'c' the operator has to be allowed to: create, list events.events.k8s.io;"
    )
    assert told[2][1] == "the operator has all of its rights in namespace 'b'"
    assert told[3][1] == "ends, to begin anew with the rights in b"


async def test_without_any_namespace_to_serve_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(watch_namespaces=("a",), cluster_definitions=ClusterDefinitions.OFF)
    reviewer = Reviewer(settings)
    reviewer.without = {"a": "agenticsessions"}
    monkeypatch.setattr(rights, "INTERVAL_SECONDS", 0.001)
    waiting = asyncio.create_task(Rights(reviewer, settings).choose_served())  # type: ignore[arg-type]  # as above
    await asyncio.sleep(0.05)
    assert not waiting.done()
    reviewer.without = {}
    assert (await asyncio.wait_for(waiting, PATIENCE_SECONDS)).watch_namespaces == ("a",)
