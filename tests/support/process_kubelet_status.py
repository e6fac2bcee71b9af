"""Pod statuses as the kubelet writes them, for the node agent of the tests."""

from datetime import UTC, datetime
from pathlib import Path

from tests.support.apiclient import Json


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def times() -> dict[str, str]:
    return {"lastTransitionTime": _now()}


def _container(raw: Json, state: Json, **more: object) -> Json:
    containers = raw["spec"]["containers"]
    container = next((each for each in containers if each["name"] == "runner"), containers[0])
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": "running" in state,
        "started": "running" in state,
        "restartCount": 0,
        "state": state,
        **more,
    }


def beside_status(container: Json, exit_code: int | None) -> Json:
    """Return the state of a container beside the runner's."""
    ended = {"exitCode": exit_code, "reason": "Error" if exit_code else "Completed", "finishedAt": _now()}
    state: Json = {"running": {"startedAt": _now()}} if exit_code is None else {"terminated": ended}
    return _container({"spec": {"containers": [container]}}, state)


def _conditions(*, is_ready: bool) -> list[Json]:
    ready = "True" if is_ready else "False"
    return [
        {"type": "PodScheduled", "status": "True", **times()},
        {"type": "Ready", "status": ready, **times()},
        {"type": "ContainersReady", "status": ready, **times()},
    ]


def started_status(raw: Json) -> Json:
    return {
        "startTime": _now(),
        "conditions": _conditions(is_ready=True),
        "containerStatuses": [_container(raw, {"running": {"startedAt": _now()}})],
    }


def waiting_status(raw: Json, reason: str, message: str) -> Json:
    state = {"waiting": {"reason": reason, "message": message}}
    return {
        "phase": "Pending",
        "conditions": _conditions(is_ready=False),
        "containerStatuses": [_container(raw, state)],
    }


def unstarted_status() -> Json:
    """Return the end of a pod that was deleted before it started."""
    return {"phase": "Failed", "conditions": _conditions(is_ready=False)}


def uninitialised_status(raw: Json, name: str, exit_code: int, log: str) -> Json:
    """Return the end of a pod whose init container failed."""
    ended = {"exitCode": exit_code, "reason": "Error", "finishedAt": _now(), "message": log[-2048:]}
    container = _container(raw, {"terminated": ended})
    return {
        "phase": "Failed",
        "conditions": _conditions(is_ready=False),
        "initContainerStatuses": [{**container, "name": name}],
        "containerStatuses": [_container(raw, {"waiting": {"reason": "PodInitializing"}})],
    }


def ended_status(
    raw: Json,
    exit_code: int,
    *,
    log: str,
    spoken: Path | None,
    is_oom: bool,
    is_held: bool = False,
    failed: bool = False,
) -> Json:
    """Return the end of a pod: its exit code, and what it left to say, in its own file or at the end of its log.

    It goes on where it ``is_held`` by a container beside the runner's, and has failed where one of those ``failed``.
    """
    message = spoken.read_text(encoding="utf-8", errors="replace") if spoken is not None and spoken.exists() else ""
    if not message and exit_code:
        message = "\n".join(log.splitlines()[-80:])[-2048:]
    reason = "Completed" if exit_code == 0 else "OOMKilled" if is_oom else "Error"
    state: Json = {"terminated": {"exitCode": exit_code, "reason": reason, "finishedAt": _now(), "message": message}}
    return {
        "phase": "Running" if is_held else "Succeeded" if exit_code == 0 and not failed else "Failed",
        "conditions": _conditions(is_ready=False),
        "containerStatuses": [_container(raw, state)],
    }
