"""Encrypting anew: from nothing to a key and from a key to the next, beside threads that go on."""

import base64
import operator
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.channels import DeltaChannel
from langgraph.graph import END, START, StateGraph

from agentic_runner.checkpoints.encrypted_saver import EncryptingSerializer
from agentic_runner.checkpoints.factory import build_saver, build_store
from agentic_runner.checkpoints.reencryption import reencrypt
from agentic_runner.keyring import CannotDecrypt, Keyring, parse_keyring
from agentic_store.database import open_database
from agentic_store.dsn import Dsn
from tests.support.postgres import PostgresDatabase
from tests.support.waiting import PATIENCE_SECONDS

OLD, NEW = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
CONFIG: RunnableConfig = {"configurable": {"thread_id": "project-p:session-s"}, "metadata": {"about": "MARKER"}}


def _extend(state: list[str], writes: Sequence[list[str]]) -> list[str]:
    return [*state, *(text for texts in writes for text in texts)]


class State(TypedDict, total=False):
    text: str
    long: str
    flag: bool
    number: int
    items: Annotated[list[str], operator.add]
    # Kept as what was added, with the whole of it every two updates.
    log: Annotated[list[str], DeltaChannel(_extend, snapshot_frequency=2)]


def add(state: State) -> State:
    return {"items": ["MARKER"], "number": state["number"] + 1, "log": [f"MARKER {state['number']}"]}


def build(saver: Any, store: Any) -> Any:
    graph = StateGraph(State).add_node(add).add_edge(START, "add")
    graph.add_conditional_edges("add", lambda state: "add" if state["number"] % 3 else END)
    return graph.compile(checkpointer=saver, store=store)


async def run(database: PostgresDatabase, keyring: Keyring | None, given: State | None = None) -> tuple[Any, Any]:
    """Run the thread on where something is given; return its history as LangGraph tells it, and the store's item."""
    async with open_database(Dsn.parse(database.dsn), application_name="tests") as opened:
        saver, store = build_saver(opened, keyring), build_store(opened, "p", keyring)
        graph = build(saver, store)
        if given is not None:
            await graph.ainvoke(given, CONFIG)
            await store.aput(("notes",), "k", {"a": "MARKER"})
        states = [state async for state in graph.aget_state_history(CONFIG)]
        item = await store.aget(("notes",), "k")
        assert item is not None
    return [(s.values, s.next, s.metadata, s.config) for s in states], item.value


def read_tables(database: PostgresDatabase) -> str:
    text = ""
    for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes", "store"):
        text += str(database.execute(f"SELECT t::text FROM {table} t"))
    return text


def has_marker(database: PostgresDatabase) -> bool:
    text = read_tables(database)
    return "MARKER" in text or b"MARKER".hex() in text


async def test_everything_comes_under_the_first_key_and_reads_the_same(database: PostgresDatabase) -> None:
    given: State = {"text": "MARKER", "long": "MARKER" * 1000, "flag": True, "number": 0}
    before = await run(database, None, given)
    assert has_marker(database)
    dsn = Dsn.parse(database.dsn)
    counts = await reencrypt(dsn, EncryptingSerializer(parse_keyring(OLD)), page=2)
    assert all(counts.values())
    assert not has_marker(database)
    assert await run(database, parse_keyring(OLD)) == before
    counts = await reencrypt(dsn, EncryptingSerializer(parse_keyring(f"{NEW}\n{OLD}")), page=3)
    assert all(counts.values())
    assert await run(database, parse_keyring(NEW)) == before
    with pytest.raises(CannotDecrypt):
        await run(database, parse_keyring(OLD))
    # Again, there is nothing left to do; and the thread goes on.
    assert set((await reencrypt(dsn, EncryptingSerializer(parse_keyring(NEW)))).values()) == {0}
    history, _ = await run(database, parse_keyring(NEW), {"number": 3})
    assert history[0][0]["items"] == ["MARKER"] * 6
    assert history[0][0]["log"] == [f"MARKER {number}" for number in range(6)]
    assert history[0][0]["text"] == "MARKER"
    assert not has_marker(database)


async def test_as_a_command_it_says_what_it_did_and_what_is_missing(database: PostgresDatabase, tmp_path: Path) -> None:
    await run(database, parse_keyring(OLD), {"text": "MARKER", "flag": False, "number": 0})
    (tmp_path / "dsn").write_text(database.dsn)

    def command(*lines: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "keys").write_text("\n".join(lines))
        environment = {
            "POSTGRES_CONNECTION_STRING_FILE": str(tmp_path / "dsn"),
            "ENCRYPTION_KEYS_FILE": str(tmp_path / "keys"),
        }
        arguments = [sys.executable, "-m", "agentic_runner.checkpoints.reencryption"]
        return subprocess.run(
            arguments, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )

    refused = command(NEW)
    assert refused.returncode == 2
    assert "add that key to the Secret" in refused.stderr
    assert command("plain", NEW).returncode == 2
    done = command(NEW, OLD)
    assert done.returncode == 0, done.stderr
    assert "checkpoint_blobs: " in done.stdout
    assert NEW not in done.stdout + done.stderr
