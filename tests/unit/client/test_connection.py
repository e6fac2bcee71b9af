"""States of a stream's connection, its pauses, and which messages it lets through."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_client.connection import Connection, ConnectionState, Verdict, compute_pause
from agentic_client.messages import Message

AT = datetime(2026, 1, 1, tzinfo=UTC)
CONNECTING, CONNECTED, DISCONNECTED, CLOSED = ConnectionState


def a_message(seq: int | None, prev: int | None) -> Message:
    return Message("agent_message", AT, seq, prev, "")


def test_a_connection_goes_through_its_states() -> None:
    connection = Connection(7)
    assert (connection.state, connection.after) == (CONNECTING, 7)
    opened = connection.open()
    assert opened.state is CONNECTED
    lost = opened.lose()
    assert (lost.state, lost.failures) == (DISCONNECTED, 1)
    again = lost.retry()
    assert again.state is CONNECTING
    assert again.lose().failures == 2
    assert again.open().hear().failures == 0
    assert again.deliver(a_message(8, 7)).failures == 0
    assert again.close().state is CLOSED


@pytest.mark.parametrize(
    ("state", "change"),
    [
        (CONNECTED, "open"),
        (DISCONNECTED, "open"),
        (CLOSED, "open"),
        (DISCONNECTED, "lose"),
        (CLOSED, "lose"),
        (CONNECTING, "retry"),
        (CONNECTED, "retry"),
        (CLOSED, "retry"),
    ],
)
def test_a_change_that_no_connection_makes_is_an_error(state: ConnectionState, change: str) -> None:
    with pytest.raises(ValueError, match=f"a connection that is {state} does not become"):
        getattr(Connection(0, state), change)()


def test_a_server_that_takes_connections_and_drops_them_is_given_longer_and_longer_pauses() -> None:
    connection = Connection()
    for expected in (1, 2, 3):
        connection = connection.open().lose()
        assert connection.failures == expected
        connection = connection.retry()


def test_pauses_grow_to_half_a_minute_and_differ_between_clients() -> None:
    longest = [compute_pause(failures, 1.0) for failures in range(1, 10)]
    assert longest == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert [compute_pause(failures, 0.0) for failures in range(1, 10)] == [each / 2 for each in longest]
    assert compute_pause(10_000, 1.0) == 30


def test_the_time_that_a_server_names_is_waited_for() -> None:
    assert compute_pause(1, 0.0, retry_after_seconds=7) == 7
    assert compute_pause(1, 1.0, retry_after_seconds=7) == 7.5
    assert compute_pause(9, 0.0, retry_after_seconds=7) == 15


@pytest.mark.parametrize(
    ("seq", "prev", "verdict"),
    [
        (6, 5, Verdict.DELIVER),
        (5, 4, Verdict.REPEATED),
        (1, 0, Verdict.REPEATED),
        (7, 6, Verdict.MISSING),
        (9, 3, Verdict.DELIVER),
        (6, None, Verdict.DELIVER),
        (None, None, Verdict.DELIVER),
    ],
)
def test_a_message_is_delivered_only_where_it_follows(seq: int | None, prev: int | None, verdict: Verdict) -> None:
    assert Connection(5).judge(a_message(seq, prev)) is verdict


def test_a_notice_without_a_number_moves_nothing() -> None:
    connection = Connection(5)
    assert connection.deliver(a_message(None, None)) == connection


@given(st.lists(st.integers(1, 30)))
def test_whatever_is_sent_is_delivered_once_and_in_order(sent: list[int]) -> None:
    connection, delivered = Connection(), []
    for seq in sent:
        message = a_message(seq, seq - 1)
        if connection.judge(message) is Verdict.DELIVER:
            connection = connection.deliver(message)
            delivered.append(seq)
    assert delivered == list(range(1, len(delivered) + 1))
