"""A session's pods, over all of its runs, and the lines of their logs. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agentic_core.names import RUN_LABEL, RUNNER_CONTAINER, SESSION_UID_LABEL

_OVER: Final = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True)
class Pod:
    """A pod of one run."""

    name: str
    run: int
    created_at: str
    has_started: bool
    is_over: bool
    waits_for: str = ""


def parse_pod(raw: Mapping[str, Any]) -> Pod:
    """Return the view of a pod as the API server gave it."""
    metadata, status = raw["metadata"], raw.get("status") or {}
    containers = status.get("containerStatuses") or ()
    state = next((each.get("state") or {} for each in containers if each.get("name") == RUNNER_CONTAINER), {})
    waiting = state.get("waiting") or {}
    run = str((metadata.get("labels") or {}).get(RUN_LABEL, ""))
    return Pod(
        name=metadata["name"],
        run=int(run) if run.isdigit() else 0,
        created_at=metadata.get("creationTimestamp", ""),
        has_started="running" in state or "terminated" in state,
        is_over=status.get("phase") in _OVER,
        waits_for=" ".join(part for part in (waiting.get("reason"), waiting.get("message")) if part),
    )


def choose_pods(raws: Iterable[Mapping[str, Any]], uid: str, *, all_runs: bool) -> list[Pod]:
    """Return the pods of the newest run, or of all, in the order in which they came.

    Pods of a former session of the same name are left out.
    """
    pods = [
        parse_pod(raw) for raw in raws if ((raw["metadata"].get("labels") or {}).get(SESSION_UID_LABEL) or uid) == uid
    ]
    newest = max((pod.run for pod in pods), default=0)
    return sorted(
        (pod for pod in pods if all_runs or pod.run == newest), key=lambda pod: (pod.run, pod.created_at, pod.name)
    )


def split_timestamp(line: bytes) -> tuple[str, bytes]:
    """Return the time that the kubelet puts before a line, and the line; no time for a line without one."""
    stamp, space, text = line.partition(b" ")
    if not stamp[:1].isdigit() or b"T" not in stamp:
        return "", line
    return stamp.decode("ascii", "replace"), text if space else b""
