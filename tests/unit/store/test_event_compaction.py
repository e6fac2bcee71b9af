"""Messages are joined whatever was said, lost and joined before: no text goes, and no number comes again."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agentic_store.event_compaction import DELTA, FAMILY, FINISH, MESSAGE, START, Part, compute_plan

IDS = st.sampled_from(["a", "b", "c"])
TEXTS = st.text(alphabet="xyz", min_size=1, max_size=6)


@dataclass(frozen=True)
class Row:
    type: str
    data: Mapping[str, Any]
    since: int | None = None
    turn: int = 0


def read_texts(rows: Mapping[int, Row]) -> dict[tuple[str, int], str]:
    """Return what each block of each message says, from the rows in their order."""
    said: dict[tuple[str, int], str] = {}
    for _, row in sorted(rows.items()):
        if row.type == DELTA:
            blocks = [row.data]
        elif row.type == MESSAGE:
            blocks = [block for block in row.data["blocks"] if "text" in block]
        else:
            continue
        for block in blocks:
            key = (row.data["message_id"], block["index"])
            said[key] = said.get(key, "") + block["text"]
    return said


def find_parts(rows: Mapping[int, Row], turn: int, limit: int) -> tuple[list[Part], bool]:
    """Return what the statement ``parts`` reads, and whether that is all."""
    numbers = sorted(rows)
    following = dict(itertools.pairwise(numbers))
    begin = min((seq for seq, row in rows.items() if row.turn == turn and row.type == START), default=None)
    if begin is None:
        return [], True
    found = []
    for seq in numbers:
        row = rows[seq]
        if row.turn != turn or row.type not in FAMILY or seq < begin:
            continue
        after = following.get(seq)
        is_next = after is not None and (after == seq + 1 or (rows[after].since or after) <= seq + 1)
        found.append(Part(seq, 1, row.type, row.data, row.since, after if is_next else None))
    return found[:limit], len(found) < limit


class Log(RuleBasedStateMachine):
    """A session's log: turns that say messages at once, rows that are lost, and operators that join what has ended."""

    @initialize(limit=st.integers(2, 6), max_bytes=st.sampled_from([12, 10_000]))
    def begin(self, limit: int, max_bytes: int) -> None:
        self.limit, self.max_bytes = limit, max_bytes
        self.rows: dict[int, Row] = {}
        self.turn = 0
        self.highest = 0
        self.texts: dict[tuple[str, int], str] = {}
        self.lost: set[int] = set()

    def append(self, type_: str, data: Mapping[str, Any]) -> None:
        self.highest += 1
        self.rows[self.highest] = Row(type_, data, turn=self.turn)

    @rule(id_=IDS)
    def start(self, id_: str) -> None:
        self.append(START, {"message_id": id_, "role": "ai", "node": "n"})

    @rule(id_=IDS, text=TEXTS, index=st.integers(0, 2))
    def say(self, id_: str, text: str, index: int) -> None:
        self.append(DELTA, {"message_id": id_, "index": index, "text": text})
        self.texts[id_, index] = self.texts.get((id_, index), "") + text

    @rule(id_=IDS)
    def finish(self, id_: str) -> None:
        self.append(FINISH, {"message_id": id_})

    @rule()
    def do_something_else(self) -> None:
        self.append("node_started", {"node": "n"})

    @rule()
    def end_turn(self) -> None:
        self.turn += 1

    @rule(count=st.integers(1, 3))
    def lose_numbers(self, count: int) -> None:
        """A failover: numbers that were given are nobody's, and a row tells so."""
        gone = range(self.highest + 1, self.highest + count + 1)
        self.lost |= set(gone)
        self.highest += count
        self.append("gap", {"from": gone[0], "to": gone[-1], "reason": "lost"})

    @precondition(lambda self: self.turn)
    @rule(data=st.data())
    def join(self, data: st.DataObject) -> None:
        """One step of an operator; it may die before it, and then nothing happened."""
        turn = data.draw(st.integers(0, self.turn - 1))
        self.step(turn)

    def step(self, turn: int) -> bool:
        parts, is_whole = find_parts(self.rows, turn, self.limit)
        plan = compute_plan(parts, is_whole=is_whole, max_bytes=self.max_bytes)
        for seq in plan.removed:
            del self.rows[seq]
        for joined in plan.messages:
            self.rows[joined.seq] = replace(self.rows[joined.seq], type=MESSAGE, data=joined.data)
        for seq, since in plan.since.items():
            self.rows[seq] = replace(self.rows[seq], since=since)
        return bool(plan.messages)

    @rule()
    def join_all(self) -> None:
        """An operator that goes on until it is done leaves nothing that it could find."""
        for turn in range(self.turn):
            for _ in range(2 * len(self.rows) + 2):
                if not self.step(turn):
                    break
            else:
                raise AssertionError("never done")
            assert not [seq for seq, row in self.rows.items() if row.turn == turn and row.type == START]

    @invariant()
    def every_text_is_there_in_its_order(self) -> None:
        assert read_texts(self.rows) == self.texts

    @invariant()
    def the_highest_number_stays(self) -> None:
        assert max(self.rows, default=0) == self.highest

    @invariant()
    def every_number_is_a_rows_or_joined_or_was_told_as_lost(self) -> None:
        before = 0
        for seq in sorted(self.rows):
            since = self.rows[seq].since
            joined = set(range(since, seq)) if since is not None else set()
            missing = set(range(before + 1, seq))
            assert joined <= missing
            assert missing - joined <= self.lost
            before = seq


Log.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
TestLog = Log.TestCase


def parts_of(*rows: tuple[str, Mapping[str, Any]]) -> list[Part]:
    return [Part(seq, 1, type_, data, next=seq + 1) for seq, (type_, data) in enumerate(rows, start=1)]


def test_two_messages_that_are_said_at_once_become_a_row_each_with_all_that_is_known_of_them() -> None:
    parts = parts_of(
        (START, {"message_id": "a", "role": "ai", "node": "n", "model": "m"}),
        (START, {"message_id": "b", "role": "ai", "node": "o"}),
        ("content-block-start", {"message_id": "a", "index": 0, "block": "reasoning"}),
        (DELTA, {"message_id": "a", "index": 0, "node": "n", "text": "hm"}),
        (DELTA, {"message_id": "b", "index": 0, "node": "o", "text": "B"}),
        ("content-block-start", {"message_id": "a", "index": 1, "block": "tool_call", "name": "f", "call": "c1"}),
        (DELTA, {"message_id": "a", "index": 1, "node": "n", "text": "{}"}),
        ("content-block-finish", {"message_id": "a", "index": 1}),
        (FINISH, {"message_id": "b"}),
        (FINISH, {"message_id": "a", "usage": {"total_tokens": 3}}),
    )
    plan = compute_plan(parts, is_whole=True)
    assert plan.removed == (1, 2, 3, 4, 5, 6, 7, 8)
    assert plan.since == {9: 1}
    assert [(each.seq, each.data) for each in plan.messages] == [
        (
            9,
            {
                "message_id": "b",
                "role": "ai",
                "node": "o",
                "blocks": [{"index": 0, "text": "B"}],
                "from": 2,
                "is_last": True,
            },
        ),
        (
            10,
            {
                "message_id": "a",
                "role": "ai",
                "node": "n",
                "model": "m",
                "usage": {"total_tokens": 3},
                "blocks": [
                    {"index": 0, "block": "reasoning", "text": "hm"},
                    {"index": 1, "block": "tool_call", "name": "f", "call": "c1", "text": "{}"},
                ],
                "from": 1,
                "is_last": True,
            },
        ),
    ]


def test_what_no_contract_allows_is_joined_without_an_error() -> None:
    odd = parts_of(
        (START, {"message_id": 7}),
        (DELTA, {"index": "x", "text": {"a": 1}}),
        (DELTA, {"index": True, "text": 2}),
        ("content-block-start", {"index": -1, "block": ["x"], "name": None}),
        (FINISH, {"usage": "much"}),
    )
    joined = compute_plan(odd, is_whole=True).messages
    assert [block.get("text") for each in joined for block in each.data["blocks"]] == ['{"a": 1}2', None]


def test_a_row_that_is_larger_than_any_part_stays_where_it_is_between_what_was_said() -> None:
    parts = parts_of(*[(DELTA, {"message_id": "a", "text": text}) for text in "12345"])
    parts[2] = replace(parts[2], is_too_large=True)
    plan = compute_plan(parts, is_whole=True)
    assert [(each.seq, each.data["blocks"][0]["text"]) for each in plan.messages] == [(2, "12"), (5, "45")]
    assert (plan.removed, plan.since) == ((1, 4), {2: 1, 5: 4})
