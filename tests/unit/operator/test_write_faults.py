"""The operator's writes one by one: it dies after each, each conflicts, is refused or not answered, or waits too long.

The reconcilers are the real ones, over an API server in memory (see ``fake_cluster``: what is played there). Each
scenario is first played undisturbed; then, for each of its writes, again with the fault at that write. A process that
died is followed by one that knows nothing. The end must be the same: every session ended once and in the same way, one
Job for a run, nothing left behind, every row as it should be.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from agentic_operator.kube.client import (
    CLAIMS,
    DEFINITIONS,
    JOBS,
    ROLE_BINDINGS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SESSIONS,
    Kind,
)
from tests.support.fake_cluster import TEAM, Died, Fault, PlayedCluster, PlayedOperator, Strike, settle

Step = Callable[[PlayedCluster], object]

MOST_WRITES = 60


EVERYTHING = (SESSIONS, JOBS, CLAIMS, DEFINITIONS, SERVICE_ACCOUNTS, ROLE_BINDINGS, SECRETS)


@dataclass(frozen=True)
class Scenario:
    """What people do in turn, each time when all is at rest, and how a session's attempts end."""

    name: str
    steps: Sequence[Step]
    outcomes: dict[str, list[str]] = field(default_factory=dict)
    end: str = "Completed"
    """The phase of session ``s`` at the end; empty where it is gone."""
    writes: int = 4
    """How many writes it takes, at least: a scenario that does less does not play what it should."""
    kinds: Sequence[Kind] = (SESSIONS, JOBS, CLAIMS)
    """The writes to which objects are struck."""


def ready(**spec: Any) -> Step:
    return lambda cluster: cluster.define(**spec)


def session(name: str = "s", **spec: Any) -> Step:
    return lambda cluster: cluster.start(name, **spec)


def change(**spec: Any) -> Step:
    return lambda cluster: cluster.change(**spec)


def delete(cluster: PlayedCluster) -> None:
    cluster.delete()


def answer(*ids: str) -> Step:
    return change(responses=[{"interruptId": id_, "value": True, "by": "ann"} for id_ in ids])


def let_finish(cluster: PlayedCluster) -> None:
    cluster.let("s", "completes")


def new_image(cluster: PlayedCluster) -> None:
    cluster.api.send("PATCH", DEFINITIONS, TEAM, "report", {"spec": {"image": "registry.example.com/team/workflow:2"}})


def two_sessions(cluster: PlayedCluster) -> None:
    cluster.start("s")
    cluster.start("t")


SCENARIOS = [
    Scenario("runs", [ready(workspace={"size": "1Gi"}), session()], writes=9, kinds=EVERYTHING),
    Scenario("is retried", [ready(), session(retries=2)], {"s": ["retries", "retries"]}, writes=4),
    Scenario("loses all runs", [ready(), session()], {"s": ["vanishes"] * 4}, "Failed", writes=13),
    Scenario("fails", [ready(), session()], {"s": ["fails"]}, "Failed"),
    Scenario("waits in a queue", [ready(maxActiveSessions=1), two_sessions], writes=9),
    Scenario("is inspected first", [session(), ready(is_ready=False)], writes=9, kinds=EVERYTHING[:4]),
    Scenario(
        "is inspected again",
        [ready(is_ready=False), new_image, session()],
        {"inspect": ["fails"]},
        writes=10,
        kinds=EVERYTHING[:4],
    ),
    Scenario("is answered", [ready(), session(), answer("q1")], {"s": ["asks"]}, writes=9),
    Scenario(
        "is suspended", [ready(), session(), change(suspend=True), change(suspend=False)], {"s": ["works"]}, writes=9
    ),
    Scenario("is suspended first", [ready(), session(suspend=True), change(suspend=False)], writes=5),
    Scenario("is stopped", [ready(), session(), change(stop=True)], {"s": ["works"]}, "Stopped", writes=7),
    Scenario("is stopped before", [session(), change(stop=True)], end="Stopped", writes=2),
    Scenario("is deleted", [ready(), session(), delete], {"s": ["works"]}, "", writes=7),
    Scenario("is deleted late", [ready(), session(), delete], end="", writes=7),
    Scenario("is deleted before", [session(), delete], end="", writes=2),
    Scenario("is made again", [ready(), session(), delete, session()], {"s": ["works"]}, writes=11),
    Scenario("lives on", [ready(), session()], {"s": ["lingers"]}, writes=5),
    Scenario("expires", [ready(), session(ttlSecondsAfterFinished=60)], {"s": ["expires"]}, "", writes=7),
]


async def play(scenario: Scenario, strike: Strike, *, at_once: bool = True) -> PlayedCluster:
    """Play a scenario to its end, with a new operator where one died; return what is left.

    With ``at_once`` the new one starts before anybody else acts; else when nobody has anything left to do without one.
    """
    cluster = PlayedCluster(scenario.outcomes)
    operators = [PlayedOperator(cluster, strike)]
    if strike.fault is Fault.OVERTAKEN:
        other = PlayedOperator(cluster)
        strike.overtake = lambda: settle(cluster, [other])
        operators.append(other)
    ended = list(operators)
    try:
        for each in operators:
            each.strike.kinds = scenario.kinds
            await each.start()
        for step in (*scenario.steps, PlayedCluster.pass_time):
            step(cluster)
            try:
                await settle(cluster, operators)
                if step is PlayedCluster.pass_time:
                    await operators[0].sweep.run_once()
                    await settle(cluster, operators)
            except Died:
                await operators[0].stop()
                if not at_once:
                    await settle(cluster, [])
                operators = [PlayedOperator(cluster, Strike(kinds=scenario.kinds))]
                ended += operators
                await operators[0].start()
                await settle(cluster, operators)
                await operators[0].sweep.run_once()
                await settle(cluster, operators)
        # One that knows nothing finds nothing left to do, but to count a definition's sessions again.
        last = PlayedOperator(cluster, Strike(kinds=scenario.kinds))
        ended.append(last)
        await last.start()
        await settle(cluster, [last])
        assert not [write for write in last.strike.writes if "workflowdefinitions" not in write]
    finally:
        for each in ended:
            await each.stop()
    return cluster


async def play_undisturbed(scenario: Scenario) -> tuple[list[str], dict[str, Any]]:
    """Return the writes that a scenario takes, and what is left at its end."""
    if scenario.name not in _UNDISTURBED:
        strike = Strike()
        cluster = await play(scenario, strike)
        assert cluster.find_violations() == []
        _UNDISTURBED[scenario.name] = strike.writes, await cluster.describe()
    return _UNDISTURBED[scenario.name]


_UNDISTURBED: dict[str, tuple[list[str], dict[str, Any]]] = {}


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Do without what is logged about every fault: to format it takes longer than some passes."""
    caplog.set_level(logging.CRITICAL, "agentic_operator")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_undisturbed_a_session_ends_as_it_should(scenario: Scenario) -> None:
    writes, end = await play_undisturbed(scenario)
    assert end.get("session s", {}).get("phase", "") == scenario.end
    print("\n".join(writes))
    assert len(writes) >= scenario.writes
    assert end["rows"] == sum(name.startswith("session ") for name in end)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name.lower())
async def test_a_fault_at_any_write_changes_nothing_of_the_end(scenario: Scenario, fault: Fault) -> None:
    writes, expected = await play_undisturbed(scenario)
    for number in range(1, MOST_WRITES):
        strike = Strike(fault, number)
        # In turn, the next process starts at once or when everybody else has done what can be done without one.
        cluster = await play(scenario, strike, at_once=number % 2 == 0)
        if not strike.has_struck:
            # With another operator beside it, it has about half of them to do.
            assert number > len(writes) / (4 if fault is Fault.OVERTAKEN else 1)
            return
        where = f"{fault.value}: write {number}, {strike.writes[number - 1]}"
        violations, end = cluster.find_violations(), await cluster.describe()
        if fault is Fault.OVERTAKEN:
            # A Job made long after that was decided runs nothing: its runner finds a later run, or the end.
            violations = [each for each in violations if each.startswith("ended")]
            end, expected = forget_jobs(end), forget_jobs(expected)
        assert violations == [], where
        assert end == expected, where
    raise AssertionError(f"more than {MOST_WRITES} writes")


def forget_jobs(end: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in end.items() if name != "pods" and not name.startswith("Job ")}
