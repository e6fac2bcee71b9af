"""Peers that mean harm, against the real server: each is refused, bounded or cut off, and nobody else notices."""

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from hack.cluster.controlplane import ControlPlane
from tests.support.frames import read_frame
from tests.support.gateway import Gateway, running_gateway
from tests.support.kube import Space
from tests.support.link import open_link
from tests.support.postgres import PostgresDatabase
from tests.support.streams import (
    append,
    build_ws_frame,
    connect_raw,
    count_descriptors,
    exchange,
    following,
    open_events,
    open_websocket,
    read_close_code,
    read_codes,
    read_memory,
    receive,
    start_followed,
    stream_address,
    wait_closed,
)
from tests.support.waiting import wait_for
from tests.trust.roles import Client

Somebody = Callable[..., Client]
Json = dict[str, Any]

MIB = 1024 * 1024
HASTY = 3
"""How many seconds the gateway of these tests waits for a request or a peer, in place of 30."""


@pytest.fixture(scope="module")
def hasty(
    control_plane: ControlPlane, events: PostgresDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway that waits for nobody long."""
    limits = {"PEER_SECONDS": str(HASTY), "REQUEST_SECONDS": str(HASTY), "RECHECK_SECONDS": "1"}
    with running_gateway(control_plane, events, tmp_path_factory.mktemp("hasty"), **limits) as made:
        yield made


@pytest.fixture
async def store(events: PostgresDatabase) -> AsyncIterator[Database]:
    async with open_database(Dsn.parse(events.dsn), application_name="test") as made:
        yield made


@pytest.fixture
async def uid(space: Space, store: Database) -> str:
    """A session ``s1`` that is on, with a row."""
    space.define()
    return await start_followed(space, store)


# -- HTTP

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def a_post(*headers: bytes, body: bytes = b"") -> bytes:
    return b"POST /healthz HTTP/1.1\r\nHost: x\r\n" + b"".join(headers) + b"\r\n" + body


@pytest.mark.parametrize(
    "sent",
    [
        a_post(b"Content-Length: 4\r\n", CHUNKED, body=b"0\r\n\r\n" + HIDDEN),
        a_post(CHUNKED, b"Content-Length: 4\r\n", body=b"0\r\n\r\n" + HIDDEN),
        a_post(b"Content-Length: 0\r\n", b"Content-Length: 40\r\n", body=HIDDEN),
        a_post(b"Content-Length: 0, 40\r\n", body=HIDDEN),
        a_post(b"Content-Length: +0\r\n", body=HIDDEN),
        a_post(b"Content-Length : 0\r\n", body=HIDDEN),
        a_post(b"Transfer-Encoding: xchunked\r\n", body=b"0\r\n\r\n" + HIDDEN),
        a_post(b"Transfer-Encoding: chunked, identity\r\n", body=b"0\r\n\r\n" + HIDDEN),
        a_post(b"Transfer-Encoding:\x0bchunked\r\n", body=b"0\r\n\r\n" + HIDDEN),
        a_post(b"Transfer-Encoding: identity\r\n", CHUNKED, body=b"0\r\n\r\n" + HIDDEN),
        a_post(b"X: a\rContent-Length: 0\r\n", body=HIDDEN),
        a_post(b"X: a\x00b\r\n", body=HIDDEN),
        a_post(CHUNKED, body=b"3;a\nb\r\nabc\r\n0\r\n\r\n" + HIDDEN),
        a_post(CHUNKED, body=b"-1\r\n\r\n0\r\n\r\n" + HIDDEN),
        a_post(CHUNKED, body=b"0x1\r\na\r\n0\r\n\r\n" + HIDDEN),
        b"POST /healthz HTTP/1.0\r\nHost: x\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + HIDDEN,
        b"POST /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" + HIDDEN,
        b"POST /healthz HTTP/1.1\r\n\r\n" + HIDDEN,
    ],
)
def test_a_request_whose_end_is_unclear_is_the_last_of_its_connection(gateway: Gateway, sent: bytes) -> None:
    answers, is_ended = exchange(gateway.address, sent)
    assert read_codes(answers) == [400]
    assert is_ended


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /api/v1/myself?x=" + b"a" * 64 * 1024,
        b"no request\r\n\r\n",
        b"GET /ws?x=" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused_as_everything_else_is(gateway: Gateway, sent: bytes) -> None:
    answer, is_ended = exchange(gateway.address, sent)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert is_ended
    assert b"content-type: application/problem+json" in head.lower()
    assert b"x-content-type-options: nosniff" in head.lower()
    problem = json.loads(body)
    assert (problem["status"], "shorten query and headers" in problem["detail"]) == (400, True)


def test_a_folded_line_is_no_header_and_a_bare_line_feed_ends_a_line_for_us_as_for_proxies(gateway: Gateway) -> None:
    folded = (
        b"GET /api/v1/cluster-workflow-definitions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"X: a\r\n Authorization: Bearer b\r\n\r\n"
    )
    answers, _ = exchange(gateway.address, folded)
    assert (read_codes(answers), b"send a token" in answers) == ([401], True)
    bare = b"GET /healthz HTTP/1.1\nHost: x\nConnection: close\nContent-Length: %d\n\n" % len(HIDDEN) + HIDDEN
    answers, _ = exchange(gateway.address, bare)
    assert read_codes(answers) == [200], "the body of the first is no second request"


def test_a_head_without_end_is_refused_early(gateway: Gateway) -> None:
    before = read_memory(gateway.process.pid)
    peer = connect_raw(gateway.address)
    sent = 0
    with peer:
        peer.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ")
        try:
            while sent < 64 * MIB:
                peer.sendall(b"a" * MIB)
                sent += MIB
        except ConnectionError:
            pass
    assert sent < 16 * MIB
    assert read_memory(gateway.process.pid) - before < 16 * MIB


@pytest.mark.parametrize("host", [b"[", b"evil.example", b"a/#", b"x\xff"])
def test_a_strange_host_changes_nothing_in_the_answer(gateway: Gateway, host: bytes) -> None:
    for path, code in ((b"/api/v1/nothing", 404), (b"/api/v1/agentic-sessions/team", 401), (b"/api/v1//", 404)):
        sent = b"GET " + path + b" HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
        answers, _ = exchange(gateway.address, sent)
        assert read_codes(answers) in ([code], [400]), answers
        assert b"ocation:" not in answers
        assert b"evil.example" not in answers


def test_who_sends_a_request_slowly_or_never_is_cut_off_and_others_are_served(hasty: Gateway) -> None:
    starts = [
        b"",
        b"GET / HTT",
        b"GET /healthz HTTP/1.1\r\nX: a",
        a_post(b"Content-Length: 100\r\n", body=b"{"),
        a_post(CHUNKED, body=b"1\r\na\r\n"),
        # A whole one, then the beginning of another.
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /h",
    ]
    with ExitStack() as stack:
        peers = [stack.enter_context(connect_raw(hasty.address)) for _ in range(10 * len(starts))]
        for number, peer in enumerate(peers):
            peer.sendall(starts[number % len(starts)])
        assert hasty.call("GET", "/healthz").code == 200
        # A byte now and then does not help.
        for _ in range(2):
            time.sleep(1)
            for peer in peers[1 :: len(starts)]:
                with suppress(OSError):
                    peer.sendall(b"P")
        for peer in peers:
            with suppress(ConnectionError):
                while peer.recv(65536):
                    pass
    assert hasty.call("GET", "/healthz").code == 200


def test_names_in_bodies_and_queries_lead_to_no_other_path(gateway: Gateway, space: Space, somebody: Somebody) -> None:
    alice = somebody("alice", "agentic-view", "agentic-edit")
    for name in ("../agenticsessions/x", "x?watch=true", ".", "..", "x/../y", "x%2f..", "é", "x\n"):
        body = {"spec": {"workflowRef": {"name": name}}}
        reply = gateway.call("POST", f"/api/v1/agentic-sessions/{space.name}", body, token=alice.token)
        assert reply.code in (400, 422), (name, reply.body)
    paths = ["%2e", "%2e%2e", "..%2f..%2fsecrets", "s1%3fwatch=true", "%C3%A9", "s1%0a", "s1%00"]
    for path in paths:
        assert gateway.call("GET", f"/api/v1/agentic-sessions/{space.name}/{path}", token=alice.token).code in (
            400,
            404,
        )
        where = f"{gateway.address.replace('http', 'ws', 1)}/ws?sessionName={space.name}/{path}"
        headers = {"Authorization": f"Bearer {alice.token}"}
        with pytest.raises(InvalidStatus) as refused:
            asyncio.run(_open(where, headers))
        assert refused.value.response.status_code in (400, 404)
    assert "Traceback" not in gateway.log


async def _open(where: str, headers: dict[str, str], origin: str | None = None) -> None:
    extra: dict[str, Any] = {} if origin is None else {"origin": origin}
    async with connect(where, additional_headers=headers, proxy=None, **extra):
        pass


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "file://", "http://127.0.0.1", "http://127.0.0.1:1"]
)
async def test_a_page_of_another_site_opens_no_stream(
    gateway: Gateway, space: Space, somebody: Somebody, uid: str, origin: str
) -> None:
    viewer = somebody("viewer", "agentic-view")
    with pytest.raises(InvalidStatus) as refused:
        await _open(stream_address(gateway.address, space), {"Authorization": f"Bearer {viewer.token}"}, origin)
    assert refused.value.response.status_code == 403


def test_what_strangers_send_stays_in_its_line_of_the_log(gateway: Gateway, space: Space, somebody: Somebody) -> None:
    alice = somebody("alice", "agentic-view")
    forged = "ERROR   forged by a stranger"
    for path in (f"/api/v1/x%0a{forged.replace(' ', '%20')}", f"/ws?sessionName=a/b%0d%0a{forged.replace(' ', '%20')}"):
        gateway.call("GET", path, token=alice.token, headers={"User-Agent": "\x1b[31mred"})
    gateway.call("GET", f"/api/v1/agentic-sessions/{space.name}", token="nobody\u202e".encode().decode("latin-1"))
    lines = gateway.log.splitlines()
    assert not [line for line in lines if line.startswith(forged)]
    assert "\x1b" not in gateway.log
    assert alice.token not in gateway.log


def test_many_unknown_tokens_and_sessions_leave_nothing_behind(
    gateway: Gateway, space: Space, somebody: Somebody
) -> None:
    viewer = somebody("viewer", "agentic-view")

    def ask(number: int) -> int:
        token = viewer.token if number % 2 else f"stranger-{number}"
        return gateway.call("GET", f"/api/v1/agentic-sessions/{space.name}/none-{number}/stream", token=token).code

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(50)))
        before, descriptors = read_memory(gateway.process.pid), count_descriptors(gateway.process.pid)
        codes = set(pool.map(ask, range(50, 350)))
    assert codes <= {401, 404, 429}
    assert read_memory(gateway.process.pid) - before < 8 * MIB
    assert count_descriptors(gateway.process.pid) <= descriptors + 8


def list_children(pid: int) -> list[int]:
    """Return a process's children."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def test_schemas_that_take_long_hold_up_nobody(gateway: Gateway, space: Space, somebody: Somebody) -> None:
    """While the process that checks does not go on at all, everybody else is answered."""
    space.define(inputSchema={"type": "string", "pattern": "^(a|a)*$", "minLength": 1})
    alice = somebody("alice", "agentic-view")
    path = f"/api/v1/workflow-definitions/{space.name}/report/check"
    body = {"inputs": "a" * 100_000 + "!"}
    # One that ends well leaves its process for the next one.
    assert gateway.call("POST", path, {"inputs": "aa"}, token=alice.token).body["valid"]
    workers = list_children(gateway.process.pid)
    assert workers
    with ThreadPoolExecutor(1) as pool:
        for worker in workers:
            os.killpg(worker, signal.SIGSTOP)
        try:
            check = pool.submit(partial(gateway.call, "POST", path, body, token=alice.token))
            for _ in range(20):
                assert gateway.call("GET", "/healthz").code == 200
            assert gateway.call("GET", f"/api/v1/agentic-sessions/{space.name}", token=alice.token).code == 200
            assert not check.done(), check.result()
        finally:
            for worker in workers:
                os.killpg(worker, signal.SIGCONT)
    assert check.result().code in (200, 503)
    assert not check.result().body.get("valid")


# -- streams


@pytest.mark.parametrize(
    ("pieces", "code"),
    [
        ([build_ws_frame(1, b"", length=1 << 40)], 1009),
        ([build_ws_frame(1, b"x" * 300_000)], 1009),
        (
            [build_ws_frame(1, b"x" * 100_000, is_last=False), *[build_ws_frame(0, b"x" * 100_000, is_last=False)] * 2],
            1009,
        ),
        ([build_ws_frame(1, b"a", is_last=False), build_ws_frame(1, b"b")], 1002),
        ([build_ws_frame(0, b"a")], 1002),
        ([build_ws_frame(1, b"\x4a\x4c\x84\x61", flags=0x40)], 1002),
        ([build_ws_frame(9, b"x" * 126)], 1002),
        ([build_ws_frame(9, b"x", is_last=False)], 1002),
        ([build_ws_frame(3, b"x")], 1002),
        ([build_ws_frame(1, b"\xff\xfe")], 1007),
        ([build_ws_frame(2, b"{}")], 1003),
        ([b"\x81\x02{}"], 1002),
    ],
)
def test_a_frame_that_is_none_ends_the_stream_with_its_code(
    gateway: Gateway, space: Space, somebody: Somebody, uid: str, pieces: list[bytes], code: int
) -> None:
    peer, head = open_websocket(gateway.address, space, somebody("viewer", "agentic-view"))
    with peer:
        assert b" 101 " in head
        for piece in pieces:
            peer.sendall(piece)
        came = b""
        while read_close_code(came) is None:
            more = peer.recv(65536)
            assert more, came
            came += more
        assert read_close_code(came) == code


def test_compression_is_not_offered_so_that_nothing_small_becomes_large(
    gateway: Gateway, space: Space, somebody: Somebody, uid: str
) -> None:
    peer, head = open_websocket(
        gateway.address, space, somebody("viewer", "agentic-view"), extensions="permessage-deflate"
    )
    with peer:
        assert b" 101 " in head
        assert b"permessage-deflate" not in head.lower()


async def test_messages_that_are_no_json_or_nothing_that_is_known_are_told_so_and_end_nothing(
    gateway: Gateway, space: Space, somebody: Somebody, store: Database, uid: str
) -> None:
    hostile = [
        "",
        "null",
        "[]",
        "NaN",
        '{"type": "ping", "id": NaN}',
        '{"type": "ping", "type": "user_input"}',
        '{"type": "ping", "id": "\\ud800"}',
        '{"type": "ping", "id": 1e999}',
        '{"type": "user_message", "data": {"input": ' + "9" * 5000 + "}}",
        '{"type": "user_message", "data": {"input": ' + "[" * 5000 + "]" * 5000 + "}}",
        '{"type": "user_message", "data": ["a"]}',
        '{"type": "user_message", "data": {"input": 1, "by": "somebody else"}}',
        '{"type": "user_input", "data": {"interruptId": {"a": 1}}}',
        '{"type": "user_input", "data": {"interruptId": "none", "value": 1}}',
        '{"type": {"$ne": 1}}',
        '{"type": "' + "x" * 10_000 + '"}',
    ]
    alice = somebody("alice", "agentic-view", "agentic-edit")
    async with following(gateway.address, space, alice) as connection:
        for text in hostile:
            await connection.send(text)
            (told,) = await receive(connection, 1)
            problem = told["data"]["metadata"]["problem"]
            assert (told["type"], told["seq"]) == ("error", None), text
            assert 400 <= problem["status"] < 500, (text, problem)
        await append(store, uid, [1])
        assert (await receive(connection, 1))[0]["seq"] == 1
    assert "Traceback" not in gateway.log


@pytest.mark.parametrize("opcode", [9, 10])
async def test_a_flood_of_pings_fills_no_memory_and_disturbs_nobody(
    gateway: Gateway, space: Space, somebody: Somebody, store: Database, uid: str, opcode: int
) -> None:
    viewer = somebody("viewer", "agentic-view")
    before = read_memory(gateway.process.pid)
    async with following(gateway.address, space, viewer) as other:
        peer, _ = await asyncio.to_thread(open_websocket, gateway.address, space, viewer, buffer_bytes=4096)
        with peer:
            flooding = asyncio.create_task(asyncio.to_thread(_flood, peer, build_ws_frame(opcode, b"x" * 125) * 500))
            for number in range(1, 6):
                await append(store, uid, [number])
                assert [frame["seq"] for frame in await receive(other, 1)] == [number]
            await flooding
            grown = read_memory(gateway.process.pid) - before
    assert grown < 16 * MIB, f"{grown / MIB:.0f} MiB"


def _flood(peer: socket.socket, data: bytes) -> None:
    """Send, and read nothing, for four seconds or until nothing more is taken."""
    peer.settimeout(2)
    deadline = time.monotonic() + 4
    try:
        while time.monotonic() < deadline:
            peer.sendall(data)
    except OSError:
        pass


async def test_who_reads_nothing_or_a_byte_a_second_is_cut_off_and_the_others_get_all(
    hasty: Gateway, space: Space, somebody: Somebody, store: Database, uid: str
) -> None:
    viewer = somebody("viewer", "agentic-view")
    pid = hasty.process.pid
    async with following(hasty.address, space, viewer) as other:
        await append(store, uid, range(100), size=1000)
        await receive(other, 100)
        descriptors, memory = count_descriptors(pid), read_memory(pid)
        with ExitStack() as stack:
            opened = [
                await asyncio.to_thread(open_websocket, hasty.address, space, viewer, buffer_bytes=4096) for _ in "ab"
            ]
            stalled = [stack.enter_context(peer) for peer, _ in opened]
            stalled += [
                stack.enter_context(open_events(hasty.address, space, viewer, buffer_bytes=4096)) for _ in range(2)
            ]
            for _ in range(5):
                await append(store, uid, range(1000), size=1000)
                await receive(other, 1000)
                for peer in stalled[::2]:
                    await asyncio.to_thread(_sip, peer)
            gone = partial(count_descriptors, pid)
            await asyncio.to_thread(
                wait_for, gone, lambda n: n <= descriptors + 1, what="the stalled cut off", timeout_seconds=60
            )
        grown = read_memory(pid) - memory
        await append(store, uid, [1])
        assert (await receive(other, 1))[0]["seq"] == 5101
    assert grown < 32 * MIB, f"{grown / MIB:.0f} MiB"


def _sip(peer: socket.socket) -> None:
    peer.settimeout(1)
    with suppress(OSError):
        peer.recv(1)


async def test_a_peer_that_vanished_without_a_word_is_noticed(
    hasty: Gateway, space: Space, somebody: Somebody, store: Database, uid: str
) -> None:
    viewer = somebody("viewer", "agentic-view")
    async with AsyncExitStack() as stack:
        link = await stack.enter_async_context(open_link(hasty.address))
        before = count_descriptors(hasty.process.pid)
        lost = await stack.enter_async_context(following(link.url, space, viewer, ping_interval=None))
        await append(store, uid, [1])
        await receive(lost, 1)
        assert count_descriptors(hasty.process.pid) > before
        link.freeze()
        # Two thirds of the limit until the ping, as much for its answer, and the end of the connection.
        await asyncio.to_thread(
            wait_for,
            partial(count_descriptors, hasty.process.pid),
            lambda n: n <= before + 1,
            what="the dead peer noticed",
            timeout_seconds=2 * HASTY + 15,
        )
        link.cut()


@pytest.mark.parametrize(
    ("at", "type_", "data"),
    [
        ("now", "custom", '{"n": 1e5000}'),
        ("now", "custom", '{"n": [1e131071, 1e131071, 1e131071, 1e131071, 1e131071, 1e131071, 1e131071, 1e131071, 1]}'),
        ("now", "custom", "[1, 2]"),
        ("now", "node_started", '{"node": {"a": [1]}, "message": 7}'),
        ("now", "custom", '"text"'),
        ("infinity", "custom", "{}"),
        ("-infinity", "custom", "{}"),
        ("4713-01-01 BC", "custom", "{}"),
        ("now", "x" * 100_000, "{}"),
        ("now", "custom", '{"message": "\\u001b[2J\\r\\n\\ndata: forged"}'),
    ],
)
async def test_a_row_that_pod_code_wrote_stops_no_stream(
    gateway: Gateway,
    space: Space,
    somebody: Somebody,
    store: Database,
    events: PostgresDatabase,
    uid: str,
    at: str,
    type_: str,
    data: str,
) -> None:
    viewer = somebody("viewer", "agentic-view")
    insert = "INSERT INTO session_events (session_uid, seq, run, at, type, data) VALUES (%s, 1, 1, %s, %s, %s::jsonb)"
    events.execute(insert, [uid, at, type_, data])
    await append(store, uid, [2])
    async with following(gateway.address, space, viewer) as connection:
        found = await receive(connection, 2)
    assert [frame["seq"] for frame in found] == [1, 2]
    assert len(json.dumps(found[0])) < 2 * MIB
    page = gateway.call("GET", f"/api/v1/agentic-sessions/{space.name}/s1/events", token=viewer.token)
    assert (page.code, page.body["items"]) == (200, found)
    with open_events(gateway.address, space, viewer) as peer:
        came = b""
        while b"id: 0-2\n" not in came:
            came += peer.recv(65536)
    assert b"\ndata: forged" not in came


# -- rights


async def test_a_stream_ends_with_the_right_the_token_or_the_session(
    hasty: Gateway, space: Space, somebody: Somebody, store: Database, uid: str
) -> None:
    removed, bound, stays = (somebody(name, "agentic-view") for name in ("removed", "bound", "stays"))
    prefix = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space.name}/rolebindings"
    async with AsyncExitStack() as stack:
        streams = {
            client: await stack.enter_async_context(following(hasty.address, space, client))
            for client in (removed, bound, stays)
        }
        events = await stack.enter_async_context(_Events(hasty.address, space, bound))
        space.plane.request("DELETE", f"/api/v1/namespaces/{space.name}/serviceaccounts/removed")
        for each in space.plane.request("GET", prefix)["items"]:
            if each["subjects"][0]["name"] == "bound":
                space.plane.request("DELETE", f"{prefix}/{each['metadata']['name']}")
        assert (await wait_closed(streams[removed]))[0] == 4401
        assert (await wait_closed(streams[bound]))[0] == 4403
        last = await asyncio.to_thread(events.read_last)
        assert (last["type"], last["data"]["metadata"]["problem"]["status"]) == ("error", 403)
        await append(store, uid, [1])
        assert (await receive(streams[stays], 1))[0]["seq"] == 1
        space.delete("s1")
        assert (await wait_closed(streams[stays]))[0] == 4404


class _Events:
    """Server-Sent Events, read to their end."""

    def __init__(self, address: str, space: Space, client: Client) -> None:
        self._open = partial(open_events, address, space, client)

    async def __aenter__(self) -> "_Events":
        self._peer = await asyncio.to_thread(self._open)
        # The head: the stream is on.
        await asyncio.to_thread(self._peer.recv, 16)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._peer.close()

    def read_last(self) -> Json:
        """Return the last message before the server's end."""
        came = b""
        while b"0\r\n\r\n" not in came[-8:] and (piece := self._peer.recv(65536)):
            came += piece
        lines = [line for line in came.decode().splitlines() if line.startswith("data: ")]
        found: Json = read_frame(lines[-1].removeprefix("data: "))
        return found


async def test_what_comes_over_a_stream_never_acts_on_the_next_session_of_the_name(
    gateway: Gateway, space: Space, somebody: Somebody, store: Database
) -> None:
    space.define()
    await start_followed(space, store)
    alice = somebody("alice", "agentic-view", "agentic-edit")
    async with following(gateway.address, space, alice) as connection:
        space.delete("s1")
        space.wait_gone("s1")
        space.start("s1", mode="Conversation")
        ask(space, "q1")
        for message in (
            {"type": "user_input", "data": {"interruptId": "q1", "value": True}},
            {"type": "user_message", "data": {"input": 1}},
        ):
            await connection.send(json.dumps(message))
            (told,) = await receive(connection, 1)
            assert told["data"]["metadata"]["problem"]["status"] == 410, told
    spec = space.session("s1")["spec"]
    assert not spec.get("responses")
    assert not spec.get("turns")


def ask(space: Space, *ids: str, name: str = "s1", schema: object = None) -> None:
    """Let a session that was just made wait for answers to these questions."""
    questions = [
        {
            "id": id_,
            "prompt": "ok?",
            "askedAt": "2026-01-01T00:00:00Z",
            **({} if schema is None else {"schema": schema}),
        }
        for id_ in ids
    ]
    space.report(name, phase="Creating", run=1)
    space.report(name, phase="Running")
    space.report(name, phase="WaitingForInput", interrupts=questions)


async def test_a_client_of_one_session_never_gets_what_is_anothers(
    gateway: Gateway, space: Space, somebody: Somebody, store: Database, uid: str
) -> None:
    viewer = somebody("viewer", "agentic-view")
    other = await start_followed(space, store, "s2")
    async with following(gateway.address, space, viewer) as one, following(gateway.address, space, viewer, "s2") as two:
        for number in range(0, 300, 3):
            await append(store, uid, [number, number + 1])
            await append(store, other, [-number - 1])
        mine, theirs = await receive(one, 200), await receive(two, 100)
    assert [frame["data"]["metadata"]["data"] for frame in mine] == [n for n in range(300) if n % 3 != 2]
    assert [frame["data"]["metadata"]["data"] for frame in theirs] == [-n - 1 for n in range(0, 300, 3)]


# -- answers


async def test_of_two_answers_over_two_replicas_one_is_taken_and_the_other_told(
    gateway: Gateway, second_gateway: Gateway, space: Space, somebody: Somebody
) -> None:
    space.define()
    space.start("s1")
    ids = [f"q{number}" for number in range(6)]
    ask(space, *ids)
    alice, bob = (somebody(name, "agentic-view", "agentic-edit") for name in ("alice", "bob"))
    path = f"/api/v1/agentic-sessions/{space.name}/s1/responses"

    def give(at: Gateway, client: Client, id_: str, value: object) -> int:
        return at.call("POST", path, {"interruptId": id_, "value": value}, token=client.token).code

    for number, id_ in enumerate(ids):
        # Two persons, and one person twice.
        second = bob if number % 2 else alice
        codes = await asyncio.gather(
            asyncio.to_thread(give, gateway, alice, id_, "one"),
            asyncio.to_thread(give, second_gateway, second, id_, "two"),
        )
        assert sorted(codes) == [202, 409]
        stored = [each["value"] for each in space.session("s1")["spec"]["responses"] if each["interruptId"] == id_]
        assert stored == ["one" if codes[0] == 202 else "two"]


async def test_an_answer_that_is_late_doubled_wrong_or_unfitting_is_told_so_by_its_type(
    gateway: Gateway, space: Space, somebody: Somebody, store: Database, uid: str
) -> None:
    ask(space, "open", "answered", schema={"type": "boolean"})
    questions = space.status("s1")["interrupts"]
    questions[1].update({"answer": True, "answeredAt": "2026-01-01T00:01:00Z"})
    space.report("s1", interrupts=questions)
    alice, bob = (somebody(name, "agentic-view", "agentic-edit") for name in ("alice", "bob"))

    async def give(client: Client, id_: str, value: object, **more: object) -> tuple[int, str]:
        data = {"interruptId": id_, "value": value, **more}
        path = f"/api/v1/agentic-sessions/{space.name}/s1/responses"
        reply = await asyncio.to_thread(gateway.call, "POST", path, data, token=client.token)
        async with following(gateway.address, space, client) as connection:
            await connection.send(json.dumps({"type": "user_input", "id": 7, "data": data}))
            (told,) = await receive(connection, 1)
        metadata = told["data"]["metadata"]
        assert metadata["id"] == 7
        if reply.code < 300:
            assert told["type"] == "user_input"
            return reply.code, ""
        # Both ways say the same.
        assert (told["type"], metadata["problem"]["type"]) == ("error", reply.body["type"])
        return reply.code, str(reply.body["type"]).rpartition(":")[2]

    assert await give(alice, "open", "yes") == (400, "invalid-input")
    assert await give(alice, "none", True) == (404, "not-found")
    assert await give(alice, "answered", True) == (409, "conflict")
    assert await give(alice, "open", True, digest="no digest") == (400, "bad-request")
    assert await give(alice, "open", True) == (202, "")
    assert await give(alice, "open", False) == (409, "conflict")
    assert await give(bob, "open", True) == (409, "conflict")
    space.report("s1", phase="Running", interrupts=[])
    assert await give(alice, "open", True) == (404, "not-found")
