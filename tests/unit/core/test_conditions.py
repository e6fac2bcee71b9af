"""Conditions: one per type, with the time of the last change of status."""

from datetime import UTC, datetime, timedelta

from agentic_core.conditions import Condition, find_condition, with_condition

THEN = datetime(2026, 1, 1, tzinfo=UTC)
LATER = THEN + timedelta(hours=1)


def a_condition(type_: str = "Ready", status: str = "True", at: datetime = THEN, message: str = "") -> Condition:
    return Condition.model_validate(
        {"type": type_, "status": status, "reason": "Because", "message": message, "lastTransitionTime": at}
    )


def test_a_new_type_is_added_at_the_end() -> None:
    both = with_condition([a_condition("A")], a_condition("B"))
    assert [condition.type for condition in both] == ["A", "B"]


def test_the_time_stays_where_the_status_stays() -> None:
    (kept,) = with_condition([a_condition()], a_condition(at=LATER, message="new words"))
    assert (kept.last_transition_time, kept.message) == (THEN, "new words")


def test_the_time_moves_where_the_status_changes() -> None:
    (moved,) = with_condition([a_condition()], a_condition(status="False", at=LATER))
    assert moved.last_transition_time == LATER


def test_times_travel_in_whole_seconds_of_utc() -> None:
    assert a_condition().to_wire()["lastTransitionTime"] == "2026-01-01T00:00:00Z"


def test_a_missing_type_is_none() -> None:
    assert find_condition([a_condition("A")], "B") is None
