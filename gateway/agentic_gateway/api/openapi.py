"""The description of the whole surface in OpenAPI 3.1, as clients are generated from it.

FastAPI describes what routes take and give; added here is what all of them have in common: problems, how callers are
known, headers of versions.
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from agentic_core.contract import RUNNER_FIELDS
from agentic_core.crds import build_crds
from agentic_gateway.problems import MEDIA_TYPE, FieldProblem, ProblemDetails

Json = dict[str, Any]

TITLE: Final = "agentic-operator gateway"
VERSION: Final = "v1"
DESCRIPTION: Final = (
    "Workflows, sessions and their records over HTTP. Each request is made in the caller's own name: the API server"
    " decides what they may do, and its resources are the truth. Every refusal is a problem (RFC 9457)."
)
_REFERENCE: Final = "#/components/schemas/"
_OBJECTS: Final = frozenset({"SessionObject", "DefinitionObject"})
_RETRY: Final[Json] = {
    "Retry-After": {"description": "Seconds to wait before the next attempt.", "schema": {"type": "integer"}}
}
_ETAG: Final[Json] = {"ETag": {"description": "The object's version, in quotes.", "schema": {"type": "string"}}}
_LOCATION: Final[Json] = {"Location": {"description": "Path of the new object.", "schema": {"type": "string"}}}

# Whose spec and status are in which models, the first of which is the object as it is read.
_RESOURCES: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "AgenticSession": ("agenticsessions", ("SessionObject", "NewSession")),
    "WorkflowDefinition": ("workflowdefinitions", ("DefinitionObject", "NewDefinition")),
}
_LISTS: Final[Mapping[str, str]] = {"SessionList": "SessionObject", "DefinitionList": "DefinitionObject"}
_OF_RUNNERS: Final = "runners"
_REPORT: Final = "RunnerReport"

# What every route may answer, and what only those with a name, with a body, or that change something.
_ALWAYS: Final[Mapping[int, str]] = {
    400: "The request or the inputs are refused; `errors` says where.",
    401: "No valid token.",
    429: "Too many requests; try again after `Retry-After`.",
    500: "The gateway or the API server failed.",
    503: "The API server or the database does not answer; try again after `Retry-After`.",
    504: "No answer in time.",
}
_OF_OBJECTS: Final[Mapping[int, str]] = {
    403: "The caller lacks the right, or a policy refuses it.",
    404: "There is no such object.",
    409: "Somebody else was first, or the state does not allow it.",
    410: "The page's `continue` has expired, or the object is gone.",
}
_OF_BODIES: Final[Mapping[int, str]] = {
    408: "The body did not come in time.",
    413: "The body is too large.",
    415: "The body is not JSON.",
}
_OF_WRITES: Final[Mapping[int, str]] = {
    422: "The resource is refused, or the idempotency key belongs to another request; `errors` says where.",
}
_OF_VERSIONS: Final[Mapping[int, str]] = {412: "The object has another version than `If-Match` names."}


def describe(app: FastAPI) -> Json:
    """Return the OpenAPI document of an application."""
    document = get_openapi(
        title=TITLE, version=VERSION, openapi_version="3.1.0", description=DESCRIPTION, routes=app.routes
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for theirs in ("HTTPValidationError", "ValidationError"):
        schemas.pop(theirs, None)
    schemas[ProblemDetails.__name__] = _describe_model(ProblemDetails)
    schemas[FieldProblem.__name__] = _describe_model(FieldProblem)
    _embed_resources(schemas)
    components["securitySchemes"] = {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "A token that the API server takes: of a service account, or of your identity provider.",
        }
    }
    document["security"] = [{"token": []}]
    for method, operation in _operations(document):
        _type_change(method, operation)
        _complete(method, operation)
    return document


class DescriptionText:
    """The document as text: made once, beside the event loop, for it takes most of a second."""

    def __init__(self, build: Callable[[], Json]) -> None:
        self._build = build
        self._text: bytes | None = None
        self._one = asyncio.Lock()

    async def read(self) -> bytes:
        """Return the text; who asks meanwhile waits for the one that is being made."""
        async with self._one:
            if self._text is None:
                self._text = await asyncio.to_thread(self._write)
        return self._text

    def _write(self) -> bytes:
        return json.dumps(self._build(), ensure_ascii=False, separators=(",", ":")).encode()


def _embed_resources(schemas: Json) -> None:
    """Put spec and status of the custom resources in the place of objects of anything, as the API server has them."""
    for name, (plural, models) in _RESOURCES.items():
        (version,) = build_crds()[plural]["spec"]["versions"]
        parts: Json = version["schema"]["openAPIV3Schema"]["properties"]
        for part in ("spec", "status"):
            schemas[f"{name}{part.capitalize()}"] = _tell_defaults(_plain(parts[part]))
        for model in models:
            own: Json = schemas[model]["properties"]
            for part in ("spec", "status"):
                if part in own:
                    own[part] = {"$ref": f"{_REFERENCE}{name}{part.capitalize()}"}
        schemas[f"{name}SpecPatch"] = _as_patch(schemas[f"{name}Spec"])
        schemas[f"{name}Patch"] = _describe_patch(name)
    for name, listed in _LISTS.items():
        schemas[name]["properties"]["items"]["items"] = {"$ref": f"{_REFERENCE}{listed}"}
    reported: Json = schemas["AgenticSessionStatus"]["properties"]
    schemas[_REPORT] = {
        "type": "object",
        "title": _REPORT,
        "description": "Fields of a session's status that are its runner's.",
        "properties": {name: reported[name] for name in RUNNER_FIELDS},
        "additionalProperties": False,
        "minProperties": 1,
    }


def _describe_patch(resource: str) -> Json:
    return {
        "type": "object",
        "title": f"{resource}Patch",
        "description": "A JSON merge patch (RFC 7396): null removes. Its version, if any, is the one that was read;"
        " `status`, and what the object is, are ignored.",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {
                "type": "object",
                "description": "Labels and annotations to change, and the version that was read.",
                "properties": {
                    "resourceVersion": {"type": "string", "description": "Another version than the object's gets 409."},
                    **{
                        name: {"type": "object", "additionalProperties": {"type": ["string", "null"]}}
                        for name in ("labels", "annotations")
                    },
                },
            },
            "spec": {"$ref": f"{_REFERENCE}{resource}SpecPatch"},
            "status": {"type": "object"},
        },
        "additionalProperties": False,
    }


def _tell_defaults(schema: Json) -> Json:
    """Return a schema whose defaults are told in words.

    It is the API server that fills them in: where clients are generated, none shall send them, nor may what is absent
    of a new object count as there.
    """
    found = {key: each for key, each in schema.items() if key != "default"}
    if "default" in schema:
        text = json.dumps(schema["default"])
        found["description"] = f"{schema.get('description', '')} Where absent: {text}.".strip()
    if "properties" in schema:
        found["properties"] = {name: _tell_defaults(each) for name, each in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            found[key] = _tell_defaults(schema[key])
    return found


def _as_patch(schema: Json) -> Json:
    """Return the schema of what a merge patch says of an object: any of its members, or that they go.

    Lists are replaced as a whole, and so are as they are.
    """
    if "properties" not in schema:
        return schema
    found = {key: each for key, each in schema.items() if key not in ("required", "minProperties")}
    found["properties"] = {name: _or_null(_as_patch(each)) for name, each in schema["properties"].items()}
    return found


def _or_null(schema: Json) -> Json:
    if "type" not in schema:
        return schema
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    enum = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, **enum, "type": [*types, "null"]}


def _type_change(method: str, operation: Json) -> None:
    """Say what a body may hold that its route takes as it comes, for the API server to judge."""
    if method == "patch" and _OF_RUNNERS not in operation["tags"]:
        given = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
        resource = next(name for name, (_, models) in _RESOURCES.items() if _REFERENCE + models[0] == given)
        _set_body(operation, f"{resource}Patch")
    if operation["operationId"] in ("post_status", "patch_status"):
        _set_body(operation, _REPORT)


def _set_body(operation: Json, model: str) -> None:
    operation["requestBody"]["content"]["application/json"]["schema"] = {"$ref": _REFERENCE + model}


def _plain(schema: Any) -> Any:
    """Return a structural schema as JSON Schema has it, without what only the API server reads."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _plain(each) for key, each in schema.items() if not key.startswith("x-kubernetes-")}
    if schema.get("x-kubernetes-int-or-string") is True:
        found.pop("anyOf", None)
        found["type"] = ["integer", "string"]
    if found.get("type") == "object" and not found.keys() & {"properties", "additionalProperties"}:
        # Generators take an object of which nothing is said for an empty one.
        found["additionalProperties"] = True
    return found


def name_operation(route: APIRoute) -> str:
    """Return the id of a route's operation, which becomes the name of a generated client's function."""
    return route.name


def _describe_model(model: type[ProblemDetails] | type[FieldProblem]) -> Json:
    found = model.model_json_schema(ref_template=f"{_REFERENCE}{{model}}", mode="serialization")
    found.pop("$defs", None)
    return found


def _operations(document: Json) -> Iterator[tuple[str, Json]]:
    for path in document["paths"].values():
        yield from (each for each in path.items() if each[0] in {"get", "put", "post", "patch", "delete"})


def _complete(method: str, operation: Json) -> None:
    parameters = operation.get("parameters") or ()
    names = {each["name"] for each in parameters}
    responses = operation["responses"]
    # FastAPI's own: here it is a 400.
    responses.pop("422", None)
    wanted = {**_ALWAYS}
    if any(each["in"] == "path" for each in parameters) or "limit" in names or "requestBody" in operation:
        wanted |= _OF_OBJECTS
    if "requestBody" in operation:
        wanted |= _OF_BODIES
    if method != "get":
        wanted |= _OF_WRITES
    if "If-Match" in names:
        wanted |= _OF_VERSIONS
    for status, text in wanted.items():
        responses[str(status)] = _describe_problem(status, text)
    if "If-None-Match" in names:
        responses["304"] = {"description": "It has the ETag that is known.", "headers": _ETAG}
    for status, response in responses.items():
        if status.startswith("2"):
            _add_headers(response, is_new=status == "201")
    operation["responses"] = dict(sorted(responses.items()))


def _describe_problem(status: int, text: str) -> Json:
    found: Json = {
        "description": text,
        "content": {MEDIA_TYPE: {"schema": {"$ref": f"{_REFERENCE}{ProblemDetails.__name__}"}}},
    }
    return {**found, "headers": _RETRY} if status in (429, 503) else found


def _add_headers(response: Json, *, is_new: bool) -> None:
    content = (response.get("content") or {}).get("application/json") or {}
    model = str((content.get("schema") or {}).get("$ref") or "").removeprefix(_REFERENCE)
    if model in _OBJECTS:
        response["headers"] = {**_ETAG, **(_LOCATION if is_new and model == "SessionObject" else {})}
