"""The chain of a session's trail, and what a check of an export finds."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_core import trail as chain
from agentic_core.trail import ChainReader, Trail, spell

SESSION = ("team", "weather", "uid-1")


def build(*values: Any, session: tuple[str, str, str] = SESSION) -> Trail:
    """Return a trail with an accepted answer for each value."""
    trail, root = Trail(), chain.find_root(*session)
    for n, value in enumerate(values):
        members = {"kind": "Accepted", "at": "2026-03-01T12:00:00Z", "interruptId": f"q{n}", "by": "ann"}
        trail = chain.append(trail, root, members, value=spell(value), message=f"said {n}")
    return trail


def export(trail: Trail, session: tuple[str, str, str] = SESSION) -> list[str]:
    names = dict(zip(("namespace", "session", "uid"), session, strict=True))
    return [
        chain.spell_line(**names, entry=e.entry, hash_=e.hash, value=e.value, message=e.message) for e in trail.pending
    ]


def check(*lines: str, is_closed: bool = True, namespaces: list[str] | None = None) -> tuple[ChainReader, list[str]]:
    reader = ChainReader()
    faults = [fault for line in lines for fault in reader.read(line)]
    if is_closed:
        end = chain.spell_end(entries=reader.entries, sessions=len(reader.chains), namespaces=namespaces)
        faults += reader.read(end)
    return reader, [str(fault) for fault in (*faults, *reader.finish())]


def change(line: str, **members: Any) -> str:
    return spell({**json.loads(line), **members})


def reforge(line: str, **members: Any) -> str:
    """Change an entry and make its hash fit."""
    entry = {**json.loads(line)["entry"], **members}
    return change(line, entry=entry, hash=chain.hash_text(spell(entry)))


def test_an_export_is_checked_without_this_program() -> None:
    """As the guide says it: the canonical text of an entry, and of what stands beside it."""
    lines = [json.loads(line) for line in export(build({"ok": True}, "no"))]
    prev = json.dumps({"namespace": "team", "session": "weather", "trail": 1, "uid": "uid-1"}, separators=(",", ":"))
    before = hashlib.sha256(prev.encode()).hexdigest()
    for line in lines:
        text = json.dumps(line["entry"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(text.encode()).hexdigest() == line["hash"]
        assert line["entry"]["prev"] == before
        value = json.dumps(line["value"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(value.encode()).hexdigest() == line["entry"]["valueDigest"]
        before = line["hash"]


def test_a_whole_export_has_no_faults() -> None:
    other = ("team", "other", "uid-2")
    lines = [*export(build(1, 2, 3)), *export(build(1, session=other), other)]
    reader, faults = check(*lines, namespaces=["team"])
    assert faults == []
    assert (reader.entries, reader.without_value, reader.scope) == (4, 0, ("team",))
    assert {uid: (each.seq, each.hash) for uid, each in reader.chains.items()} == {
        "uid-1": (3, build(1, 2, 3).hash),
        "uid-2": (1, build(1, session=other).hash),
    }


A, B, C = export(build(1, 2, 3))
NAMED = "line 2 (team/weather): "
TAMPERED: dict[str, tuple[list[str], str]] = {
    "one left out": ([A, C], f"{NAMED}entry 2 is missing before entry 3"),
    "the first left out": ([B, C], "line 1 (team/weather): entry 1 is missing before entry 2"),
    "two left out": ([A, export(build(1, 2, 3, 4))[3]], f"{NAMED}entries 2 to 3 are missing before entry 4"),
    "one twice": ([A, A], f"{NAMED}entry 1 follows entry 1: it is there twice, or out of order"),
    "out of order": ([A, B, A, C], "line 3 (team/weather): entry 1 follows entry 2"),
    "another author": ([A, change(B, entry={**json.loads(B)["entry"], "by": "bob"})], f"{NAMED}entry 2 was changed"),
    "another author, with its hash": (
        [A, reforge(B, by="bob"), C],
        "line 3 (team/weather): entry 3 does not follow from entry 2",
    ),
    "another value": ([A, change(B, value=9)], f"{NAMED}the value of entry 2 is not the one that was recorded"),
    "another text": ([A, change(B, message="x")], f"{NAMED}the message of entry 2 is not the one that was recorded"),
    "a value of nothing": (
        [reforge(A, valueDigest=None)],
        "line 1 (team/weather): entry 1 has a value, and nothing in the chain says so",
    ),
    "moved to another session": (
        [change(A, session="other")],
        "line 1 (team/other): entry 1 does not follow from the session's name and uid",
    ),
    "moved to another namespace": ([change(A, namespace="x")], "line 1 (x/weather): entry 1 does not follow from"),
    "moved to another uid": ([change(A, uid="x")], "line 1 (team/weather): entry 1 does not follow from"),
    "one renamed": (
        [A, change(B, session="other")],
        "line 2 (team/other): the uid 'uid-1' is also that of team/weather",
    ),
    "interleaved": (
        [A, export(build(1, session=("team", "o", "u")), ("team", "o", "u"))[0], B],
        "line 3 (team/weather): entries of this session stand apart",
    ),
    "another spelling": ([A, json.dumps(json.loads(B))], "line 2: is not in the canonical form"),
    "a member twice": ([A[:-1] + ',"uid":"uid-1"}'], "line 1: is not in the canonical form"),
    "no JSON": ([A, B[:-5]], "line 2: is no JSON"),
    "no number": ([reforge(A, seq="1")], "line 1 (team/weather): the entry has no number: seq is '1'"),
    "no entry": (["[]"], "line 1: is no entry: an object is expected"),
    "not a number of JSON": (['{"entry":NaN}'], "line 1: is no JSON"),
    "something else": (['{"a":1}'], "line 1: is no entry: it needs namespace, session, uid and entry"),
}


@pytest.mark.parametrize("case", TAMPERED)
def test_what_was_done_to_an_export_is_named_with_line_and_session(case: str) -> None:
    lines, expected = TAMPERED[case]
    _, faults = check(*lines)
    assert faults
    assert faults[0].startswith(expected), faults


def test_a_file_that_was_cut_off_is_told_from_a_whole_one() -> None:
    assert check(A, B, is_closed=False)[1] == [
        "line 3: the line that an export ends with is missing: the file may be cut off"
    ]
    end = chain.spell_end(entries=3, sessions=1, namespaces=None)
    assert check(A, B, end, is_closed=False)[1] == ["line 3: the export ended with 3 entries, the file has 2"]
    assert check(A, chain.spell_end(entries=1, sessions=1, namespaces=None), B, is_closed=False)[1] == [
        "line 3: follows the line that the export ends with"
    ]


def test_what_was_taken_away_breaks_nothing_and_is_counted() -> None:
    redacted = spell({name: each for name, each in json.loads(B).items() if name not in ("value", "message")})
    reader, faults = check(A, redacted, C)
    assert faults == []
    assert reader.without_value == 1


def test_nothing_follows_the_end_of_a_chain() -> None:
    root = chain.find_root(*SESSION)
    trail = chain.append(build(1), root, {"kind": "Deleted", "at": "2026-03-01T12:00:00Z"})
    trail = chain.append(trail, root, {"kind": "Accepted", "at": "2026-03-01T12:00:00Z"})
    _, faults = check(*export(trail))
    assert faults == ["line 3 (team/weather): entry 3 follows the one that closed the chain"]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(st.lists(JSON.filter(lambda value: "\\ud" not in json.dumps(value)), min_size=1, max_size=4))
def test_values_of_any_kind_survive_an_export(values: list[Any]) -> None:
    _, faults = check(*export(build(*values)))
    assert faults == []


def test_a_member_that_no_export_has_is_a_fault() -> None:
    """What was recorded could be hidden by renaming it: as a value that was taken out it would be no fault."""
    for name in ("value", "message"):
        _, faults = check(A.replace(f'"{name}":', f'"h{name}":'), B, C)
        assert any(f"'h{name}'" in fault or "canonical" in fault for fault in faults)
    line = A.replace('"message":', '"hessage":')
    _, faults = check(line, B, C)
    assert faults == ["line 1: has a member that no export has: 'hessage'"]


@given(st.integers(0, 2), st.data())
def test_no_character_of_an_export_can_be_changed_unnoticed(line: int, data: st.DataObject) -> None:
    lines = [A, B, C]
    at = data.draw(st.integers(0, len(lines[line]) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda character: character != lines[line][at]))
    lines[line] = lines[line][:at] + other + lines[line][at + 1 :]
    _, faults = check(*lines)
    assert faults
