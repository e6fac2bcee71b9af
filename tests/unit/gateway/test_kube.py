"""Requests to the API server: paths that lead nowhere else, and nothing that one caller leaves to the next."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from agentic_gateway.kube.client import SESSIONS, is_name, object_path, open_kube
from agentic_gateway.problems import Refused

WRONG = [
    "..",
    ".",
    "a/b",
    "a?watch=true",
    "a#b",
    "a%2fb",
    "-a",
    "a-",
    "a..b",
    "A",
    "é",
    "²",
    "a\n",
    "a b",
    "",
    "x" * 254,
]


@pytest.mark.parametrize("text", WRONG)
def test_what_could_lead_elsewhere_is_no_name(text: str) -> None:
    assert not is_name(text)
    if text:
        with pytest.raises(Refused, match="no name of an object"):
            object_path(SESSIONS, "team", text)
        with pytest.raises(Refused):
            object_path(SESSIONS, text, "s1")


@given(st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?(\.[a-z0-9]{1,9}){0,3}", fullmatch=True))
def test_names_of_objects_make_paths(name: str) -> None:
    assert object_path(SESSIONS, "team", name).endswith(f"/namespaces/team/agenticsessions/{name}")


@pytest.fixture
async def greedy_server() -> AsyncIterator[tuple[str, list[str | None]]]:
    """A server that tells each caller from the last one by a cookie, as proxies with log-ins do."""
    seen: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Cookie"))
        return web.json_response({}, headers={"Set-Cookie": f"login={request.headers['Authorization']}; Path=/"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://localhost:{runner.addresses[0][1]}", seen
    await runner.cleanup()


async def test_a_cookie_of_one_caller_is_sent_with_no_other_request(
    greedy_server: tuple[str, list[str | None]],
) -> None:
    server, seen = greedy_server
    async with open_kube(server) as kube:
        for token in ("alice", "bob"):
            await kube.request("GET", "/api", token=token)
    assert seen == [None, None]
