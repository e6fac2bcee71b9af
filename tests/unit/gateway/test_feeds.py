"""Rows become messages: one each, in order, with every gap told; a feed skips nothing for anybody."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_core.errors import DatabaseUnavailable
from agentic_gateway.feeds import envelope
from agentic_gateway.feeds import hub as hubs
from agentic_gateway.feeds.envelope import build_frame, build_notice
from agentic_gateway.feeds.floors import Floors
from agentic_gateway.feeds.frame_schema import build_schema
from agentic_gateway.feeds.hub import Feed, FeedFailed, Hub, build_frames
from agentic_gateway.feeds.watch import Watch
from agentic_gateway.problems import Refused
from agentic_gateway.stream.sse import describe_end
from agentic_store.records import Event, Json
from agentic_store.signals import LocalSignals, hint_for
from tests.support.frames import read_frame

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


def an_event(seq: int, type_: str = "custom", **data: Json) -> Event:
    return Event(session_uid="u", seq=seq, run=1, at=AT, type=type_, data=data)


@given(st.sets(st.integers(1, 60)), st.integers(0, 60))
def test_every_number_is_a_message_or_in_a_gap(kept: set[int], after: int) -> None:
    frames = build_frames([an_event(seq) for seq in sorted(kept) if seq > after], after)
    told = after
    for frame in frames:
        body = read_frame(frame.text)
        assert body["prev"] == told
        if body["type"] == "gap":
            about = {"event_id": f"0-{body['seq']}", "from": told + 1, "to": body["seq"]}
            assert body["data"]["metadata"] == about
            assert not kept & set(range(told + 1, body["seq"] + 1))
        else:
            assert body["seq"] in kept
        told = body["seq"]
    assert told == max([after, *(seq for seq in kept if seq > after)])


def test_messages_have_the_types_that_clients_know() -> None:
    started = read_frame(build_frame(an_event(1, "node_started", node="plan", task="t"), 0).text)
    assert started == {
        "type": "workflow_progress",
        "timestamp": "2026-01-01T12:00:00.000000Z",
        "seq": 1,
        "prev": 0,
        "data": {
            "message": "plan started",
            "metadata": {
                "event_id": "0-1",
                "event": "node_started",
                "run": 1,
                "task": "t",
                "step": "plan",
                "step_name": "plan",
            },
        },
    }
    types = {
        "progress": "agent_message",
        "waiting_for_input": "workflow_waiting_for_input",
        "completed": "workflow_status",
        "failed": "error",
        "content-block-delta": "agent_message",
        "gap": "gap",
        "something-new": "agent_message",
    }
    assert {name: read_frame(build_frame(an_event(1, name), 0).text)["type"] for name in types} == types


def test_a_message_says_of_which_turn_it_is_and_what_a_model_or_a_question_says() -> None:
    part = Event("u", 7, 1, AT, "content-block-delta", {"message_id": "m", "index": 0, "text": "hel"}, turn=2)
    frame = build_frame(part, 6)
    said = read_frame(frame.text)["data"]
    assert frame.event_id == said["metadata"]["event_id"] == "2-7"
    assert (said["message"], said["metadata"]["turn"]) == ("hel", 2)
    asked = an_event(1, "waiting_for_input", interrupt="i1", prompt="ok?", options=["a", "b"], node="n")
    said = read_frame(build_frame(asked, 0).text)["data"]
    assert said["message"] == "ok?"
    about = said["metadata"]
    assert (about["interrupt_id"], about["prompt"], about["options"]) == ("i1", "ok?", ["a", "b"])


class Rows:
    """A log in memory whose reads take turns, and fail now and then."""

    def __init__(self, failures: Sequence[bool] = ()) -> None:
        self.events: list[Event] = []
        self._failures = list(failures)

    async def read(self, session_uid: str, *, after: int = 0, limit: int = 1000) -> list[Event]:  # noqa: ARG002
        await asyncio.sleep(0)
        if self._failures and self._failures.pop():
            raise DatabaseUnavailable("away")
        return [event for event in self.events if event.seq > after][:limit]

    async def fetch_last(self, session_uid: str) -> int:  # noqa: ARG002
        await asyncio.sleep(0)
        return self.events[-1].seq if self.events else 0


class Interest:
    """Where it is said which sessions are watched; may be away for a while."""

    def __init__(self, failures: int = 0) -> None:
        self.stated: list[list[str]] = []
        self.said = asyncio.Semaphore(0)
        self._failures = failures

    async def state(self, session_uids: Collection[str], /) -> None:
        await asyncio.sleep(0)
        if self._failures:
            self._failures -= 1
            raise DatabaseUnavailable("away")
        self.stated.append(sorted(session_uids))
        self.said.release()


def a_feed(rows: Rows, signals: LocalSignals) -> Feed:
    feed = Feed("u", rows, signals, Watch(Interest(), signals))
    feed.clients = 1
    return feed


async def test_a_client_behind_the_ring_gets_everything_from_the_rows() -> None:
    rows, signals = Rows(), LocalSignals()
    feed = a_feed(rows, signals)
    rows.events = [an_event(seq) for seq in range(1, 2501)]
    task = asyncio.create_task(feed.run())
    got: list[int] = []
    async with asyncio.timeout(10):
        async for batch in feed.follow(0):
            got += [frame.seq or 0 for frame in batch]
            if got[-1] == 2500 and len(rows.events) == 2500:
                rows.events += [an_event(seq) for seq in range(2501, 5001)]
                signals.notify(hint_for("u"))
            if got[-1] == 5000:
                break
    task.cancel()
    assert got == list(range(1, 5001))


async def test_the_ring_is_bounded_in_messages_and_bytes() -> None:
    rows, signals = Rows(), LocalSignals()
    feed = a_feed(rows, signals)
    task = asyncio.create_task(feed.run())
    await asyncio.sleep(0.01)
    rows.events = [an_event(seq, text="x" * 20_000) for seq in range(1, 301)]
    signals.notify(hint_for("u"))
    async with asyncio.timeout(10):
        async for batch in feed.follow(0):
            if batch[-1].seq == 300:
                break
    task.cancel()
    assert sum(len(frame.text) for frame in feed._ring) <= hubs.MAX_BYTES
    assert len(feed._ring) <= hubs.MAX_FRAMES


def test_where_no_hints_come_a_feed_that_somebody_follows_looks_often() -> None:
    signals = LocalSignals()
    feed = a_feed(Rows(), signals)
    assert feed._choose_pause() == 5.0
    signals.is_listening = False
    assert feed._choose_pause() == 0.25
    feed.clients = 0
    assert feed._choose_pause() == 5.0


async def test_without_hints_messages_come_all_the_same() -> None:
    rows, signals = Rows(), LocalSignals(is_listening=False)
    feed = a_feed(rows, signals)
    task = asyncio.create_task(feed.run())
    got: list[int] = []
    async with asyncio.timeout(10):
        rows.events = [an_event(1)]
        async for batch in feed.follow(0):
            got += [frame.seq or 0 for frame in batch]
            rows.events.append(an_event(len(got) + 1))
            if len(got) == 3:
                break
    task.cancel()
    assert got == [1, 2, 3]


async def test_a_feed_ends_a_moment_after_its_last_client() -> None:
    hub = Hub(lambda namespace: Rows(), LocalSignals(), Interest())  # noqa: ARG005
    async with hub.open_feed("a", "u") as first, hub.open_feed("a", "u"), hub.open_feed("a", "v") as other:
        assert hub.feeds == 2
    assert hub.feeds == 2
    async with hub.open_feed("a", "u") as again:
        assert again is first
        hub._end(first)
        assert hub.feeds == 2
    hub._end(first)
    hub._end(other)
    assert hub.feeds == 0
    await hub.close()


async def test_a_session_is_watched_before_it_is_read_and_again_whenever_hints_come_again() -> None:
    signals, interest = LocalSignals(), Interest(failures=1)
    order: list[str] = []
    read = asyncio.Semaphore(0)

    class Noting(Rows):
        async def fetch_last(self, session_uid: str) -> int:
            order.append(f"read {session_uid} with {len(interest.stated)} said")
            read.release()
            return await super().fetch_last(session_uid)

    hub = Hub(lambda namespace: Noting(), signals, interest)  # noqa: ARG005
    async with asyncio.timeout(10), hub.open_feed("a", "u"), hub.open_feed("a", "v"):
        for _ in range(2):
            await read.acquire()
            await interest.said.acquire()
        assert sorted(map(tuple, interest.stated)) == [("u",), ("v",)]
        assert "with 0 said" not in " ".join(order)
        signals.began.set()
        await interest.said.acquire()
    assert interest.stated[2] == ["u", "v"]
    await hub.close()


async def test_a_feed_that_fails_ends_its_clients_and_the_next_one_gets_a_new_feed() -> None:
    class Broken(Rows):
        async def read(self, session_uid: str, *, after: int = 0, limit: int = 1000) -> list[Event]:
            found = await super().read(session_uid, after=after, limit=limit)
            if self.is_broken:
                raise KeyError("a fault of ours")
            return found

        is_broken = True

    rows, signals = Broken(), LocalSignals()
    rows.events = [an_event(1)]
    hub = Hub(lambda _: rows, signals, Interest())
    async with asyncio.timeout(10), hub.open_feed("team", "u") as feed:
        with pytest.raises(FeedFailed):
            await anext(feed.follow(1))
        rows.is_broken = False
        async with hub.open_feed("team", "u") as other:
            assert other is not feed
            assert [frame.seq for frame in await anext(other.follow(0))] == [1]
    await hub.close()


@pytest.mark.parametrize("type_", ["run_started", "waiting_for_input", "gap", "failed", "message", "progress", "new"])
@pytest.mark.parametrize(
    "data",
    [
        {},
        {
            "event": "x",
            "event_id": "x",
            "run": "x",
            "turn": "x",
            "compacted": 1,
            "phase": 3,
            "step": 1,
            "step_name": [],
        },
        {"node": 7, "message": [1], "progress": 3, "prompt": 5, "options": "x", "interrupt": {}, "interrupt_id": 1},
        {"from": "a", "to": -1, "count": True, "reason": "x", "blocks": [1, {"block": "text", "text": 7}]},
        {"text": "x" * 600_000},
        {"message": "x" * 1_100_000},
    ],
    ids=["nothing", "names of ours", "other types", "odd numbers", "a text twice", "too large"],
)
def test_whatever_pod_code_wrote_the_message_is_what_the_schema_says(type_: str, data: dict[str, Json]) -> None:
    frame = build_frame(an_event(3, type_, **data), 2)
    found = read_frame(frame.text)
    about = found["data"]["metadata"]
    assert (about["event_id"], about["event"], about["run"]) == ("0-3", type_, 1)
    assert "turn" not in about
    assert "compacted" not in about


def test_a_row_after_joined_ones_says_so_and_is_no_gap() -> None:
    frames = build_frames([replace(an_event(9), since=4)], 1)
    found = [read_frame(frame.text) for frame in frames]
    assert [(each["type"], each["seq"], each["prev"]) for each in found] == [("gap", 3, 1), ("agent_message", 9, 3)]
    assert found[1]["data"]["metadata"]["compacted"] == {"from": 4, "to": 8}


async def test_a_client_with_a_number_beyond_the_log_is_told_so_once() -> None:
    rows, signals = Rows(), LocalSignals()
    feed = a_feed(rows, signals)
    rows.events = [an_event(1), an_event(2)]
    task = asyncio.create_task(feed.run())
    followed = feed.follow(7)
    async with asyncio.timeout(10):
        (notice,) = await anext(followed)
        found = read_frame(notice.text)
        assert (found["type"], found["seq"]) == ("workflow_status", None)
        assert found["data"]["metadata"] == {"event": "ahead", "last": 2, "after": 7}
        # Nothing that comes later is left out, and nothing is told again.
        rows.events += [an_event(8, "gap"), an_event(9)]
        signals.notify(hint_for("u"))
        assert [frame.seq for frame in await anext(followed)] == [8, 9]
        # One that another replica gave is not beyond it, though it was not read here.
        rows.events.append(an_event(10))
        other = feed.follow(10)
        waiting = asyncio.ensure_future(anext(other))
        rows.events.append(an_event(11))
        signals.notify(hint_for("u"))
        assert [frame.seq for frame in await waiting] == [11]
    task.cancel()


async def test_the_ring_counts_bytes_and_not_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "MAX_BYTES", 20_000)
    rows, signals = Rows(), LocalSignals()
    feed = a_feed(rows, signals)
    task = asyncio.create_task(feed.run())
    async with asyncio.timeout(10):
        followed = feed.follow(0)
        rows.events = [an_event(1)]
        signals.notify(hint_for("u"))
        await anext(followed)
        rows.events += [an_event(seq, data="🙂" * 1000) for seq in range(2, 20)]
        signals.notify(hint_for("u"))
        while (await anext(followed))[-1].seq != 19:
            pass
    # A message has some 4,200 bytes in 1,200 characters.
    assert 0 < len(feed._ring) <= 4
    task.cancel()


def test_numbers_that_were_given_are_remembered_by_session() -> None:
    floors = Floors()
    assert floors.find("u", None) == 0
    floors.note("u", 7)
    floors.note("u", 5)
    assert (floors.find("u", 3), floors.find("u", 9), floors.find("other", 2)) == (7, 9, 2)
    for number in range(20_000):
        floors.note(f"s{number}", 1)
    assert floors.find("u", 3) == 3


def test_the_schema_has_every_type_that_is_sent() -> None:
    types = {kind["properties"]["type"]["const"] for kind in build_schema()["oneOf"]}
    assert types == {*envelope._TYPES.values(), "user_input", "user_message", "pong"}
    notices: dict[str, dict[str, Json]] = {
        "user_input": {"interruptId": "i", "id": 1},
        "user_message": {"turn": "t0001", "id": "x"},
        "pong": {},
    }
    for type_, about in notices.items():
        read_frame(build_notice(type_, AT, "accepted", about).text)
    refused = describe_end(Refused("forbidden", "no"))
    assert read_frame(refused.text)["data"]["metadata"]["problem"]["status"] == 403
