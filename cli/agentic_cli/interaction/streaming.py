"""What a session says while it is followed, from a gateway: shown beside what Kubernetes tells of its state.

The stream shows, and decides nothing: phases, questions and ends come from the resource, with a gateway and without.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

from agentic_cli.kube.credentials import log_in
from agentic_cli.kube.errors import Forbidden, NotLoggedIn, NotReached
from agentic_cli.kube.kubeconfig import ClusterConnection
from agentic_core.errors import AgenticError, ApiUnavailable, PermanentError

if TYPE_CHECKING:
    from agentic_client import AsyncClient, ConnectionState, GatewayError, Message

TOKEN_VARIABLE: Final = "AGENTIC_TOKEN"  # noqa: S105  (its name)
# The last tokens are on their way when the status says that a turn is over.
LAST_WORDS_SECONDS: Final = 3.0

OnMessage = Callable[["Message"], None]


@dataclass(frozen=True)
class Gateway:
    """A gateway, and how its caller is known there."""

    url: str
    connection: ClusterConnection
    ca_file: Path | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def check(self, namespace: str, name: str) -> int:
        """Ask for the session, which may not be there yet; return the number of its last message that is known.

        Raises ``PermanentError`` or ``ApiUnavailable`` if this is no gateway, or it does not let the caller in.
        """
        from agentic_client import GatewayError, NotFound

        async def ask() -> int:
            async with self.open(namespace, attempts=1) as client:
                last = (await client.get(name)).last_seq
                # What an older operator's status does not tell.
                while found := await client.events(name, after=last):
                    last = found[-1].seq or last
                return last

        try:
            return asyncio.run(ask())
        except NotFound as error:
            if error.kind:
                return 0
            raise self._translate(error) from error
        except GatewayError as error:
            raise self._translate(error) from error

    def open(self, namespace: str, *, attempts: int = 4) -> "AsyncClient":
        """Return the client; raises ``PermanentError`` for an address or certificates that cannot be used."""
        from agentic_client import AsyncClient

        host = urlsplit(self.url).hostname or ""
        if urlsplit(self.url).scheme == "http" and host not in ("localhost", "127.0.0.1", "::1"):
            raise PermanentError(
                f"{self.url} is not encrypted, and your token would go there: use https, or a port-forward to localhost"
            )
        try:
            return AsyncClient(
                self.url, token=self._find_token, namespace=namespace, ca_file=self.ca_file, attempts=attempts
            )
        except ValueError as error:
            raise PermanentError(str(error)) from error
        except OSError as error:
            raise PermanentError(f"--ca: {str(self.ca_file)!r} holds no certificates (PEM): {error}") from error

    def _find_token(self) -> str:
        token = self.environ.get(TOKEN_VARIABLE) or log_in(self.connection, self.environ).token
        if not token:
            raise NotLoggedIn(
                f"a gateway wants a token, and user {self.connection.user!r} of your kubeconfig has none: set"
                f" {TOKEN_VARIABLE}, such as to `kubectl create token NAME`"
            )
        return token

    def _translate(self, error: "GatewayError") -> AgenticError:
        import agentic_client as client

        match error:
            case client.Unreachable():
                return NotReached(f"gateway {error}")
            case client.NotAuthenticated():
                return NotLoggedIn(f"gateway {self.url}: {error}")
            case client.Forbidden():
                return Forbidden(f"gateway {self.url}: {error}")
            case client.Unavailable() | client.TooManyRequests():
                return ApiUnavailable(f"gateway {self.url}: {error}")
            case client.Problem() if error.kind:
                return PermanentError(f"gateway {self.url}: {error}")
            case _:
                return PermanentError(f"{self.url} answers, but not as a gateway: is the address right?")


class Listener:
    """Listens to a session in a thread of its own, until the block ends; ``on_message`` is called there."""

    def __init__(
        self,
        gateway: Gateway,
        namespace: str,
        name: str,
        after: int,
        on_message: OnMessage,
        tell: Callable[[str], None],
    ) -> None:
        self.after = after
        """The number of the last message that was given."""
        self._gateway = gateway
        self._place = (namespace, name)
        self._on_message = on_message
        self._tell = tell
        self._is_told = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._begun.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._task is not None:
            with suppress(RuntimeError):
                # It may have ended by itself.
                self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(5)

    def _run(self) -> None:
        with suppress(asyncio.CancelledError):
            asyncio.run(self._listen())

    async def _listen(self) -> None:
        from agentic_client import GatewayError

        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._begun.set()
        namespace, name = self._place
        try:
            async with (
                self._gateway.open(namespace) as client,
                client.stream(name, after=self.after, on_state=self._note) as stream,
            ):
                async for message in stream:
                    self.after = message.seq or self.after
                    self._on_message(message)
        except (GatewayError, AgenticError) as error:
            self._tell(f"no more is heard from {self._gateway.url}: {error}; the session is followed without it")

    def _note(self, state: "ConnectionState") -> None:
        if state == "disconnected" and not self._is_told:
            self._is_told = True
            self._tell(f"{self._gateway.url} is away; what the session says meanwhile comes once it is back")
        elif state == "connected":
            self._is_told = False
