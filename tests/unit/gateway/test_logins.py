"""How a log-in goes on and ends: refreshed early, by one at a time, and over where the provider says so."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

import pytest

from agentic_gateway.auth.logins import Logins
from agentic_gateway.auth.oidc.provider import NotLoggedIn, Provider, Tokens
from agentic_gateway.problems import Refused
from agentic_store.gateway_logins import Login, PostgresLogins

START = datetime(2026, 1, 1, tzinfo=UTC)


class Rows:
    """One log-in in memory."""

    def __init__(self) -> None:
        self.login: Login | None = None
        self.claimed: set[int] = set()

    async def add(self, hash_: bytes, username: str, sealed: bytes, **_: object) -> None:
        self.login = Login(hash_, username, sealed, 0, START, START)

    async def get(self, hash_: bytes) -> Login | None:
        return self.login if self.login is not None and self.login.hash == hash_ else None

    async def claim_refresh(self, _hash: bytes, version: int, **_: object) -> bool:
        is_first = version not in self.claimed
        self.claimed.add(version)
        return is_first

    async def replace(self, _hash: bytes, version: int, sealed: bytes) -> bool:
        if self.login is None or self.login.version != version:
            return False
        self.login = replace(self.login, sealed=sealed, version=version + 1)
        return True

    async def remove(self, _hash: bytes) -> bool:
        self.login = None
        return True


class Idp:
    """A provider whose refresh tokens serve once."""

    def __init__(self) -> None:
        self.used: list[str] = []
        self.refuses = False

    async def refresh(self, refresh_token: str, subject: str) -> Tokens:
        await asyncio.sleep(0)
        if self.refuses or refresh_token in self.used:
            raise NotLoggedIn("invalid_grant")
        self.used.append(refresh_token)
        return Tokens(f"id{len(self.used)}", f"r{len(self.used)}", subject, 10_000)


@pytest.fixture
def now() -> list[float]:
    return [1_000.0]


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def idp() -> Idp:
    return Idp()


@pytest.fixture
def logins(rows: Rows, idp: Idp, now: list[float]) -> Logins:
    return Logins(cast("Provider", idp), cast("PostgresLogins", rows), seconds=60, clock=lambda: now[0])


async def test_a_token_is_refreshed_before_it_ends_and_once(
    logins: Logins, rows: Rows, idp: Idp, now: list[float]
) -> None:
    cookie = await logins.begin("alice", Tokens("id0", "r0", "sub", 1_300))
    assert await logins.find_token(cookie) == "id0"
    now[0] = 1_271.0
    assert set(await asyncio.gather(*(logins.find_token(cookie) for _ in range(5)))) == {"id1"}
    assert idp.used == ["r0"]
    assert rows.login is not None
    assert b"id1" not in rows.login.sealed


async def test_a_log_in_that_the_provider_ends_is_over(logins: Logins, rows: Rows, idp: Idp, now: list[float]) -> None:
    cookie = await logins.begin("alice", Tokens("id0", "r0", "sub", 1_300))
    now[0] = 1_290.0
    idp.refuses = True
    with pytest.raises(Refused) as refused:
        await logins.find_token(cookie)
    assert refused.value.status == 401
    assert rows.login is None


async def test_without_a_refresh_token_it_lasts_as_long_as_its_token(
    logins: Logins, rows: Rows, now: list[float]
) -> None:
    cookie = await logins.begin("alice", Tokens("id0", "", "sub", 1_300))
    now[0] = 1_299.0
    assert await logins.find_token(cookie) == "id0"
    now[0] = 1_300.0
    with pytest.raises(Refused):
        await logins.find_token(cookie)
    assert rows.login is None


async def test_a_log_out_during_a_refresh_wins(logins: Logins, rows: Rows, idp: Idp, now: list[float]) -> None:
    cookie = await logins.begin("alice", Tokens("id0", "r0", "sub", 1_300))
    now[0] = 1_290.0
    asking = asyncio.create_task(logins.find_token(cookie))
    await asyncio.sleep(0)
    await logins.forget(cookie)
    with pytest.raises(Refused):
        await asking


async def test_another_cookie_or_another_name_opens_nothing(logins: Logins, rows: Rows) -> None:
    cookie = await logins.begin("alice", Tokens("id0", "r0", "sub", 9_000))
    for wrong in ("", "A" * 43, cookie[:-1]):
        with pytest.raises(Refused):
            await logins.find_token(wrong)
    assert rows.login is not None
    rows.login = replace(rows.login, username="root")
    with pytest.raises(Refused):
        await logins.find_token(cookie)
