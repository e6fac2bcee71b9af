"""What a Service is told of a replica while its API server or its database is away, and what its clients get."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.test_streams import append, following, receive, seqs, store, uid
from tests.support.gateway import Gateway, running_gateway
from tests.support.kube import Space
from tests.support.postgres import PostgresDatabase
from tests.support.postgres_server import PostgresServer
from tests.support.waiting import wait_for
from tests.trust.roles import Client

__all__ = ["store", "uid"]

Json = dict[str, Any]
Somebody = Callable[..., Client]


@pytest.fixture
def own(space: Space, events: PostgresDatabase, tmp_path: Path) -> Iterator[Gateway]:
    """A replica for this test alone, which is ready."""
    with running_gateway(space.plane, events, tmp_path) as made:
        wait_for(lambda: made.read_operations("/readyz").code, lambda code: code == 200, what="ready")
        yield made


def wait_for_line(gateway: Gateway, line: str, code: int) -> None:
    def read() -> tuple[int, list[str]]:
        reply = gateway.read_operations("/readyz")
        return reply.code, reply.body.splitlines()

    wait_for(read, lambda found: found[0] == code and any(line in each for each in found[1]), what=f"{code} {line}")


async def test_without_its_database_a_replica_still_starts_sessions_and_streams_resume(
    own: Gateway,
    postgres_server: PostgresServer,
    space: Space,
    somebody: Somebody,
    store: Any,
    uid: str,
) -> None:
    alice = somebody("alice", "agentic-view", "agentic-edit")
    path = f"/api/v1/agentic-sessions/{space.name}"
    await append(store, uid, 1)
    async with following(own, space, alice) as connection:
        assert seqs(await receive(connection, 1)) == [1]
        postgres_server.pause()
        try:
            await asyncio.to_thread(wait_for_line, own, "database: ", 200)
            body = {"metadata": {"name": "s9"}, "spec": {"workflowRef": {"name": "report"}, "inputs": {}}}
            made = await asyncio.to_thread(own.call, "POST", path, body, token=alice.token)
            assert made.code == 201, made.body
        finally:
            postgres_server.resume()
        await asyncio.to_thread(wait_for_line, own, "database: ok", 200)
        await append(store, uid, 2)
        assert seqs(await receive(connection, 1)) == [2]


async def test_without_its_api_server_a_replica_is_out_of_service_says_when_to_come_back_and_keeps_its_streams(
    own: Gateway, space: Space, somebody: Somebody, store: Any, uid: str
) -> None:
    viewer = somebody("viewer", "agentic-view")
    other = somebody("other", "agentic-view")
    async with following(own, space, viewer) as connection:
        await asyncio.to_thread(space.plane.kill_apiserver)
        try:
            await asyncio.to_thread(wait_for_line, own, "API server: ", 503)
            path = f"/api/v1/agentic-sessions/{space.name}/s1"
            refused = await asyncio.to_thread(own.call, "GET", path, token=other.token)
            assert (refused.code, refused.body["status"], refused.headers["retry-after"]) == (503, 503, "1")
            assert (await asyncio.to_thread(own.read_operations, "/healthz")).code == 200
            await append(store, uid, 1, 2)
            assert seqs(await receive(connection, 2)) == [1, 2]
        finally:
            await asyncio.to_thread(space.plane.start_apiserver)
    await asyncio.to_thread(wait_for_line, own, "API server: ok", 200)


async def test_a_replica_that_ends_is_not_ready_serves_for_a_while_and_hands_its_streams_over(
    space: Space, events: PostgresDatabase, tmp_path: Path, somebody: Somebody, store: Any, uid: str, gateway: Gateway
) -> None:
    viewer = somebody("viewer", "agentic-view")
    with running_gateway(space.plane, events, tmp_path, DRAIN_SECONDS="3") as ending:
        wait_for(lambda: ending.read_operations("/readyz").code, lambda code: code == 200, what="ready")
        await append(store, uid, *range(5))
        async with following(ending, space, viewer) as connection:
            assert seqs(await receive(connection, 5)) == [1, 2, 3, 4, 5]
            ending.process.terminate()
            await asyncio.to_thread(wait_for_line, ending, "draining", 503)
            # A Service goes on sending clients here for a moment.
            assert (await asyncio.to_thread(ending.call, "GET", "/healthz")).code == 200
            await append(store, uid, 6)
            assert seqs(await receive(connection, 1)) == [6]
            async with asyncio.timeout(20):
                await connection.wait_closed()
        assert (connection.close_code, connection.close_reason) == (1012, "this replica ends: come back with after=6")
        assert await asyncio.to_thread(ending.process.wait, 20) == 0
    await append(store, uid, 7)
    async with following(gateway, space, viewer, after=6) as connection:
        assert seqs(await receive(connection, 1)) == [7]


def test_metrics_are_in_the_format_of_prometheus(gateway: Gateway, space: Space, somebody: Somebody) -> None:
    viewer = somebody("viewer", "agentic-view")
    gateway.call("GET", f"/api/v1/agentic-sessions/{space.name}/missing", token=viewer.token)
    scraped = gateway.read_operations("/metrics")
    assert scraped.headers["content-type"].startswith("text/plain; version=0.0.4")
    route = "/api/v1/agentic-sessions/{namespace}/{name}"
    assert f'agentic_gateway_requests_total{{method="GET",route="{route}",status="404"}}' in scraped.body
    assert 'agentic_gateway_refusals_total{kind="not-found"}' in scraped.body
    assert 'agentic_gateway_database_pool{stat="pool_size"}' in scraped.body
    assert 'agentic_gateway_up{part="API server"} 1.0' in scraped.body
    assert space.name not in scraped.body
    assert json.dumps(viewer.name) not in scraped.body
