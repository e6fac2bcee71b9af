"""Whose time has come, with clocks that were wrong by hours, days and years."""

from datetime import UTC, datetime, timedelta

import pytest

from agentic_core.lifecycle import Phase
from agentic_operator.cache.entries import Entry, read_entry
from agentic_operator.database.retention_policy import (
    PRUNE_ANNOTATION,
    RETENTION_ANNOTATION,
    InvalidDays,
    Keep,
    compute_idle_since,
    find_owner,
    is_due,
    pack,
    read_id_time,
    read_keep,
    read_time,
)
from agentic_store.retention import Ended, Thread
from tests.support.builders import a_session
from tests.support.threads import uuid6_at

NOW = datetime(2026, 10, 25, 2, 30, tzinfo=UTC)


def ago(**spans: float) -> datetime:
    return NOW - timedelta(**spans)


def ended(at: datetime, *, runner: datetime | None = None, ts: str | None = None, uid: str = "uid") -> Ended:
    """A session that ended at a time by the database's clock; ``runner`` is what its runner's clock said."""
    checkpoint = runner or at
    text = checkpoint.isoformat() if ts is None else ts
    return Ended(uid, "team", "report", "project-team:session-report", at, at, uuid6_at(checkpoint), text)


def entry(phase: Phase = Phase.COMPLETED, *, uid: str = "uid", is_deleting: bool = False) -> Entry:
    metadata = {"uid": uid, **({"deletionTimestamp": "2026-03-01T12:00:00Z"} if is_deleting else {})}
    return read_entry(a_session().with_metadata(**metadata).with_status(phase=phase.value).raw())


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(ended(ago(days=31)), True, id="31 days"),
        pytest.param(ended(ago(days=29)), False, id="29 days"),
        pytest.param(ended(ago(days=30)), False, id="to the second"),
        pytest.param(ended(ago(days=31), runner=ago(days=31, hours=-5)), True, id="a runner five hours fast"),
        pytest.param(ended(ago(days=29), runner=ago(days=29, hours=48)), False, id="a runner two days slow"),
        pytest.param(
            ended(ago(days=29), runner=datetime(1970, 1, 1, tzinfo=UTC)), False, id="a runner without a clock"
        ),
        pytest.param(ended(ago(days=31), runner=NOW + timedelta(days=3650)), True, id="a runner ten years fast"),
        pytest.param(ended(ago(days=400), runner=ago(days=2)), False, id="a database that was 400 days slow"),
        pytest.param(ended(ago(days=31), ts="yesterday"), True, id="a time that is none"),
        pytest.param(ended(ago(days=31), ts="9999-12-31T23:59:59-23:59"), True, id="a time beyond all calendars"),
        pytest.param(
            ended(ago(days=31), ts=ago(days=30, hours=1).replace(tzinfo=None).isoformat()), True, id="no zone"
        ),
        pytest.param(ended(ago(days=30, hours=1), ts="2026-09-25T03:31:00+03:00"), True, id="another zone"),
    ],
)
def test_thirty_days_by_the_latest_of_all_clocks(seen: Ended, expected: bool) -> None:
    assert is_due(seen, entry(), age=timedelta(days=30), now=NOW) is expected


@pytest.mark.parametrize("phase", [phase for phase in Phase if not phase.is_final])
def test_a_session_whose_resource_has_not_ended_is_never_due(phase: Phase) -> None:
    assert not is_due(ended(ago(days=4000)), entry(phase), age=timedelta(days=1), now=NOW)


def test_row_and_resource_have_to_be_the_same_session_and_to_exist() -> None:
    seen = ended(ago(days=4000))
    assert is_due(seen, entry(), age=timedelta(days=1), now=NOW)
    assert not is_due(seen, None, age=timedelta(days=1), now=NOW)
    assert not is_due(seen, entry(uid="made again"), age=timedelta(days=1), now=NOW)
    assert not is_due(seen, entry(is_deleting=True), age=timedelta(days=1), now=NOW)
    assert not is_due(seen, entry(), age=timedelta(days=0), now=NOW)


def test_a_database_clock_that_jumped_back_does_not_make_a_session_older() -> None:
    seen = Ended("uid", "team", "s", "t", ago(days=300), ago(days=1), None, None)
    assert compute_idle_since(seen, NOW) == ago(days=1)


def test_times_in_ids_and_texts() -> None:
    at = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
    assert read_id_time(uuid6_at(at)) == at
    # Made by LangGraph on 14 November 2023.
    assert read_id_time("1ee82d12-7c50-6a5e-8000-0123456789ab") is not None
    for text in (None, "", "x", "1ee82d12-7c50-4a5e-8000-0123456789ab", "1EE82D12-7C50-6A5E-8000-0123456789AB"):
        assert read_id_time(text) is None
    assert read_id_time("ffffffff-ffff-6fff-8000-000000000000") is not None
    assert read_time("2026-03-01T12:00:00.123456+00:00") == at
    assert read_time(None) is None


def test_a_namespace_says_how_long_its_checkpoints_stay() -> None:
    default = Keep(30, 0)
    assert read_keep({}, default) == default
    assert read_keep({RETENTION_ANNOTATION: "0", PRUNE_ANNOTATION: "7"}, default) == Keep(0, 7)
    for wrong in ("-1", "1.5", "ten", "", "36501", "9" * 5000, "٣"):
        with pytest.raises(InvalidDays, match="write a number of days"):
            read_keep({RETENTION_ANNOTATION: wrong}, default)


@pytest.mark.parametrize(
    ("thread_id", "owner"),
    [
        ("project-team:session-report", ("team", "report")),
        ("project-team:user-a%40b:session-report.v2", ("team", "report.v2")),
        ("my-own-thread", None),
        ("project-team:chat-1", None),
        ("xproject-team:session-report", None),
        ("project-team:session-report:more", None),
    ],
)
def test_only_threads_of_this_project_are_taken_for_ownerless(thread_id: str, owner: tuple[str, str] | None) -> None:
    old = uuid6_at(ago(days=31))
    assert find_owner(Thread(thread_id, False, old, None), days=30, now=NOW) == owner
    assert find_owner(Thread(thread_id, False, None, None), days=30, now=NOW) == owner
    assert find_owner(Thread(thread_id, True, old, None), days=30, now=NOW) is None
    assert find_owner(Thread(thread_id, False, uuid6_at(ago(days=2)), None), days=30, now=NOW) is None


def test_where_checkpoints_are_kept_for_ever_ownerless_ones_go_after_a_day() -> None:
    thread = "project-team:session-report"
    assert find_owner(Thread(thread, False, uuid6_at(ago(hours=25)), None), days=0, now=NOW) == ("team", "report")
    assert find_owner(Thread(thread, False, uuid6_at(ago(hours=23)), None), days=0, now=NOW) is None


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({}, [["a", "b", "c", "d"]]),
        ({"a": 4, "b": 6, "c": 1, "d": 9}, [["a", "b"], ["c", "d"]]),
        ({"a": 4, "b": 7, "c": 11, "d": 1}, [["a"], ["b"], ["c"], ["d"]]),
        ({"a": 11, "b": 0, "c": 10, "d": 1}, [["a"], ["b", "c"], ["d"]]),
    ],
)
def test_a_piece_gets_as_many_sessions_as_it_may_delete_and_a_large_one_alone(
    sizes: dict[str, int], expected: list[list[str]]
) -> None:
    assert pack("abcd", sizes, 10) == expected
    assert pack("", sizes, 10) == []
