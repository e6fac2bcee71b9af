"""The objects and patches that the command sends. Pure: values in, bodies out."""

from collections.abc import Mapping
from typing import Any, Final

from agentic_cli.model.kinds import CLUSTER_WORKFLOWS, SESSIONS, WORKFLOWS
from agentic_cli.model.sessions import Session
from agentic_core.errors import PermanentError
from agentic_core.names import API_VERSION, MAX_SESSION_NAME, is_dns_label

# The API server adds five characters to a generateName.
_GENERATED: Final = 5
# A new session takes these from the one it follows. What steered the old one (stop, suspend, answers) stays behind.
_INHERITED: Final = (
    "workflowRef",
    "inputs",
    "config",
    "context",
    "displayName",
    "userContext",
    "timeoutSeconds",
    "retries",
    "ttlSecondsAfterFinished",
    "keepWarmSeconds",
    "inputDeadline",
    "resources",
    "env",
    "forkFrom",
)
# As in agentic_core.conditions, whose models take longer to load than this command may.
_SOURCE_NOT_FOUND: Final = "ForkSourceNotFound"


def build_session(
    namespace: str, workflow: str, *, cluster: bool, name: str | None, graph: str | None = None, **spec: Any
) -> dict[str, Any]:
    """Return the manifest of a new session; without a name the API server makes one from the workflow's."""
    reference = {"name": workflow, "kind": CLUSTER_WORKFLOWS.kind if cluster else WORKFLOWS.kind}
    if graph:
        reference["graph"] = graph
    given = {key: value for key, value in spec.items() if value is not None}
    return _build(namespace, name, workflow, {"workflowRef": reference, **given})


def build_retry(failed: Session, *, name: str | None) -> dict[str, Any]:
    """Return the session that goes on from where ``failed`` ended, and leaves that one as it is.

    One that never ran has no checkpoint: its retry starts where it should have, from its inputs or as a fork.
    """
    if not failed.is_final:
        raise PermanentError(f"session {failed.name!r} is {failed.phase}: only one that ended can be retried")
    if failed.phase == "Completed":
        raise PermanentError(f"session {failed.name!r} is Completed: `agentic fork {failed.name}` starts from it again")
    if failed.started_at and failed.reason != _SOURCE_NOT_FOUND:
        spec = {**_inherit_state(failed), "forkFrom": {"session": failed.name}}
    else:
        spec = _inherit(failed)
    return _build(failed.namespace, name, failed.name, spec)


def build_fork(
    source: Session,
    *,
    name: str | None,
    checkpoint: str | None,
    values: Mapping[str, Any] | None,
    as_node: str | None = None,
) -> dict[str, Any]:
    """Return the session that starts from a checkpoint of ``source``, the last one where none is named."""
    if not source.started_at and checkpoint is None:
        raise PermanentError(f"session {source.name!r} has not run: it has no checkpoint to start from")
    origin: dict[str, Any] = {"session": source.name}
    if checkpoint:
        origin["checkpointId"] = checkpoint
    if values:
        origin["values"] = dict(values)
    if as_node:
        origin["asNode"] = as_node
    return _build(source.namespace, name, source.name, {**_inherit_state(source), "forkFrom": origin})


def build_answer(session: Session, interrupt: str, answer: Any, by: str, digest: str) -> dict[str, Any]:
    """Return what is applied to answer one question as the user ``by``; all other answers stay as they are.

    ``digest`` is of the question that was answered: it is no answer to another one.

    It holds for the session as it was read only: of two answers at the same moment one is refused, not lost.
    """
    return {
        "apiVersion": API_VERSION,
        "kind": SESSIONS.kind,
        "metadata": {"name": session.name, "uid": session.uid, "resourceVersion": session.version},
        "spec": {"responses": [{"interruptId": interrupt, "by": by, "value": answer, "digest": digest}]},
    }


def replaces_answer(session: Session, interrupt: str, by: str) -> bool:
    """Return whether the spec has an answer of this user to the question, which a new one takes the place of."""
    responses = session.spec.get("responses") or ()
    return any((each.get("interruptId"), each.get("by") or "") == (interrupt, by) for each in responses)


def sign(body: Mapping[str, Any], creator: str) -> dict[str, Any]:
    """Return a new session's manifest that states who asks for it; ``creator`` is empty where nobody knows."""
    return {**body, "spec": {**body["spec"], "createdBy": creator}} if creator else dict(body)


def _inherit(source: Session) -> dict[str, Any]:
    return {key: source.spec[key] for key in _INHERITED if key in source.spec}


def _inherit_state(source: Session) -> dict[str, Any]:
    """Return what a session keeps that goes on from the state of ``source``: that came of the inputs already."""
    return {key: value for key, value in _inherit(source).items() if key != "inputs"}


def _build(namespace: str, name: str | None, base: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    metadata: dict[str, Any] = {"namespace": namespace}
    if name is None:
        metadata["generateName"] = generate_prefix(base)
    elif is_dns_label(name, MAX_SESSION_NAME):
        metadata["name"] = name
    else:
        raise PermanentError(
            f"{name!r} cannot name a session: lower-case letters, digits and '-', at most {MAX_SESSION_NAME} characters"
        )
    return {"apiVersion": API_VERSION, "kind": SESSIONS.kind, "metadata": metadata, "spec": dict(spec)}


def generate_prefix(base: str) -> str:
    """Return the start of a generated name that stays within the limit."""
    return base[: MAX_SESSION_NAME - _GENERATED - 1].rstrip("-") + "-"
