"""Inspections by processes that are forked from one that has imported their libraries: a tenth of the start-up time.

What runs is ``python -m agentic_runner inspect`` from its ``main`` on, in a process of its own with the folder, the
variables and the pipes that it is given. What an interpreter does before that is for tests that start one.
"""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

INSPECTION_SECONDS: Final = 120

_SERVER: Final = """
import os, signal, socket, sys
os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"
import langgraph.func, langgraph.graph, langgraph.store.memory
import agentic_runner.inspection, agentic_runner.inspector
from agentic_runner.__main__ import main
asked = socket.socket(fileno=int(sys.argv[1]))
while received := socket.recv_fds(asked, 1 << 20, 2):
    message, pipes = received[:2]
    if not message:
        break
    child = os.fork()
    if child == 0:
        asked.close()
        for target, source in zip((1, 2), pipes):
            os.dup2(source, target)
            os.close(source)
        signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
        import json
        settings = json.loads(message)
        os.chdir(settings["folder"])
        os.environ.clear()
        os.environ.update(settings["environ"])
        sys.exit(main(["inspect"]))
    for each in pipes:
        os.close(each)
    asked.send(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())
"""


class WarmInspector:
    """Inspects one project after the other."""

    def __init__(self) -> None:
        self._socket, other = socket.socketpair()
        self._socket.settimeout(INSPECTION_SECONDS)
        with other:
            self._server = subprocess.Popen(
                [sys.executable, "-P", "-c", _SERVER, str(other.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
            )

    def inspect(self, folder: Path, environ: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
        """Inspect the project in a folder; return when all that could write into its output is gone."""
        read, texts = [], ["", ""]
        written = []
        for index in range(2):
            source, target = os.pipe()
            written.append(target)

            def take(source: int = source, index: int = index) -> None:
                with os.fdopen(source, encoding="utf-8") as pipe:
                    texts[index] = pipe.read()

            read.append(threading.Thread(target=take, daemon=True))
            read[-1].start()
        message = json.dumps({"folder": str(folder), "environ": dict(environ)}).encode()
        socket.send_fds(self._socket, [message], written)
        for each in written:
            os.close(each)
        status = int(self._socket.recv(16).decode() or "1")
        for thread in read:
            thread.join(INSPECTION_SECONDS)
            assert not thread.is_alive(), "something goes on writing into the output"
        return subprocess.CompletedProcess(["inspect"], status, *texts)

    def close(self) -> None:
        """End the process; no inspection is under way."""
        self._socket.close()
        self._server.wait(INSPECTION_SECONDS)
