"""Checks of schemas and inputs that hostile content cannot stall: in a process of their own, with a CPU limit.

The rules are those of ``agentic_core.schema.schema``. What takes too long is refused with a problem that says so, and
the event loop of the caller is never blocked by more than writing the JSON text out. An ordinary check costs a round
trip over a local socket, some 0.2 ms (decision 3).
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from agentic_core.errors import TransientError
from agentic_core.schema.cpu_timer import measure_tick_seconds
from agentic_core.schema.problems import SchemaProblem, SchemaRefused, blame_schema, build_refusal
from agentic_core.schema.schema import MAX_INSTANCE_BYTES, MAX_SCHEMA_BYTES
from agentic_core.schema.worker import ANSWER, DIED, MAGIC, OF_INSTANCE, OF_SCHEMA, PARTIAL, REQUEST
from agentic_core.strict_json import JsonRefused, encode_json, refuse_oversize

DEFAULT_CPU_SECONDS = 0.050
# Passing the text on and replacing an ended process count too, and are paid from the same limit.
OVERHEAD_SECONDS = 0.011
ATTEMPTS = 3
# What a document can do to the process; every other signal came from outside.
_CRASHES = frozenset((signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV))

_Answer = tuple[SchemaProblem, ...]


class CheckerUnavailable(TransientError):
    """The checking process could not be started or does not answer; the same check may work later."""


class _WorkerLost(Exception):
    """The process went away for reasons that are not the document's."""


@dataclass(frozen=True, slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def end(self) -> None:
        """End the process and the child it forked; both are killed, so this waits for no computation."""
        self.writer.transport.abort()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class SchemaChecker:
    """Checks schemas and inputs, at most ``workers`` at a time, each within ``cpu_seconds``.

    Belongs to one event loop. Processes start with the first check that needs them; ``close`` ends them, and so does
    the end of this process. A check may be cancelled at any point. ``on_checked`` gets the CPU seconds that each check
    took in its process.
    """

    def __init__(
        self,
        *,
        cpu_seconds: float = DEFAULT_CPU_SECONDS,
        workers: int = 2,
        patience_seconds: float = 10.0,
        on_checked: Callable[[float], None] | None = None,
    ) -> None:
        self._cpu_seconds = cpu_seconds
        self._on_checked = on_checked
        self._patience_seconds = patience_seconds
        self._places = asyncio.Semaphore(workers)
        self._idle: list[_Worker] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the idle processes; checks under way must have been awaited or cancelled."""
        while self._idle:
            self._idle.pop().end()

    async def check_schema(self, schema: object) -> tuple[SchemaProblem, ...]:
        """Return why ``schema`` is refused; nothing when inputs can be checked against it.

        Raises ``CheckerUnavailable``.
        """
        began = time.thread_time()
        try:
            text = _encode(schema, MAX_SCHEMA_BYTES)
        except JsonRefused as refused:
            return (build_refusal(refused),)
        return await self._check(OF_SCHEMA, text, b"", time.thread_time() - began)

    async def check_instance(self, schema: object, instance: object) -> tuple[SchemaProblem, ...]:
        """Return the problems of ``instance``, sorted by pointer; none if ``schema`` allows it.

        Raises ``CheckerUnavailable``.
        """
        began = time.thread_time()
        try:
            schema_text = _encode(schema, MAX_SCHEMA_BYTES)
        except JsonRefused as refused:
            return (blame_schema(SchemaRefused((build_refusal(refused),))),)
        try:
            text = _encode(instance, MAX_INSTANCE_BYTES)
        except JsonRefused as refused:
            return (build_refusal(refused),)
        return await self._check(OF_INSTANCE, schema_text, text, time.thread_time() - began)

    async def _check(self, kind: int, schema: bytes, instance: bytes, spent: float) -> _Answer:
        allowance = self._cpu_seconds - spent - measure_tick_seconds() - OVERHEAD_SECONDS
        allowance = max(allowance, self._cpu_seconds / 4)
        request = REQUEST.pack(MAGIC, kind, len(schema), len(instance), allowance) + schema + instance
        async with self._places:
            for _ in range(ATTEMPTS):
                try:
                    answer, used = await self._ask(request)
                except _WorkerLost as lost:
                    reason = lost
                else:
                    if self._on_checked is not None:
                        self._on_checked(used)
                    return answer
        raise CheckerUnavailable(f"the schema checking process was lost {ATTEMPTS} times ({reason}); try again")

    async def _ask(self, request: bytes) -> tuple[_Answer, float]:
        worker = self._idle.pop() if self._idle else await _start_worker()
        try:
            async with asyncio.timeout(self._patience_seconds):
                worker.writer.write(request)
                await worker.writer.drain()
                answer = await self._read_answer(worker.reader)
        except TimeoutError as error:
            worker.end()
            raise CheckerUnavailable(
                f"a schema check got no answer within {self._patience_seconds:g} s; the node may be overloaded"
            ) from error
        except BaseException as error:
            # A cancelled check leaves an answer on its way that nobody will read: this channel is of no more use.
            worker.end()
            if isinstance(error, EOFError | OSError | ValueError):
                raise _WorkerLost(str(error) or type(error).__name__) from error
            raise
        self._idle.append(worker)
        return answer

    async def _read_answer(self, reader: asyncio.StreamReader) -> tuple[_Answer, float]:
        """Return the best answer that came, and the CPU seconds it took."""
        known: _Answer = ()
        while True:
            kind, size, cpu_seconds = ANSWER.unpack(await reader.readexactly(ANSWER.size))
            content = json.loads(await reader.readexactly(size))
            if kind == DIED:
                return known or (self._explain_end(content),), cpu_seconds
            known = tuple(SchemaProblem(*fields) for fields in content)
            if kind != PARTIAL:
                return known, cpu_seconds

    def _explain_end(self, number: int) -> SchemaProblem:
        if number == signal.SIGPROF:
            limit = f"{self._cpu_seconds * 1000:g} ms of CPU time"
            return SchemaProblem("", f"checking took more than {limit}; simplify the schema or send a smaller input")
        if number in _CRASHES or number < 0:
            cause = signal.Signals(number).name if number > 0 else f"exit code {-number}"
            return SchemaProblem("", f"checking failed ({cause}); simplify the schema or send a smaller input")
        raise _WorkerLost(f"ended by signal {number}")


async def _start_worker() -> _Worker:
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = _spawn(theirs.fileno())
        except OSError as error:
            ours.close()
            raise CheckerUnavailable(f"the schema checking process cannot be started: {error}") from error
    try:
        reader, writer = await asyncio.open_unix_connection(sock=ours)
    except BaseException:
        ours.close()
        process.kill()
        process.wait()
        raise
    return _Worker(process, reader, writer)


def _spawn(descriptor: int) -> subprocess.Popen[bytes]:
    """Start a new interpreter: a fork of this process would take its threads' locks and its secrets along."""
    environment = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-I", "-m", "agentic_core.schema.worker", str(descriptor)],
        pass_fds=(descriptor,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )


def _encode(value: object, limit: int) -> bytes:
    """Write a document out; what is over the limit does not travel."""
    text = encode_json(value)
    refuse_oversize(text, limit)
    return text
