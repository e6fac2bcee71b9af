"""The OpenID provider over HTTP: its metadata, its keys, and the requests of a log-in.

Only addresses that the issuer's own metadata names are asked, over TLS, without redirects; nothing that a caller sends
becomes an address.
"""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote_plus

import aiohttp

from agentic_gateway.auth.oidc.id_token import Expected, IdToken, UnknownKey, WrongToken, is_same_issuer, read_id_token
from agentic_gateway.problems import Refused

METADATA_SECONDS: Final = 3600.0
# A token with an unknown key is reason to look, and not more often than this.
KEYS_SECONDS: Final = 30.0
TIMEOUT_SECONDS: Final = 10.0
MAX_ANSWER_BYTES: Final = 512 * 1024


@dataclass(frozen=True)
class Client:
    """What the provider knows this gateway as; a public client has no ``secret``."""

    issuer: str
    client_id: str
    secret: str
    scopes: str
    redirect_uri: str


@dataclass(frozen=True)
class Metadata:
    """What the provider says of itself."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    revocation_endpoint: str
    end_session_endpoint: str
    names_issuer: bool
    takes_basic: bool


@dataclass(frozen=True, repr=False)
class Tokens:
    """What a log-in or a refresh brought."""

    id_token: str
    refresh_token: str
    subject: str
    expires_at: int


class NotLoggedIn(Exception):
    """The provider refuses a code or a refresh token; the message is for the log and names none."""


class Provider:
    """One provider and one client of it."""

    def __init__(
        self, session: aiohttp.ClientSession, client: Client, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.client = client
        self._session = session
        self._clock = clock
        self._metadata: tuple[float, Metadata] | None = None
        self._keys: tuple[float, Sequence[Mapping[str, Any]]] | None = None
        self._reading = asyncio.Lock()

    async def fetch_metadata(self) -> Metadata:
        """Return the provider's metadata, read at most each hour; raises ``Refused`` if it does not answer."""
        async with self._reading:
            if self._metadata is not None and self._metadata[0] > self._clock():
                return self._metadata[1]
            url = self.client.issuer.rstrip("/") + "/.well-known/openid-configuration"
            found = _read_metadata(await self._get(url), self.client.issuer)
            self._metadata = self._clock() + METADATA_SECONDS, found
            return found

    async def redeem(self, code: str, verifier: str, nonce: str) -> Tokens:
        """Trade an authorization code for tokens; raises :class:`NotLoggedIn`, or ``Refused`` without a provider."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.client.redirect_uri,
            "code_verifier": verifier,
        }
        expected = Expected(self.client.issuer, self.client.client_id, nonce=nonce)
        return await self._fetch_tokens(form, expected, refresh_token="")

    async def refresh(self, refresh_token: str, subject: str) -> Tokens:
        """Trade a refresh token for new tokens of the same person; raises as :meth:`redeem` does."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        expected = Expected(self.client.issuer, self.client.client_id, subject=subject)
        return await self._fetch_tokens(form, expected, refresh_token=refresh_token)

    async def revoke(self, refresh_token: str) -> None:
        """Tell the provider that a refresh token is not used any more; one that cannot be told is no fault."""
        metadata = await self.fetch_metadata()
        if metadata.revocation_endpoint:
            await self._post(metadata, metadata.revocation_endpoint, {"token": refresh_token})

    async def _fetch_tokens(self, form: Mapping[str, str], expected: Expected, *, refresh_token: str) -> Tokens:
        metadata = await self.fetch_metadata()
        status, body = await self._post(metadata, metadata.token_endpoint, form)
        token = body.get("id_token")
        if status != 200 or not isinstance(token, str):
            if status >= 500 or status == 429:
                raise _unavailable(f"status {status}")
            error = body.get("error")
            raise NotLoggedIn(f"the provider answers {status} {str(error)[:64] if error else 'without an ID token'}")
        try:
            said = await self._read(metadata, token, expected)
        except WrongToken as wrong:
            raise NotLoggedIn(f"the ID token is refused: {wrong}") from wrong
        renewed = body.get("refresh_token")
        return Tokens(token, renewed if isinstance(renewed, str) else refresh_token, said.subject, said.expires_at)

    async def _read(self, metadata: Metadata, token: str, expected: Expected) -> IdToken:
        keys = await self._fetch_keys(metadata, oldest=METADATA_SECONDS)
        try:
            return read_id_token(token, keys, expected, self._clock())
        except UnknownKey:
            keys = await self._fetch_keys(metadata, oldest=KEYS_SECONDS)
            return read_id_token(token, keys, expected, self._clock())

    async def _fetch_keys(self, metadata: Metadata, *, oldest: float) -> Sequence[Mapping[str, Any]]:
        async with self._reading:
            if self._keys is not None and self._keys[0] > self._clock() - oldest:
                return self._keys[1]
            found = (await self._get(metadata.jwks_uri)).get("keys")
            keys = [key for key in found if isinstance(key, Mapping)] if isinstance(found, list) else []
            self._keys = self._clock(), keys
            return keys

    async def _get(self, url: str) -> Mapping[str, Any]:
        status, body = await self._send("GET", url)
        if status != 200:
            raise _unavailable(f"status {status}")
        return body

    async def _post(self, metadata: Metadata, url: str, form: Mapping[str, str]) -> tuple[int, Mapping[str, Any]]:
        if not self.client.secret:
            return await self._send("POST", url, {**form, "client_id": self.client.client_id})
        if metadata.takes_basic:
            # RFC 6749, 2.3.1: both are form-encoded first.
            auth = aiohttp.BasicAuth(quote_plus(self.client.client_id), quote_plus(self.client.secret))
            return await self._send("POST", url, form, auth)
        secret = {"client_id": self.client.client_id, "client_secret": self.client.secret}
        return await self._send("POST", url, {**form, **secret})

    async def _send(
        self, method: str, url: str, form: Mapping[str, str] | None = None, auth: aiohttp.BasicAuth | None = None
    ) -> tuple[int, Mapping[str, Any]]:
        try:
            async with self._session.request(method, url, data=form, auth=auth, allow_redirects=False) as response:
                text = await response.content.read(MAX_ANSWER_BYTES)
                while len(text) < MAX_ANSWER_BYTES and (more := await response.content.read(MAX_ANSWER_BYTES)):
                    text += more
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unavailable(type(error).__name__) from error
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            body = None
        return status, body if isinstance(body, dict) else {}


@asynccontextmanager
async def open_provider(client: Client, *, ca_file: str = "") -> AsyncIterator[Provider]:
    """Open the client for a provider whose certificate ``ca_file`` (PEM) vouches for, or the system's authorities."""
    context = ssl.create_default_context(cafile=ca_file or None)
    connector = aiohttp.TCPConnector(ssl=context, limit=20)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=jar) as session:
        yield Provider(session, client)


def _read_metadata(found: Mapping[str, Any], issuer: str) -> Metadata:
    """Return what matters of a provider's metadata; raises ``Refused`` if it is of another issuer or incomplete."""
    if not is_same_issuer(str(found.get("issuer")), issuer):
        raise _unavailable("its metadata names another issuer")
    urls = {
        name: str(found.get(name) or "")
        for name in (
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
            "revocation_endpoint",
            "end_session_endpoint",
        )
    }
    needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    wrong = [name for name, url in urls.items() if (url or name in needed) and not url.startswith("https://")]
    if wrong:
        raise _unavailable(f"its metadata names no https address as {wrong[0]}")
    methods = found.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    return Metadata(
        **urls,
        names_issuer=found.get("authorization_response_iss_parameter_supported") is True,
        takes_basic="client_secret_basic" in methods,
    )


def _unavailable(why: str) -> Refused:
    return Refused("unavailable", f"the OpenID provider cannot be used ({why}): try again", retry_after_seconds=2)
