"""The long-term store of a project under a tenant's role: semantic search, expiry, filters, and what is refused."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from langchain_core.embeddings import Embeddings
from langgraph.store.base import GetOp, PutOp, SearchOp
from langgraph.store.postgres import PostgresStore

from agentic_core.errors import AgenticError, PermanentError
from agentic_runner.checkpoints.encrypted_saver import EncryptedStore, EncryptingSerializer
from agentic_runner.checkpoints.project_store import NO_INDEX
from agentic_runner.keyring import Key, Keyring
from agentic_store import vectors
from agentic_store.database import open_database
from agentic_store.dsn import Dsn
from agentic_store.schema_migrations import migrate
from agentic_store.schema_migrations.migration_files import find_directory
from agentic_store.tenants import memory_label
from tests.support.catalog import describe_tables
from tests.support.commands import clean_environment, run_agentic
from tests.support.postgres import PostgresDatabase
from tests.support.tenants import dropping_tenants, make_tenant

KEYS: Final = Keyring([Key.parse(base64.b64encode(b"k" * 32).decode())])
DIMS: Final = 26


class Letters(Embeddings):
    """Embeds a text as how often it has each letter."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[float(text.lower().count(chr(ord("a") + n))) + 0.01 for n in range(DIMS)] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


Open = Callable[..., Awaitable[EncryptedStore]]


@asynccontextmanager
async def opening(database: PostgresDatabase) -> AsyncIterator[Open]:
    """Give what opens a namespace's store with that namespace's login, as its runner does."""
    stack: list[Any] = []

    async def open_(namespace: str = "team", keyring: Keyring | None = None, **options: Any) -> EncryptedStore:
        context = open_database(await make_tenant(database, namespace), application_name="agentic-runner")
        runner = await context.__aenter__()
        stack.append(context)
        serde = EncryptingSerializer(keyring or Keyring())
        return EncryptedStore(runner.pool, label=memory_label(namespace), serde=serde, **options)

    async with dropping_tenants(database):
        try:
            yield open_
        finally:
            for context in stack:
                await context.__aexit__(None, None, None)


@pytest.fixture
async def opened(database: PostgresDatabase) -> AsyncIterator[Open]:
    async with opening(database) as open_:
        yield open_


@pytest.fixture
async def indexed(vector_database: PostgresDatabase) -> AsyncIterator[Open]:
    await vectors.make_vectors(Dsn.parse(vector_database.dsn), DIMS)
    async with opening(vector_database) as open_:
        yield open_


def index(**more: Any) -> dict[str, Any]:
    return {"index": {"dims": DIMS, "embed": Letters(), "fields": ["text"], **more}}


# -- semantic search


async def test_the_nearest_items_are_found_in_the_own_namespace_and_no_neighbours_count(indexed: Open) -> None:
    team, other = await indexed("team", **index()), await indexed("team-b", **index())
    # More of the neighbour's are nearer than all of ours.
    for number in range(50):
        await other.aput(("notes",), f"n{number}", {"text": "zebra"})
    await team.aput(("notes", "deep"), "far", {"text": "apple tree"})
    await team.aput(("notes",), "near", {"text": "zebras"})
    await team.aput(("notes",), "unindexed", {"text": "zebra"}, index=False)
    await team.aput(("elsewhere",), "nearest", {"text": "zebra"})

    found = await team.asearch(("notes",), query="zebra", limit=5)
    assert [(hit.namespace, hit.key) for hit in found] == [(("notes",), "near"), (("notes", "deep"), "far")]
    scores = [hit.score for hit in found]
    assert all(score is not None for score in scores)
    assert scores == sorted(scores, reverse=True, key=lambda score: score or 0.0)

    await team.aput(("notes",), "near", {"text": "quilt"})
    await team.aput(("notes", "deep"), "far", {"text": "zebra"})
    assert [hit.key for hit in await team.asearch(("notes",), query="zebra", limit=1)] == ["far"]
    await team.adelete(("notes", "deep"), "far")
    assert [hit.key for hit in await team.asearch(("notes",), query="zebra")] == ["near"]


async def test_a_neighbours_vectors_are_neither_read_written_nor_deleted(
    vector_database: PostgresDatabase, indexed: Open
) -> None:
    await (await indexed("other", **index())).aput(("notes",), "k", {"text": "zebra"})
    await indexed("team", **index())
    dsn = await make_tenant(vector_database, "team")
    async with open_database(dsn, application_name="agentic-runner") as runner, runner.pool.connection() as conn:
        assert await (await conn.execute("SELECT * FROM store_vectors")).fetchall() == []
        assert (await conn.execute("DELETE FROM store_vectors")).rowcount == 0
        forged = "INSERT INTO store_vectors (prefix, key, field_name) VALUES ('project-other.notes', 'k', 'forged')"
        with pytest.raises(Exception, match="row-level security"):
            await conn.execute(forged)
    assert vector_database.execute("SELECT count(*) FROM store_vectors") == [(1,)]


async def test_a_namespace_that_goes_takes_its_vectors_along(vector_database: PostgresDatabase, indexed: Open) -> None:
    await (await indexed("team", **index())).aput(("notes",), "k", {"text": "zebra"})
    name = f"{vector_database.name}_operator"
    vector_database.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x' IN ROLE agentic_operator")
    dsn = Dsn.parse(vector_database.server.dsn(vector_database.name, user=name, password="x"))
    async with open_database(dsn, application_name="operator") as operator_:
        assert await operator_.fetch_vector_dims() == DIMS
        assert await operator_.tenants.purge_memory("team") == 1
    assert vector_database.execute("SELECT count(*) FROM store_vectors") == [(0,)]
    vector_database.execute(f"DROP ROLE {name}")


# -- the tables for vectors


async def test_the_tables_are_exactly_those_of_the_library_without_an_approximate_index(
    vector_database: PostgresDatabase, empty_vector_database: PostgresDatabase
) -> None:
    await vectors.make_vectors(Dsn.parse(vector_database.dsn), DIMS)
    flat = index(ann_index_config={"kind": "flat"})
    with PostgresStore.from_conn_string(empty_vector_database.dsn, **flat) as theirs:
        theirs.setup()
    ours, made = describe_tables(vector_database), describe_tables(empty_vector_database)
    assert {table for table in made if "vector" in table} == {"store_vectors", "vector_migrations"}
    assert all(ours[table] == made[table] for table in ("store_vectors", "vector_migrations", "store"))
    # Also its default, with the index, finds nothing left to do.
    with PostgresStore.from_conn_string(vector_database.dsn, **index()) as theirs:
        theirs.setup()
    assert describe_tables(vector_database) == ours


async def test_one_dimension_a_database_is_made_once_and_removed_on_demand(vector_database: PostgresDatabase) -> None:
    dsn = Dsn.parse(vector_database.dsn)
    assert [await vectors.make_vectors(dsn, 3), await vectors.make_vectors(dsn, 3)] == [True, False]
    assert vector_database.execute("SELECT dims, length(checksum) FROM agentic_vectors") == [(3, 64)]
    with pytest.raises(PermanentError, match=r"has vectors of 3 dimensions.*one dimension alone"):
        await vectors.make_vectors(dsn, 4)
    with pytest.raises(PermanentError, match="agentic migrate vectors --remove"):
        await migrate.down(dsn, to=10, confirm=None)
    with pytest.raises(PermanentError, match="is not the name of this database"):
        await vectors.remove_vectors(dsn, confirm="another")
    assert [await vectors.remove_vectors(dsn, confirm=None), await vectors.remove_vectors(dsn, confirm=None)] == [
        True,
        False,
    ]
    assert await vectors.make_vectors(dsn, 4)
    without_security = (
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        " AND NOT (relrowsecurity AND EXISTS (SELECT 1 FROM pg_policy WHERE polrelid = pg_class.oid))"
    )
    assert vector_database.execute(without_security) == []


async def test_tables_of_the_librarys_setup_are_taken_over_without_their_index_and_others_are_refused(
    vector_database: PostgresDatabase,
) -> None:
    with PostgresStore.from_conn_string(vector_database.dsn, **index()) as theirs:
        theirs.setup()
    assert "store_vectors_embedding_idx" in str(describe_tables(vector_database)["store_vectors"])
    dsn = Dsn.parse(vector_database.dsn)
    assert not await vectors.make_vectors(dsn, DIMS)
    assert "store_vectors_embedding_idx" not in str(describe_tables(vector_database)["store_vectors"])
    vector_database.execute("ALTER TABLE store_vectors RENAME key TO name")
    with pytest.raises(PermanentError, match="is another one than this makes"):
        await vectors.make_vectors(dsn, DIMS)


async def test_eight_at_once_make_the_tables_once(vector_database: PostgresDatabase) -> None:
    dsn = Dsn.parse(vector_database.dsn)
    made = await asyncio.gather(*(vectors.make_vectors(dsn, 3) for _ in range(8)))
    assert sorted(made) == [False] * 7 + [True]


def test_the_command_makes_and_removes_them_and_a_server_without_pgvector_is_named(
    vector_database: PostgresDatabase, database: PostgresDatabase
) -> None:
    env = clean_environment(POSTGRES_CONNECTION_STRING=vector_database.dsn)
    made = run_agentic("migrate", "vectors", "--dims", "3", env=env)
    assert made.returncode == 0, made.stderr
    assert "done: the database has vectors of 3 dimensions" in made.stderr
    unsure = run_agentic("migrate", "vectors", "--remove", env=env)
    assert unsure.returncode == 2
    assert "--confirm" in unsure.stderr
    removed = run_agentic("migrate", "vectors", "--remove", "--confirm", vector_database.name, env=env)
    assert removed.returncode == 0, removed.stderr
    assert run_agentic("migrate", "vectors", env=env).returncode == 2

    has_vector = bool(database.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"))
    lacking = run_agentic(
        "migrate", "vectors", "--dims", "3", env=clean_environment(POSTGRES_CONNECTION_STRING=database.dsn)
    )
    assert lacking.returncode == (0 if has_vector else 1)
    assert ("install pgvector" in lacking.stderr) != has_vector
    assert database.execute("SELECT to_regclass('store_vectors')") == [("store_vectors" if has_vector else None,)]


async def test_psql_alone_makes_the_same_tables(vector_database: PostgresDatabase) -> None:
    dsn = Dsn.parse(vector_database.dsn)
    await vectors.make_vectors(dsn, 3)
    expected = describe_tables(vector_database)
    await vectors.remove_vectors(dsn, confirm=None)
    script = (find_directory() / "vectors.up.sql").read_text()
    vector_database.execute(f"BEGIN; SET LOCAL agentic.vector_dims = '3'; {script} COMMIT")
    assert describe_tables(vector_database) == expected


# -- a search that cannot be done


async def test_an_index_that_does_not_work_refuses_the_query_with_the_remedy_and_nothing_else(opened: Open) -> None:
    told: list[str] = []

    async def warn(message: str) -> None:
        told.append(message)

    store = await opened(obstacle="run `agentic migrate vectors --dims 3`", warn=warn)
    together: Any = await asyncio.gather(
        store.aput(("notes",), "k", {"text": "zebra"}),
        store.asearch(("notes",), query="zebra"),
        return_exceptions=True,
    )
    put, refused = together
    assert put is None
    assert isinstance(refused, PermanentError)
    assert "cannot be searched by meaning: run `agentic migrate vectors" in str(refused)
    with pytest.raises(PermanentError):
        await store.abatch([SearchOp(("notes",), query="zebra")])
    with pytest.raises(PermanentError):
        await asyncio.to_thread(store.search, ("notes",), query="zebra")
    assert [hit.key for hit in await store.asearch(("notes",))] == ["k"]
    assert [hit.key for hit in await store.asearch(("notes",), query="")] == ["k"]
    await store.aput(("notes",), "k2", {"text": "zebra"})
    assert told == ["items are put without vectors: run `agentic migrate vectors --dims 3`"]


async def test_without_an_index_the_newest_items_come_as_from_langgraph_and_it_is_said_once(opened: Open) -> None:
    told: list[str] = []

    async def warn(message: str) -> None:
        told.append(message)

    store = await opened(warn=warn)
    await store.aput(("notes",), "k", {"text": "zebra"})
    assert told == []
    for _ in range(2):
        assert [hit.key for hit in await store.asearch(("notes",), query="anything")] == ["k"]
    assert told == [NO_INDEX]


# -- expiry


async def test_items_expire_by_their_own_ttl_or_the_projects_and_the_operator_deletes_them(
    database: PostgresDatabase, opened: Open
) -> None:
    store = await opened(ttl={"default_ttl": 60, "refresh_on_read": False, "omit_expired": True})
    await store.aput(("notes",), "default", {})
    await store.aput(("notes",), "own", {}, ttl=5)
    await store.aput(("notes",), "for ever", {}, ttl=None)
    left = "SELECT key, round(extract(epoch FROM expires_at - updated_at) / 60) FROM store ORDER BY key"
    assert database.execute(left) == [("default", 60), ("for ever", None), ("own", 5)]

    database.execute("UPDATE store SET expires_at = now() - interval '1 second' WHERE key = 'own'")
    assert await store.aget(("notes",), "own") is None
    assert {hit.key for hit in await store.asearch(("notes",))} == {"default", "for ever"}

    name = f"{database.name}_operator"
    database.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x' IN ROLE agentic_operator")
    database.execute("INSERT INTO store (prefix, key, value, expires_at) VALUES ('others', 'k', '{}', now())")
    dsn = Dsn.parse(database.server.dsn(database.name, user=name, password="x"))
    async with open_database(dsn, application_name="operator") as operator_:
        assert await operator_.retention.expire_items(["another"]) == 0
        assert await operator_.retention.expire_items() == 1
    keys = {key for (key,) in database.execute("SELECT key FROM store")}
    # What is not of a project is somebody else's.
    assert keys == {"default", "for ever", "k"}
    database.execute(f"DROP ROLE {name}")


async def test_expiry_goes_in_bounded_steps_and_leaves_what_is_read_meanwhile(
    database: PostgresDatabase, opened: Open
) -> None:
    store = await opened()
    await store.abatch([PutOp(("notes",), f"k{number}", {}, ttl=5) for number in range(10)])
    database.execute("UPDATE store SET expires_at = now() - interval '1 second'")
    async with open_database(Dsn.parse(database.dsn), application_name="operator") as operator_:
        assert await operator_.retention.expire_items(rows=4) == 4
        # LangGraph's own way: whoever reads an item that nobody has deleted yet keeps it.
        (kept,) = database.execute("SELECT key FROM store ORDER BY key LIMIT 1")[0]
        (item,) = await store.abatch([GetOp(("notes",), kept, refresh_ttl=True)])
        assert item is not None
        assert [await operator_.retention.expire_items(rows=4) for _ in range(3)] == [4, 1, 0]
    assert database.execute("SELECT key FROM store") == [(kept,)]


# -- filters of encrypted items

FILTERS: Final[list[dict[str, Any]]] = [
    {"color": "red"},
    {"n": 1},
    {"n": {"$gt": 0.5}},
    {"n": {"$gte": 10}, "color": "red"},
    {"n": {"$ne": 1}},
    {"flag": True},
    {"nested": {"$eq": {"a": [1, 2.0]}}},
    {"missing": None},
    {"nothing": None},
]


@pytest.mark.parametrize("wanted", FILTERS, ids=str)
async def test_a_filter_finds_the_same_encrypted_and_not(opened: Open, wanted: dict[str, Any]) -> None:
    plain, sealed = await opened("plain"), await opened("sealed", KEYS)
    for store in (plain, sealed):
        for number in range(12):
            value = {"n": number, "color": "red" if number % 2 else "blue", "flag": number == 3, "nothing": None}
            await store.aput(("notes",), f"k{number}", {**value, "nested": {"a": [number, 2]}})
    found = [
        [hit.key for hit in await store.asearch(("notes",), filter=wanted, limit=3, offset=1)]
        for store in (plain, sealed)
    ]
    assert found[0] == found[1]


async def test_an_encrypted_item_is_found_behind_many_others(database: PostgresDatabase, opened: Open) -> None:
    store = await opened(keyring=KEYS)
    await store.aput(("notes",), "wanted", {"is": "wanted"}, ttl=5)
    await store.abatch([PutOp(("notes",), f"k{number}", {"is": "other"}) for number in range(600)])
    database.execute("UPDATE store SET expires_at = now() + interval '1 second' WHERE key = 'wanted'")
    found, others = await store.abatch(
        [
            SearchOp(("notes",), filter={"is": "wanted"}, limit=1, refresh_ttl=True),
            SearchOp(("notes",), filter={"is": "other"}, limit=2),
        ]
    )
    assert [hit.value for hit in found or ()] == [{"is": "wanted"}]  # type: ignore[union-attr]
    assert len(list(others or ())) == 2  # type: ignore[arg-type]
    refreshed = "SELECT expires_at > now() + interval '1 minute' FROM store WHERE key = 'wanted'"
    assert database.execute(refreshed) == [(True,)]
    assert database.execute("SELECT count(*) FROM store WHERE value::text LIKE '%wanted%'") == [(0,)]


@pytest.mark.parametrize(
    ("namespace", "key", "value", "words"),
    [
        pytest.param(("n",), "k", {"a": ["x", {"b": "\0"}]}, "/a/1/b has the character U+0000", id="U+0000"),
        pytest.param(("n",), "k", {"a": {"\0": 1}}, "/a has the character U+0000", id="in a key"),
        pytest.param(("n",), "k", {"a": float("nan")}, "/a has the number nan", id="NaN"),
        pytest.param(("n",), "k", {"a": "\ud800"}, "/a has half of a surrogate pair", id="a lone surrogate"),
        pytest.param(("n",), "k\0", {}, "its name has the character U+0000", id="in its name"),
    ],
)
async def test_what_the_database_cannot_take_is_named_and_comes_back_where_it_is_encrypted(
    opened: Open, namespace: tuple[str, ...], key: str, value: dict[str, Any], words: str
) -> None:
    plain, sealed = await opened("plain"), await opened("sealed", KEYS)
    with pytest.raises(PermanentError) as refused:
        await plain.aput(namespace, key, value)
    assert words in str(refused.value)
    if key.isprintable():
        await sealed.aput(namespace, key, value)
        item = await sealed.aget(namespace, key)
        assert item is not None
        assert repr(item.value) == repr(value)
    # The next one goes through.
    await plain.aput(namespace, "next", {"a": "é"})


async def test_names_that_langgraph_refuses_are_refused_below_the_label_too(opened: Open) -> None:
    store = await opened()
    for op in (PutOp(("a.b",), "k", {}), GetOp(("",), "k"), SearchOp(("a.b",))):
        with pytest.raises(Exception, match="amespace") as raised:
            await store.abatch([op])
        assert not isinstance(raised.value, AgenticError)
