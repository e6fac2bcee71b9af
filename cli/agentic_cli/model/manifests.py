"""The objects and patches that the command sends. Pure: values in, bodies out."""

import secrets
from collections.abc import Mapping
from typing import Any, Final

from agentic_cli.model.kinds import CLUSTER_WORKFLOWS, SESSIONS, WORKFLOWS
from agentic_cli.model.prefixes import find_id
from agentic_cli.model.sessions import Session
from agentic_core.errors import PermanentError
from agentic_core.follow_ups import (
    RetryObstacle,
    build_fork_spec,
    build_retry_spec,
    can_be_forked,
    find_retry_obstacle,
    list_checkpoint_ids,
)
from agentic_core.names import API_VERSION, GENERATED, MAX_SESSION_NAME, generate_prefix, is_dns_label

# A checkpoint's id is a UUID.
_ID_CHARACTERS: Final = 36
# Without vowels, and what looks alike.
_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
FIRST_TURN: Final = "t0001"


def build_session(
    namespace: str, workflow: str, *, cluster: bool, name: str | None, graph: str | None = None, **spec: Any
) -> dict[str, Any]:
    """Return the manifest of a new session; without a name the API server makes one from the workflow's."""
    reference = {"name": workflow, "kind": CLUSTER_WORKFLOWS.kind if cluster else WORKFLOWS.kind}
    if graph:
        reference["graph"] = graph
    given = {key: value for key, value in spec.items() if value is not None}
    return _build(namespace, name, workflow, {"workflowRef": reference, **given})


def build_retry(failed: Session, *, name: str | None, force: bool = False) -> dict[str, Any]:
    """Return the session that continues where ``failed`` ended, and leaves that one as it is.

    One that never ran has no checkpoint: its retry starts where it should have, from its inputs or as a fork. One that
    failed because of its own spec is refused, since a retry has the same; ``force`` is for a definition that changed.
    """
    match find_retry_obstacle(failed.raw, force=force):
        case RetryObstacle.NOT_ENDED:
            raise PermanentError(f"session {failed.name!r} is {failed.phase}: only one that ended can be retried")
        case RetryObstacle.COMPLETED:
            raise PermanentError(
                f"session {failed.name!r} is Completed: `agentic fork {failed.name}` starts from it again"
            )
        case RetryObstacle.HOPELESS:
            why = f": {failed.message}" if failed.message else ""
            raise PermanentError(
                f"session {failed.name!r} failed with {failed.reason}, and a retry would too{why}; start one with other"
                f" values by `agentic run {failed.workflow}`, or add --force if the workflow has changed since"
            )
    return _build(failed.namespace, name, failed.name, build_retry_spec(failed.raw))


def build_fork(
    source: Session,
    *,
    name: str | None,
    checkpoint: str | None,
    values: Mapping[str, Any] | None,
    as_node: str | None = None,
) -> dict[str, Any]:
    """Return the session that starts from a checkpoint of ``source``, by default the last one."""
    if not can_be_forked(source.raw, checkpoint):
        raise PermanentError(f"session {source.name!r} has not run: it has no checkpoint to start from")
    found = find_checkpoint(source, checkpoint) if checkpoint else None
    spec = build_fork_spec(source.raw, checkpoint=found, values=values, as_node=as_node)
    return _build(source.namespace, name, source.name, spec)


def find_checkpoint(source: Session, wanted: str) -> str:
    """Return the checkpoint's id from its beginning, by the ones that the status lists; a whole id stays as it is.

    Raises ``PermanentError`` if the status lists none or several that begin with it. It lists only the last ones, and
    the database may have older ones.
    """
    found = find_id(list_checkpoint_ids(source.raw), wanted, "checkpoints")
    if found is not None:
        return found
    if len(wanted) >= _ID_CHARACTERS:
        return wanted
    raise PermanentError(
        f"session {source.name!r} lists no checkpoint {wanted!r}: see `agentic checkpoints {source.name}`, or write an"
        " older one's whole id"
    )


def build_answer(session: Session, interrupt: str, answer: Any, by: str, digest: str) -> dict[str, Any]:
    """Return the body that answers one question as the user ``by``; it touches no other answer.

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


def build_turn(name: str, by: str, **parts: Any) -> dict[str, Any]:
    """Return a turn's entry in ``spec.turns``; ``by`` is empty if nobody knows who writes it."""
    given = {key: value for key, value in parts.items() if value is not None}
    return {"name": name, **given, **({"by": by} if by else {})}


def build_turn_patch(session: Session, turn: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the JSON patch that adds a turn at the end of the list of this very session, whatever else changed in it.

    Names are unique there: of two turns that take the same one at the same moment the API server refuses the second.
    """
    same = {"op": "test", "path": "/metadata/uid", "value": session.uid}
    if session.spec.get("turns"):
        return [same, {"op": "add", "path": "/spec/turns/-", "value": dict(turn)}]
    # A list that somebody has made in between is not replaced.
    none = {"op": "test", "path": "/spec/turns", "value": session.spec.get("turns")}
    return [same, none, {"op": "add", "path": "/spec/turns", "value": [dict(turn)]}]


def build_cancellation(session: Session, name: str, by: str) -> list[dict[str, Any]]:
    """Return the JSON patch that asks for the end of a turn; raise ``PermanentError`` if the spec has it no more."""
    turns = session.spec.get("turns") or ()
    index = next((index for index, each in enumerate(turns) if each.get("name") == name), None)
    if index is None:
        raise PermanentError(f"the turn {name!r} of session {session.name!r} is over, and has been removed")
    place = f"/spec/turns/{index}"
    patch: list[dict[str, Any]] = [
        {"op": "test", "path": "/metadata/uid", "value": session.uid},
        {"op": "test", "path": f"{place}/name", "value": name},
        {"op": "add", "path": f"{place}/cancel", "value": True},
    ]
    return [*patch, {"op": "add", "path": f"{place}/cancelledBy", "value": by}] if by else patch


def sign(body: Mapping[str, Any], creator: str) -> dict[str, Any]:
    """Return a new session's manifest with its creator; ``creator`` is empty if unknown."""
    return {**body, "spec": {**body["spec"], "createdBy": creator}} if creator else dict(body)


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


def generate_name(base: str) -> str:
    """Return a name for a session of ``base`` as the API server makes them, for who has to know it before."""
    return generate_prefix(base) + "".join(secrets.choice(_ALPHABET) for _ in range(GENERATED))
