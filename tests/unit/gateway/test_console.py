"""The console's files: what is served where, how long it may be kept, and what stays the API's."""

import gzip
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

import httpx
import pytest
from fastapi import FastAPI

from agentic_gateway.app import build_app
from agentic_gateway.config import InvalidSetting, Variables
from agentic_gateway.main import find_console
from agentic_gateway.web.console import Console, read_console

PAGE = b'<meta name="agentic-root" content="./" /><script type="module" src="./assets/index-1a2B3c_-.js"></script>'
SCRIPT = b"console.log(1);" * 100
FILES = {
    "index.html": PAGE,
    "assets/index-1a2B3c_-.js": SCRIPT,
    "icon.svg": b"<svg/>",
    "manifest.json": b"{}",
}
NAVIGATION = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@cache
def make_app(files: tuple[tuple[str, bytes], ...]) -> FastAPI:
    """Return the application with a console of these files; to build it takes longer than any answer."""

    def no_context() -> object:
        raise AssertionError("nothing here needs a context")

    return build_app(no_context, console=Console(dict(files)))  # type: ignore[arg-type]  # never opened


async def get(
    path: str,
    headers: Mapping[str, str] = MappingProxyType({}),
    *,
    console: Mapping[str, bytes] = FILES,
    method: str = "GET",
) -> httpx.Response:
    transport = httpx.ASGITransport(make_app(tuple(console.items())))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        return await client.request(method, path, headers={"accept-encoding": "identity", **headers})


async def test_a_hashed_file_is_kept_for_ever_and_comes_compressed_where_that_is_understood() -> None:
    plain = await get("/assets/index-1a2B3c_-.js")
    assert (plain.status_code, plain.content) == (200, SCRIPT)
    assert plain.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert plain.headers["content-type"] == "text/javascript; charset=utf-8"
    assert plain.headers["x-content-type-options"] == "nosniff"
    small = await get("/assets/index-1a2B3c_-.js", {"accept-encoding": "br, gzip;q=0.5"})
    assert (small.headers["content-encoding"], small.content) == ("gzip", SCRIPT)
    assert int(small.headers["content-length"]) < len(gzip.compress(SCRIPT)) + 1
    refused = await get("/assets/index-1a2B3c_-.js", {"accept-encoding": "gzip;q=0"})
    assert "content-encoding" not in refused.headers


@pytest.mark.parametrize(
    ("path", "root"),
    [
        ("/", "./"),
        ("/sessions", "./"),
        ("/sessions/", "../"),
        ("/sessions/team/s1?tab=graph", "../../"),
        ("/sessions/team/a%2Fb", "../../"),
        ("/new/team/report", "../../"),
    ],
)
async def test_every_page_leads_to_the_root_by_how_deep_it_is(path: str, root: str) -> None:
    answer = await get(path, NAVIGATION)
    assert answer.status_code == 200
    assert f'content="{root}"' in answer.text
    assert f'src="{root}assets/index-1a2B3c_-.js"' in answer.text
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["content-security-policy"].startswith("default-src 'self';")
    assert "unsafe" not in answer.headers["content-security-policy"]
    known = await get(path, {**NAVIGATION, "if-none-match": answer.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")


async def test_a_browser_that_looks_for_what_is_no_page_is_shown_the_console_with_404() -> None:
    answer = await get("/no-such-page", NAVIGATION)
    assert (answer.status_code, "agentic-root" in answer.text) == (404, True)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/no-such-thing",
        "/api",
        "/auth/no-such-thing",
        "/ws/x",
        "/assets/old-00000000.js",
        "/metrics",
        "/manifest.json",
        "/sessions/../../etc/passwd",
        "/assets/..%2F..%2F..%2Fetc%2Fpasswd",
    ],
)
async def test_what_is_no_page_stays_a_problem_for_browsers_too(path: str) -> None:
    answer = await get(path, NAVIGATION if "passwd" not in path and path != "/manifest.json" else {})
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "headers",
    [
        {"accept": "application/json"},
        {},
        # A script's fetch says so, whatever it accepts.
        {"accept": "text/html", "sec-fetch-mode": "cors"},
    ],
)
async def test_only_navigations_are_answered_with_the_page(headers: dict[str, str]) -> None:
    assert (await get("/sessions", headers)).headers["content-type"] == "application/problem+json"


async def test_other_methods_are_not_answered_by_the_console() -> None:
    assert (await get("/sessions", NAVIGATION, method="POST")).status_code == 404
    assert (await get("/icon.svg", method="DELETE")).status_code == 404
    head = await get("/icon.svg", method="HEAD")
    assert (head.status_code, head.headers["content-length"]) == (200, "6")


async def test_without_a_console_a_browser_reads_how_to_get_one() -> None:
    answer = await get("/", NAVIGATION, console={})
    assert (answer.status_code, "make console" in answer.text) == (404, True)
    assert (await get("/", console={})).headers["content-type"] == "application/problem+json"


def test_a_folder_without_a_console_is_refused_where_it_was_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="CONSOLE_DIR"):
        find_console(Variables(CONSOLE_DIR=str(tmp_path)))
    assert not find_console(Variables(CONSOLE_DIR="off")).is_built
    assert not find_console(Variables()).is_built
    (tmp_path / "index.html").write_bytes(PAGE)
    (tmp_path / ".hidden").write_text("x")
    assert find_console(Variables(CONSOLE_DIR=str(tmp_path))).is_built
    assert read_console(tmp_path / "missing").is_built is False
