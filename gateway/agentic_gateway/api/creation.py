"""New sessions: what they give the graph is judged first, then they are created in the caller's name."""

from typing import Any, Final

from agentic_core.contract import MAX_INPUT_BYTES
from agentic_core.names import API_VERSION, GROUP, MAX_SESSION_NAME, generate_prefix
from agentic_core.strict_json import JsonRefused, encode_json, parse_strict_json
from agentic_core.trace_context import TRACE_ANNOTATION
from agentic_gateway.api.inputs import find_input_problems, find_settings_refusals
from agentic_gateway.api.models import NewMetadata
from agentic_gateway.auth.identity import Caller
from agentic_gateway.context import Context
from agentic_gateway.kube.client import SESSIONS, Exchange, Json, object_path
from agentic_gateway.kube.paths import find_definition_path
from agentic_gateway.problems import FieldProblem, Refused

# On a session: the request that made it, by its idempotency key.
REPETITION_ANNOTATION: Final = f"{GROUP}/idempotency"
# Characters of a name that follow from the key: no two keys of a namespace share them by chance.
_FROM_KEY: Final = 10


async def create_session_of(
    context: Context,
    caller: Caller,
    namespace: str,
    metadata: NewMetadata,
    spec: Json,
    *,
    base: str,
    at: str,
    repetition: str = "",
) -> Exchange:
    """Create a session with this spec; its name begins with ``base`` if none is given.

    ``at`` is the pointer of the spec in the request's body. ``repetition`` stands for the request's idempotency key:
    the session is marked by it, and where the mark is there already, that session is the answer. Raises ``Refused``:
    ``invalid-input`` with each fault of the inputs, config and context, and what the API server refuses.
    """
    await require_inputs(context, caller, namespace, spec, at=at)
    body: Json = {
        "apiVersion": API_VERSION,
        "kind": "AgenticSession",
        "metadata": {**add_trace(build_name(metadata, base, repetition), caller.traceparent), "namespace": namespace},
        "spec": {"createdBy": caller.name, **spec},
    }
    try:
        return await context.kube.exchange(
            "POST",
            object_path(SESSIONS, namespace),
            token=caller.token,
            query=[("fieldValidation", "Strict")],
            body=body,
        )
    except Refused as refused:
        if refused.status != 409 or not repetition:
            raise
        found = await context.kube.exchange(
            "GET", object_path(SESSIONS, namespace, body["metadata"]["name"]), token=caller.token
        )
        if (found.found["metadata"].get("annotations") or {}).get(REPETITION_ANNOTATION) != repetition:
            raise
        return found


def build_name(metadata: NewMetadata, base: str, repetition: str) -> Json:
    """Return the metadata of a new session: with a name of its own, or one that the API server completes.

    A request that may come again gives the same name again, and the mark that tells its session from others.
    """
    named = metadata.to_wire()
    if repetition:
        named["annotations"] = {**(named.get("annotations") or {}), REPETITION_ANNOTATION: repetition}
    if named.get("name"):
        return named
    prefix = named.pop("generateName", None) or generate_prefix(base.replace(".", "-"))
    if repetition:
        return {**named, "name": f"{prefix[: MAX_SESSION_NAME - _FROM_KEY]}{repetition[:_FROM_KEY]}"}
    return {**named, "generateName": prefix}


def add_trace(metadata: Json, traceparent: str) -> Json:
    """Return the metadata of a new session that belongs to the trace of the request, unless it says another one."""
    if not traceparent:
        return metadata
    return {**metadata, "annotations": {TRACE_ANNOTATION: traceparent, **(metadata.get("annotations") or {})}}


def locate(namespace: str, exchange: Exchange) -> dict[str, str]:
    """Return the headers that say where the new session is."""
    return {"Location": f"/api/v1/agentic-sessions/{namespace}/{exchange.found['metadata']['name']}"}


async def require_inputs(context: Context, caller: Caller, namespace: str, spec: Json, *, at: str) -> None:
    """Raise ``Refused`` if the definition refuses inputs, config or context, or there is none of that name."""
    ref = spec.get("workflowRef")
    name = ref.get("name") if isinstance(ref, dict) else None
    if not isinstance(ref, dict) or not isinstance(name, str) or not name:
        error = FieldProblem(
            pointer=f"{at}/workflowRef/name", message="name the workflow that runs", keyword="required"
        )
        raise Refused("invalid-input", "the session names no workflow", [error])
    _require_storable(spec.get("inputs"), f"{at}/inputs")
    path = find_definition_path(ref, namespace)
    error = FieldProblem(pointer=f"{at}/workflowRef/name", message=f"there is no workflow {name[:100]!r} here")
    if path is None:
        raise Refused("invalid-input", f"{name[:100]!r} can be no workflow's name", [error])
    try:
        definition = await context.kube.request("GET", path, token=caller.token)
    except Refused as refused:
        if refused.status != 404:
            raise
        raise Refused("invalid-input", refused.detail, [error]) from refused
    if refusals := find_settings_refusals(definition, spec, at=at):
        raise Refused("invalid-input", f"workflow {name!r} does not take this config or context", refusals)
    if "inputs" not in spec and ("forkFrom" in spec or spec.get("mode") == "Conversation"):
        return
    problems = await find_input_problems(
        context.checker, definition, spec.get("inputs"), at=f"{at}/inputs", graph=ref.get("graph")
    )
    if problems:
        raise Refused("invalid-input", f"workflow {name!r} does not take these inputs", problems)


def _require_storable(inputs: Any, at: str) -> None:
    try:
        parse_strict_json(encode_json(inputs), max_bytes=MAX_INPUT_BYTES, as_stored=True)
    except JsonRefused as refused:
        error = FieldProblem(pointer=f"{at}{refused.pointer}", message=refused.message)
        raise Refused("invalid-input", "the inputs cannot be stored", [error]) from refused
