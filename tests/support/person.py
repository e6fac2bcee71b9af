"""A person with a shell: runs ``agentic`` with a kubeconfig of their own, in a pipe or on a terminal."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.support.commands import clean_environment, run_agentic
from tests.support.waiting import PATIENCE_SECONDS

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[()][A-Z0-9]|\r")


@dataclass(frozen=True)
class Person:
    """Somebody with a kubeconfig."""

    kubeconfig: Path
    environment: Mapping[str, str]

    @classmethod
    def using(cls, kubeconfig: Path, **variables: str) -> "Person":
        """Return the person who has this kubeconfig."""
        return cls(kubeconfig, clean_environment(KUBECONFIG=str(kubeconfig), **variables))

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run ``agentic`` to its end, without a terminal."""
        if stdin is None:
            return run_agentic(*arguments, env=self.environment)
        return subprocess.run(
            self.command(*arguments),
            env=dict(self.environment),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    def out(self, *arguments: str, stdin: str | None = None) -> str:
        """Run ``agentic``, which has to succeed; return its standard output."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def command(self, *arguments: str) -> list[str]:
        """Return the command line."""
        return [sys.executable, "-m", "agentic_cli", *arguments]

    @contextlib.contextmanager
    def start(self, *arguments: str) -> Iterator["Running"]:
        """Start ``agentic`` without a terminal; it is ended with the block."""
        process = subprocess.Popen(
            self.command(*arguments),
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        running = Running(process)
        try:
            yield running
        finally:
            running.close()

    @contextlib.contextmanager
    def terminal(self, *arguments: str, **variables: str) -> Iterator["Terminal"]:
        """Start ``agentic`` on a terminal of its own."""
        master, slave = pty.openpty()
        process = subprocess.Popen(
            self.command(*arguments),
            env={**self.environment, "TERM": "xterm", "COLUMNS": "120", "LINES": "40", **variables},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            # Make it the session's own terminal: Ctrl-C is a signal only there.
            preexec_fn=partial(fcntl.ioctl, 0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        terminal = Terminal(process, master)
        try:
            yield terminal
        finally:
            terminal.close()


class _Process:
    """What a running process has said so far."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.said: dict[int, bytes] = {}

    def _read(self, descriptors: list[int], seconds: float) -> bool:
        readable, _, _ = select.select(descriptors, [], [], seconds)
        is_any = False
        for descriptor in readable:
            try:
                chunk = os.read(descriptor, 65536)
            except OSError:
                chunk = b""
            self.said[descriptor] = self.said.get(descriptor, b"") + chunk
            is_any = is_any or bool(chunk)
        return is_any

    def send(self, number: signal.Signals) -> None:
        """Signal the process."""
        self.process.send_signal(number)


class Running(_Process):
    """A process whose output goes into pipes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(process)
        assert process.stdout is not None
        assert process.stderr is not None
        self._pipes = (process.stdout.fileno(), process.stderr.fileno())

    @property
    def out(self) -> str:
        return self.said.get(self._pipes[0], b"").decode()

    @property
    def err(self) -> str:
        return self.said.get(self._pipes[1], b"").decode()

    def expect(self, text: str, *, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until it has said ``text``."""
        deadline = time.monotonic() + seconds
        while text not in self.out + self.err:
            assert time.monotonic() < deadline, f"no {text!r} in {self.out!r} or {self.err!r}"
            if not self._read(list(self._pipes), 0.2) and self.process.poll() is not None:
                self._read(list(self._pipes), 0)
                assert text in self.out + self.err, f"ended without {text!r}: {self.out!r} {self.err!r}"

    def end(self, *, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait for its end; return the exit status."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"still there; said {self.out!r} {self.err!r}"
            self._read(list(self._pipes), 0.1)
        while self._read(list(self._pipes), 0):
            pass
        return self.process.returncode

    def close(self) -> None:
        """End it where it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()


class Terminal(_Process):
    """A process on a terminal, and the hands that type there."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        super().__init__(process)
        self._master = master
        self._seen = 0

    @property
    def raw(self) -> str:
        return self.said.get(self._master, b"").decode(errors="replace")

    @property
    def text(self) -> str:
        """Everything shown, without what moves the cursor or colours."""
        return _CONTROL.sub("", self.raw)

    def expect(self, text: str, *, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until ``text`` is shown after what was expected before."""
        deadline = time.monotonic() + seconds
        while (found := self.text.find(text, self._seen)) < 0:
            assert time.monotonic() < deadline, f"no {text!r} in {self.text[self._seen :]!r}"
            if not self._read([self._master], 0.2) and self.process.poll() is not None:
                assert self.text.find(text, self._seen) >= 0, f"ended without {text!r}: {self.text!r}"
        self._seen = found + len(text)

    def type(self, line: str) -> None:
        """Type a line and Enter."""
        self.write(f"{line}\n")

    def write(self, text: str) -> None:
        """Type without Enter, and read what is echoed meanwhile: a terminal holds a few KiB in each direction."""
        rest = text.encode()
        os.set_blocking(self._master, False)
        try:
            while rest:
                readable, writable, _ = select.select([self._master], [self._master], [])
                if readable:
                    self._read([self._master], 0)
                if writable:
                    with contextlib.suppress(BlockingIOError):
                        rest = rest[os.write(self._master, rest) :]
        finally:
            os.set_blocking(self._master, True)

    def press(self, key: str) -> None:
        """Press a control key: ``c`` or ``d``."""
        os.write(self._master, bytes([ord(key) - ord("a") + 1]))

    def end(self, *, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait for its end; return the exit status."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"still there; showed {self.text!r}"
            self._read([self._master], 0.1)
        while self._read([self._master], 0):
            pass
        return self.process.returncode

    def close(self) -> None:
        """End it where it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)
