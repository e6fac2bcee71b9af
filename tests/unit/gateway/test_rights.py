"""A stream ends soon after what allowed it: once for all clients of one token, and never because of a bad moment."""

import asyncio
from typing import Any, cast

import pytest

from agentic_gateway.auth.identity import Caller
from agentic_gateway.auth.rights import Rights
from agentic_gateway.kube.client import Kube
from agentic_gateway.problems import Refused

ALICE = Caller("alice", (), "t1", {})
PATIENCE = 20.0


class Server:
    """Answers for one session."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self._changed = asyncio.Condition()
        self.answer: Refused | Exception | dict[str, Any] = {"metadata": {"uid": "u1"}}

    async def request(self, method: str, path: str, *, token: str) -> dict[str, Any]:
        assert method == "GET"
        async with self._changed:
            self.asked.append((path, token))
            self._changed.notify_all()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def wait_asked(self, times: int) -> None:
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: len(self.asked) >= times)


def watching(server: Server) -> Rights:
    return Rights(cast("Kube", server), seconds=0.01)


@pytest.mark.parametrize("kind", ["not-authenticated", "forbidden", "not-found"])
async def test_what_the_api_server_refuses_for_good_ends_the_stream(kind: str) -> None:
    server = Server()
    rights = watching(server)
    with rights.watch(ALICE, "team", "s1", "u1") as ended:
        await server.wait_asked(3)
        assert not ended.done()
        server.answer = Refused(kind, "no")
        assert (await asyncio.wait_for(ended, PATIENCE)).kind == kind
    assert server.asked[0] == ("/apis/agentic-operator.dev/v1alpha1/namespaces/team/agenticsessions/s1", "t1")


async def test_another_session_of_the_same_name_is_not_the_one_that_is_followed() -> None:
    server = Server()
    server.answer = {"metadata": {"uid": "u2"}}
    with watching(server).watch(ALICE, "team", "s1", "u1") as ended:
        assert (await asyncio.wait_for(ended, PATIENCE)).kind == "gone"


@pytest.mark.parametrize("bad", [Refused("unavailable", "busy"), Refused("too-many-requests", "slow"), KeyError("x")])
async def test_a_bad_moment_ends_nothing(bad: Exception) -> None:
    server = Server()
    server.answer = bad
    with watching(server).watch(ALICE, "team", "s1", "u1") as ended:
        await server.wait_asked(4)
        assert not ended.done()
        server.answer = Refused("forbidden", "no")
        assert (await asyncio.wait_for(ended, PATIENCE)).kind == "forbidden"


async def test_clients_of_one_token_are_asked_for_once_and_nothing_is_left_of_them() -> None:
    server = Server()
    rights = watching(server)
    with rights.watch(ALICE, "team", "s1", "u1") as one:
        with rights.watch(ALICE, "team", "s1", "u1") as two:
            assert (one is two, rights.watched) == (True, 1)
            with rights.watch(Caller("bob", (), "t2", {}), "team", "s1", "u1") as three:
                assert (three is one, rights.watched) == (False, 2)
        assert rights.watched == 1
        await server.wait_asked(1)
    assert rights.watched == 0
