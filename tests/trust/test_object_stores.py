"""A server that a namespace's admin chose as its object store: the operator asks it, and nobody else waits for it."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from agentic_core.errors import TransientError
from agentic_operator.database import result_links as results
from agentic_operator.database.result_links import ResultRemover
from agentic_store.results import objects
from agentic_store.results.objects import ObjectStore, ObjectStoreConfig, ObjectStoreUnavailable

Send = Callable[[bytes], None]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nTransfer-Encoding: chunked\r\n\r\n"


def endless(send: Send) -> None:
    send(HEAD)
    while True:
        send(b"100000\r\n" + b" " * 0x100000 + b"\r\n")


def drip(send: Send) -> None:
    send(HEAD)
    while True:
        send(b"1\r\n \r\n")
        time.sleep(0.05)


def silent(send: Send) -> None:
    time.sleep(3600)


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[Send], None]], str]]:
    """Serve any request by a function, on a port of its own; return the endpoint."""
    listeners = []

    def start(behaviour: Callable[[Send], None]) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def answer(client: socket.socket) -> None:
            try:
                client.recv(65536)
                behaviour(client.sendall)
            except OSError:
                pass
            finally:
                client.close()

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener in listeners:
        listener.close()


def a_store(endpoint: str) -> ObjectStore:
    return ObjectStore(ObjectStoreConfig(endpoint=endpoint, bucket="bucket", access_key="a", secret_key="s"))


@pytest.mark.parametrize("behaviour", [endless, drip])
def test_no_answer_of_a_store_is_read_without_bounds(
    serve: Callable[[Callable[[Send], None]], str], behaviour: Callable[[Send], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "_ANSWER_SECONDS", 1.0)
    began = time.monotonic()
    with pytest.raises(ObjectStoreUnavailable, match="an answer of more than"):
        a_store(serve(behaviour)).delete("team/uid/")
    assert time.monotonic() - began < 10


class Row:
    run = 1

    def __init__(self, project_name: str) -> None:
        self.project_name = project_name


class Both:
    """The seams of the remover: rows by uid, and a store for each namespace."""

    def __init__(self, stores: dict[str, ObjectStore]) -> None:
        self._stores = stores

    async def get(self, uid: str) -> Row:
        return Row(uid.split("/")[0])

    async def find(self, namespace: str) -> ObjectStore:
        return self._stores[namespace]


async def test_nobody_waits_for_the_store_of_another_namespace(
    serve: Callable[[Callable[[Send], None]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "REMOVAL_SECONDS", 3.0)
    monkeypatch.setattr(objects, "_READ_SECONDS", 4.0)

    def empty(send: Send) -> None:
        body = b"<Result><Bucket>bucket</Bucket><Name>bucket</Name><IsTruncated>false</IsTruncated></Result>"
        send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    seams = Both({"raider": a_store(serve(silent)), "team": a_store(serve(empty))})
    remover = ResultRemover(seams, seams)  # type: ignore[arg-type]  # of both it asks for one method

    async def remove(uid: str) -> float:
        began = time.monotonic()
        try:
            await remover.remove(uid)
        except TransientError as error:
            print(error)
            return -1.0
        return time.monotonic() - began

    raids = [asyncio.create_task(remove(f"raider/{n}")) for n in range(50)]
    await asyncio.sleep(0.2)
    assert 0 <= await remove("team/1") < 3
    assert set(await asyncio.gather(*raids)) == {-1.0}
    # Threads that wait for it are one, and what the loop does in its own threads goes on.
    assert await asyncio.wait_for(asyncio.to_thread(lambda: True), 1)
