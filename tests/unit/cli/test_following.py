"""Following a session, as far as no API server is needed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from agentic_cli.interaction.following import Clock, follow_session
from agentic_cli.interaction.readiness import wait_ready
from agentic_cli.interaction.target import Project
from agentic_cli.kube.client import Event
from agentic_cli.model.exit_status import TimedOut
from agentic_cli.model.sessions import Session, parse_session
from agentic_core.errors import ApiUnavailable
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


@dataclass
class Away(Quiet):
    """An API server that answers once, and is away from then on."""

    def watch(self, *_: Any, **__: Any) -> Iterator[Event]:
        raise ApiUnavailable("the API server does not answer: connection refused")

    def get(self, *_: Any, **__: Any) -> dict[str, Any]:
        raise ApiUnavailable("the API server does not answer: connection refused")

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def test_a_time_that_runs_out_while_the_api_server_is_away_says_so() -> None:
    cluster = Away(None)
    clock = Clock(deadline=20, now=lambda: cluster.seconds, sleep=cluster.sleep)
    with pytest.raises(TimedOut, match=r"the session goes on by itself; last: .* connection refused"):
        list(follow_session(cast("Project", cluster), "s", clock, lambda _: None))
    clock = Clock(deadline=60, now=lambda: cluster.seconds, sleep=cluster.sleep)
    with pytest.raises(TimedOut, match=r"report is not ready in time; last: .* connection refused"):
        wait_ready(cast("Project", cluster), "report", clock, lambda _: None)
