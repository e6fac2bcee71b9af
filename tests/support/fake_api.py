"""An API server in memory for the operator's own client, and a wire to it without sockets.

Real is the client (`Kube`): its paths, bodies, headers and the translation of refusals. Played are the rules by which
an API server keeps objects: versions, uids, generations, the status subresource, patches, preconditions, finalizers,
garbage collection, lists and watches; of our resources the table of phases and the immutable fields. Every rule here is
in ``api_conformance``, which passes against a real API server, too.

Not played: schemas and defaults, admission, rights, managed fields, foreground and orphan deletion, bookmarks.
"""

import itertools
import json
import re
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

import aiohttp

from agentic_core.lifecycle import Phase, is_legal
from agentic_core.resources.session import IMMUTABLE
from agentic_operator.kube.client import (
    CLAIMS,
    CLUSTER_DEFINITIONS,
    DEFINITIONS,
    EVENTS,
    JOBS,
    JSON_PATCH,
    LEASES,
    METADATA_ALONE,
    NAMESPACES,
    PODS,
    ROLE_BINDINGS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SESSIONS,
    Json,
    Kind,
    Kube,
)
from agentic_operator.kube.connection import Connection

GRACE: Final = timedelta(seconds=30)
_PATH: Final = re.compile(
    r"(?P<path>api/v1|apis/[^/]+/[^/]+)(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[a-z]+)"
    r"(?:/(?P<name>[^/]+))?(?:/(?P<part>status|log))?"
)
_KEPT: Final = (
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
)


@dataclass(frozen=True)
class Resource:
    """How objects of a kind are kept."""

    kind: Kind
    name: str
    has_status: bool = False
    has_generation: bool = False
    is_custom: bool = False
    """Of a CustomResourceDefinition: items of a list say what they are, and the generation counts every field."""

    @property
    def api_version(self) -> str:
        return self.kind.path.removeprefix("apis/").removeprefix("api/")


RESOURCES: Final = {
    (each.kind.path, each.kind.plural): each
    for each in (
        Resource(SESSIONS, "AgenticSession", has_status=True, has_generation=True, is_custom=True),
        Resource(DEFINITIONS, "WorkflowDefinition", has_status=True, has_generation=True, is_custom=True),
        Resource(
            CLUSTER_DEFINITIONS, "ClusterWorkflowDefinition", has_status=True, has_generation=True, is_custom=True
        ),
        Resource(JOBS, "Job", has_status=True, has_generation=True),
        Resource(PODS, "Pod", has_status=True),
        Resource(SECRETS, "Secret"),
        Resource(SERVICE_ACCOUNTS, "ServiceAccount"),
        Resource(CLAIMS, "PersistentVolumeClaim", has_status=True),
        Resource(ROLE_BINDINGS, "RoleBinding"),
        Resource(LEASES, "Lease"),
        Resource(NAMESPACES, "Namespace", has_status=True),
        Resource(EVENTS, "Event"),
    )
}


class Refusal(Exception):
    """The API server refuses a request."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.body: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": code,
            "reason": reason,
            "message": message,
        }


@dataclass(frozen=True)
class WatchEvent:
    """A change of an object, as the log keeps it."""

    version: int
    type: str
    resource: Resource
    object: Json
    before: Json | None = None


@dataclass(frozen=True)
class Request:
    """A request on its way."""

    method: str
    resource: Resource
    namespace: str
    name: str
    part: str
    body: Any = None
    content_type: str = ""
    accept: str = ""
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_write(self) -> bool:
        return self.method != "GET"

    def __str__(self) -> str:
        where = "/".join(each for each in (self.namespace, self.resource.kind.plural, self.name, self.part) if each)
        return f"{self.method} {where}"


class FakeApi:
    """Objects by kind, namespace and name. Nothing stored is ever changed in place: whoever has read it keeps it."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._objects: dict[Resource, dict[tuple[str, str], Json]] = {each: {} for each in RESOURCES.values()}
        self._tokens: dict[str, list[Json]] = {}
        self._numbers = itertools.count(1)
        self.logs: dict[tuple[str, str], str] = {}
        """What pods have printed, by namespace and name."""
        self.events: list[WatchEvent] = []
        self.version = 0
        self._collected_at = 0
        """Up to which version everything that lost its owners is gone."""

    # -- requests

    def handle(self, request: Request) -> Json | str:
        """Answer a request; raise :class:`Refusal`."""
        if request.method == "GET" and request.part == "log":
            self._find(request)
            return self.logs.get((request.namespace, request.name), "")
        if request.method == "GET" and request.name:
            return self._find(request)
        if request.method == "GET" and request.params.get("watch"):
            since = int(request.params["resourceVersion"])
            events = self.read_events(request.resource.kind, since, request.params.get("labelSelector", ""))
            lines = [json.dumps({"type": type_, "object": raw}) for type_, raw in events]
            return "\n".join(lines)
        if request.method == "GET":
            return self._list(request)
        if request.method == "POST":
            return self._create(request)
        if request.method == "DELETE":
            return self._delete(request)
        old = self._find(request)
        new = request.body if request.method == "PUT" else _apply_patch(old, request)
        return self._update(request.resource, old, new, request.part)

    def read_events(self, kind: Kind, since: int, selector: str = "") -> list[tuple[str, Json]]:
        """Return what a watch of a kind tells of everything after version ``since``.

        What comes to match the selector was added for it, and what ceases to was deleted, as it was before.
        """
        found: list[tuple[str, Json]] = []
        # One event a version, from 1.
        for event in itertools.islice(self.events, since, None):
            if event.resource.kind is not kind:
                continue
            did = event.before is not None and _is_selected(event.before, selector)
            does = event.type != "DELETED" and _is_selected(event.object, selector)
            if does:
                found.append(("MODIFIED" if did else "ADDED", event.object))
            elif did and event.before is not None:
                found.append(("DELETED", _with_version(event.before, event.version)))
        return found

    def list_all(self, kind: Kind, namespace: str = "") -> list[Json]:
        """Return the objects of a kind, in order."""
        objects = self._objects[RESOURCES[kind.path, kind.plural]]
        return [objects[key] for key in sorted(objects) if namespace in ("", key[0])]

    def find(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """Return an object; None where there is none."""
        return self._objects[RESOURCES[kind.path, kind.plural]].get((namespace, name))

    def send(self, method: str, kind: Kind, namespace: str, name: str = "", body: Any = None, part: str = "") -> Json:
        """Do what somebody else than the operator asks for; a patch is a merge patch."""
        resource = RESOURCES[kind.path, kind.plural]
        answer = self.handle(Request(method, resource, namespace, name, part, _copy(body)))
        return cast("Json", answer)

    def collect_garbage(self) -> bool:
        """Delete what has owners of which none exists any more; say whether there was anything.

        A real garbage collector comes some time after the owner is gone: until this is called, nothing goes.
        """
        news, self._collected_at = self.events[self._collected_at :], self.version
        if not any(each.type == "DELETED" or each.object["metadata"].get("ownerReferences") for each in news):
            return False
        existing = {raw["metadata"]["uid"] for objects in self._objects.values() for raw in objects.values()}
        orphans = [
            (resource, raw)
            for resource, objects in self._objects.items()
            for raw in objects.values()
            if (owners := raw["metadata"].get("ownerReferences"))
            and not any(owner["uid"] in existing for owner in owners)
            and "deletionTimestamp" not in raw["metadata"]
        ]
        for resource, raw in orphans:
            self._remove_or_mark(resource, raw)
        return bool(orphans)

    # -- verbs

    def _find(self, request: Request) -> Json:
        raw = self._objects[request.resource].get((request.namespace, request.name))
        if raw is None:
            text = f'{request.resource.kind.plural} "{request.name}" not found'
            raise Refusal(404, "NotFound", text)
        return raw

    def _create(self, request: Request) -> Json:
        resource, body = request.resource, dict(request.body)
        metadata = dict(body["metadata"])
        namespaces = self._objects[RESOURCES[NAMESPACES.path, NAMESPACES.plural]]
        if request.namespace and ("", request.namespace) not in namespaces:
            raise Refusal(404, "NotFound", f'namespaces "{request.namespace}" not found')
        key = (request.namespace, metadata["name"])
        if key in self._objects[resource]:
            text = f'{resource.kind.plural} "{metadata["name"]}" already exists'
            raise Refusal(409, "AlreadyExists", text)
        for name in ("deletionTimestamp", "deletionGracePeriodSeconds", "resourceVersion", "generation", "selfLink"):
            metadata.pop(name, None)
        metadata |= {"uid": str(uuid.UUID(int=next(self._numbers))), "creationTimestamp": self._format_creation()}
        if request.namespace:
            metadata["namespace"] = request.namespace
        if resource.has_generation:
            metadata["generation"] = 1
        if resource.has_status:
            body.pop("status", None)
        made = {**body, "apiVersion": resource.api_version, "kind": resource.name, "metadata": metadata}
        stored = self._store(resource, "ADDED", _without_nothing(made), None)
        if request.accept == METADATA_ALONE:
            return {
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": stored["metadata"],
            }
        return stored

    def _update(self, resource: Resource, old: Json, new: Json, part: str) -> Json:
        meta, wanted = old["metadata"], new.get("metadata") or {}
        if wanted.get("resourceVersion") not in (None, "", meta["resourceVersion"]):
            text = f'Operation cannot be fulfilled on {resource.kind.plural} "{meta["name"]}": it has been modified'
            raise Refusal(409, "Conflict", text)
        if wanted.get("uid") not in (None, "", meta["uid"]):
            raise Refusal(422, "Invalid", f'metadata.uid: Invalid value: "{wanted["uid"]}": field is immutable')
        if part == "status":
            changed = {**old, "status": new["status"]} if "status" in new else _without(old, "status")
        else:
            kept = {name: meta[name] for name in _KEPT if name in meta}
            metadata = {**{name: value for name, value in wanted.items() if name not in _KEPT}, **kept}
            changed = {**new, "apiVersion": resource.api_version, "kind": resource.name, "metadata": metadata}
            if resource.has_status:
                changed = _without(changed, "status")
                if "status" in old:
                    changed["status"] = old["status"]
        changed = _without_nothing(_with_version(changed, int(meta["resourceVersion"])))
        if changed == old:
            return old
        self._validate(resource, old, changed)
        if resource.has_generation and part == "" and _essence(resource, old) != _essence(resource, changed):
            changed = _with_metadata(changed, generation=meta["generation"] + 1)
        if "deletionTimestamp" in meta and not changed["metadata"].get("finalizers"):
            return self._forget(resource, changed, old)
        return self._store(resource, "MODIFIED", changed, old)

    def _validate(self, resource: Resource, old: Json, new: Json) -> None:
        before, after = (each["metadata"].get("finalizers") or () for each in (old, new))
        if "deletionTimestamp" in old["metadata"] and not set(after) <= set(before):
            text = "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted"
            raise Refusal(422, "Invalid", text)
        if resource.kind is not SESSIONS:
            return
        for name in IMMUTABLE:
            if (old.get("spec") or {}).get(name) != (new.get("spec") or {}).get(name):
                raise Refusal(422, "Invalid", f"spec.{name}: Forbidden: {name} cannot change once the session exists")
        phase, next_phase = ((each.get("status") or {}).get("phase") for each in (old, new))
        if phase and phase != next_phase and not (next_phase and is_legal(Phase(phase), Phase(next_phase))):
            raise Refusal(422, "Invalid", f"status: Invalid value: no change from {phase} to {next_phase}")

    def _delete(self, request: Request) -> Json:
        raw, options = self._find(request), request.body or {}
        for name, value in (options.get("preconditions") or {}).items():
            if value != raw["metadata"][name]:
                text = f"Precondition failed: {name} in precondition: {value}, in object: {raw['metadata'][name]}"
                raise Refusal(409, "Conflict", text)
        if options.get("propagationPolicy", "Background") != "Background":
            raise NotImplementedError(f"the fake deletes in the background, not {options['propagationPolicy']}")
        return self._remove_or_mark(request.resource, raw, grace=options.get("gracePeriodSeconds"))

    def _remove_or_mark(self, resource: Resource, raw: Json, *, grace: int | None = None) -> Json:
        meta = raw["metadata"]
        is_on_node = resource.kind is PODS and (raw.get("spec") or {}).get("nodeName") and grace != 0
        if not is_on_node and not meta.get("finalizers"):
            return self._forget(resource, raw, raw)
        if "deletionTimestamp" in meta:
            return raw
        patience = GRACE if is_on_node else timedelta()
        marks: Json = {
            "deletionTimestamp": (self._now() + patience).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "deletionGracePeriodSeconds": int(patience.total_seconds()),
        }
        if resource.has_generation:
            marks["generation"] = meta["generation"] + 1
        return self._store(resource, "MODIFIED", _with_metadata(raw, **marks), raw)

    def _list(self, request: Request) -> Json:
        params = request.params
        if token := params.get("continue"):
            items = self._tokens.pop(token)
        else:
            selectors = params.get("labelSelector", ""), params.get("fieldSelector", "")
            found = self.list_all(request.resource.kind, request.namespace)
            items = [raw for raw in found if _is_selected(raw, selectors[0]) and _has_fields(raw, selectors[1])]
            if not request.resource.is_custom:
                items = [_without(_without(raw, "kind"), "apiVersion") for raw in items]
        metadata: Json = {"resourceVersion": str(self.version)}
        limit = int(params.get("limit") or 0)
        if limit and len(items) > limit:
            # The rest is of the version of the first page, whatever changes meanwhile.
            metadata["continue"] = f"token-{next(self._numbers)}"
            self._tokens[metadata["continue"]] = items[limit:]
            items = items[:limit]
        return {"kind": f"{request.resource.name}List", "metadata": metadata, "items": items}

    # -- storage

    def _store(self, resource: Resource, type_: str, raw: Json, before: Json | None) -> Json:
        self.version += 1
        stored = _with_version(raw, self.version)
        meta = stored["metadata"]
        self._objects[resource][meta.get("namespace", ""), meta["name"]] = stored
        self.events.append(WatchEvent(self.version, type_, resource, stored, before))
        return stored

    def _forget(self, resource: Resource, raw: Json, before: Json) -> Json:
        self.version += 1
        gone = _with_version(raw, self.version)
        meta = gone["metadata"]
        del self._objects[resource][meta.get("namespace", ""), meta["name"]]
        self.events.append(WatchEvent(self.version, "DELETED", resource, gone, before))
        return gone

    def _format_creation(self) -> str:
        return self._now().strftime("%Y-%m-%dT%H:%M:%SZ")


# -- the wire


class FakeResponse:
    """What the client needs of an answer."""

    def __init__(self, status: int, body: Json | str) -> None:
        self.status = status
        self.headers: dict[str, str] = {}
        self._body = body if isinstance(body, str) else json.dumps(body, separators=(",", ":"))

    async def read(self) -> bytes:
        return self._body.encode()

    async def text(self, **_: str) -> str:
        return self._body


class Wire:
    """Between one client and the server, in place of an HTTP session; a subclass loses requests and answers."""

    def __init__(self, api: FakeApi) -> None:
        self.api = api

    @asynccontextmanager
    async def request(
        self, method: str, url: str, *, data: bytes | None, params: Mapping[str, str] | None, headers: Mapping[str, str]
    ) -> AsyncIterator[FakeResponse]:
        """Carry a request over and its answer back."""
        request = read_request(method, url, data, params or {}, headers)
        try:
            answer = await self.carry(request)
        except Refusal as refusal:
            yield FakeResponse(refusal.code, refusal.body)
        else:
            yield FakeResponse(200, answer)

    async def carry(self, request: Request) -> Json | str:
        """Have the server answer."""
        return self.api.handle(request)

    async def close(self) -> None:
        """Nothing is open."""


def read_request(
    method: str, url: str, data: bytes | None, params: Mapping[str, str], headers: Mapping[str, str]
) -> Request:
    """Return what a client asks."""
    match = _PATH.fullmatch(url.removeprefix("http://fake/"))
    resource = RESOURCES.get((match["path"], match["plural"])) if match else None
    if match is None or resource is None:
        raise Refusal(404, "NotFound", f"the server could not find the requested resource: {url}")
    return Request(
        method,
        resource,
        match["namespace"] or "",
        match["name"] or "",
        match["part"] or "",
        json.loads(data) if data is not None else None,
        headers.get("Content-Type", ""),
        headers.get("Accept", ""),
        params,
    )


def connect(wire: Wire) -> Kube:
    """Return the operator's own client over a wire."""
    return Kube(Connection(server="http://fake"), cast("aiohttp.ClientSession", wire))


# -- patches and selectors


def _apply_patch(old: Json, request: Request) -> Json:
    if request.content_type == JSON_PATCH:
        return _apply_operations(old, request.body)
    merged: Json = _merge(old, request.body)
    return merged


def _copy(value: Any) -> Any:
    """Return JSON that shares nothing that can be changed; ``deepcopy`` takes five times as long."""
    if isinstance(value, dict):
        return {name: _copy(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_copy(each) for each in value]
    return value


def _merge(old: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(merged.get(name), value)
    return merged


def _apply_operations(old: Json, operations: Iterable[Json]) -> Json:
    patched: Json = _copy(old)
    for operation in operations:
        *path, last = (part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:])
        try:
            _apply_operation(patched, path, last, operation)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            text = f"the server rejected our request due to an error in our request: {operation['path']}: {error!r}"
            raise Refusal(422, "Invalid", text) from error
    return patched


def _apply_operation(patched: Json, path: list[str], last: str, operation: Json) -> None:
    target: Any = patched
    for part in path:
        target = target[int(part)] if isinstance(target, list) else target[part]
    is_list, verb = isinstance(target, list), operation["op"]
    key: Any = int(last) if is_list and last != "-" else last
    if verb == "add" and is_list:
        target.insert(len(target) if last == "-" else key, operation["value"])
    elif verb == "add":
        if not isinstance(target, dict):
            raise TypeError(target)
        target[key] = operation["value"]
    elif verb == "remove":
        del target[key]
    elif verb == "replace":
        # What an object does not have yet is added; a real server is no stricter.
        target[key] = operation["value"]
    elif verb == "test":
        if target[key] != operation["value"]:
            raise ValueError(f"test failed: {target[key]!r}")
    else:
        raise ValueError(f"no operation {verb!r}")


def _is_selected(raw: Json, selector: str) -> bool:
    labels = raw["metadata"].get("labels") or {}
    for term in filter(None, selector.split(",")):
        name, sign, value = term.partition("=")
        if (labels.get(name) != value) if sign else (name not in labels):
            return False
    return True


def _has_fields(raw: Json, selector: str) -> bool:
    for term in filter(None, selector.split(",")):
        path, _, value = term.partition("=")
        found: Any = raw
        for part in path.split("."):
            found = (found or {}).get(part)
        if (found or "") != value:
            return False
    return True


def _essence(resource: Resource, raw: Json) -> Json:
    """Return what the generation counts changes of."""
    if resource.is_custom:
        return {name: value for name, value in raw.items() if name not in ("metadata", "status")}
    return {"spec": raw.get("spec")}


def _without(raw: Json, name: str) -> Json:
    return {key: value for key, value in raw.items() if key != name}


def _without_nothing(raw: Json) -> Json:
    """Drop what metadata does not keep: empty lists and objects of it."""
    metadata = {name: value for name, value in raw["metadata"].items() if value not in (None, [], {}, "")}
    return {**raw, "metadata": metadata}


def _with_metadata(raw: Json, **changes: Any) -> Json:
    return {**raw, "metadata": {**raw["metadata"], **changes}}


def _with_version(raw: Json, version: int) -> Json:
    return _with_metadata(raw, resourceVersion=str(version))
