"""How an API server keeps objects, as far as the operator relies on it: run against a real one and against the fake.

Both are asked through the operator's own client. A rule that a test over the fake relies on stands here.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from agentic_core.errors import Conflict
from agentic_core.names import FINALIZER
from agentic_operator.kube.client import (
    DEFINITIONS,
    JOBS,
    LEASES,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SESSIONS,
    Json,
    Kind,
    Kube,
)
from agentic_operator.kube.errors import AlreadyExists, Invalid, NotFound
from agentic_operator.sessions.children import observe_job
from tests.support.builders import definition_body, session_body
from tests.support.waiting import PATIENCE_SECONDS


@dataclass
class ApiServer:
    """A server, a namespace on it, and what makes its garbage collector come round."""

    kube: Kube
    namespace: str
    collect: Callable[[], object] = lambda: None

    async def make_session(self, name: str = "s", **metadata: Any) -> Json:
        body = session_body(name, "report", self.namespace)
        body["metadata"] |= metadata
        return await self.kube.create(SESSIONS, self.namespace, body)

    async def make_secret(self, name: str = "x", **metadata: Any) -> Json:
        body = {"metadata": {"name": name, **metadata}, "data": {"a": "MQ=="}}
        return await self.kube.create(SECRETS, self.namespace, body)

    async def make_job(self, name: str = "j", **metadata: Any) -> Json:
        """Make a Job that is suspended, so that no controller does anything about it."""
        return await self.kube.create(JOBS, self.namespace, a_job_body(name, **metadata))

    async def read(self, kind: Kind, name: str) -> Json:
        return await self.kube.get(kind, self.namespace, name)

    async def watch(self, kind: Kind, since: str, selector: str = "") -> list[tuple[str, Json]]:
        """Return what a watch of a second tells."""
        params = {"watch": "1", "resourceVersion": since, "timeoutSeconds": "1", "labelSelector": selector}
        async with self.kube._send("GET", kind.url(self.namespace), params=params) as response:
            lines = (await response.text()).splitlines()
        return [(event["type"], event["object"]) for event in map(json.loads, lines)]

    async def wait_gone(self, kind: Kind, name: str) -> None:
        """Wait until an object is gone, by the garbage collector's doing."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.kube.find(kind, self.namespace, name) is not None:
                self.collect()
                await asyncio.sleep(0.05)


def a_job_body(name: str, **metadata: Any) -> Json:
    container = {"name": "runner", "image": "x", "command": ["true"]}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    return {"metadata": {"name": name, **metadata}, "spec": {"suspend": True, "template": template}}


def owned_by(owner: Json) -> Json:
    """Return the metadata of something that goes with a session."""
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"]}
    reference |= {"name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"], "controller": True}
    return {"ownerReferences": [reference]}


def version(raw: Json) -> int:
    return int(raw["metadata"]["resourceVersion"])


def names(items: list[Json]) -> list[str]:
    return [raw["metadata"]["name"] for raw in items]


class ApiConformance:
    # -- creation

    async def test_an_object_is_made_with_a_uid_a_version_and_a_time(self, server: ApiServer) -> None:
        made = await server.make_session(uid="chosen", generation=7)
        meta = made["metadata"]
        assert (made["kind"], made["apiVersion"]) == ("AgenticSession", "agentic-operator.dev/v1alpha1")
        assert meta["uid"] not in ("", "chosen")
        assert (meta["generation"], meta["namespace"]) == (1, server.namespace)
        assert meta["creationTimestamp"].endswith("Z")
        assert await server.read(SESSIONS, "s") == made

    async def test_a_name_is_given_once_until_it_is_free_again_and_then_under_another_uid(
        self, server: ApiServer
    ) -> None:
        first = await server.make_secret()
        with pytest.raises(AlreadyExists):
            await server.make_secret()
        assert await server.kube.delete(SECRETS, server.namespace, "x")
        second = await server.make_secret()
        assert second["metadata"]["uid"] != first["metadata"]["uid"]
        assert version(second) > version(first)

    async def test_a_status_given_at_creation_is_dropped(self, server: ApiServer) -> None:
        body = {**session_body("s", "report", server.namespace), "status": {"phase": "Running"}}
        made = await server.kube.create(SESSIONS, server.namespace, body)
        assert not (made.get("status") or {}).get("phase")

    async def test_of_a_made_job_the_metadata_alone_comes_back(self, server: ApiServer) -> None:
        owner = await server.make_session()
        made = await server.make_job(**owned_by(owner), labels={"a": "b"})
        assert (made["kind"], made["metadata"]["labels"]) == ("PartialObjectMetadata", {"a": "b"})
        assert "spec" not in made
        assert observe_job(made).owner_uid == owner["metadata"]["uid"]

    async def test_nothing_is_made_in_a_namespace_that_is_not_there(self, server: ApiServer) -> None:
        with pytest.raises(NotFound):
            await server.kube.create(SECRETS, "not-there", {"metadata": {"name": "x"}})

    async def test_what_is_not_there_is_not_found(self, server: ApiServer) -> None:
        assert await server.kube.find(SESSIONS, server.namespace, "s") is None
        with pytest.raises(NotFound):
            await server.kube.get(SESSIONS, server.namespace, "s")
        with pytest.raises(NotFound):
            await server.kube.patch(SESSIONS, server.namespace, "s", {"metadata": {"labels": {"a": "b"}}})
        with pytest.raises(NotFound):
            await server.kube.patch_exactly(SESSIONS, server.namespace, "s", [], subresource="status")
        assert not await server.kube.delete(SESSIONS, server.namespace, "s")

    # -- versions and generations

    async def test_every_change_has_a_later_version_and_no_change_has_none(self, server: ApiServer) -> None:
        made = await server.make_secret()
        changed = await server.kube.patch(SECRETS, server.namespace, "x", {"data": {"b": "Mg=="}})
        same = await server.kube.patch(SECRETS, server.namespace, "x", {"data": {"b": "Mg=="}})
        other = await server.make_secret("y")
        assert version(made) < version(changed) == version(same) < version(other)
        await server.make_session()
        status = {"status": {"phase": "Pending"}}
        one, two = [
            await server.kube.patch(SESSIONS, server.namespace, "s", status, subresource="status") for _ in range(2)
        ]
        assert version(one) == version(two)

    async def test_the_generation_counts_changes_of_the_spec_alone(self, server: ApiServer) -> None:
        await server.make_session()

        async def generation(patch: Json, subresource: str = "") -> int:
            raw = await server.kube.patch(SESSIONS, server.namespace, "s", patch, subresource=subresource)
            found: int = raw["metadata"]["generation"]
            return found

        assert await generation({"metadata": {"labels": {"a": "b"}}}) == 1
        assert await generation({"status": {"phase": "Pending"}}, "status") == 1
        assert await generation({"spec": {"suspend": True}}) == 2
        assert await generation({"spec": {"suspend": True}}) == 2
        await server.make_job()
        job = await server.kube.patch(JOBS, server.namespace, "j", {"spec": {"parallelism": 0}})
        assert job["metadata"]["generation"] == 2

    async def test_the_status_is_written_by_its_subresource_and_nothing_else_is(self, server: ApiServer) -> None:
        await server.make_session()
        both = {"metadata": {"labels": {"a": "b"}}, "spec": {"suspend": True}, "status": {"phase": "Pending"}}
        by_status = await server.kube.patch(SESSIONS, server.namespace, "s", both, subresource="status")
        assert by_status["status"]["phase"] == "Pending"
        assert not by_status["spec"].get("suspend")
        by_main = await server.kube.patch(
            SESSIONS, server.namespace, "s", {"spec": {"suspend": True}, "status": {"phase": "Failed"}}
        )
        assert (by_main["spec"]["suspend"], by_main["status"]["phase"]) == (True, "Pending")

    # -- preconditions

    async def test_a_patch_under_an_old_version_conflicts(self, server: ApiServer) -> None:
        old = (await server.make_session())["metadata"]["resourceVersion"]
        await server.kube.patch(SESSIONS, server.namespace, "s", {"metadata": {"labels": {"a": "b"}}})
        for subresource in ("", "status"):
            patch = {"metadata": {"resourceVersion": old}, "status": {"phase": "Pending"}, "spec": {"suspend": True}}
            with pytest.raises(Conflict):
                await server.kube.patch(SESSIONS, server.namespace, "s", patch, subresource=subresource)
        raw = await server.read(SESSIONS, "s")
        assert not raw["spec"].get("suspend")
        assert not (raw.get("status") or {}).get("phase")

    async def test_an_exact_patch_under_an_old_version_conflicts(self, server: ApiServer) -> None:
        old = (await server.make_session())["metadata"]["resourceVersion"]
        operations = [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": old},
            {"op": "add", "path": "/status", "value": {"phase": "Pending"}},
        ]
        first = await server.kube.patch_exactly(SESSIONS, server.namespace, "s", operations, subresource="status")
        assert first["status"]["phase"] == "Pending"
        operations[1]["value"] = {"phase": "Failed"}
        with pytest.raises(Conflict):
            await server.kube.patch_exactly(SESSIONS, server.namespace, "s", operations, subresource="status")
        assert (await server.read(SESSIONS, "s"))["status"]["phase"] == "Pending"

    async def test_a_patch_that_names_another_uid_is_invalid(self, server: ApiServer) -> None:
        made = await server.make_job()
        with pytest.raises(Invalid):
            await server.kube.patch(JOBS, server.namespace, "j", {"metadata": {"uid": "other", "labels": {"a": "b"}}})
        uid = made["metadata"]["uid"]
        raw = await server.kube.patch(JOBS, server.namespace, "j", {"metadata": {"uid": uid, "labels": {"a": "b"}}})
        assert raw["metadata"]["labels"]["a"] == "b"

    async def test_an_object_is_replaced_under_its_version_alone(self, server: ApiServer) -> None:
        body: Json = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}}
        made = await server.kube.create(LEASES, server.namespace, body)
        body["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"]
        body["spec"] = {"holderIdentity": "b"}
        replaced = await server.kube.replace(LEASES, server.namespace, "l", body)
        assert (replaced["spec"], replaced["metadata"]["uid"]) == ({"holderIdentity": "b"}, made["metadata"]["uid"])
        with pytest.raises(Conflict):
            await server.kube.replace(LEASES, server.namespace, "l", {**body, "spec": {"holderIdentity": "c"}})

    # -- patches

    async def test_a_merge_patch_merges_objects_replaces_lists_and_removes_by_null(self, server: ApiServer) -> None:
        await server.make_session(labels={"a": "1", "b": "2"}, finalizers=["example.com/x", FINALIZER])
        patch = {"metadata": {"labels": {"a": None, "c": "3"}, "finalizers": [FINALIZER]}}
        raw = await server.kube.patch(SESSIONS, server.namespace, "s", patch)
        assert (raw["metadata"]["labels"], raw["metadata"]["finalizers"]) == ({"b": "2", "c": "3"}, [FINALIZER])
        status = {"status": {"phase": "Pending", "message": "m"}}
        await server.kube.patch(SESSIONS, server.namespace, "s", status, subresource="status")
        status = {"status": {"message": None, "reason": "r"}}  # type: ignore[dict-item]  # a null removes
        raw = await server.kube.patch(SESSIONS, server.namespace, "s", status, subresource="status")
        assert raw["status"] == {"phase": "Pending", "reason": "r"}

    async def test_an_exact_patch_keeps_a_null_inside_of_a_value(self, server: ApiServer) -> None:
        await server.make_session()
        asked = [{"id": "q", "value": {"a": None, "b": [None]}}]
        operations: list[Json] = [
            {"op": "add", "path": "/status", "value": {"phase": "WaitingForInput", "interrupts": asked}}
        ]
        raw = await server.kube.patch_exactly(SESSIONS, server.namespace, "s", operations, subresource="status")
        assert raw["status"]["interrupts"][0]["value"] == {"a": None, "b": [None]}

    async def test_an_exact_patch_is_applied_as_a_whole_or_not_at_all(self, server: ApiServer) -> None:
        await server.make_session(annotations={"a/b": "1"})
        path = "/metadata/annotations/a~1b"
        good: list[Json] = [
            {"op": "test", "path": path, "value": "1"},
            {"op": "replace", "path": path, "value": "2"},
            {"op": "add", "path": "/metadata/annotations/c", "value": "3"},
            {"op": "remove", "path": "/metadata/annotations/c"},
        ]
        raw = await server.kube.patch_exactly(SESSIONS, server.namespace, "s", good)
        assert raw["metadata"]["annotations"] == {"a/b": "2"}
        change = {"op": "replace", "path": path, "value": "4"}
        for bad in (
            {"op": "test", "path": path, "value": "1"},
            {"op": "remove", "path": "/metadata/annotations/gone"},
            {"op": "replace", "path": "/metadata/gone/deeper", "value": "5"},
            {"op": "add", "path": "/status/gone/deeper", "value": "5"},
        ):
            with pytest.raises(Invalid):
                await server.kube.patch_exactly(SESSIONS, server.namespace, "s", [change, bad])
        assert (await server.read(SESSIONS, "s"))["metadata"]["annotations"] == {"a/b": "2"}
        # Where the object that holds it is there, a missing value is replaced all the same.
        add = {"op": "replace", "path": "/metadata/annotations/new", "value": "5"}
        raw = await server.kube.patch_exactly(SESSIONS, server.namespace, "s", [add])
        assert raw["metadata"]["annotations"] == {"a/b": "2", "new": "5"}

    async def test_what_is_removed_twice_is_invalid_unless_it_is_added_first(self, server: ApiServer) -> None:
        await server.make_session()
        made = await server.kube.patch(
            SESSIONS, server.namespace, "s", {"status": {"phase": "Pending"}}, subresource="status"
        )
        version_now = {
            "op": "replace",
            "path": "/metadata/resourceVersion",
            "value": made["metadata"]["resourceVersion"],
        }
        old = {"op": "replace", "path": "/metadata/resourceVersion", "value": "1"}
        remove = {"op": "remove", "path": "/status/message"}
        add = {"op": "add", "path": "/status/message", "value": ""}
        exactly = server.kube.patch_exactly
        with pytest.raises(Invalid):
            await exactly(SESSIONS, server.namespace, "s", [old, remove], subresource="status")
        with pytest.raises(Conflict):
            await exactly(SESSIONS, server.namespace, "s", [old, add, remove], subresource="status")
        raw = await exactly(SESSIONS, server.namespace, "s", [version_now, add, remove], subresource="status")
        assert raw == made

    # -- our resources

    async def test_a_phase_changes_as_the_table_allows(self, server: ApiServer) -> None:
        await server.make_session()

        async def set_phase(phase: str | None) -> str:
            patch = {"status": {"phase": phase}}
            raw = await server.kube.patch(SESSIONS, server.namespace, "s", patch, subresource="status")
            found: str = raw["status"]["phase"]
            return found

        assert await set_phase("Creating") == "Creating"
        for illegal in ("Completed", "WaitingForInput", None):
            with pytest.raises(Invalid):
                await set_phase(illegal)
        assert [await set_phase(phase) for phase in ("Running", "Completed")] == ["Running", "Completed"]
        with pytest.raises(Invalid):
            await set_phase("Running")

    async def test_what_a_session_runs_cannot_change(self, server: ApiServer) -> None:
        await server.make_session()
        for change in ({"workflowRef": {"name": "other"}}, {"retries": 9}):
            with pytest.raises(Invalid):
                await server.kube.patch(SESSIONS, server.namespace, "s", {"spec": change})

    # -- deletion

    async def test_what_has_no_finalizer_goes_at_once(self, server: ApiServer) -> None:
        await server.make_session()
        assert await server.kube.delete(SESSIONS, server.namespace, "s")
        assert await server.kube.find(SESSIONS, server.namespace, "s") is None

    async def test_what_has_a_finalizer_is_marked_and_goes_with_the_last_of_them(self, server: ApiServer) -> None:
        made = await server.make_session(finalizers=["example.com/x", FINALIZER])
        assert await server.kube.delete(SESSIONS, server.namespace, "s")
        marked = await server.read(SESSIONS, "s")
        assert marked["metadata"]["deletionTimestamp"].endswith("Z")
        assert marked["metadata"]["generation"] == 2
        assert version(marked) > version(made)
        assert await server.kube.delete(SESSIONS, server.namespace, "s")
        assert await server.read(SESSIONS, "s") == marked
        with pytest.raises(Invalid):
            await server.kube.patch(
                SESSIONS, server.namespace, "s", {"metadata": {"finalizers": ["example.com/x", FINALIZER, "a.b/new"]}}
            )
        await server.kube.patch(SESSIONS, server.namespace, "s", {"metadata": {"finalizers": [FINALIZER]}})
        status = await server.kube.patch(
            SESSIONS, server.namespace, "s", {"status": {"phase": "Pending"}}, subresource="status"
        )
        assert status["metadata"]["deletionTimestamp"] == marked["metadata"]["deletionTimestamp"]
        await server.kube.patch(SESSIONS, server.namespace, "s", {"metadata": {"finalizers": []}})
        assert await server.kube.find(SESSIONS, server.namespace, "s") is None

    async def test_only_the_object_of_the_uid_and_version_that_were_meant_is_deleted(self, server: ApiServer) -> None:
        made = await server.make_secret()
        assert not await server.kube.delete(SECRETS, server.namespace, "x", uid="other")
        changed = await server.kube.patch(SECRETS, server.namespace, "x", {"data": {"b": "Mg=="}})
        body: Json = {"kind": "DeleteOptions", "apiVersion": "v1"}
        body["preconditions"] = {"resourceVersion": made["metadata"]["resourceVersion"]}
        with pytest.raises(Conflict):
            await server.kube._call("DELETE", SECRETS.url(server.namespace, "x"), body=body)
        body["preconditions"] = {"resourceVersion": changed["metadata"]["resourceVersion"]}
        await server.kube._call("DELETE", SECRETS.url(server.namespace, "x"), body=body)
        again = await server.make_secret()
        assert await server.kube.delete(SECRETS, server.namespace, "x", uid=again["metadata"]["uid"])

    async def test_what_an_object_owns_goes_after_it(self, server: ApiServer) -> None:
        owner = await server.make_session()
        await server.make_job(**owned_by(owner))
        await server.make_secret(**owned_by(owner))
        await server.make_secret("free")
        await server.kube.delete(SESSIONS, server.namespace, "s")
        for kind, name in ((JOBS, "j"), (SECRETS, "x")):
            await server.wait_gone(kind, name)
        assert await server.kube.find(SECRETS, server.namespace, "free") is not None

    async def test_what_is_owned_by_one_that_had_the_name_before_goes_too(self, server: ApiServer) -> None:
        owner = await server.make_session()
        await server.kube.delete(SESSIONS, server.namespace, "s")
        await server.make_session()
        await server.make_secret(**owned_by(owner))
        await server.wait_gone(SECRETS, "x")

    async def test_what_an_object_owns_stays_while_a_finalizer_holds_the_owner(self, server: ApiServer) -> None:
        owner = await server.make_session(finalizers=[FINALIZER])
        await server.make_secret(**owned_by(owner))
        await server.kube.delete(SESSIONS, server.namespace, "s")
        server.collect()
        assert await server.kube.find(SECRETS, server.namespace, "x") is not None
        await server.kube.patch(SESSIONS, server.namespace, "s", {"metadata": {"finalizers": None}})
        await server.wait_gone(SECRETS, "x")

    async def test_a_pod_on_a_node_is_marked_and_its_kubelet_lets_it_go(self, server: ApiServer) -> None:
        account: Json = {"metadata": {"name": "default"}}
        # A real server's own controller makes it, too, in its time.
        with suppress(AlreadyExists):
            await server.kube.create(SERVICE_ACCOUNTS, server.namespace, account)
        pods = {"p": {"nodeName": "n"}, "free": {}}
        for name, spec in pods.items():
            await server.kube.create(PODS, server.namespace, {"metadata": {"name": name}, "spec": a_pod_spec() | spec})
            assert await server.kube.delete(PODS, server.namespace, name)
        assert await server.kube.find(PODS, server.namespace, "free") is None
        marked = await server.read(PODS, "p")
        assert marked["metadata"]["deletionGracePeriodSeconds"] == 30
        assert "deletionTimestamp" in marked["metadata"]
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
        await server.kube._call("DELETE", PODS.url(server.namespace, "p"), body=options)
        assert await server.kube.find(PODS, server.namespace, "p") is None

    # -- lists and watches

    async def test_a_collection_is_listed_by_label_and_name_in_order(self, server: ApiServer) -> None:
        for name, labels in (("b", {"k": "1"}), ("a", {"k": "1", "l": "2"}), ("c", {"k": "3"})):
            await server.make_secret(name, labels=labels)
        kube, namespace = server.kube, server.namespace
        assert names(await kube.list_all(SECRETS, namespace, selector="k=1")) == ["a", "b"]
        assert names(await kube.list_all(SECRETS, namespace, selector="k=1,l=2")) == ["a"]
        assert names(await kube.list_all(SECRETS, namespace, selector="l")) == ["a"]
        pages = [page async for page in kube.list_pages(SECRETS, namespace, fields="metadata.name=b")]
        assert [names(page) for page in pages] == [["b"]]
        assert namespace not in {raw["metadata"]["namespace"] for raw in await kube.list_all(SECRETS, "not-there")}

    async def test_pages_show_one_moment_whatever_changes_meanwhile(self, server: ApiServer) -> None:
        for name in ("a", "b", "c", "d", "e"):
            await server.make_secret(name, labels={"k": "1"})
        pages: list[list[str]] = []
        async for page in server.kube.list_pages(SECRETS, server.namespace, selector="k=1", page=2):
            pages.append(names(page))
            await server.kube.delete(SECRETS, server.namespace, "e")
        assert pages == [["a", "b"], ["c", "d"], ["e"]]

    async def test_items_of_a_list_say_what_they_are_where_they_are_ours(self, server: ApiServer) -> None:
        await server.make_session()
        await server.make_secret()
        await server.kube.create(DEFINITIONS, server.namespace, definition_body("report", server.namespace))
        for kind, expected in ((SESSIONS, True), (DEFINITIONS, True), (SECRETS, False)):
            (found,) = await server.kube.list_all(kind, server.namespace)
            assert ("kind" in found and "apiVersion" in found) is expected

    async def test_a_watch_tells_every_change_in_order(self, server: ApiServer) -> None:
        since = (await server.make_session("other"))["metadata"]["resourceVersion"]
        await server.make_session(finalizers=[FINALIZER])
        await server.kube.patch(SESSIONS, server.namespace, "s", {"spec": {"suspend": True}})
        await server.kube.delete(SESSIONS, server.namespace, "s")
        await server.kube.patch(SESSIONS, server.namespace, "s", {"metadata": {"finalizers": None}})
        events = await server.watch(SESSIONS, since)
        assert [type_ for type_, _ in events] == ["ADDED", "MODIFIED", "MODIFIED", "DELETED"]
        assert ["deletionTimestamp" in raw["metadata"] for _, raw in events] == [False, False, True, True]
        versions = [version(raw) for _, raw in events]
        assert versions == sorted(versions)
        assert await server.watch(SESSIONS, str(versions[-1])) == []

    async def test_what_loses_its_label_leaves_a_watch_as_if_it_were_deleted(self, server: ApiServer) -> None:
        since = (await server.make_secret("other"))["metadata"]["resourceVersion"]
        await server.make_secret()
        for label in ("1", "2", "1"):
            patch = {"metadata": {"labels": {"k": label}}}
            changed = await server.kube.patch(SECRETS, server.namespace, "x", patch)
        events = await server.watch(SECRETS, since, "k=1")
        assert [type_ for type_, _ in events] == ["ADDED", "DELETED", "ADDED"]
        assert [raw["metadata"]["labels"]["k"] for _, raw in events] == ["1", "1", "1"]
        assert not any("deletionTimestamp" in raw["metadata"] for _, raw in events)
        await server.kube.delete(SECRETS, server.namespace, "x")
        ((type_, gone),) = await server.watch(SECRETS, changed["metadata"]["resourceVersion"], "k=1")
        assert (type_, "deletionTimestamp" in gone["metadata"]) == ("DELETED", False)
        assert version(gone) > version(changed)


def a_pod_spec() -> Json:
    security = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {"name": "runner", "image": "x", "securityContext": security}
    return {"containers": [container], "automountServiceAccountToken": False}
