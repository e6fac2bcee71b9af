"""Reads and writes of whole objects, with the versions that the caller knows."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import Response

from agentic_core.strict_json import json_pointer
from agentic_gateway.api.representation import (
    answer_object,
    read_versions,
    refuse_version,
    require_version,
)
from agentic_gateway.auth.identity import Caller
from agentic_gateway.context import Context
from agentic_gateway.kube.client import MERGE_PATCH, Exchange, Json
from agentic_gateway.problems import FieldProblem, Refused

_STRICT: Final = [("fieldValidation", "Strict")]
_MEMBERS: Final = frozenset({"apiVersion", "kind", "metadata", "spec", "status"})
_UNKNOWN: Final = "additionalProperties"


async def read_object(context: Context, caller: Caller, path: str, if_none_match: str | None) -> Response:
    """Return the object of a path as the API server has it."""
    return answer_object(await context.kube.exchange("GET", path, token=caller.token), known=if_none_match)


async def change_object(context: Context, caller: Caller, path: str, patch: Json, if_match: str | None) -> Response:
    """Apply a JSON merge patch; what it says of the status and of what the object is is ignored.

    Raises :class:`Refused`: 412 if ``if_match`` names another version, 409 if the patch itself does, 400 for
    other members than an object has.
    """
    if unknown := sorted(set(patch) - _MEMBERS):
        errors = [
            FieldProblem(pointer=json_pointer([name]), message="is no member of an object", keyword=_UNKNOWN)
            for name in unknown[:100]
        ]
        raise Refused("bad-request", "the patch changes what no object has", errors)
    body = {key: value for key, value in patch.items() if key in ("metadata", "spec")}
    version = await _choose_version(context, caller, path, read_versions(if_match))
    if version is not None:
        metadata = body.get("metadata")
        if metadata is not None and not isinstance(metadata, dict):
            raise _refuse_metadata()
        body["metadata"] = {**(metadata or {}), "resourceVersion": version}
    else:
        _require_version_text(body.get("metadata"))
    try:
        changed = await context.kube.exchange(
            "PATCH", path, token=caller.token, query=_STRICT, body=body, content_type=MERGE_PATCH
        )
    except Refused as refused:
        raise (refuse_version() if version is not None and refused.status == 409 else refused) from None
    return answer_object(changed)


async def replace_object(
    context: Context, caller: Caller, path: str, metadata: Mapping[str, Any], spec: Json, if_match: str | None
) -> Response:
    """Replace spec, labels and annotations of the object of a path; what else its metadata holds stays.

    Raises :class:`Refused`: 412 if ``if_match`` names another version, 409 if it changed meanwhile.
    """
    versions = read_versions(if_match)
    found = await context.kube.request("GET", path, token=caller.token)
    require_version(versions, found)
    kept = {key: value for key, value in found["metadata"].items() if key not in ("labels", "annotations")}
    given = {key: metadata[key] for key in ("labels", "annotations") if metadata.get(key)}
    body = {**found, "metadata": {**kept, **given}, "spec": spec}
    try:
        return answer_object(await context.kube.exchange("PUT", path, token=caller.token, query=_STRICT, body=body))
    except Refused as refused:
        raise (refuse_version() if versions is not None and refused.status == 409 else refused) from None


async def delete_object(context: Context, caller: Caller, path: str, if_match: str | None) -> Response:
    """Delete the object of a path; raises :class:`Refused`, 412 if ``if_match`` names another version."""
    version = await _choose_version(context, caller, path, read_versions(if_match))
    body: Json = {"apiVersion": "v1", "kind": "DeleteOptions"}
    if version is not None:
        body["preconditions"] = {"resourceVersion": version}
    try:
        gone = await context.kube.exchange("DELETE", path, token=caller.token, body=body)
    except Refused as refused:
        raise (refuse_version() if version is not None and refused.status == 409 else refused) from None
    return answer_object(Exchange(gone.found, gone.text), status=202)


async def _choose_version(context: Context, caller: Caller, path: str, versions: frozenset[str] | None) -> str | None:
    """Return the one version that a write is for; of several, the object's own."""
    if versions is None or len(versions) == 1:
        return next(iter(versions or ()), None)
    found = await context.kube.request("GET", path, token=caller.token)
    require_version(versions, found)
    return str(found["metadata"]["resourceVersion"])


def _require_version_text(metadata: Any) -> None:
    """Raise ``Refused`` for metadata whose version the API server could not read."""
    if metadata is not None and not isinstance(metadata, dict):
        raise _refuse_metadata()
    version = (metadata or {}).get("resourceVersion")
    if version is not None and not (isinstance(version, str) and version.isascii() and version.isdigit()):
        error = FieldProblem(
            pointer="/metadata/resourceVersion", message="write the text that was read", keyword="type"
        )
        raise Refused("bad-request", "the resourceVersion is none", [error])


def _refuse_metadata() -> Refused:
    error = FieldProblem(pointer="/metadata", message="metadata is an object", keyword="type")
    return Refused("bad-request", "the patch is none of an object", [error])
