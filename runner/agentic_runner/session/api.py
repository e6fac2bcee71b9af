"""The runner's few calls to the API server: read its session, write the session's status.

httpx alone: LangGraph imports it anyway, a Kubernetes client would add half of the start-up time again (decision 4).
"""

import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx

from agentic_core.errors import Conflict, PermanentError, Superseded, TransientError
from agentic_core.names import GROUP, VERSION
from agentic_core.reading import read_session
from agentic_core.resources.session import AgenticSession, SessionStatus
from agentic_core.server_clock import ServerClock
from agentic_runner.config import RunConfig, TokenSource
from agentic_runner.output.redaction import Redactor, bounded
from agentic_runner.session.status import build_patch

_TIMEOUT: Final = httpx.Timeout(10.0, connect=5.0)
# The bearer's rights may be bound a moment after the pod starts, and its token expire a moment before the next one.
_PASSING: Final = frozenset({401, 403, 408, 425, 429})


class SessionApi:
    """One session on one API server. Errors come out as the project's own."""

    def __init__(self, client: httpx.AsyncClient, path: str, token: TokenSource, redactor: Redactor) -> None:
        self._client = client
        self._path = path
        self._token = token
        self._redactor = redactor
        self.clock = ServerClock()

    async def fetch(self) -> AgenticSession:
        """Return the session as it is; raise ``Superseded`` when it is gone."""
        return await self._call("GET", self._path)

    async def write_status(self, session: AgenticSession, status: SessionStatus) -> AgenticSession:
        """Change the session's status and return it as stored; raise ``Conflict`` where ``session`` is out of date."""
        patch = build_patch(session, status)
        return await self._call("PATCH", f"{self._path}/status", patch) if patch else session

    async def _call(self, method: str, path: str, patch: list[dict[str, Any]] | None = None) -> AgenticSession:
        try:
            token = self._token.read()
        except OSError as error:
            raise TransientError(f"the token cannot be read: {error}") from error
        self._redactor.add(token)
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        if patch is not None:
            headers["Content-Type"] = "application/json-patch+json"
        try:
            response = await self._client.request(method, path, headers=headers, json=patch)
        except (httpx.TransportError, ssl.SSLError) as error:
            raise TransientError(f"the API server does not answer: {str(error) or type(error).__name__}") from error
        self.clock.see(response.headers.get("Date", ""))
        if response.is_success:
            # What an earlier version left beyond today's bounds must not keep the session from going on.
            return read_session(response.json()).session
        raise _refused(response)


def _refused(response: httpx.Response) -> Exception:
    reason = f"{response.status_code}: {_said(response)}"
    match response.status_code:
        case 404 | 410:
            return Superseded(f"the session is gone ({reason})")
        case 409:
            return Conflict(f"the session changed meanwhile ({reason})")
        case 422 if not _has_causes(response):
            # The patch removes what somebody else removed before: it fails before its version is compared.
            return Conflict(f"the patch does not fit the session as it is now ({reason})")
        case code if code in _PASSING or code >= 500:
            return TransientError(f"the API server said {reason}", retry_after_seconds=_retry_after(response))
        case _:
            return PermanentError(f"the API server refused the status with {reason}")


def _has_causes(response: httpx.Response) -> bool:
    """Return whether fields were refused because of their values; a patch that could not be applied names none."""
    with contextlib.suppress(ValueError, AttributeError):
        return bool((response.json().get("details") or {}).get("causes"))
    return False


def _said(response: httpx.Response) -> str:
    with contextlib.suppress(ValueError, AttributeError):
        return bounded(str(response.json().get("message", "")), 512)
    return bounded(response.text, 200)


def _retry_after(response: httpx.Response) -> float | None:
    value = response.headers.get("Retry-After", "")
    if value.isdecimal():
        return float(value)
    with contextlib.suppress(ValueError, TypeError):
        at = parsedate_to_datetime(value)
        return max(0.0, (at - datetime.now(at.tzinfo)).total_seconds())
    return None


@asynccontextmanager
async def open_api(config: RunConfig, redactor: Redactor) -> AsyncIterator[SessionApi]:
    """Open the connection to the session's API server; nothing is sent yet."""
    verify: ssl.SSLContext | bool = True
    if config.api_ca_file is not None:
        verify = ssl.create_default_context(cafile=str(config.api_ca_file))
    path = f"/apis/{GROUP}/{VERSION}/namespaces/{config.namespace}/{AgenticSession.plural}/{config.session_name}"
    # Proxies of the author's making are for the author's traffic, not for the cluster's.
    async with httpx.AsyncClient(
        base_url=config.backend_url, verify=verify, timeout=_TIMEOUT, trust_env=False
    ) as client:
        yield SessionApi(client, path, config.token, redactor)
