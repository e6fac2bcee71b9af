"""Sessions that start where another one is or was: what a retry and a fork take over. Pure.

Works on objects as the API server has them, so that the command line needs no models for it.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from agentic_core.lifecycle import FINAL_PHASES, Phase

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
    "mode",
    "revision",
    "idleDeadlineSeconds",
)
# As in agentic_core.conditions, whose models take longer to load than the command line may.
_SOURCE_NOT_FOUND: Final = "ForkSourceNotFound"
# Reasons that lie in the session's own spec, which a retry repeats.
_HOPELESS: Final = frozenset({"InvalidInput", "InvalidConfig", "EnvNotAllowed"})
_FINAL: Final = frozenset(phase.value for phase in FINAL_PHASES)


class RetryObstacle(StrEnum):
    """Why a session is not retried."""

    NOT_ENDED = "NotEnded"
    COMPLETED = "Completed"
    HOPELESS = "Hopeless"
    """Its own spec was refused, and a retry has the same."""


def find_retry_obstacle(session: Mapping[str, Any], *, force: bool = False) -> RetryObstacle | None:
    """Return why a session cannot be retried; ``force`` is for a definition that changed since its spec was refused."""
    status = session.get("status") or {}
    if status.get("phase") not in _FINAL:
        return RetryObstacle.NOT_ENDED
    if status["phase"] == Phase.COMPLETED:
        return RetryObstacle.COMPLETED
    return RetryObstacle.HOPELESS if status.get("reason") in _HOPELESS and not force else None


def build_retry_spec(session: Mapping[str, Any]) -> dict[str, Any]:
    """Return the spec of the session that continues where this one ended.

    One that never ran has no checkpoint: its retry starts where it should have, from its inputs or as a fork.
    """
    status = session.get("status") or {}
    if status.get("startTime") and status.get("reason") != _SOURCE_NOT_FOUND:
        return {**_inherit_state(session), "forkFrom": {"session": session["metadata"]["name"]}}
    return _inherit(session)


def can_be_forked(session: Mapping[str, Any], checkpoint: str | None) -> bool:
    """Return whether there is anything to start from: a session that has not run has no checkpoint of its own."""
    return bool((session.get("status") or {}).get("startTime")) or checkpoint is not None


def build_fork_spec(
    session: Mapping[str, Any],
    *,
    checkpoint: str | None = None,
    values: Mapping[str, Any] | None = None,
    as_node: str | None = None,
) -> dict[str, Any]:
    """Return the spec of the session that starts from a checkpoint of this one, by default the last."""
    origin: dict[str, Any] = {"session": session["metadata"]["name"]}
    if checkpoint:
        origin["checkpointId"] = checkpoint
    if values:
        origin["values"] = dict(values)
    if as_node:
        origin["asNode"] = as_node
    return {**_inherit_state(session), "forkFrom": origin}


def list_checkpoint_ids(session: Mapping[str, Any]) -> list[str]:
    """Return the ids of the checkpoints that the status shows: the last ones, and those at the end of turns."""
    status = session.get("status") or {}
    found = [str(entry.get("id") or "") for entry in status.get("history") or ()]
    return found + [str(entry.get("checkpointId") or "") for entry in status.get("turns") or ()]


def _inherit(source: Mapping[str, Any]) -> dict[str, Any]:
    spec = source.get("spec") or {}
    return {key: spec[key] for key in _INHERITED if key in spec}


def _inherit_state(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return the spec of a session that continues from the state of ``source``, which already contains the inputs."""
    return {key: value for key, value in _inherit(source).items() if key != "inputs"}
