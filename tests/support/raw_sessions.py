"""Sessions and workflows as the API server gives them, with what a test wants to say of them."""

from typing import Any

API_VERSION = "agentic-operator.dev/v1alpha1"


def a_raw_session(name: str = "s", *, status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """Return an AgenticSession of the workflow ``w``."""
    raw: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": "AgenticSession",
        "metadata": {
            "name": name,
            "namespace": "team",
            "uid": f"uid-of-{name}",
            "resourceVersion": "7",
            "creationTimestamp": "2026-05-01T10:00:00Z",
        },
        "spec": {"workflowRef": {"name": "w", "kind": "WorkflowDefinition"}, **spec},
    }
    if status is not None:
        raw["status"] = status
    return raw


def an_interrupt(id_: str = "i1", value: Any = "Approve?", **more: Any) -> dict[str, Any]:
    """Return an open question."""
    return {"id": id_, "node": "ask", "value": value, "askedAt": "2026-05-01T10:01:00Z", **more}


def a_waiting_session(*interrupts: dict[str, Any], name: str = "s", **spec: Any) -> dict[str, Any]:
    """Return a session that waits for answers."""
    asked = interrupts or (an_interrupt(),)
    recorded = [{"interruptId": each["id"], "by": each["answeredBy"]} for each in asked if "answeredBy" in each]
    status = {
        "phase": "WaitingForInput",
        "interrupts": list(asked),
        "answers": recorded,
        "startTime": "2026-05-01T10:00:05Z",
    }
    return a_raw_session(name, status=status, **spec)


def a_raw_conversation(
    *spec_turns: dict[str, Any], name: str = "c", status: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    """Return a session that takes turns, with these in its spec."""
    turns = {"turns": list(spec_turns)} if spec_turns else {}
    return a_raw_session(name, status=status, mode="Conversation", **turns, **spec)


def a_raw_workflow(name: str = "w", *, status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """Return a WorkflowDefinition."""
    return {
        "apiVersion": API_VERSION,
        "kind": "WorkflowDefinition",
        "metadata": {"name": name, "namespace": "team", "creationTimestamp": "2026-05-01T10:00:00Z"},
        "spec": {"image": "example/image:1", **spec},
        "status": status or {},
    }
