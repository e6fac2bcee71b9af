"""How a runner's saver groups what is to be saved at a moment, and that each part succeeds or fails by itself."""

import asyncio
import operator
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypedDict

import psycopg
import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from pydantic import BaseModel

from agentic_runner.checkpoints.batching_saver import commit, cut, is_mergeable, is_small, merge
from agentic_runner.checkpoints.factory import build_saver
from agentic_runner.checkpoints.save_queue import RolledBack
from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from tests.support.postgres import PostgresDatabase
from tests.support.waiting import PATIENCE_SECONDS

BLOCKED = (
    "FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class State(TypedDict, total=False):
    items: Annotated[list[int], operator.add]
    count: int
    short: str
    text: str


@asynccontextmanager
async def opened(database: PostgresDatabase) -> AsyncIterator[tuple[Database, AsyncPostgresSaver]]:
    async with open_database(Dsn.parse(database.dsn), application_name="test") as db:
        yield db, build_saver(db)


def on(thread: str, **place: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread, "checkpoint_ns": "", **place}}


async def write(saver: AsyncPostgresSaver, thread: str, value: Any = 1) -> None:
    await saver.aput_writes(on(thread, checkpoint_id="c"), [("count", value)], "task")


async def follow_nothing(saver: AsyncPostgresSaver, thread: str) -> None:
    """Save a checkpoint that follows one that is not there, which the database refuses."""
    await saver.aput(on(thread, checkpoint_id="lost"), empty_checkpoint(), {"step": 1}, {})


async def test_a_steps_writes_are_saved_in_one_transaction_with_the_checkpoint_that_follows(
    database: PostgresDatabase,
) -> None:
    async def left(state: State) -> State:
        return {"items": [1]}

    async def right(state: State) -> State:
        return {"items": [2]}

    async def end(state: State) -> State:
        return {"count": len(state["items"])}

    graph = StateGraph(State)
    graph.add_node("left", left)
    graph.add_node("right", right)
    graph.add_node("end", end)
    graph.add_edge(START, "left")
    graph.add_edge(START, "right")
    graph.add_edge(["left", "right"], "end")
    graph.add_edge("end", END)
    async with opened(database) as (_, saver):
        await graph.compile(checkpointer=saver).ainvoke({"count": 0}, on("t"), durability="sync")
    rows = database.execute(
        "SELECT (c.metadata->>'step')::int, count(DISTINCT w.task_id), count(DISTINCT w.xmin::text),"
        " bool_and(w.xmin = c.xmin) FROM checkpoints AS c"
        " JOIN checkpoint_writes AS w ON w.checkpoint_id = c.parent_checkpoint_id"
        " WHERE c.metadata->>'step' > '0' GROUP BY 1 ORDER BY 1"
    )
    assert rows == [(1, 2, 1, True), (2, 1, 1, True)]


async def test_what_is_saved_is_what_the_librarys_own_saver_saves(database: PostgresDatabase) -> None:
    graph = StateGraph(State)
    graph.add_node("add", lambda state: {"items": [state["count"]] * 1000, "count": state["count"] + 1})
    graph.add_edge(START, "add")
    graph.add_conditional_edges("add", lambda state: "add" if state["count"] < 4 else END)
    async with opened(database) as (db, saver):
        for thread, either in (("library", AsyncPostgresSaver(db.pool)), ("runner", saver)):
            await graph.compile(checkpointer=either).ainvoke({"count": 0}, on(thread), durability="sync")
        theirs, ours = [
            [
                (
                    found.metadata,
                    found.checkpoint["channel_values"],
                    [write[1:] for write in found.pending_writes or ()],
                )
                async for found in AsyncPostgresSaver(db.pool).alist(on(thread))
            ]
            for thread in ("library", "runner")
        ]
    assert len(ours) == 6
    assert ours == theirs
    for table, columns in (
        ("checkpoint_blobs", "channel, type, blob"),
        ("checkpoint_writes", "channel, type, blob, idx"),
    ):
        query = f"SELECT {columns} FROM {table} WHERE thread_id = '{{}}' ORDER BY {columns}"
        assert database.execute(query.format("runner")) == database.execute(query.format("library"))


async def test_what_cannot_be_saved_takes_nothing_else_along(database: PostgresDatabase) -> None:
    async with opened(database) as (_, saver):
        ended = await asyncio.gather(
            write(saver, "a"), follow_nothing(saver, "b"), write(saver, "c"), return_exceptions=True
        )
    assert [type(each) for each in ended[::2]] == [type(None), type(None)]
    assert isinstance(ended[1], psycopg.Error)
    assert ended[1].sqlstate == "AG002"
    assert database.execute("SELECT thread_id FROM checkpoint_writes ORDER BY 1") == [("a",), ("c",)]
    assert database.execute("SELECT * FROM checkpoints") == []


async def test_whoever_is_cancelled_while_it_saves_for_others_does_not_stop_them(database: PostgresDatabase) -> None:
    async with opened(database) as (_, saver):
        with psycopg.connect(database.dsn) as other:
            other.execute("LOCK TABLE checkpoint_writes IN EXCLUSIVE MODE")
            saving = [asyncio.create_task(write(saver, thread)) for thread in ("a", "b", "c")]
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not database.execute(f"SELECT 1 {BLOCKED}"):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            saving[0].cancel()
        ended = await asyncio.gather(*saving, return_exceptions=True)
    assert isinstance(ended[0], asyncio.CancelledError)
    assert ended[1:] == [None, None]
    assert {("b",), ("c",)} <= set(database.execute("SELECT thread_id FROM checkpoint_writes"))


async def test_whoever_is_cancelled_before_its_turn_saves_nothing(database: PostgresDatabase) -> None:
    async with opened(database) as (_, saver):
        async with saver.lock:
            waiting = asyncio.create_task(write(saver, "a"))
            await asyncio.sleep(0.1)
            waiting.cancel()
            await asyncio.wait([waiting])
        await write(saver, "b")
    assert database.execute("SELECT thread_id FROM checkpoint_writes") == [("b",)]


async def test_nothing_of_a_group_is_saved_by_a_superseded_run(database: PostgresDatabase) -> None:
    async with opened(database) as (db, saver):
        await db.carry(await db.fences.take("t", "uid", 1, "old"))
        await write(saver, "t")
        await db.fences.take("t", "uid", 2, "new")
        ended = await asyncio.gather(*(write(saver, "t", n) for n in range(3)), return_exceptions=True)
    assert [getattr(each, "sqlstate", None) for each in ended] == ["AG001"] * 3
    assert database.execute("SELECT count(*) FROM checkpoint_writes") == [(1,)]


class Finding(BaseModel):
    branch: int
    text: str


class BranchState(TypedDict, total=False):
    branch: int
    finding: Finding
    items: list[int]


def copy_with_types(saver: AsyncPostgresSaver, number: int) -> Any:
    """Copy a saver as LangGraph does for a subgraph with types of its own."""
    clone = saver.with_allowlist({("projects.types", f"Type{number}")})
    assert clone is not saver
    return clone


async def test_what_copies_of_a_saver_acknowledge_is_in_the_database(database: PostgresDatabase) -> None:
    async with opened(database) as (_, saver):

        async def save(caller: int) -> None:
            # One after another, each by the saver or by a copy of a moment ago: there is always something on its way.
            for number in range(20):
                task = f"task-{caller}-{number}"
                either = copy_with_types(saver, caller) if number % 3 else saver
                await either.aput_writes(on("t", checkpoint_id="c"), [("count", number)], task)
                acknowledged.append(task)

        acknowledged: list[str] = []
        await asyncio.gather(*(save(caller) for caller in range(20)))
    assert Counter(task for (task,) in database.execute("SELECT task_id FROM checkpoint_writes")) == Counter(
        acknowledged
    )


async def test_a_copy_of_a_saver_shares_the_queue_and_serializes_by_itself(database: PostgresDatabase) -> None:
    async with opened(database) as (_, saver):
        clone = copy_with_types(saver, 1)
        # Another field has to be an object that all copies are to share, or one of each copy's own: decide, and add it.
        shared = {
            "conn",
            "pipe",
            "lock",
            "loop",
            "supports_pipeline",
            "_queue",
            "_on_saved",
            "_kept",
            "_sealing",
            "_hidden",
            "unsaved",
        }
        assert vars(saver).keys() == vars(clone).keys() == shared | {"serde"}
        assert {name for name in shared if vars(saver)[name] is vars(clone)[name]} == shared
        assert clone.serde is not saver.serde

        class Spy(type(clone.serde)):  # type: ignore[misc]
            def dumps_typed(self, obj: Any) -> tuple[str, bytes]:  # noqa: ARG002
                return "spy", b"of the copy"

        clone.serde.__class__ = Spy
        await asyncio.gather(write(saver, "a"), write(clone, "b"))
    rows = dict(database.execute("SELECT thread_id, type FROM checkpoint_writes"))
    assert rows == {"a": "msgpack", "b": "spy"}


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The copies of savers that LangGraph makes; it makes them where msgpack is strict, as in a runner."""
    monkeypatch.setattr("langgraph._internal._serde.STRICT_MSGPACK_ENABLED", True)
    made: list[Any] = []
    original = AsyncPostgresSaver.with_allowlist

    def note(self: AsyncPostgresSaver, types: Any) -> Any:
        made.append(original(self, types))
        return made[-1]

    monkeypatch.setattr(AsyncPostgresSaver, "with_allowlist", note)
    return made


@pytest.mark.parametrize("branches", [2, 3, 5])
async def test_parallel_subgraphs_with_types_of_their_own_are_saved_whole(
    database: PostgresDatabase, branches: int, copies: list[Any]
) -> None:
    runs: Counter[tuple[int, str]] = Counter()

    def build_branch(number: int) -> Any:
        async def find(state: BranchState) -> BranchState:
            runs[number, "find"] += 1
            return {"finding": Finding(branch=number, text="x" * number)}

        async def check(state: BranchState) -> BranchState:
            runs[number, "check"] += 1
            assert state["finding"] == Finding(branch=number, text="x" * number)
            return {"items": [number]}

        graph = StateGraph(BranchState)
        graph.add_node("find", find)
        graph.add_node("check", check)
        graph.add_edge(START, "find")
        graph.add_edge("find", "check")
        return graph.compile()

    parent = StateGraph(State)
    for number in range(branches):
        parent.add_node(f"branch{number}", build_branch(number))
        parent.add_edge(START, f"branch{number}")
    async with opened(database) as (_, saver):
        for round_ in range(3):
            runs.clear()
            graph = parent.compile(checkpointer=saver)
            ended = await graph.ainvoke({"count": 0}, on(f"t{round_}"), durability="sync")
            assert sorted(ended["items"]) == [*range(branches)]
            assert runs == {(number, node): 1 for number in range(branches) for node in ("find", "check")}
    assert len({id(copy) for copy in copies}) > branches
    missing = database.execute(
        "SELECT c.thread_id, c.checkpoint_ns, c.checkpoint_id FROM checkpoints AS c"
        " LEFT JOIN checkpoints AS p ON (p.thread_id, p.checkpoint_ns, p.checkpoint_id)"
        " = (c.thread_id, c.checkpoint_ns, c.parent_checkpoint_id)"
        " WHERE c.parent_checkpoint_id IS NOT NULL AND p.thread_id IS NULL"
    )
    assert missing == []
    namespaces = database.execute("SELECT count(DISTINCT (thread_id, checkpoint_ns)) FROM checkpoints")
    assert namespaces == [(3 * (1 + branches),)]


async def test_a_later_round_sends_nothing_of_an_earlier_one_again(
    database: PostgresDatabase, copies: list[Any]
) -> None:
    database.execute("CREATE TABLE sent (thread_id text, task_id text, idx int)")
    database.execute(
        "CREATE FUNCTION note_sent() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO sent VALUES (NEW.thread_id, NEW.task_id, NEW.idx); RETURN NEW; END'"
    )
    # Before a row: it fires also for one that is there already.
    database.execute(
        "CREATE TRIGGER note_sent BEFORE INSERT ON checkpoint_writes FOR EACH ROW EXECUTE FUNCTION note_sent()"
    )

    async def branch(state: BranchState) -> BranchState:
        return {"finding": Finding(branch=state["branch"], text="y"), "items": [state["branch"]]}

    inner = StateGraph(BranchState)
    inner.add_node("branch", branch)
    inner.add_edge(START, "branch")
    parent = StateGraph(State)
    parent.add_node("inner", inner.compile())
    parent.add_conditional_edges(START, lambda _: [Send("inner", {"branch": number}) for number in range(6)])
    async with opened(database) as (_, saver):
        graph = parent.compile(checkpointer=saver)
        for _ in range(4):
            await graph.ainvoke({"count": 0}, on("t"), durability="sync")
    assert copies
    assert database.execute("SELECT task_id, idx FROM sent GROUP BY 1, 2 HAVING count(*) > 1") == []


async def test_what_the_client_cannot_send_takes_nothing_else_along(database: PostgresDatabase) -> None:
    # More than an entry of an index may be, and nothing that compresses.
    too_long = random.Random(0).randbytes(5_000).hex()
    async with opened(database) as (_, saver):
        ended = await asyncio.gather(
            write(saver, "a"),
            saver.aput_writes(on("b", checkpoint_id="c"), [("lone \ud800", 1)], "task"),
            saver.aput_writes(on("b", checkpoint_id="c"), [("count", 1), ("nul \x00", 1)], "task"),
            saver.aput_writes(on("b", checkpoint_id="c"), [("count", 1)], too_long),
            write(saver, "c"),
            return_exceptions=True,
        )
    assert [type(each).__name__ for each in ended] == [
        "NoneType",
        "UnicodeEncodeError",
        "DataError",
        "ProgramLimitExceeded",
        "NoneType",
    ]
    assert database.execute("SELECT thread_id FROM checkpoint_writes ORDER BY 1") == [("a",), ("c",)]


async def test_a_lost_connection_fails_those_it_carried_and_the_next_are_saved(database: PostgresDatabase) -> None:
    async with opened(database) as (_, saver):
        with psycopg.connect(database.dsn) as other:
            other.execute("LOCK TABLE checkpoint_writes IN EXCLUSIVE MODE")
            saving = [asyncio.create_task(write(saver, thread)) for thread in ("a", "b")]
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not database.execute(f"SELECT 1 {BLOCKED}"):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            later = asyncio.create_task(write(saver, "c"))
            database.execute(f"SELECT pg_terminate_backend(pid) {BLOCKED}")
            ended = await asyncio.gather(*saving, return_exceptions=True)
        await later
    assert all(isinstance(each, psycopg.OperationalError) for each in ended)
    assert database.execute("SELECT thread_id FROM checkpoint_writes") == [("c",)]


async def test_a_checkpoint_whose_long_text_could_not_be_saved_leaves_none_without_it(
    database: PostgresDatabase,
) -> None:
    text = {"text": "x" * 20_000}
    first, second = empty_checkpoint(), empty_checkpoint()
    for checkpoint in (first, second):
        checkpoint["channel_values"] = dict(text)
        checkpoint["channel_versions"] = {"text": "1"}
    async with opened(database) as (_, saver):
        ended = await asyncio.gather(
            saver.aput(on("t", checkpoint_id="lost"), first, {"step": 1}, {"text": "1"}),
            saver.aput(on("t"), second, {"step": 1}, {}),
            return_exceptions=True,
        )
        assert isinstance(ended[0], psycopg.Error)
        found = await saver.aget_tuple(on("t"))
        assert found is not None
        assert found.checkpoint["channel_values"] == text
        # And again, after its blobs were deleted with the thread.
        await saver.adelete_thread("t")
        await saver.aput(on("t"), second, {"step": 1}, {})
        found = await saver.aget_tuple(on("t"))
    assert found is not None
    assert found.checkpoint["channel_values"] == text


async def test_checkpoints_of_other_threads_and_subgraphs_are_told_with_their_own_ids(
    database: PostgresDatabase,
) -> None:
    told: list[tuple[str, str]] = []
    async with open_database(Dsn.parse(database.dsn), application_name="test") as db:
        saver = build_saver(db, on_saved=lambda thread, checkpoint: told.append((thread, checkpoint)))
        own, inner, other = empty_checkpoint(), empty_checkpoint(), empty_checkpoint()
        await saver.aput(on("t"), own, {}, {})
        await saver.aput({"configurable": {"thread_id": "t", "checkpoint_ns": "inner:1"}}, inner, {}, {})
        await copy_with_types(saver, 1).aput(on("other"), other, {}, {})
    assert told == [("t", own["id"]), ("other", other["id"])]


async def test_large_writes_and_deleted_threads_go_the_same_way(database: PostgresDatabase) -> None:
    async with opened(database) as (_, saver):
        await asyncio.gather(write(saver, "a", "x" * 3_000_000), write(saver, "b"))
        await saver.adelete_thread("a")
    assert database.execute("SELECT thread_id FROM checkpoint_writes") == [("b",)]


async def test_a_long_text_is_saved_when_it_changes_and_not_with_every_checkpoint(database: PostgresDatabase) -> None:
    graph = StateGraph(State)
    graph.add_node("add", lambda state: {"count": state["count"] + 1, "short": "word"})
    graph.add_node("say", lambda state: {"text": state["text"] + "!"})
    graph.add_edge(START, "add")
    graph.add_conditional_edges("add", lambda state: "add" if state["count"] < 4 else "say")
    async with opened(database) as (db, saver):
        # As an earlier version of this program left it: in the row.
        begun = graph.compile(checkpointer=AsyncPostgresSaver(db.pool), interrupt_before=["add"])
        await begun.ainvoke({"count": 0, "text": "x" * 20_000}, on("t"))
        assert database.execute("SELECT channel FROM checkpoint_blobs WHERE channel = 'text'") == []
        ended = await graph.compile(checkpointer=saver).ainvoke(None, on("t"), durability="sync")
        for reader in (saver, AsyncPostgresSaver(db.pool)):
            state = await graph.compile(checkpointer=reader).aget_state(on("t"))
            assert state.values == ended
    assert ended == {"items": [], "count": 4, "short": "word", "text": "x" * 20_000 + "!"}
    assert database.execute("SELECT count(*) FROM checkpoint_blobs WHERE channel = 'text'") == [(2,)]
    rows = database.execute("SELECT checkpoint->'channel_values' FROM checkpoints ORDER BY checkpoint_id DESC LIMIT 4")
    assert [(row.keys() & {"short", "text"}) for (row,) in rows] == [{"short"}] * 4


def test_many_rows_go_in_few_statements_of_few_forms_and_large_ones_alone() -> None:
    query = AsyncPostgresSaver.INSERT_CHECKPOINT_WRITES_SQL
    assert is_mergeable(query)
    assert is_mergeable(AsyncPostgresSaver.UPSERT_CHECKPOINT_BLOBS_SQL)
    # A statement that changes rows may not meet one twice.
    assert not is_mergeable(AsyncPostgresSaver.UPSERT_CHECKPOINT_WRITES_SQL)
    assert not is_mergeable(AsyncPostgresSaver.UPSERT_CHECKPOINTS_SQL)
    assert not is_mergeable("DELETE FROM checkpoints WHERE thread_id = %s")
    assert merge("INSERT INTO t VALUES (%s, %s) ON CONFLICT DO NOTHING", 3) == (
        "INSERT INTO t VALUES (%s, %s), (%s, %s), (%s, %s) ON CONFLICT DO NOTHING"
    )
    small, large = ("t", b"x"), ("t", b"x" * 100_000)
    assert [len(rows) for rows in cut([small] * 15)] == [8, 4, 2, 1]
    assert [list(rows) for rows in cut([small, large, small, small])] == [[small], [large], [small, small]]
    assert list(cut([])) == []


class Thing:
    def __init__(self, text: str) -> None:
        self.text = text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, True),
        (1.5, True),
        ("x" * 1000, True),
        ({"a": [1, "two", {"three": b"4"}]}, True),
        (Thing("short"), True),
        (Thing("x" * 1_000_000), False),
        ("x" * 1_000_000, False),
        (b"x" * 1_000_000, False),
        (list(range(1000)), False),
        ([[1] * 50] * 50, False),
        (object(), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_small_is_serialized_at_once(value: Any, expected: bool) -> None:
    assert is_small(value) is expected


def test_a_value_that_contains_itself_is_looked_at_no_longer_than_others() -> None:
    value: list[Any] = []
    value.append(value)
    assert not is_small(value)


class LosesItsConnection(list[Any]):
    """Rows before which the server goes away, while the transaction is being sent."""

    def __init__(self, rows: list[Any], lose: Callable[[], object]) -> None:
        super().__init__(rows)
        self._lose = lose

    def __iter__(self) -> Iterator[Any]:
        self._lose()
        return super().__iter__()


async def test_a_lost_connection_blames_no_statement(database: PostgresDatabase) -> None:
    """Else whoever saved beside what cannot be sent would be told that its own save was refused for good."""
    rows = [["nul \x00"]]
    async with await psycopg.AsyncConnection.connect(database.dsn, autocommit=True) as conn:
        with pytest.raises(RolledBack):
            await commit(conn, [("SELECT %s::text", rows)])
        await conn.rollback()
        pid = conn.info.backend_pid
        lost = LosesItsConnection(rows, lambda: database.execute("SELECT pg_terminate_backend(%s, 5000)", [pid]))
        with pytest.raises(psycopg.OperationalError):
            await commit(conn, [("SELECT %s::text", lost)])
