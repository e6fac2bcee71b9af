"""Namespaces are prepared once for a burst, and what is missing is asked for once a second, not once a session."""

import asyncio
from typing import Any, cast

import pytest

from agentic_core.conditions import Reason
from agentic_core.errors import PermanentError
from agentic_operator.config import Settings
from agentic_operator.kube.client import Kind
from agentic_operator.kube.errors import AlreadyExists, Blocked, Invalid
from agentic_operator.namespaces.prepare import TTL_SECONDS, Namespaces
from agentic_operator.namespaces.secrets import read_text
from agentic_operator.networks import Destination, Egress, build_runner_policy
from tests.support.pod_rules import find_faults


class Clock:
    """Seconds as the test says."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Cluster:
    """Counts what is made in it; ``refused`` is raised for role bindings."""

    def __init__(self, refused: Exception | None = None, there: dict[str, Any] | None = None) -> None:
        self.there, self.patched = there, list[object]()
        self.made: list[str] = []
        self.bodies: list[tuple[str, Any]] = []
        self.refused = refused

    async def create(self, kind: Kind, _namespace: str, body: object) -> None:
        self.made.append(kind.plural)
        self.bodies.append((kind.plural, body))
        await asyncio.sleep(0)
        if kind.plural == "networkpolicies" and self.there is not None:
            raise AlreadyExists("it is there")
        if kind.plural == "rolebindings" and self.refused is not None:
            raise self.refused

    async def find(self, _kind: Kind, _namespace: str, _name: str) -> dict[str, Any] | None:
        return self.there

    async def patch(self, _kind: Kind, _namespace: str, _name: str, body: object) -> None:
        self.patched.append(body)


class Logins:
    """Gives a namespace its login, or says why not."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked = 0

    async def place(self, _namespace: str) -> None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error


def namespaces(cluster: Cluster, logins: Logins, clock: Clock, settings: Settings | None = None) -> Namespaces:
    return Namespaces(cast("Any", cluster), settings or Settings(), cast("Any", logins), clock)


async def test_a_burst_prepares_a_namespace_once() -> None:
    cluster, logins = Cluster(), Logins()
    prepared = namespaces(cluster, logins, Clock())
    await asyncio.gather(*(prepared.prepare_for_runs("team") for _ in range(10)))
    assert (cluster.made, logins.asked) == (["serviceaccounts", "rolebindings"], 1)


CLOSED = Settings(runner_egress=Egress((Destination(port=443),)))


async def test_a_namespace_has_its_policy_before_its_first_pod_and_a_changed_one_is_brought_up_to_date() -> None:
    cluster = Cluster()
    prepared = namespaces(cluster, Logins(), Clock(), CLOSED)
    await prepared.prepare_for_runs("team")
    await prepared.prepare_for_inspections("other")
    wanted = build_runner_policy(CLOSED.runner_egress or Egress())
    assert [body for plural, body in cluster.bodies if plural == "networkpolicies"] == [wanted, wanted]
    old = build_runner_policy(Egress())
    # Ours as it shall be, ours of before, and one of somebody else.
    theirs = {**old, "metadata": {"name": "agentic-runner"}}
    for there, patched in ((wanted, []), (old, [{"spec": wanted["spec"]}]), (theirs, [])):
        cluster = Cluster(there=there)
        await namespaces(cluster, Logins(), Clock(), CLOSED).prepare_for_runs("team")
        assert cluster.patched == patched


async def test_where_definitions_of_the_cluster_are_inspected_no_policy_opens_anything() -> None:
    cluster = Cluster()
    await namespaces(cluster, Logins(), Clock(), CLOSED).prepare_for_inspections(CLOSED.inspection_namespace)
    assert cluster.made == ["serviceaccounts"]


async def test_no_policy_is_made_where_none_is_wanted() -> None:
    cluster = Cluster()
    await namespaces(cluster, Logins(), Clock()).prepare_for_runs("team")
    assert "networkpolicies" not in cluster.made


async def test_no_account_that_is_made_gives_its_token_to_pods() -> None:
    cluster = Cluster()
    prepared = namespaces(cluster, Logins(), Clock())
    await prepared.prepare_for_runs("team")
    await prepared.prepare_for_inspections("team")
    accounts = [body for plural, body in cluster.bodies if plural == "serviceaccounts"]
    assert [body["metadata"]["name"] for body in accounts] == ["agentic-runner", "agentic-inspector"]
    assert [find_faults({"kind": "ServiceAccount", **body}) for body in accounts] == [[], []]


async def test_what_fails_for_one_session_fails_for_all_for_a_second_and_is_tried_again_then() -> None:
    logins, clock = Logins(), Clock()
    prepared = namespaces(Cluster(), logins, clock)
    logins.error = Blocked(Reason.SECRET_MISSING, "make it")
    tries = await asyncio.gather(*(prepared.prepare_for_runs("team") for _ in range(10)), return_exceptions=True)
    assert all(isinstance(error, Blocked) for error in tries)
    assert logins.asked == 1
    logins.error = None
    clock.now += 1.1
    await prepared.prepare_for_runs("team")
    assert logins.asked == 2


async def test_of_a_namespace_that_nobody_asks_for_nothing_is_kept() -> None:
    logins, clock = Logins(), Clock()
    prepared = namespaces(Cluster(), logins, clock)
    await prepared.prepare_for_runs("fine")
    await prepared.prepare_for_inspections("inspected")
    logins.error = Blocked(Reason.SECRET_MISSING, "make it")
    with pytest.raises(Blocked):
        await prepared.prepare_for_runs("refused")
    clock.now += TTL_SECONDS
    await prepared.prepare_for_inspections("later")
    assert prepared._known.keys() == {"later"}


async def test_what_the_api_server_calls_invalid_here_is_no_fault_of_a_session() -> None:
    prepared = namespaces(Cluster(refused=Invalid("roleRef: Required value")), Logins(), Clock())
    with pytest.raises(PermanentError) as refused:
        await prepared.prepare_for_runs("team")
    assert not isinstance(refused.value, Invalid)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(None, Reason.SECRET_MISSING), ({"dsn": ""}, Reason.SECRET_MISSING), ({"dsn": "/w=="}, Reason.SECRET_INVALID)],
)
def test_a_secret_without_its_text_is_named_with_place_and_key(data: object, reason: Reason) -> None:
    with pytest.raises(Blocked, match=r"Secret 's' in 'team' .*'dsn'") as refused:
        read_text({"data": data}, "team", "s", "dsn")
    assert refused.value.reason is reason
