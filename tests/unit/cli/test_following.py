"""Following a session, as far as no API server is needed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from agentic_cli.interaction.following import Clock, follow_session
from agentic_cli.interaction.target import Project
from agentic_cli.kube.client import Event
from agentic_cli.model.exit_status import TimedOut
from agentic_cli.model.sessions import Session, parse_session
from tests.support.raw_sessions import a_raw_session


@dataclass
class Quiet:
    """A cluster in which nothing happens to a session; time passes in its watches."""

    status: dict[str, Any] | None
    seconds: float = 0.0
    namespace: str = "team"
    watched: list[float] = field(default_factory=list)

    @property
    def api(self) -> "Quiet":
        return self

    def fetch_session(self, name: str) -> Session:
        return parse_session(a_raw_session(name, status=self.status))

    def watch(self, *_: Any, seconds: float, **__: Any) -> Iterator[Event]:
        self.watched.append(seconds)
        self.seconds += seconds
        return iter(())


@pytest.mark.parametrize(
    ("status", "warnings"),
    [
        pytest.param(None, 1, id="no operator has looked at it"),
        pytest.param({"phase": "Pending"}, 0, id="an operator has"),
    ],
)
def test_a_session_that_nobody_takes_up_is_told_once(status: dict[str, Any] | None, warnings: int) -> None:
    cluster, told = Quiet(status), list[str]()
    clock = Clock(deadline=3600, now=lambda: cluster.seconds)
    with pytest.raises(TimedOut):
        list(follow_session(cast("Project", cluster), "s", clock, told.append))
    assert len(told) == warnings
    if warnings:
        assert told[0].startswith("s: no operator has taken it up: is one running that serves namespace 'team'?")
        assert cluster.watched[0] == 15
