"""The settings of ``store`` in ``langgraph.json``, in a real runner's process with a tenant's login."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentic_core.contract import ExitCode
from agentic_core.names import RUNNER_SERVICE_ACCOUNT
from agentic_store import vectors
from agentic_store.dsn import Dsn
from hack.cluster.controlplane import ControlPlane
from tests.support.postgres import PostgresDatabase
from tests.support.runner import NAMESPACE, RunnerBench, Session
from tests.support.tenants import drop_tenants, make_tenant

REMEMBERS = """
    class State(TypedDict, total=False):
        found: list
        query: str

    async def remember(state, *, store):
        await store.aput(("animals",), "z", {"text": "zebra"})
        await store.aput(("animals",), "a", {"text": "ant"})
        return {}

    async def recall(state, *, store):
        hits = await store.asearch(("animals",), query=state["query"], limit=1)
        return {"found": [hit.key for hit in hits]}

    graph = StateGraph(State).add_node(remember).add_node(recall)
    graph = graph.add_edge(START, "remember").add_edge("remember", "recall").add_edge("recall", END).compile()
"""
EMBED = """
async def embed(texts):
    return [[float(text.count(letter)) + 0.01 for letter in "zan"] for text in texts]
"""


def remembering(runners: RunnerBench, store: dict[str, Any]) -> Session:
    """A session whose graph puts two animals and searches, in a project with settings of the store."""
    session = runners.session(REMEMBERS, {"query": "zzz"})
    (session.project / "embed.py").write_text(EMBED)
    settings = json.loads((session.project / "langgraph.json").read_text())
    (session.project / "langgraph.json").write_text(json.dumps({**settings, "store": store}))
    return session


INDEX: dict[str, Any] = {"dims": 3, "embed": "./embed.py:embed", "fields": ["text"]}


@pytest.fixture
def vector_runners(
    runner_plane: ControlPlane, vector_database: PostgresDatabase, tmp_path: Path
) -> Iterator[RunnerBench]:
    """Runners on a database that may have vectors, with the login of their namespace."""
    token_file, dsn_file = tmp_path / "token", tmp_path / "dsn"
    token_file.write_text(runner_plane.service_account_token(NAMESPACE, RUNNER_SERVICE_ACCOUNT))
    dsn_file.write_text(asyncio.run(make_tenant(vector_database, NAMESPACE)).conninfo)
    bench = RunnerBench(runner_plane, vector_database, tmp_path, token_file, dsn_file)
    yield bench
    for runner in bench.runners:
        if runner.process.poll() is None:
            runner.process.kill()
            runner.process.wait()
    asyncio.run(drop_tenants(vector_database))


def test_a_graph_finds_by_meaning_what_it_put(vector_runners: RunnerBench) -> None:
    asyncio.run(vectors.make_vectors(Dsn.parse(vector_runners.database.dsn), 3))
    session = remembering(vector_runners, {"index": INDEX, "ttl": {"default_ttl": 60}})
    assert session.run() == ExitCode.DONE, vector_runners.runners[-1].output
    # The newest is the ant.
    assert session.status["result"]["found"] == ["z"]
    kept = "SELECT key, expires_at IS NOT NULL FROM store ORDER BY key"
    assert vector_runners.database.execute(kept) == [("a", True), ("z", True)]
    assert "warning" not in [type_ for type_, _ in vector_runners.events(session)]


@pytest.mark.parametrize(
    ("dims", "changed", "words"),
    [
        pytest.param(None, {}, "agentic migrate vectors --dims 3", id="no tables"),
        pytest.param(4, {}, "vectors of 4 dimensions", id="another dimension"),
        pytest.param(3, {"embed": "./embed.py:nothing"}, "/store/index/embed", id="no such function"),
    ],
)
def test_a_query_without_a_working_index_fails_the_session_with_the_remedy(
    vector_runners: RunnerBench, dims: int | None, changed: dict[str, Any], words: str
) -> None:
    if dims is not None:
        asyncio.run(vectors.make_vectors(Dsn.parse(vector_runners.database.dsn), dims))
    session = remembering(vector_runners, {"index": {**INDEX, **changed}})
    assert session.run() == ExitCode.GRAPH_FAILED
    message = session.status["error"]["message"]
    assert "cannot be searched by meaning" in message
    assert words in message
    # What was put is there, and that it has no vectors is told.
    assert vector_runners.database.execute("SELECT key FROM store ORDER BY key") == [("a",), ("z",)]
    (warning,) = [data for type_, data in vector_runners.events(session) if type_ == "warning"]
    assert words in warning["message"]


def test_without_an_index_a_query_returns_the_newest_and_the_session_says_so(runners: RunnerBench) -> None:
    session = remembering(runners, {})
    assert session.run() == ExitCode.DONE
    assert session.status["result"]["found"] == ["a"]
    (warning,) = [data for type_, data in runners.events(session) if type_ == "warning"]
    assert "declares no `store.index`" in warning["message"]
    assert "declares no `store.index`" in runners.runners[-1].output
