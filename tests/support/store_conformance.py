"""What every store must do: run against PostgreSQL and against its twin in memory."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest

from agentic_core.errors import Conflict, Superseded, TransientError
from agentic_core.lifecycle import Phase
from agentic_core.threads import thread_id
from agentic_store.protocols import EventLog, Fences, Sessions, Turns
from agentic_store.records import Json, NewEvent, SessionRecord, TurnPhase, TurnRecord
from agentic_store.results.output import encode_output
from agentic_store.searches import InvalidSearch
from agentic_store.sessions import NoSuchParent

CREATED = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
FINAL = [phase for phase in Phase if phase.is_final]
OPEN = [phase for phase in Phase if not phase.is_final]


class Store(Protocol):
    @property
    def sessions(self) -> Sessions: ...

    @property
    def events(self) -> EventLog: ...

    @property
    def fences(self) -> Fences: ...

    @property
    def turns(self) -> Turns: ...


def a_record(name: str = "report", *, uid: str | None = None, project: str = "team", **changes: Any) -> SessionRecord:
    """Build the record of a session, pending and without a run unless ``changes`` say otherwise."""
    record = SessionRecord(
        project_name=project,
        session_name=name,
        session_uid=uid or f"uid-{project}-{name}",
        workflow_name="analysis",
        status=Phase.PENDING,
        thread_id=thread_id(project, name),
        created_at=CREATED,
        input_data={"file_path": "data.csv"},
    )
    return replace(record, **changes)


class SessionsConformance:
    async def test_a_recorded_session_is_found_by_uid_and_by_name(self, store: Store) -> None:
        record = a_record(input_data={"workflow_version": "1.4", "parts": [1, 2.5, None, "ä"]})

        assert await store.sessions.record_session(record)

        row = await store.sessions.get(record.session_uid)
        assert row is not None
        assert row == await store.sessions.find("team", "report")
        assert {name: getattr(row, name) for name in vars(record)} == vars(record)
        assert row.workflow_version == "1.4"
        assert (row.started_at, row.completed_at, row.output_data) == (None, None, None)

    async def test_an_unknown_session_is_none(self, store: Store) -> None:
        assert await store.sessions.get("nobody") is None
        assert await store.sessions.find("team", "nobody") is None

    async def test_recording_the_same_again_changes_nothing(self, store: Store) -> None:
        record = a_record(status=Phase.RUNNING, run=1, started_at=CREATED)
        await store.sessions.record_session(record)
        before = await store.sessions.get(record.session_uid)

        assert not await store.sessions.record_session(record)

        assert await store.sessions.get(record.session_uid) == before

    async def test_a_batch_counts_what_changed(self, store: Store) -> None:
        records = [a_record(f"s{number}") for number in range(5)]

        assert await store.sessions.record_sessions(records) == 5
        assert await store.sessions.record_sessions(records) == 0
        records[2] = replace(records[2], status=Phase.CREATING, run=1)
        assert await store.sessions.record_sessions(records) == 1
        assert await store.sessions.record_sessions([]) == 0

    async def test_the_time_of_the_first_start_stays(self, store: Store) -> None:
        record = a_record(status=Phase.RUNNING, run=1, started_at=CREATED)
        await store.sessions.record_session(record)

        assert not await store.sessions.record_session(replace(record, started_at=CREATED + timedelta(seconds=1)))
        await store.sessions.start_run(record.session_uid, 2)

        row = await store.sessions.get(record.session_uid)
        assert row is not None
        assert row.started_at == CREATED

    @pytest.mark.parametrize("new", list(Phase))
    @pytest.mark.parametrize("old", FINAL)
    async def test_a_final_status_never_changes(self, store: Store, old: Phase, new: Phase) -> None:
        record = a_record(status=old, run=1)
        await store.sessions.record_session(record)

        assert not await store.sessions.record_session(replace(record, status=new, run=2, error={"type": "late"}))
        if old is not new:
            with pytest.raises(Superseded, match=f"is '{old.wire}'"):
                await (store.sessions.finish if new.is_final else store.sessions.change_status)(
                    record.session_uid, 1, new
                )

        row = await store.sessions.get(record.session_uid)
        assert row is not None
        assert (row.status, row.run, row.error) == (old, 1, None)

    @pytest.mark.parametrize("new", list(Phase))
    @pytest.mark.parametrize("old", OPEN)
    async def test_any_status_can_follow_one_that_is_not_final(self, store: Store, old: Phase, new: Phase) -> None:
        record = a_record(status=old, run=1)
        await store.sessions.record_session(record)

        assert await store.sessions.record_session(replace(record, status=new)) is (old is not new)

        row = await store.sessions.get(record.session_uid)
        assert row is not None
        assert row.status is new
        assert (row.completed_at is not None) is new.is_final

    async def test_an_earlier_run_overwrites_nothing(self, store: Store) -> None:
        record = a_record(status=Phase.RUNNING, run=3)
        await store.sessions.record_session(record)

        assert not await store.sessions.record_session(replace(record, status=Phase.FAILED, run=2))
        for late in (
            store.sessions.start_run(record.session_uid, 2),
            store.sessions.change_status(record.session_uid, 2, Phase.WAITING_FOR_INPUT),
            store.sessions.finish(record.session_uid, 2, Phase.COMPLETED),
        ):
            with pytest.raises(Superseded, match="is at run 3: run 2"):
                await late

    async def test_a_session_made_again_replaces_the_older_one_with_its_events(self, store: Store) -> None:
        older = a_record(uid="old", status=Phase.COMPLETED, run=1)
        newer = a_record(uid="new", created_at=CREATED + timedelta(hours=1))
        await store.sessions.record_session(older)
        await store.events.append("old", 1, [NewEvent("node_started", {})])

        assert await store.sessions.record_session(newer)
        assert not await store.sessions.record_session(older)

        row = await store.sessions.find("team", "report")
        assert row is not None
        assert (row.session_uid, row.status, row.run) == ("new", Phase.PENDING, 0)
        assert await store.sessions.get("old") is None
        assert await store.events.read("old") == []

    async def test_a_session_made_again_replaces_the_older_one_within_a_batch(self, store: Store) -> None:
        older, newer = a_record(uid="old"), a_record(uid="new", created_at=CREATED + timedelta(hours=1))

        await store.sessions.record_sessions([older, newer, older])

        assert await store.sessions.fetch_session_uids() == {"new"}

    async def test_the_same_name_in_two_projects_is_two_sessions(self, store: Store) -> None:
        await store.sessions.record_sessions([a_record(project="one"), a_record(project="two")])

        assert [row.session_uid for row in await store.sessions.list_by_project("one")] == ["uid-one-report"]

    async def test_a_run_starts_waits_and_ends(self, store: Store) -> None:
        record = a_record()
        await store.sessions.record_session(record)

        await store.sessions.start_run(record.session_uid, 1)
        await store.sessions.start_run(record.session_uid, 1)
        started = await store.sessions.get(record.session_uid)
        await store.sessions.change_status(record.session_uid, 1, Phase.WAITING_FOR_INPUT)
        await store.sessions.start_run(record.session_uid, 2)
        await store.sessions.finish(record.session_uid, 2, Phase.COMPLETED, output=encode_output({"rows": 3}))

        ended = await store.sessions.get(record.session_uid, with_output=True)
        assert started is not None
        assert ended is not None
        assert started.status is Phase.RUNNING
        assert started.started_at == ended.started_at is not None
        assert (ended.status, ended.run, ended.output_data) == (Phase.COMPLETED, 2, {"rows": 3})
        assert ended.completed_at is not None
        without = await store.sessions.get(record.session_uid)
        assert without is not None
        assert without.output_data is None

    async def test_a_run_of_a_session_that_is_not_recorded_yet_may_try_again(self, store: Store) -> None:
        with pytest.raises(TransientError, match="'uid' is not recorded yet"):
            await store.sessions.start_run("uid", 1)

    async def test_ending_twice_in_the_same_way_is_one_end(self, store: Store) -> None:
        record = a_record()
        await store.sessions.record_session(record)
        await store.sessions.finish(record.session_uid, 1, Phase.FAILED, error={"type": "ValueError", "message": "x"})
        before = await store.sessions.get(record.session_uid)

        await store.sessions.finish(record.session_uid, 1, Phase.FAILED, error={"type": "Other"})

        assert await store.sessions.get(record.session_uid) == before
        with pytest.raises(Superseded, match="'failed' and cannot become 'completed'"):
            await store.sessions.finish(record.session_uid, 1, Phase.COMPLETED)

    async def test_the_end_of_a_deleted_session_is_refused(self, store: Store) -> None:
        with pytest.raises(Superseded, match="is gone"):
            await store.sessions.finish("uid", 1, Phase.COMPLETED)

    async def test_finals_and_others_have_their_own_methods(self, store: Store) -> None:
        with pytest.raises(ValueError, match="'completed' is final"):
            await store.sessions.change_status("uid", 1, Phase.COMPLETED)
        with pytest.raises(ValueError, match="'running' is not final"):
            await store.sessions.finish("uid", 1, Phase.RUNNING)

    async def test_the_list_is_newest_first_page_by_page(self, store: Store) -> None:
        # Two sessions a second, so that the name has to decide.
        records = [
            a_record(f"s{number:02}", created_at=CREATED + timedelta(seconds=number // 2)) for number in range(25)
        ]
        await store.sessions.record_sessions(records)
        await store.sessions.record_session(a_record("elsewhere", project="other"))

        pages = [await store.sessions.list_by_project("team", limit=10)]
        while len(pages[-1]) == 10:
            pages.append(await store.sessions.list_by_project("team", limit=10, before=pages[-1][-1].key))

        names = [row.session_name for page in pages for row in page]
        assert names == [f"s{number:02}" for number in reversed(range(25))]
        assert all(row.input_data is None for page in pages for row in page)

    async def test_the_list_of_a_version_is_newest_first_page_by_page(self, store: Store) -> None:
        records = [
            a_record(
                f"s{number:02}",
                created_at=CREATED + timedelta(seconds=number // 2),
                input_data={"workflow_version": f"1.{number % 2}"},
            )
            for number in range(24)
        ]
        await store.sessions.record_sessions([*records, a_record("none"), a_record("x", project="other")])

        first = await store.sessions.list_by_project("team", workflow_version="1.1", limit=8)
        second = await store.sessions.list_by_project("team", workflow_version="1.1", limit=8, before=first[-1].key)

        names = [row.session_name for row in (*first, *second)]
        assert names == [f"s{number:02}" for number in reversed(range(1, 24, 2))]
        assert await store.sessions.list_by_project("team", workflow_version="1.2") == []

    async def test_a_version_of_any_length_is_kept_and_short_ones_are_listed_by(self, store: Store) -> None:
        await store.sessions.record_session(a_record(input_data={"workflow_version": "1" * 200_000}))

        row = await store.sessions.get("uid-team-report")
        assert row is not None
        assert row.workflow_version == "1" * 200_000
        with pytest.raises(InvalidSearch, match="over 128 bytes"):
            await store.sessions.list_by_project("team", workflow_version="1" * 129)

    @pytest.mark.parametrize(
        ("containing", "is_found"),
        [
            pytest.param({"file_path": "data.csv"}, True, id="a field"),
            pytest.param({"file_path": "data"}, False, id="no part of a text"),
            pytest.param({"file_path": "data.csv", "rows": 3}, True, id="two fields"),
            pytest.param({"file_path": "data.csv", "rows": 4}, False, id="two fields of which one differs"),
            pytest.param({"rows": 3.0}, True, id="numbers by value"),
            pytest.param({"rows": "3"}, False, id="a number is no text"),
            pytest.param({"strict": True}, True, id="a truth value"),
            pytest.param({"strict": 1}, False, id="a truth value is no number"),
            pytest.param({"none": None}, True, id="null"),
            pytest.param({"missing": None}, False, id="null is a value"),
            pytest.param({"options": {"depth": 2}}, True, id="a field below"),
            pytest.param({"options": {}}, True, id="an object contains the empty one"),
            pytest.param({"file_path": {}}, False, id="a text does not"),
            pytest.param({"tags": ["b"]}, True, id="an item of a list"),
            pytest.param({"tags": ["b", "a", "b"]}, True, id="items in any order and number"),
            pytest.param({"tags": ["c"]}, False, id="not an item"),
            pytest.param({"tags": "a"}, False, id="a list is no item"),
            pytest.param({"tags": []}, True, id="a list contains the empty one"),
            pytest.param({"steps": [{"name": "x"}]}, True, id="an item that is an object, by its fields"),
            pytest.param({"steps": [{"name": "x", "n": 2}]}, False, id="fields of two items are not one"),
            pytest.param({"ä%_'\"$$--": "';"}, True, id="names that mean something elsewhere"),
        ],
    )
    async def test_a_search_finds_inputs_that_contain_it(
        self, store: Store, containing: Mapping[str, Json], *, is_found: bool
    ) -> None:
        inputs = {
            "file_path": "data.csv",
            "rows": 3,
            "strict": True,
            "none": None,
            "options": {"depth": 2, "wide": False},
            "tags": ["a", "b"],
            "steps": [{"name": "x", "n": 1}, {"name": "y", "n": 2}],
            "ä%_'\"$$--": "';",
        }
        await store.sessions.record_sessions(
            [a_record(input_data=inputs), a_record(input_data=inputs, project="other"), a_record("x", input_data=[1])]
        )

        found = await store.sessions.search("team", containing)

        assert [row.session_uid for row in found] == (["uid-team-report"] if is_found else [])
        assert all(row.input_data is None and row.output_data is None for row in found)

    async def test_a_search_is_newest_first_page_by_page(self, store: Store) -> None:
        await store.sessions.record_sessions(
            [
                a_record(
                    f"s{number}", created_at=CREATED + timedelta(seconds=number // 2), input_data={"n": number % 2}
                )
                for number in range(10)
            ]
        )

        first = await store.sessions.search("team", {"n": 1}, limit=3)
        second = await store.sessions.search("team", {"n": 1}, limit=3, before=first[-1].key)

        assert [row.session_name for row in (*first, *second)] == ["s9", "s7", "s5", "s3", "s1"]

    @pytest.mark.parametrize("limit", [0, -1, 1001])
    async def test_pages_have_a_limit(self, store: Store, limit: int) -> None:
        with pytest.raises(InvalidSearch, match="ask for 1 to 1000"):
            await store.sessions.list_by_project("team", limit=limit)
        with pytest.raises(InvalidSearch, match="ask for 1 to 1000"):
            await store.sessions.search("team", {"a": 1}, limit=limit)

    async def test_a_search_for_nothing_or_for_too_much_is_refused(self, store: Store) -> None:
        with pytest.raises(InvalidSearch, match="at least one field"):
            await store.sessions.search("team", {})
        with pytest.raises(InvalidSearch, match="too long"):
            await store.sessions.search("team", {"a": list(range(20_000))})

    async def test_parts_of_an_output_are_put_in_place_while_it_runs(self, store: Store) -> None:
        record = a_record()
        await store.sessions.record_session(record)
        await store.sessions.start_run(record.session_uid, 1)

        await store.sessions.update_output(record.session_uid, 1, ["tables"], {"first": [1]})
        await store.sessions.update_output(record.session_uid, 1, ["tables", "se\x00cond"], float("nan"))
        await store.sessions.update_output(record.session_uid, 2, ["tables", "first"], "late")

        row = await store.sessions.get(record.session_uid, with_output=True)
        assert row is not None
        assert row.output_data == {"tables": {"first": "late", "se\ufffdcond": None}}
        assert row.run == 2
        await store.sessions.finish(record.session_uid, 2, Phase.FAILED, error={"type": "ValueError"})
        failed = await store.sessions.get(record.session_uid, with_output=True)
        assert failed is not None
        assert failed.output_data == row.output_data

    async def test_parts_of_an_output_need_an_object_to_go_into(self, store: Store) -> None:
        record = a_record()
        await store.sessions.record_session(record)
        await store.sessions.update_output(record.session_uid, 1, ["list"], [{"a": 1}])

        await store.sessions.update_output(record.session_uid, 1, ["list", "0", "b"], 2)

        for path in (["missing", "a"], ["list", "0"], ["list", "7", "a"], ["list", "x", "a"]):
            with pytest.raises(NoSuchParent, match="has no object at"):
                await store.sessions.update_output(record.session_uid, 1, path, 2)
        with pytest.raises(ValueError, match="at least one key"):
            await store.sessions.update_output(record.session_uid, 1, [], 2)

        row = await store.sessions.get(record.session_uid, with_output=True)
        assert row is not None
        assert row.output_data == {"list": [{"a": 1, "b": 2}]}

    async def test_parts_come_too_late_for_a_later_run_a_final_status_and_a_deleted_session(self, store: Store) -> None:
        await store.sessions.record_sessions(
            [a_record("later", status=Phase.RUNNING, run=2), a_record("final", status=Phase.COMPLETED, run=1)]
        )
        for uid in ("uid-team-later", "uid-team-final", "nobody"):
            with pytest.raises(Superseded):
                await store.sessions.update_output(uid, 1, ["a"], 1)

    async def test_parts_put_at_once_are_all_there(self, store: Store) -> None:
        record = a_record()
        await store.sessions.record_session(record)
        await store.sessions.update_output(record.session_uid, 1, ["parts"], {})

        await asyncio.gather(
            *(store.sessions.update_output(record.session_uid, 1, ["parts", f"p{n}"], n) for n in range(40))
        )

        row = await store.sessions.get(record.session_uid, with_output=True)
        assert row is not None
        assert row.output_data == {"parts": {f"p{n}": n for n in range(40)}}

    async def test_names_that_no_row_can_have_find_nothing(self, store: Store) -> None:
        await store.sessions.record_session(a_record())
        for name in ("\x00", "team\x00", "\ud800"):
            assert await store.sessions.get(name) is None
            assert await store.sessions.find(name, "report") is None
            assert await store.sessions.find("team", name) is None
            assert await store.sessions.list_by_project(name) == []
            assert await store.sessions.list_by_project("team", workflow_version=name) == []
            assert await store.sessions.search(name, {"file_path": "data.csv"}) == []

    async def test_deleting_removes_row_events_and_fence_and_can_be_repeated(self, store: Store) -> None:
        record = a_record()
        await store.sessions.record_session(record)
        await store.events.append(record.session_uid, 1, [NewEvent("node_started", {})])
        fence = await store.fences.take(record.thread_id, record.session_uid, 1, "pod")

        assert await store.sessions.delete_session(record.session_uid)
        assert not await store.sessions.delete_session(record.session_uid)

        assert await store.sessions.get(record.session_uid) is None
        assert await store.events.read(record.session_uid) == []
        with pytest.raises(Superseded, match="no fence any more"):
            await store.fences.verify(fence)

    async def test_sessions_without_a_resource_are_found_once_they_are_old_enough(self, store: Store) -> None:
        await store.sessions.record_sessions([a_record("kept"), a_record("lost")])
        await store.fences.take("project-team:session-row-gone", "uid-fence-only", 1, "pod")

        assert await store.sessions.fetch_session_uids() == {"uid-team-kept", "uid-team-lost", "uid-fence-only"}
        assert await store.sessions.find_orphans({"uid-team-kept"}) == []
        orphans = await store.sessions.find_orphans({"uid-team-kept"}, min_age_seconds=-1)
        assert orphans == ["uid-fence-only", "uid-team-lost"]

    async def test_text_that_postgresql_refuses_is_stored_with_replacements(self, store: Store) -> None:
        record = a_record(input_data={"a\x00b": "half \ud83d"}, error={"message": "\x00"})

        await store.sessions.record_session(record)
        await store.events.append(record.session_uid, 1, [NewEvent("log", {"line": "\x00", "value": float("nan")})])

        row = await store.sessions.get(record.session_uid)
        assert row is not None
        assert row.input_data == {"a\ufffdb": "half \ufffd"}
        assert row.error == {"message": "\ufffd"}
        (event,) = await store.events.read(record.session_uid)
        assert event.data == {"line": "\ufffd", "value": None}


class EventLogConformance:
    async def test_events_are_numbered_from_one_without_gaps(self, store: Store) -> None:
        await store.sessions.record_sessions([a_record("a"), a_record("b")])

        assert await store.events.append("uid-team-a", 1, [NewEvent("x", {"n": 1}), NewEvent("y", {"n": 2})]) == 2
        assert await store.events.append("uid-team-b", 1, [NewEvent("x", {})]) == 1
        assert await store.events.append("uid-team-a", 2, [NewEvent("z", {"n": 3}, at=CREATED)]) == 3

        found = await store.events.read("uid-team-a")
        assert [(event.seq, event.run, event.type, event.data) for event in found] == [
            (1, 1, "x", {"n": 1}),
            (2, 1, "y", {"n": 2}),
            (3, 2, "z", {"n": 3}),
        ]
        assert found[2].at == CREATED
        assert found[0].at.tzinfo is not None

    async def test_reading_goes_on_after_a_number_and_stops_at_the_limit(self, store: Store) -> None:
        await store.sessions.record_session(a_record())
        await store.events.append("uid-team-report", 1, [NewEvent("x", {"n": number}) for number in range(10)])

        assert [event.seq for event in await store.events.read("uid-team-report", after=3, limit=4)] == [4, 5, 6, 7]
        assert await store.events.read("uid-team-report", after=10) == []

    async def test_writers_at_once_leave_no_gap_and_no_double(self, store: Store) -> None:
        await store.sessions.record_session(a_record())

        async def write(writer: int) -> None:
            for number in range(5):
                batch = [NewEvent("x", {"writer": writer, "n": number, "part": part}) for part in range(3)]
                await store.events.append("uid-team-report", 1, batch)

        await asyncio.gather(*(write(writer) for writer in range(6)))

        found = await store.events.read("uid-team-report")
        assert [event.seq for event in found] == list(range(1, 91))
        for first in found[::3]:
            batch = found[first.seq - 1 : first.seq + 2]
            assert [event.data["part"] for event in batch] == [0, 1, 2]

    async def test_numbers_that_the_writer_knows_of_are_not_given_again_and_what_is_missing_is_told(
        self, store: Store
    ) -> None:
        await store.sessions.record_session(a_record())
        uid, events = "uid-team-report", [NewEvent("x", {"n": 1}), NewEvent("y", {})]
        of_turn = [NewEvent(event.type, event.data, turn=3) for event in events]

        assert await store.events.append(uid, 1, events, floor=0) == 2
        # The database went back: it had acknowledged five.
        assert await store.events.append(uid, 1, of_turn, floor=5) == 8
        assert await store.events.append(uid, 1, of_turn, floor=8) == 10
        # Somebody else has written since.
        assert await store.events.append(uid, 2, events, floor=4) == 12

        found = await store.events.read(uid)
        assert [(event.seq, event.type, event.turn) for event in found] == [
            *((1, "x", 0), (2, "y", 0), (6, "gap", 3), (7, "x", 3), (8, "y", 3), (9, "x", 3), (10, "y", 3)),
            *((11, "x", 0), (12, "y", 0)),
        ]
        assert found[2].data == {"from": 3, "to": 5, "reason": "lost"}

    async def test_a_deleted_session_takes_no_events(self, store: Store) -> None:
        with pytest.raises(Superseded, match="gone"):
            await store.events.append("nobody", 1, [NewEvent("x", {})])

    async def test_nothing_to_append_is_the_callers_mistake(self, store: Store) -> None:
        with pytest.raises(ValueError, match="no events"):
            await store.events.append("uid", 1, [])


class FencesConformance:
    thread = "project-team:session-report"

    async def test_every_take_has_a_higher_epoch_and_ends_the_one_before(self, store: Store) -> None:
        first = await store.fences.take(self.thread, "uid", 1, "pod-a")
        await store.fences.verify(first)

        second = await store.fences.take(self.thread, "uid", 1, "pod-b")

        assert second.epoch > first.epoch
        await store.fences.verify(second)
        with pytest.raises(Superseded, match=r"taken by 'pod-b' \(run 1, epoch \d+\); this is epoch \d+"):
            await store.fences.verify(first)
        with pytest.raises(Superseded):
            await store.fences.record_failure(first)

    async def test_failures_are_counted_within_a_run(self, store: Store) -> None:
        first = await store.fences.take(self.thread, "uid", 1, "pod-a")
        assert first.failures == 0
        assert [await store.fences.record_failure(first) for _ in range(2)] == [1, 2]

        assert (await store.fences.take(self.thread, "uid", 1, "pod-b")).failures == 2
        assert (await store.fences.take(self.thread, "uid", 2, "pod-c")).failures == 0

    async def test_an_earlier_run_comes_too_late(self, store: Store) -> None:
        held = await store.fences.take(self.thread, "uid", 2, "pod-b")

        with pytest.raises(Superseded, match=r"run 2 has taken thread .*: run 1 comes too late"):
            await store.fences.take(self.thread, "uid", 1, "pod-a")

        await store.fences.verify(held)

    async def test_a_session_made_again_takes_over_and_its_predecessor_cannot_come_back(self, store: Store) -> None:
        later = CREATED + timedelta(hours=1)
        old = await store.fences.take(self.thread, "old", 4, "pod-a", session_created_at=CREATED)

        new = await store.fences.take(self.thread, "new", 1, "pod-b", session_created_at=later)

        assert new.failures == 0
        assert new.session_created_at == later
        with pytest.raises(Superseded):
            await store.fences.verify(old)
        with pytest.raises(Superseded, match="belongs to session 'new' now, which was made after 'old'"):
            await store.fences.take(self.thread, "old", 5, "pod-c", session_created_at=CREATED)
        await store.fences.verify(new)

    async def test_an_epoch_is_never_given_twice_even_after_a_deletion(self, store: Store) -> None:
        old = await store.fences.take(self.thread, "old", 1, "pod-a")
        await store.sessions.delete_session("old")

        new = await store.fences.take(self.thread, "new", 1, "pod-b")

        assert new.epoch > old.epoch

    async def test_of_many_at_once_exactly_the_last_one_holds(self, store: Store) -> None:
        taken = await asyncio.gather(*(store.fences.take(self.thread, "uid", 1, f"pod-{n}") for n in range(8)))

        held = []
        for fence in taken:
            try:
                await store.fences.verify(fence)
            except Superseded:
                continue
            held.append(fence)
        assert held == [max(taken, key=lambda fence: fence.epoch)]


def a_turn(number: int = 1, *, name: str = "", session: str = "report", **changes: Any) -> TurnRecord:
    """Build the record of a turn that runs, of the session that ``a_record`` builds."""
    record = TurnRecord(
        session_uid=f"uid-team-{session}",
        number=number,
        name=name or f"t{number:04}",
        project_name="team",
        session_name=session,
        author="ann",
        input={"messages": ["hello", None]},
        run=1,
        started_at=CREATED,
    )
    return replace(record, **changes)


class TurnsConformance:
    async def test_a_turn_begins_and_ends_with_its_output(self, store: Store) -> None:
        await store.sessions.record_session(a_record(status=Phase.RUNNING, run=1))
        assert await store.turns.record([a_turn()]) == []

        begun = await store.turns.begin(a_turn(run=2))
        await store.turns.finish(
            "uid-team-report", 1, 2, TurnPhase.COMPLETED, output=encode_output({"n": 1}), checkpoint_id="1ef"
        )

        ended = await store.turns.get("uid-team-report", 1, with_output=True)
        assert ended is not None
        assert (begun.phase, begun.run, begun.input) == (TurnPhase.RUNNING, 2, {"messages": ["hello", None]})
        assert (ended.phase, ended.run, ended.output, ended.checkpoint_id) == (TurnPhase.COMPLETED, 2, {"n": 1}, "1ef")
        assert ended.finished_at is not None
        session = await store.sessions.get("uid-team-report")
        assert session is not None
        assert (session.status, session.run) == (Phase.IDLE, 2)

    async def test_a_run_makes_the_row_of_its_turn_where_the_operator_has_not(self, store: Store) -> None:
        with pytest.raises(TransientError, match="not recorded yet"):
            await store.turns.begin(a_turn())
        await store.sessions.record_session(a_record())
        begun = await store.turns.begin(a_turn())
        assert (begun.name, begun.author, begun.phase) == ("t0001", "ann", TurnPhase.RUNNING)
        assert await store.turns.record([a_turn()]) == []

    async def test_what_a_turn_ended_with_stands_whoever_comes_later(self, store: Store) -> None:
        await store.sessions.record_session(a_record(status=Phase.RUNNING, run=1))
        await store.turns.begin(a_turn())
        await store.turns.finish("uid-team-report", 1, 1, TurnPhase.COMPLETED, output=encode_output("first"))
        before = await store.turns.get("uid-team-report", 1, with_output=True)

        await store.turns.finish("uid-team-report", 1, 1, TurnPhase.COMPLETED, output=encode_output("again"))
        with pytest.raises(Superseded, match="'completed' and cannot become 'failed'"):
            await store.turns.finish("uid-team-report", 1, 2, TurnPhase.FAILED, error={"type": "ValueError"})
        await store.turns.record([a_turn(phase=TurnPhase.CANCELED, run=3), a_turn(run=4)])

        found = await store.turns.begin(a_turn(run=5))
        assert before is not None
        assert await store.turns.get("uid-team-report", 1, with_output=True) == before
        assert (found.phase, found.run) == (TurnPhase.COMPLETED, 1)

    async def test_an_earlier_run_ends_no_turn(self, store: Store) -> None:
        await store.sessions.record_session(a_record(status=Phase.RUNNING, run=2))
        await store.turns.begin(a_turn(run=2))
        with pytest.raises(Superseded, match="run 1 may not end it"):
            await store.turns.finish("uid-team-report", 1, 1, TurnPhase.COMPLETED)
        with pytest.raises(Superseded, match="is gone"):
            await store.turns.finish("uid-team-report", 2, 2, TurnPhase.COMPLETED)

    async def test_a_turn_of_a_session_that_was_stopped_does_not_end(self, store: Store) -> None:
        await store.sessions.record_session(a_record(status=Phase.RUNNING, run=1))
        await store.turns.begin(a_turn())
        await store.sessions.record_session(a_record(status=Phase.STOPPED, run=1))
        with pytest.raises(Superseded, match="'stopped' and cannot become 'idle'"):
            await store.turns.finish("uid-team-report", 1, 1, TurnPhase.COMPLETED)
        row = await store.turns.get("uid-team-report", 1)
        assert row is not None
        assert row.phase is TurnPhase.RUNNING

    async def test_the_operator_ends_what_no_run_did(self, store: Store) -> None:
        await store.sessions.record_session(a_record(status=Phase.RUNNING, run=1))
        await store.turns.record([a_turn(), a_turn(phase=TurnPhase.FAILED, error={"type": "OOMKilled"})])
        row = await store.turns.get("uid-team-report", 1)
        assert row is not None
        assert (row.phase, row.error) == (TurnPhase.FAILED, {"type": "OOMKilled"})
        assert row.finished_at is not None

    async def test_turns_without_their_sessions_row_are_told(self, store: Store) -> None:
        await store.sessions.record_session(a_record())
        assert await store.turns.record([a_turn(), a_turn(session="later")]) == [("uid-team-later", 1)]
        assert list(await store.turns.record([])) == []

    async def test_a_name_is_one_turns_of_its_session(self, store: Store) -> None:
        await store.sessions.record_sessions([a_record(), a_record("other")])
        await store.turns.record([a_turn(), a_turn(2), a_turn(session="other")])
        with pytest.raises(Conflict):
            await store.turns.record([a_turn(3, name="t0001")])
        assert await store.turns.find_used_names("uid-team-report", ["t0001", "t0003", "\x00"]) == {"t0001"}

    async def test_turns_are_listed_in_order_page_by_page(self, store: Store) -> None:
        await store.sessions.record_session(a_record())
        await store.turns.record([a_turn(number) for number in range(1, 8)])
        first = await store.turns.list_turns("uid-team-report", limit=4)
        second = await store.turns.list_turns("uid-team-report", after=first[-1].number, limit=4)
        assert [row.number for row in (*first, *second)] == list(range(1, 8))

    async def test_an_end_is_found_with_a_small_output_alone(self, store: Store) -> None:
        await store.sessions.record_session(a_record(status=Phase.RUNNING, run=1))
        await store.turns.record([a_turn(), a_turn(2)])
        assert await store.turns.find_end("uid-team-report", 1) is None
        await store.turns.finish("uid-team-report", 1, 1, TurnPhase.COMPLETED, output=encode_output({"n": 1}))
        # No compression makes it small.
        large = encode_output([str(number) * 3 for number in range(20_000)])
        await store.turns.finish("uid-team-report", 2, 1, TurnPhase.COMPLETED, output=large)
        small, big = [await store.turns.find_end("uid-team-report", number) for number in (1, 2)]
        assert small is not None
        assert big is not None
        assert (small.output, big.output) == ({"n": 1}, None)

    async def test_turns_go_with_their_session(self, store: Store) -> None:
        await store.sessions.record_session(a_record())
        await store.turns.record([a_turn()])
        await store.sessions.delete_session("uid-team-report")
        assert await store.turns.list_turns("uid-team-report") == []
        await store.sessions.record_session(a_record(uid="new"))
        assert await store.turns.find_used_names("new", ["t0001"]) == frozenset()


class StoreConformance(SessionsConformance, TurnsConformance, EventLogConformance, FencesConformance):
    """All of it, for a ``store`` fixture of the subclass."""
