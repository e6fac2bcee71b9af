"""The operator's writes one by one: it dies after each, each conflicts, is refused or not answered, or waits too long.

The reconcilers are the real ones, over an API server in memory (see ``fake_cluster``: what is played there). Each
scenario is first played undisturbed; then, for each of its writes, again with the fault at that write. A process that
died is followed by one that knows nothing. The end must be the same: every session ended once and in the same way, one
Job for a run, nothing left behind, every row as it should be.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from agentic_core.threads import thread_id
from agentic_operator.database.retention_policy import Keep
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
from tests.support.fake_cluster import (
    RETENTION_ROWS,
    STEP_TIME,
    TEAM,
    Died,
    Fault,
    PlayedCluster,
    PlayedOperator,
    Strike,
    settle,
)

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
    """The writes to which objects are struck, beside those to stored checkpoints and the deletions of rows."""
    outage: timedelta = STEP_TIME
    """How much time may pass without any operator: none where a run would be over before it was told to begin."""
    keep: Keep | None = None
    """For how long checkpoints are kept; None where there is no retention."""


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


def turn(name: str, **fields: Any) -> Step:
    return lambda cluster: cluster.add_turn(name, **fields)


def conversation(*turns: str, **spec: Any) -> Step:
    return session(mode="Conversation", turns=[{"name": name, "input": name} for name in turns], **spec)


def cancel(name: str) -> Step:
    return lambda cluster: cluster.cancel_turn(name)


def two_sessions(cluster: PlayedCluster) -> None:
    cluster.start("s")
    cluster.start("t")


def two_conversations(cluster: PlayedCluster) -> None:
    for name in ("s", "t"):
        cluster.start(name, mode="Conversation", turns=[{"name": "a"}])


def checkpoints_of_three(cluster: PlayedCluster) -> None:
    """Start a session with many checkpoints, one that waits for a person, one with few; plant a thread of nobody's."""
    cluster.checkpoints["s"] = 3 * RETENTION_ROWS
    for name in ("s", "t", "u"):
        cluster.start(name)
    cluster.store.retention.save(thread_id(TEAM, "gone"), 3, cluster.time.now(), is_fenced=False)


def days(number: float) -> Step:
    return lambda cluster: cluster.pass_time(number)


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
    Scenario("expires", [ready(), session(ttlSecondsAfterFinished=60)], end="", writes=7),
    Scenario("lives on and expires", [ready(), session(ttlSecondsAfterFinished=120)], {"s": ["lingers"]}, "", writes=8),
    Scenario(
        "runs too long",
        [ready(), session(timeoutSeconds=120)],
        {"s": ["works"]},
        "Failed",
        writes=4,
        outage=timedelta(),
    ),
    Scenario("nobody answers", [ready(), session(inputDeadline={"seconds": 120})], {"s": ["asks"]}, "Failed", writes=6),
    Scenario(
        "a deadline answers",
        [
            ready(deadlineAnswers={"values": [True]}),
            session(inputDeadline={"seconds": 120, "onExpiry": "Resume", "value": True}),
        ],
        {"s": ["asks"]},
        writes=9,
    ),
    Scenario(
        "a deadline passes while it is suspended",
        [
            ready(),
            session(inputDeadline={"seconds": 1800}),
            change(suspend=True),
            PlayedCluster.pass_time,
            PlayedCluster.pass_time,
            change(suspend=False),
        ],
        {"s": ["asks"]},
        "Failed",
        writes=8,
    ),
    Scenario(
        "is kept for a day",
        [ready(), checkpoints_of_three, days(2), days(2)],
        {"t": ["asks"]},
        writes=6,
        kinds=(),
        keep=Keep(1),
    ),
    Scenario(
        "is pruned after a day, and kept for three",
        [ready(), checkpoints_of_three, days(2), days(2), days(2)],
        {"t": ["asks"]},
        writes=6,
        kinds=(),
        keep=Keep(3, prune_days=1),
    ),
    Scenario(
        "converses", [ready(), conversation("a"), turn("b"), turn("c")], {"s": ["completes", "fails"]}, "Idle", 12
    ),
    Scenario("converses later", [ready(), conversation(), turn("a")], end="Idle", writes=6),
    Scenario("converses warm", [ready(), conversation("a", "b", keepWarmSeconds=600), turn("c")], end="Idle"),
    Scenario("takes turns in order", [ready(), conversation("a", "b", "c")], {"s": ["fails"]}, "Idle", 12),
    Scenario("has a turn cancelled", [ready(), conversation("a", "b"), cancel("a")], {"s": ["works"]}, "Idle", 9),
    Scenario(
        "has a turn preempted",
        [ready(), conversation("a", "b"), turn("c", preempt="Rollback")],
        {"s": ["works"]},
        "Idle",
        12,
    ),
    Scenario("loses a turn's runs", [ready(), conversation("a", "b")], {"s": ["vanishes"] * 4}, "Idle", 15),
    Scenario("dies after a turn", [ready(), conversation("a", "b")], {"s": ["dies", "completes"]}, "Idle", 6),
    Scenario("is closed", [ready(), conversation("a"), change(close=True)], end="Completed", writes=7),
    Scenario("is idle for too long", [ready(), conversation("a", idleDeadlineSeconds=60)], end="Completed", writes=7),
    Scenario("is stopped in a turn", [ready(), conversation("a"), change(stop=True)], {"s": ["works"]}, "Stopped", 7),
    Scenario(
        "is suspended in a turn",
        [ready(), conversation("a", "b"), change(suspend=True), change(suspend=False)],
        {"s": ["works"]},
        "Idle",
        12,
    ),
    Scenario("waits for its turn", [ready(maxActiveSessions=1), two_conversations, turn("b")], end="Idle", writes=12),
]


async def play(scenario: Scenario, strike: Strike, *, at_once: bool = True) -> PlayedCluster:
    """Play a scenario to its end, with a new operator where one died; return what is left.

    With ``at_once`` the new one starts before anybody else acts; else when nobody has anything left to do without one.
    """
    cluster = PlayedCluster(scenario.outcomes)
    operators = [PlayedOperator(cluster, strike, scenario.keep)]
    if strike.fault is Fault.OVERTAKEN:
        other = PlayedOperator(cluster, keep=scenario.keep)
        strike.overtake = lambda: act_alone(cluster, other)
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
                if step is PlayedCluster.pass_time or scenario.keep is not None:
                    await operators[0].go_round()
                    await settle(cluster, operators)
            except Died:
                await operators[0].stop()
                if not at_once:
                    await settle(cluster, [], scenario.outage)
                operators = [PlayedOperator(cluster, Strike(kinds=scenario.kinds), scenario.keep)]
                ended += operators
                await operators[0].start()
                await settle(cluster, operators)
                await operators[0].go_round()
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


async def act_alone(cluster: PlayedCluster, operator: PlayedOperator) -> None:
    """Let another operator do all there is to do."""
    await settle(cluster, [operator])
    await operator.go_round()
    await settle(cluster, [operator])


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
    return {name: value for name, value in end.items() if name != "pods" and not name.startswith(("Job ", "Jobs "))}
