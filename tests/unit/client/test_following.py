"""Following a session as a protocol, against a gateway that is made of values."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_client.calls import Place
from agentic_client.connection import ConnectionState
from agentic_client.errors import (
    Forbidden,
    GatewayError,
    NotFound,
    TooManyRequests,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from agentic_client.following import Changed, Connect, Deliver, Fetch, Following, Pause, Receive, Received, Waiting

PLACE = Place("team", "s1")
SECONDS_A_COMMENT = 5.0


def a_frame(seq: int, prev: int, phase: str = "") -> dict[str, Any]:
    metadata = {"event": "custom", **({"phase": phase} if phase else {})}
    return {
        "type": "agent_message",
        "timestamp": "2026-01-01T00:00:00Z",
        "seq": seq,
        "prev": prev,
        "data": {"message": str(seq), "metadata": metadata},
    }


@dataclass
class World:
    """A gateway and a session of so many messages; faults are taken one by one, None is none."""

    count: int
    faults: Iterator[GatewayError | None] = field(default_factory=lambda: iter(()))
    phase: str = "Running"
    ends: bool = True
    now: float = 0.0
    pauses: list[float] = field(default_factory=list)
    states: list[ConnectionState] = field(default_factory=list)
    connects: list[int] = field(default_factory=list)
    delivered: list[int] = field(default_factory=list)
    at: int = 0
    on_comment: Callable[["World"], None] = lambda _: None
    skips: frozenset[int] = frozenset()

    def fail(self) -> None:
        if (fault := next(self.faults, None)) is not None:
            raise fault

    def drive(self, steps: Any) -> Any:
        """Carry steps out; return their value."""
        outcome: Any = None
        failure: GatewayError | None = None
        for _ in range(100_000):
            try:
                step = steps.send(outcome) if failure is None else steps.throw(failure)
            except StopIteration as end:
                return end.value
            outcome = failure = None
            try:
                outcome = self.carry_out(step)
            except GatewayError as error:
                failure = error
        raise AssertionError("it never ends")

    def carry_out(self, step: Any) -> Any:
        match step:
            case Fetch(call):
                self.fail()
                if call.path.endswith("/events"):
                    after = int(call.query["after"])
                    found = [a_frame(seq, seq - 1) for seq in range(after + 1, self.count + 1)][:7]
                    return call.parse(json.dumps({"items": found}).encode())
                return call.parse(json.dumps({"status": {"phase": self.phase}}).encode())
            case Connect(call):
                self.fail()
                self.at = int(call.query["after"])
                self.connects.append(self.at)
            case Receive():
                return self.receive()
            case Pause(seconds):
                self.pauses.append(seconds)
                self.now += seconds
            case Changed(state):
                self.states.append(state)
            case Deliver(message):
                assert message.seq is not None
                self.delivered.append(message.seq)
        return None

    def receive(self) -> Received:
        self.fail()
        if self.at >= self.count:
            self.now += SECONDS_A_COMMENT
            self.on_comment(self)
            return Received(b": keep-alive\n\n", self.now)
        self.at += 1
        if self.at in self.skips:
            self.at += 1
        phase = "Completed" if self.at == self.count and self.ends else ""
        if phase:
            self.phase = phase
        frame = json.dumps(a_frame(self.at, self.at - 1, phase))
        return Received(f"id: {self.at}\ndata: {frame}\n\n".encode(), self.now)


def follow(world: World, after: int = 0) -> World:
    world.drive(Following(PLACE, after, lambda: 1.0).steps())
    return world


TEMPORARY = [Unreachable("cut"), Unavailable(503, "away"), TooManyRequests(429, "later")]


@given(st.integers(0, 12), st.lists(st.sampled_from([None, None, *TEMPORARY]), max_size=60), st.booleans())
def test_whatever_is_cut_each_message_is_delivered_once_and_in_order(
    count: int, faults: list[GatewayError | None], ends: bool
) -> None:
    world = World(count + 1, iter(faults), ends=ends)
    if not ends:
        world.on_comment = lambda found: setattr(found, "phase", "Stopped")
    assert follow(world).delivered == list(range(1, count + 2))
    assert world.states[-1] is ConnectionState.CLOSED


def test_states_and_pauses_of_a_server_that_stays_away() -> None:
    world = World(1, iter([None, None, *[Unreachable("away")] * 9]))
    follow(world)
    assert world.pauses[:9] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    connecting, connected, disconnected, closed = ConnectionState
    assert world.states == [connecting, connected, *[disconnected, connecting] * 9, connected, closed]


def test_after_its_end_a_session_is_not_asked_again() -> None:
    world = follow(World(3))
    assert (world.connects, world.pauses, world.states[-1]) == ([0], [], ConnectionState.CLOSED)


def test_of_a_session_that_has_ended_the_rest_is_read_without_a_stream() -> None:
    world = follow(World(20, phase="Failed"), after=2)
    assert world.delivered == list(range(3, 21))
    assert world.connects == []


def test_a_turns_end_is_not_the_sessions() -> None:
    """A conversation is Idle after its turn, and the stream goes on."""
    world = World(2)
    idle = iter([True] * 4)

    def stop_later(found: World) -> None:
        found.phase = "Idle" if next(idle, False) else "Stopped"

    world.on_comment = stop_later
    real = world.receive

    def receive() -> Received:
        found = real()
        if world.phase == "Completed":
            world.phase = "Idle"
        return found

    world.receive = receive  # type: ignore[method-assign]
    follow(world)
    assert world.delivered == [1, 2]
    assert world.phase == "Stopped"
    assert world.connects == [0]


def test_a_session_that_was_stopped_without_a_word_is_noticed_by_its_silence() -> None:
    world = World(1, ends=False)
    world.on_comment = lambda found: setattr(found, "phase", "Stopped" if found.now > 40 else "Running")
    follow(world)
    assert world.now == 45  # 15 s, then 30 s more


def test_the_time_that_the_gateway_names_is_waited_for() -> None:
    world = follow(World(1, iter([None, Unavailable(503, "x", retry_after_seconds=20)])))
    assert world.pauses == [20.5]


@pytest.mark.parametrize("error", [Forbidden(403, "no"), NotFound(404, "gone"), UnexpectedAnswer("html")])
def test_what_another_attempt_does_not_mend_is_raised(error: GatewayError) -> None:
    with pytest.raises(type(error)):
        follow(World(1, iter([None, error])))


def test_a_message_that_a_connection_left_out_is_asked_for_again() -> None:
    world = World(5, skips=frozenset({3}))
    real = world.carry_out

    def carry_out(step: Any) -> Any:
        if isinstance(step, Connect) and world.connects:
            world.skips = frozenset()
        return real(step)

    world.carry_out = carry_out  # type: ignore[method-assign]
    assert follow(world).delivered == [1, 2, 3, 4, 5]
    assert world.connects == [0, 2]


def test_a_server_that_leaves_out_messages_again_and_again_is_given_up() -> None:
    with pytest.raises(UnexpectedAnswer, match="message 4 came after 2"):
        follow(World(5, skips=frozenset({3})))


def test_waiting_ends_with_the_phase_that_was_asked_for() -> None:
    world = World(4, ends=False)
    world.on_comment = lambda found: setattr(found, "phase", "WaitingForInput")
    session = world.drive(Waiting(PLACE, lambda found: found.is_waiting, lambda: 1.0).steps())
    assert session.phase == "WaitingForInput"


@given(st.lists(st.sampled_from([None, *TEMPORARY]), max_size=20))
def test_waiting_goes_on_over_whatever_is_cut(faults: list[GatewayError | None]) -> None:
    world = World(4)
    # The first request of all says whether there is such a session at all.
    world.faults = iter([None, *faults])
    session = world.drive(Waiting(PLACE, lambda _: False, lambda: 1.0).steps())
    assert session.phase == "Completed"
