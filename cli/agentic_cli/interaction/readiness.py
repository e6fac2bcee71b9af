"""Waits until a definition takes sessions, through lost connections, and tells why it does not yet."""

from collections.abc import Callable
from typing import Any, Final

from agentic_cli.interaction.following import Clock, Outage
from agentic_cli.interaction.target import Project
from agentic_cli.kube.client import WATCH_SECONDS
from agentic_cli.kube.errors import Expired
from agentic_cli.model.exit_status import TimedOut
from agentic_cli.model.kinds import WORKFLOWS
from agentic_cli.model.readiness import Readiness, compute_readiness
from agentic_cli.model.sessions import UNTAKEN, UNTAKEN_SECONDS
from agentic_core.errors import ApiUnavailable, PermanentError

_SHORTEST_WATCH: Final = 1.0


def wait_ready(project: Project, name: str, clock: Clock, report: Callable[[str], None]) -> dict[str, Any]:
    """Return the definition once it is ready; ``report`` is given each reason why it is not yet.

    Raises ``PermanentError`` when it is refused or deleted, and ``TimedOut`` with the last reason.
    """
    said = ""
    outage = Outage(clock, report)
    warns_at: float | None = clock.now() + UNTAKEN_SECONDS
    try:
        while True:
            try:
                clock.limit(0)
                raw = project.api.get(WORKFLOWS, project.namespace, name)
                while True:
                    outage.end()
                    found = compute_readiness(raw)
                    if found.state != "waiting":
                        return _finish(raw, name, found, report)
                    if found.why and found.why != said:
                        said, warns_at = found.why, None
                        report(f"{name}: {said}")
                    if warns_at is not None and clock.now() >= warns_at:
                        warns_at = None
                        report(f"{name}: {UNTAKEN.format(namespace=project.namespace)}")
                    longest = WATCH_SECONDS if warns_at is None else max(_SHORTEST_WATCH, warns_at - clock.now())
                    raw = _wait_change(project, name, raw, min(WATCH_SECONDS, clock.limit(longest)))
            except Expired:
                continue
            except ApiUnavailable as error:
                outage.bear(error)
    except TimedOut:
        raise TimedOut(
            f"{name} is not ready in time; last: {outage.error or said or 'nothing was said of it'}"
        ) from None


def _wait_change(project: Project, name: str, raw: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Return the definition as it is after its next change, or as it is when a watch ends."""
    version = raw["metadata"]["resourceVersion"]
    for event in project.api.watch(WORKFLOWS, project.namespace, version=version, name=name, seconds=seconds):
        if event.type == "DELETED":
            raise PermanentError(f"the definition {name!r} was deleted while it was waited for")
        if event.type != "BOOKMARK":
            return dict(event.object)
    return project.api.get(WORKFLOWS, project.namespace, name)


def _finish(raw: dict[str, Any], name: str, found: Readiness, report: Callable[[str], None]) -> dict[str, Any]:
    if found.state == "refused":
        raise PermanentError(f"{name} is refused: {found.why}")
    if found.why:
        report(f"{name}: {found.why}")
    return raw
