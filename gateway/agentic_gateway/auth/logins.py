"""Log-ins of browsers: a cookie that names one, tokens that only the cookie opens, and their refresh.

The cookie holds a random secret. The database has its derived name and the tokens, sealed with a derived key: a copy of
the database logs nobody in.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from agentic_core.errors import AgenticError
from agentic_gateway.auth.oidc.provider import NotLoggedIn, Provider, Tokens
from agentic_gateway.auth.sealing import derive, make_secret, read_secret, seal, unseal
from agentic_gateway.problems import Refused
from agentic_store.gateway_logins import Login, PostgresLogins

COOKIE: Final = "__Host-agentic-login"
# A token that ends this soon is refreshed first.
EARLY_SECONDS: Final = 30.0
REFRESH_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 0.1

log = logging.getLogger(__name__)

_ENDED: Final = "the log-in has ended: log in again"


@dataclass(frozen=True, repr=False)
class Secret:
    """What a cookie opens."""

    hash: bytes
    key: bytes


def read_cookie(value: str) -> Secret | None:
    """Return what a cookie opens; None for what is no cookie of ours."""
    raw = read_secret(value)
    return None if raw is None else Secret(derive(raw, "login name"), derive(raw, "login key"))


class Logins:
    """Begins, continues and ends log-ins."""

    def __init__(
        self,
        provider: Provider,
        rows: PostgresLogins,
        *,
        seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.provider = provider
        self.seconds = seconds
        self._rows = rows
        self._clock = clock

    async def begin(self, person: str, tokens: Tokens) -> str:
        """Store a log-in and return the value of its cookie."""
        value = make_secret()
        secret = read_cookie(value)
        assert secret is not None  # noqa: S101  (it was made a line above)
        await self._rows.add(secret.hash, person, _seal(secret, person, tokens), seconds=self.seconds)
        return value

    async def find_token(self, cookie: str) -> str:
        """Return the ID token of a log-in, refreshed if it is about to end.

        Raises ``Refused``: 401 if there is no such log-in, or no longer.
        """
        secret = read_cookie(cookie)
        if secret is None:
            raise Refused("not-authenticated", _ENDED)
        deadline = self._clock() + REFRESH_SECONDS
        while True:
            login = await self._rows.get(secret.hash)
            tokens = None if login is None else _unseal(secret, login)
            if login is None or tokens is None:
                raise Refused("not-authenticated", _ENDED)
            if tokens.expires_at > self._clock() + EARLY_SECONDS:
                return tokens.id_token
            if not tokens.refresh_token:
                if tokens.expires_at > self._clock():
                    return tokens.id_token
                await self._rows.remove(secret.hash)
                raise Refused("not-authenticated", _ENDED)
            if await self._rows.claim_refresh(secret.hash, login.version, seconds=REFRESH_SECONDS):
                return await self._refresh(secret, login, tokens)
            # Another request has it; its refresh, or the end of its claim, shows in the row.
            if self._clock() > deadline:
                raise Refused("unavailable", "the log-in is being refreshed: try again", retry_after_seconds=1)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _refresh(self, secret: Secret, login: Login, tokens: Tokens) -> str:
        try:
            found = await self.provider.refresh(tokens.refresh_token, tokens.subject)
        except NotLoggedIn as error:
            log.info("a log-in was not refreshed: %s", error)
            await self._rows.remove(secret.hash)
            raise Refused("not-authenticated", _ENDED) from None
        if not await self._rows.replace(secret.hash, login.version, _seal(secret, login.username, found)):
            # Logged out meanwhile.
            raise Refused("not-authenticated", _ENDED)
        return found.id_token

    async def forget(self, cookie: str) -> None:
        """Remove a log-in that another one of the same browser replaces; the provider may see both as one."""
        secret = read_cookie(cookie)
        if secret is not None:
            await self._rows.remove(secret.hash)

    async def end(self, cookie: str) -> None:
        """End a log-in, here and at the provider; one that is unknown has ended already."""
        secret = read_cookie(cookie)
        login = None if secret is None else await self._rows.get(secret.hash)
        if secret is None or login is None:
            return
        await self._rows.remove(secret.hash)
        tokens = _unseal(secret, login)
        if tokens is None or not tokens.refresh_token:
            return
        try:
            await self.provider.revoke(tokens.refresh_token)
        except AgenticError as error:
            log.info("the provider was not told of a log-out: %s", error)


def _seal(secret: Secret, person: str, tokens: Tokens) -> bytes:
    text = json.dumps([tokens.id_token, tokens.refresh_token, tokens.subject, tokens.expires_at])
    return seal(secret.key, text, f"login {secret.hash.hex()} {person}")


def _unseal(secret: Secret, login: Login) -> Tokens | None:
    text = unseal(secret.key, login.sealed, f"login {secret.hash.hex()} {login.username}")
    if text is None:
        return None
    found: list[Any] = json.loads(text)
    return Tokens(*found)
