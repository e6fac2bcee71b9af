"""The way to a later version of the resources, rehearsed on an API server beside an operator that knows the first one.

What is shipped is ``v1alpha1`` alone. Here a second version is made of our own schemas by the rename of a field, served
with a conversion webhook, given the storage, and taken away again; the operator is the real program, unchanged.
"""

import copy
import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_core.names import GROUP
from agentic_core.names import VERSION as FIRST
from hack.cluster.binaries import kubectl as program
from hack.cluster.controlplane import ControlPlane
from hack.cluster.endpoints import LOOPBACK
from hack.cluster.errors import ClusterError
from hack.kubectl import Kubectl
from tests.support.builders import definition_body
from tests.support.conversion import LATER, RENAMED, ConversionWebhook, convert, rename_field, serve_conversion
from tests.support.guide import read_commands, run_commands
from tests.support.kube import Space, install
from tests.support.waiting import wait_for

Json = dict[str, Any]
PLURALS = {
    "AgenticSession": "agenticsessions",
    "WorkflowDefinition": "workflowdefinitions",
    "ClusterWorkflowDefinition": "clusterworkflowdefinitions",
}

# What the page has an admin do.
REWRITE, TRIM = read_commands("versions.md")
WITHOUT_WEBHOOK = {"strategy": "None", "webhook": None}

values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3))


@given(
    kind=st.sampled_from(sorted(RENAMED)),
    spec=st.dictionaries(st.sampled_from(["inputs", "maxActiveSessions", "suspend", "env", "image"]), values),
    status=values,
)
def test_a_conversion_and_back_changes_nothing(kind: str, spec: Json, status: Any) -> None:
    body = {"apiVersion": f"{GROUP}/{FIRST}", "kind": kind, "metadata": {"name": "a"}, "spec": spec, "status": status}
    later = convert(body, LATER)
    assert RENAMED[kind][0] not in later["spec"]
    assert convert(later, LATER) == later
    assert convert(later, FIRST) == body


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """An API server of its own, whose resource kinds a test may change."""
    with ControlPlane(tmp_path / "plane", controller_manager=True) as started:
        install(started)
        yield started


@pytest.fixture
def space(plane: ControlPlane, tmp_path: Path) -> Iterator[Space]:
    plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": "team"}})
    made = Space(plane, "team", tmp_path)
    try:
        yield made
    finally:
        for operator in made.operators:
            if operator.process is not None and operator.process.poll() is None:
                operator.kill()


def test_policies_know_every_field_that_they_name(control_plane: ControlPlane) -> None:
    """They name a version, so that the API server checks their expressions against its schema."""
    path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"

    def list_policies() -> list[Json]:
        items: list[Json] = control_plane.request("GET", path)["items"]
        return items

    def are_checked(policies: list[Json]) -> bool:
        return all((each.get("status") or {}).get("observedGeneration") for each in policies)

    policies = wait_for(list_policies, are_checked, what="the policies checked", every=0.1)
    rules = [rule for each in policies for rule in each["spec"]["matchConstraints"]["resourceRules"]]
    assert {tuple(rule["apiVersions"]) for rule in rules if rule["apiGroups"] == [GROUP]} == {(FIRST,)}
    assert [each["status"]["typeChecking"] for each in policies if each["status"].get("typeChecking")] == []


class Versions:
    """What an admin does with the versions of the resource kinds."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.kubectl = Kubectl(plane.kubeconfig)
        self.first = {kind: self.read(kind)["spec"]["versions"][0] for kind in PLURALS}

    def _path(self, kind: str) -> str:
        return f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{PLURALS[kind]}.{GROUP}"

    def read(self, kind: str) -> Json:
        return self.plane.request("GET", self._path(kind))

    def serve(self, later: dict[str, Json], conversion: Json, *, stored: str = FIRST) -> None:
        """Serve both versions, one of them stored, and wait until the API server does."""
        for kind, plural in PLURALS.items():
            both = [{**each, "storage": each["name"] == stored} for each in (self.first[kind], later[kind])]
            self.plane.request("PATCH", self._path(kind), {"spec": {"versions": both, "conversion": conversion}})
            path = f"/apis/{GROUP}/{LATER}/{plural}"
            wait_for(partial(self._answers, path), bool, what=f"{path} served", every=0.1)

    def serve_first_alone(self) -> None:
        for kind in PLURALS:
            body = {"spec": {"versions": [self.first[kind]], "conversion": WITHOUT_WEBHOOK}}
            self.plane.request("PATCH", self._path(kind), body)
            path = f"/apis/{GROUP}/{LATER}/{PLURALS[kind]}"
            wait_for(partial(self._answers, path), lambda answers: not answers, what=f"{path} gone", every=0.1)

    def list_stored(self) -> list[list[str]]:
        return [self.read(kind)["status"]["storedVersions"] for kind in PLURALS]

    def rewrite(self) -> bool:
        """Write every object as it is; return False if one was changed meanwhile."""
        try:
            self._follow(REWRITE)
        except AssertionError as error:
            if "Conflict" not in str(error) and "has been modified" not in str(error):
                raise
            return False
        return True

    def trim_stored(self, version: str) -> None:
        """Say that no object is stored in another version any more."""
        self._follow(TRIM.replace(LATER, version))

    def _follow(self, commands: str) -> None:
        path = f"{program().parent}:{os.environ['PATH']}"
        home = self.plane.directory
        run_commands(
            commands, env={"PATH": path, "HOME": str(home), "KUBECONFIG": str(self.plane.kubeconfig)}, folder=home
        )

    def _answers(self, path: str) -> bool:
        try:
            self.plane.request("GET", path)
        except ClusterError:
            return False
        return True


def later_path(plural: str, name: str) -> str:
    return f"/apis/{GROUP}/{LATER}/namespaces/team/{plural}/{name}"


def is_converted(space: Space, webhook: ConversionWebhook, name: str) -> bool:
    """Return whether the API server needs the webhook to show a session in the later version."""
    before = len(webhook.converted)
    space.plane.request("GET", later_path("agenticsessions", name))
    return (name, LATER) in webhook.converted[before:]


def test_a_later_version_is_served_takes_over_the_storage_and_is_taken_back(space: Space, plane: ControlPlane) -> None:
    versions = Versions(plane)
    pair = plane.authority.issue("conversion", "conversion", names=[LOOPBACK])
    with serve_conversion(pair, plane.ca_file) as webhook:
        # 1. The first version alone, as it is shipped.
        space.define(inputSchema={"type": "object"}, maxActiveSessions=2)
        define_for_all(plane)
        operator = space.operator()
        space.start("first", inputs={"a": 1})
        space.wait_status("first", "Creating", "JobCreated")
        space.settle()
        shipped = space.session("first")

        # 2. Both are served, the first is stored: each object is read and written in either.
        later = {kind: rename_field(version, kind) for kind, version in versions.first.items()}
        versions.serve(later, webhook.conversion)
        shown = plane.request("GET", later_path("agenticsessions", "first"))
        assert shown["spec"]["input"] == {"a": 1}
        assert shown == convert(shipped, LATER) | {"metadata": shown["metadata"]}
        assert is_converted(space, webhook, "first")
        body = convert(
            {**shipped, "metadata": {"name": "second"}, "spec": {**shipped["spec"], "inputs": {"b": 2}}}, LATER
        )
        plane.request("POST", later_path("agenticsessions", "").rstrip("/"), body)
        space.wait_status("second", "Creating", "JobCreated")
        assert space.session("second")["spec"]["inputs"] == {"b": 2}
        space.start("third", inputs={"c": 3})
        space.wait_status("third", "Pending", "Queued")
        plane.request("PATCH", later_path("workflowdefinitions", "report"), {"spec": {"activeLimit": 3}})
        space.check()
        space.wait_status("third", "Creating", "JobCreated")
        # Policies hold what they say of the first version against requests in the later one.
        with pytest.raises(ClusterError, match="inputs"):
            plane.request("PATCH", later_path("agenticsessions", "first"), {"spec": {"input": {"a": 2}}})
        assert space.session("first")["spec"] == shipped["spec"]
        # kubectl takes the later version by itself, and the first one by its name.
        assert get_versions(versions.kubectl) == (f"{GROUP}/{LATER}", f"{GROUP}/{FIRST}")

        # Without the webhook, what speaks the stored version goes on.
        webhook.is_away = True
        with pytest.raises(ClusterError, match="conversion webhook"):
            plane.request("GET", later_path("agenticsessions", "first"))
        space.change("third", stop=True)
        space.wait_status("third", "Stopped", "StoppedByUser")
        webhook.is_away = False

        # 3. The storage moves; each object does when it is written next.
        versions.serve(later, webhook.conversion, stored=LATER)
        assert versions.list_stored() == [[FIRST, LATER]] * 3
        move(space, versions, webhook, stored=LATER)
        versions.trim_stored(LATER)
        assert versions.list_stored() == [[LATER]] * 3
        operator.kill()
        space.operator("again")
        space.start("fourth", inputs={"d": 4})
        space.wait_status("fourth", "Creating", "JobCreated")
        wait_for(partial(is_converted, space, webhook, "fourth"), lambda found: not found, what="stored as it is shown")
        # Manifests in Git go on, and change nothing.
        manifest = json.dumps(definition_body("report", "team", inputSchema={"type": "object"}, maxActiveSessions=3))
        generation = space.definition()["metadata"]["generation"]
        versions.kubectl.run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest)
        assert space.definition()["metadata"]["generation"] == generation
        # What the operator made before is still its owner's: it goes with it.
        plane.request("DELETE", later_path("agenticsessions", "second"))
        space.wait_gone("second")
        wait_for(space.session_jobs, lambda names: "second-r1" not in names, what="the Job gone", every=0.1)

        # 4. All the way back.
        versions.serve(later, webhook.conversion, stored=FIRST)
        move(space, versions, webhook, stored=FIRST)
        versions.trim_stored(FIRST)
        versions.serve_first_alone()

    assert versions.list_stored() == [[FIRST]] * 3
    assert space.session("first")["spec"] == shipped["spec"]
    space.change("first", stop=True)
    space.wait_status("first", "Stopped", "StoppedByUser")
    space.start("fifth", inputs={"e": 5})
    space.wait_status("fifth", "Creating", "JobCreated")


def define_for_all(plane: ControlPlane) -> None:
    body = definition_body("for-all", kind="ClusterWorkflowDefinition", maxActiveSessions=1)
    plane.request("POST", f"/apis/{GROUP}/{FIRST}/clusterworkflowdefinitions", body)


def get_versions(kubectl: Kubectl) -> tuple[str, str]:
    """Return the version in which kubectl shows a session by itself, and by name."""
    names = ("agenticsessions", f"agenticsessions.{FIRST}.{GROUP}")
    found = [json.loads(kubectl.run("get", name, "first", "-n", "team", "-o", "json"))["apiVersion"] for name in names]
    return found[0], found[1]


def move(space: Space, versions: Versions, webhook: ConversionWebhook, *, stored: str) -> None:
    """Rewrite all objects until the API server has none left in the other version."""

    def find_left() -> list[str]:
        if not versions.rewrite():
            return ["what was changed meanwhile"]
        names = [each["metadata"]["name"] for each in space.sessions()]
        return [name for name in names if is_converted(space, webhook, name) is (stored == LATER)]

    wait_for(find_left, lambda left: not left, what=f"all stored as {stored}", every=0.2)


def test_without_a_webhook_all_versions_need_the_same_fields(space: Space, plane: ControlPlane) -> None:
    """An optional field is added to the version that there is, or to every one that is served."""
    versions = Versions(plane)
    space.define()
    define_for_all(plane)
    space.start("first", inputs={"a": 1})
    later = {kind: {**copy.deepcopy(version), "name": LATER} for kind, version in versions.first.items()}
    spec = later["AgenticSession"]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["hint"] = {"type": "string"}
    later["AgenticSession"]["selectableFields"].reverse()
    versions.serve(later, WITHOUT_WEBHOOK)
    versions.serve(later, WITHOUT_WEBHOOK, stored=LATER)
    path = later_path("agenticsessions", "first")

    def give_hint() -> Json:
        return plane.request("PATCH", path, {"spec": {"hint": "x"}})

    wait_for(give_hint, lambda made: made["spec"].get("hint") == "x", what="the field", every=0.1)
    assert plane.request("GET", path)["spec"]["hint"] == "x"
    # What a client of the first version writes, it writes as the first version knows it.
    wait_for(partial(space.change, "first", suspend=True), bool, what="a change")
    assert "hint" not in plane.request("GET", path)["spec"]

    # In the first version too, it stays, and the operator of before goes on.
    for_both = copy.deepcopy(versions.first)
    for_both["AgenticSession"]["schema"] = copy.deepcopy(later["AgenticSession"]["schema"])
    versions.first = for_both
    versions.serve({kind: {**version, "name": LATER} for kind, version in for_both.items()}, WITHOUT_WEBHOOK)
    wait_for(give_hint, lambda made: made["spec"].get("hint") == "x", what="the field", every=0.1)
    space.operator()
    space.change("first", suspend=False)
    space.wait_status("first", "Creating", "JobCreated")
    assert plane.request("GET", path)["spec"]["hint"] == "x"

    # With the same fields the storage moves, too, and only the version's name is another one.
    versions.serve(
        {kind: {**version, "name": LATER} for kind, version in for_both.items()}, WITHOUT_WEBHOOK, stored=LATER
    )
    wait_for(versions.rewrite, bool, what="all rewritten")
    shown, first = plane.request("GET", path), space.session("first")
    assert (shown["spec"], shown["apiVersion"]) == (first["spec"], f"{GROUP}/{LATER}")
    plane.request("PATCH", path, {"spec": {"stop": True}})
    space.wait_status("first", "Stopped", "StoppedByUser")
