"""Sends spans to a collector: OTLP over HTTP, in JSON, from a thread that nobody ever waits for.

What it holds is bounded, and so is the time at the end: a collector that is away, slow or refuses costs spans and one
line of the log, never what the spans are about. A library's exporter would do the same with protobuf (decision 46).
"""

import logging
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from itertools import islice
from typing import Final
from urllib.parse import urlsplit

from agentic_core.spans import Span, encode
from agentic_core.tracing import TraceSettings

CAPACITY: Final = 2048
BATCH: Final = 512
_PASSING: Final = frozenset({408, 429, 502, 503, 504})

log = logging.getLogger(__name__)


class _Refused(Exception):
    """The collector will never take these spans."""


class SpanExporter:
    """Holds spans that ended until the collector took them.

    Raises:
        OSError: the certificates cannot be read.
        ValueError: the endpoint is no address of HTTP.
    """

    def __init__(
        self,
        settings: TraceSettings,
        *,
        scope: str,
        capacity: int = CAPACITY,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        address = urlsplit(settings.endpoint)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError("the endpoint for spans is no address as http://collector:4318")
        self._host, self._port = address.hostname, address.port
        self._path = f"{address.path or '/'}{f'?{address.query}' if address.query else ''}"
        self._tls = ssl.create_default_context(cafile=settings.ca_file) if address.scheme == "https" else None
        self._settings = settings
        self._scope = scope
        self._capacity = capacity
        self._now = now
        self._waiting: deque[Span] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._ends_at: float | None = None
        self._has_failed = False
        self._lost = 0

    def add(self, span: Span) -> None:
        """Take a span; never waits, and never raises. The newest is dropped where too many wait."""
        with self._changed:
            if self._ends_at is not None or len(self._waiting) >= self._capacity:
                self._lost += 1
                return
            self._waiting.append(span)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def close(self, seconds: float) -> None:
        """Send what is left, for so long at most."""
        with self._changed:
            self._ends_at = self._now() + seconds
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(seconds)
        if (lost := self._lost + len(self._waiting)) and not self._has_failed:
            log.warning("spans were lost", extra={"spans": lost})

    @property
    def waiting(self) -> int:
        """How many spans it holds."""
        return len(self._waiting)

    @property
    def _is_closing(self) -> bool:
        return self._ends_at is not None

    def _run(self) -> None:
        while batch := self._wait_for_batch():
            try:
                self._send(batch)
            except _Refused as error:
                self._note_failure(str(error))
                self._lost += len(batch)
            except (OSError, HTTPException, ValueError) as error:
                self._note_failure(str(error) or type(error).__name__)
                if self._is_closing:
                    return
                with self._changed:
                    self._changed.wait_for(lambda: self._is_closing, self._settings.delay_seconds)
                continue
            else:
                self._has_failed = False
            with self._changed:
                for _ in batch:
                    self._waiting.popleft()

    def _wait_for_batch(self) -> list[Span]:
        """Return the spans that are sent next; they stay in the queue until they are. None when all is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            self._changed.wait_for(
                lambda: len(self._waiting) >= BATCH or self._is_closing, self._settings.delay_seconds
            )
            return list(islice(self._waiting, BATCH))

    def _send(self, batch: list[Span]) -> None:
        left = self._settings.timeout_seconds
        if self._ends_at is not None:
            left = min(left, self._ends_at - self._now())
        if left <= 0:
            raise TimeoutError("there is no time left")
        body = encode(batch, resource=self._settings.resource, scope=self._scope)
        connection = (
            HTTPConnection(self._host, self._port, timeout=left)
            if self._tls is None
            else HTTPSConnection(self._host, self._port, timeout=left, context=self._tls)
        )
        try:
            headers = {**self._settings.headers, "content-type": "application/json"}
            connection.request("POST", self._path, body, headers)
            status = connection.getresponse().status
        finally:
            connection.close()
        if status in _PASSING:
            raise OSError(f"it answers {status}")
        if not 200 <= status < 300:
            raise _Refused(f"it answers {status}")

    def _note_failure(self, reason: str) -> None:
        """Log the first failure: those that follow say nothing new."""
        if not self._has_failed:
            self._has_failed = True
            log.warning("the collector of spans takes none for now: %s", reason)
