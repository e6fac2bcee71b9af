"""Who leads, decided from what was read and when, on a clock of the replica's own."""

import pytest

from agentic_operator.kube.leader_election import LeaseRecord, Move, Observation, decide_lease, is_lost, observe_lease


def record(holder: str = "other", renewed: str = "t1", transitions: int = 0) -> LeaseRecord:
    return LeaseRecord(holder, renewed, 15, transitions)


@pytest.mark.parametrize(
    ("seen", "now", "move"),
    [
        pytest.param(Observation(), 0, Move.CREATE, id="no lease"),
        pytest.param(Observation(record("me"), 0), 999, Move.RENEW, id="its own"),
        pytest.param(Observation(record(""), 0), 0, Move.TAKE, id="given back"),
        pytest.param(Observation(record(), 100), 114.9, Move.WAIT, id="the other lives"),
        pytest.param(Observation(record(), 100), 115, Move.TAKE, id="the other fell silent"),
    ],
)
def test_what_a_replica_does(seen: Observation, now: float, move: Move) -> None:
    assert decide_lease("me", seen, now) is move


def test_silence_counts_from_when_the_record_was_first_seen_not_from_its_timestamps() -> None:
    ancient = record(renewed="1970-01-01T00:00:00Z")
    seen = observe_lease(Observation(), ancient, 50)
    assert decide_lease("me", seen, 50) is Move.WAIT
    seen = observe_lease(seen, ancient, 60)
    assert seen.since == 50
    seen = observe_lease(seen, record(renewed="t2"), 64)
    assert seen.since == 64
    assert decide_lease("me", seen, 66) is Move.WAIT


def test_a_lease_that_is_deleted_is_made_anew() -> None:
    seen = observe_lease(Observation(record(), 0), None, 5)
    assert decide_lease("me", seen, 5) is Move.CREATE


def test_a_leader_gives_up_before_the_others_stop_waiting() -> None:
    assert not is_lost(100, 109.9, 10)
    assert is_lost(100, 110, 10)
