"""The process that checks schemas and inputs for ``agentic_core.schema.sandbox``, started as ``python -m``.

It holds the engine preloaded and forks a child that answers requests from the socket. The child runs each check under
a CPU and a memory limit that the kernel enforces; when it is ended, its parent says so on the socket and forks the
next, which takes a millisecond or two where a new interpreter takes a hundred. Both end when the socket closes.

Request: ``REQUEST`` header, schema text, input text. Answer: ``ANSWER`` headers (kind, size, CPU seconds used) with
JSON, the last of them ``FINAL`` or ``DIED``. The verdict with the first fault is sent before the costly search for all
others, so that an input whose faults take too long to list is refused with that one.
"""

import gc
import json
import mmap
import os
import resource
import socket
import struct
import sys
import time
from collections import OrderedDict
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from agentic_core.schema.cpu_timer import CpuTimer
from agentic_core.schema.problems import SchemaProblem, SchemaRefused, blame_schema
from agentic_core.schema.schema import CompiledSchema, Verdict, compile_schema, judge_instance, judge_schema, preload

REQUEST = struct.Struct("!4sBIId")
ANSWER = struct.Struct("!BId")
MAGIC = b"asc1"
OF_SCHEMA, OF_INSTANCE = 0, 1
PARTIAL, FINAL, DIED = 0, 1, 2

EXIT_DONE, EXIT_RECYCLED, EXIT_GARBLED = 0, 3, 4

MAX_CACHED_SCHEMAS = 256
# Memory a check may take beyond what the idle process has, and what it may keep before a fresh child replaces it.
MAX_CHECK_BYTES = 192 * 1024 * 1024
MAX_KEPT_BYTES = 24 * 1024 * 1024

# For the list of all faults once the first is known: an input that is wrong in thousands of places is refused anyway.
LISTING_SECONDS = 0.020

OUT_OF_MEMORY = SchemaProblem(
    "", f"checking takes more than {MAX_CHECK_BYTES >> 20} MiB of memory; simplify the schema"
)


def main(arguments: list[str]) -> int:
    """Fork children one after the other until one of them finds the socket closed."""
    channel = socket.socket(fileno=int(arguments[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    clock = _Clock()
    preload()
    gc.collect()
    gc.freeze()
    while True:
        child = os.fork()
        if child == 0:
            # No clean-up of what belongs to the parent.
            os._exit(_serve(channel, clock))
        _, status, usage = os.wait4(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if code in (EXIT_DONE, EXIT_GARBLED):
            return code
        if clock.is_running():
            _send(channel, DIED, clock.stop(usage.ru_utime + usage.ru_stime), -code)


class _Clock:
    """When the check under way began, in CPU seconds of the child; shared with the parent, which outlives the child."""

    def __init__(self) -> None:
        self._began = memoryview(mmap.mmap(-1, 8)).cast("d")
        self._began[0] = -1.0

    def is_running(self) -> bool:
        return self._began[0] >= 0

    def start(self) -> None:
        self._began[0] = time.process_time()

    def stop(self, now: float) -> float:
        """Return what the check used until ``now``, and forget it."""
        used = max(now - self._began[0], 0.0)
        self._began[0] = -1.0
        return used


def _serve(channel: socket.socket, clock: _Clock) -> int:
    gc.disable()
    _limit_memory()
    timer = CpuTimer()
    kept_before = _peak_bytes()
    compiled: OrderedDict[bytes, CompiledSchema] = OrderedDict()
    while header := _receive(channel, REQUEST.size):
        clock.start()
        magic, kind, schema_size, instance_size, cpu_seconds = REQUEST.unpack(header)
        if magic != MAGIC:
            return EXIT_GARBLED
        schema, instance = _receive(channel, schema_size), _receive(channel, instance_size)
        timer.start(cpu_seconds)
        verdicts = judge_schema(schema) if kind == OF_SCHEMA else _judge_instance(compiled, schema, instance)
        try:
            for verdict in verdicts:
                # Never ended half-way through a message.
                left = timer.stop()
                if verdict.is_final:
                    _send(channel, FINAL, clock.stop(time.process_time()), _to_json(verdict))
                else:
                    _send(channel, PARTIAL, 0.0, _to_json(verdict))
                    timer.start(min(left, LISTING_SECONDS))
        except MemoryError:
            timer.stop()
            _send(channel, FINAL, clock.stop(time.process_time()), _to_json(Verdict((OUT_OF_MEMORY,), is_final=True)))
            return EXIT_RECYCLED
        if _peak_bytes() - kept_before > MAX_KEPT_BYTES:
            return EXIT_RECYCLED
    return EXIT_DONE


def _judge_instance(
    compiled: OrderedDict[bytes, CompiledSchema], schema_text: bytes, instance_text: bytes
) -> Iterator[Verdict]:
    key = sha256(schema_text).digest()
    schema = compiled.get(key)
    if schema is None:
        try:
            schema = compile_schema(schema_text)
        except SchemaRefused as refused:
            yield Verdict((blame_schema(refused),), is_final=True)
            return
        compiled[key] = schema
        if len(compiled) > MAX_CACHED_SCHEMAS:
            compiled.popitem(last=False)
    else:
        compiled.move_to_end(key)
    yield from judge_instance(schema, instance_text)


def _to_json(verdict: Verdict) -> list[list[str]]:
    return [[each.pointer, each.message, each.keyword, each.schema_pointer] for each in verdict.problems]


def _send(channel: socket.socket, kind: int, cpu_seconds: float, content: object) -> None:
    payload = json.dumps(content).encode()
    channel.sendall(ANSWER.pack(kind, len(payload), cpu_seconds) + payload)


def _receive(channel: socket.socket, size: int) -> bytes:
    """Return exactly ``size`` bytes, or fewer when the other side is gone."""
    parts = bytearray()
    while len(parts) < size and (part := channel.recv(size - len(parts))):
        parts += part
    return bytes(parts)


def _limit_memory() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MAX_CHECK_BYTES, used + MAX_CHECK_BYTES))


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    sys.exit(main(sys.argv))
