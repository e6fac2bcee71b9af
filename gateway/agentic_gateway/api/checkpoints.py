"""Checkpoints of a session, without any state: from which of them it can be forked, and where its graph is."""

from fastapi import APIRouter

from agentic_gateway.api.definitions import build_graph
from agentic_gateway.api.models import Checkpoint, Checkpoints, SessionGraph
from agentic_gateway.api.paths import Name, Namespace
from agentic_gateway.api.strict_route import StrictRoute
from agentic_gateway.context import WithCaller, WithContext
from agentic_gateway.kube.client import SESSIONS, Json, object_path
from agentic_gateway.kube.paths import find_definition_path
from agentic_gateway.problems import Refused

router = APIRouter(prefix="/api/v1", tags=["records"], route_class=StrictRoute)


@router.get("/agentic-sessions/{namespace}/{name}/checkpoints", summary="List checkpoints")
async def list_checkpoints(namespace: Namespace, name: Name, context: WithContext, caller: WithCaller) -> Checkpoints:
    """Return the last checkpoints that the session's status shows, newest first, and those at the ends of turns.

    `fork` starts a new session from any of them, and a turn's `fromCheckpoint` goes on from there.
    """
    session = await context.kube.request("GET", object_path(SESSIONS, namespace, name), token=caller.token)
    return build_checkpoints(session)


def build_checkpoints(session: Json) -> Checkpoints:
    """Return the checkpoints of a status, newest first; those of turns that are further back follow."""
    status = session.get("status") or {}
    turns = {str(each.get("checkpointId")): each for each in status.get("turns") or () if each.get("checkpointId")}
    history = [
        Checkpoint(
            id=str(each["id"]),
            step=each.get("step"),
            node=each.get("node"),
            next=each.get("next"),
            at=each.get("at"),
            turn=(turns.get(str(each["id"])) or {}).get("name"),
        )
        for each in reversed(status.get("history") or ())
    ]
    shown = {each.id for each in history}
    further = [
        Checkpoint(id=id_, turn=each.get("name"), at=each.get("finishedAt"))
        for id_, each in reversed(turns.items())
        if id_ not in shown
    ]
    return Checkpoints(items=(*history, *further), last=status.get("checkpointId"))


@router.get("/agentic-sessions/{namespace}/{name}/graph", name="get_session_graph", summary="Get a session's graph")
async def get_graph(namespace: Namespace, name: Name, context: WithContext, caller: WithCaller) -> SessionGraph:
    """Return the graph of the session's workflow and where in it the session is; it takes the right to read both.

    A session of a graph that no inspection has drawn gets 409.
    """
    session = await context.kube.request("GET", object_path(SESSIONS, namespace, name), token=caller.token)
    reference = session["spec"].get("workflowRef") or {}
    path = find_definition_path(reference, namespace)
    if path is None:
        raise Refused("conflict", "the session names no workflow")
    definition = await context.kube.request("GET", path, token=caller.token)
    return place_session(definition, session)


def place_session(definition: Json, session: Json) -> SessionGraph:
    """Return a definition's graph with the session's place in it; raises ``Refused`` if it is another graph."""
    reference, status = session["spec"].get("workflowRef") or {}, session.get("status") or {}
    own = reference.get("graph")
    if own and own != (definition.get("spec") or {}).get("graph"):
        raise Refused(
            "conflict", f"the session runs another graph of the image, {own!r}, which no inspection has drawn"
        )
    graph = build_graph(definition)
    known = set(graph.nodes)
    done = [
        node
        for each in status.get("history") or ()
        for node in str(each.get("node") or "").split(", ")
        if node in known
    ]
    pinned = (status.get("workflow") or {}).get("generation")
    return SessionGraph(
        nodes=graph.nodes,
        edges=graph.edges,
        mermaid=graph.mermaid,
        current_node=status.get("currentNode"),
        done=tuple(dict.fromkeys(done)),
        failed_node=(status.get("error") or {}).get("node"),
        is_pinned=pinned is None or pinned == definition["metadata"].get("generation"),
    )
