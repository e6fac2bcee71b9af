"""Sends spans to a collector: OTLP over HTTP, in JSON, from a thread that nobody ever waits for.

What it holds is bounded, and so is the time at the end: a collector that is away, slow or refuses costs spans and one
line of the log, never what the spans are about. A library's exporter would do the same with protobuf (decision 46).
"""

import logging
import os
import re
import ssl
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from itertools import islice
from typing import Final
from urllib.parse import urlsplit

from agentic_core.display import show_line
from agentic_core.spans import Span, encode
from agentic_core.tracing import TraceSettings

CAPACITY: Final = 2048
BATCH: Final = 512
# Of what is said of a collector: its own words are in it.
MAX_REASON: Final = 200
# How long a collector that does not take spans is left alone at most, and the least that it is at first.
LONGEST_PAUSE: Final = 60.0
SHORTEST_PAUSE: Final = 0.01
_PASSING: Final = frozenset({408, 429, 502, 503, 504})
# What RFC 9110 lets a field's name and value be.
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_TARGET: Final = re.compile(r"[\x21-\x7e]+")

_NO_ADDRESS: Final = "the endpoint for spans is no address as http://collector:4318"

log = logging.getLogger(__name__)


class _Refused(Exception):
    """The collector will never take these spans."""


class _Busy(Exception):
    """The collector takes none for now, and may have said for how many seconds."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


@dataclass(frozen=True)
class _Address:
    """Where a collector listens."""

    is_tls: bool
    host: str
    port: int | None
    target: str


class SpanExporter:
    """Holds spans that ended until the collector took them.

    Raises:
        OSError: the certificates cannot be read.
        ValueError: the endpoint is no address of HTTP, or a header none; the message quotes neither.
    """

    def __init__(
        self,
        settings: TraceSettings,
        *,
        scope: str,
        capacity: int = CAPACITY,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = _read_address(settings.endpoint)
        _check_headers(settings.headers)
        self._tls = ssl.create_default_context(cafile=settings.ca_file) if self._address.is_tls else None
        self._settings = settings
        self._scope = scope
        self._capacity = capacity
        self._now = now
        self._ends_at: float | None = None
        self._forget()
        # A process that an author's code forks off has no thread of ours, and perhaps our lock, held by nobody.
        found = weakref.WeakMethod(self._forget)
        os.register_at_fork(after_in_child=lambda: forget() if (forget := found()) is not None else None)

    def _forget(self) -> None:
        self._waiting: deque[Span] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._pause = 0.0
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
                self._thread = self._start()
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

    def _start(self) -> threading.Thread | None:
        """Start what sends; None where the system has no thread for it, so that the next span tries again."""
        thread = threading.Thread(target=self._run, name="spans", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            self._note_failure(str(error))
            return None
        return thread

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
            except (OSError, _Busy) as error:
                self._note_failure(str(error) or type(error).__name__)
                if self._is_closing:
                    return
                self._wait_for_collector(error)
                continue
            except Exception as error:  # noqa: BLE001  (nobody watches this thread)
                # Whatever it is, it costs these spans alone. It may quote a header.
                self._note_failure(type(error).__name__)
                self._lost += len(batch)
            else:
                self._has_failed, self._pause = False, 0.0
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

    def _wait_for_collector(self, error: Exception) -> None:
        """Leave it alone: each time for twice as long, or for as long as it asks for."""
        self._pause = min(max(2 * self._pause, self._settings.delay_seconds, SHORTEST_PAUSE), LONGEST_PAUSE)
        asked = error.seconds if isinstance(error, _Busy) else 0.0
        with self._changed:
            self._changed.wait_for(lambda: self._is_closing, min(max(self._pause, asked), LONGEST_PAUSE))

    def _send(self, batch: list[Span]) -> None:
        left = self._settings.timeout_seconds
        if self._ends_at is not None:
            left = min(left, self._ends_at - self._now())
        if left <= 0:
            raise TimeoutError("there is no time left")
        body = encode(batch, resource=self._settings.resource, scope=self._scope)
        connection = (
            HTTPConnection(self._address.host, self._address.port, timeout=left)
            if self._tls is None
            else HTTPSConnection(self._address.host, self._address.port, timeout=left, context=self._tls)
        )
        try:
            headers = {**self._settings.headers, "content-type": "application/json"}
            connection.request("POST", self._address.target, body, headers)
            answer = connection.getresponse()
            status, asked = answer.status, answer.headers.get("retry-after") or ""
        except HTTPException as error:
            raise OSError(f"its answer is none of HTTP ({type(error).__name__})") from error
        finally:
            connection.close()
        if status in _PASSING:
            raise _Busy(f"it answers {status}", float(asked) if re.fullmatch("[0-9]{1,5}", asked) else 0.0)
        if not 200 <= status < 300:
            raise _Refused(f"it answers {status}")

    def _note_failure(self, reason: str) -> None:
        """Log the first failure: those that follow say nothing new."""
        if not self._has_failed:
            self._has_failed = True
            log.warning("the collector of spans takes none for now: %s", show_line(reason)[:MAX_REASON])


def _read_address(endpoint: str) -> _Address:
    """Read an address; what raises says nothing of it, since it may hold a password."""
    try:
        found = urlsplit(endpoint)
        host, port = found.hostname or "", found.port
        host.encode("idna")
    except ValueError:
        raise ValueError(_NO_ADDRESS) from None
    target = f"{found.path or '/'}{f'?{found.query}' if found.query else ''}"
    if found.scheme not in ("http", "https") or not host or _TARGET.fullmatch(target) is None:
        raise ValueError(_NO_ADDRESS)
    if "@" in found.netloc:
        raise ValueError("the endpoint for spans has credentials in it: put them into OTEL_EXPORTER_OTLP_HEADERS")
    return _Address(found.scheme == "https", host, port, target)


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
            raise ValueError("OTEL_EXPORTER_OTLP_HEADERS has characters that no header of HTTP may have")
