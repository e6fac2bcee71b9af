"""Operator processes of the fault tests."""

import asyncio
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.faultproxy import FaultProxy
from tests.support.waiting import PATIENCE_SECONDS


@dataclass(eq=False)
class Operator:
    """One operator process and the proxy through which alone it reaches the API server."""

    name: str
    proxy: FaultProxy
    log_file: Path
    command: Sequence[str]
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def kill(self) -> None:
        """End the process as a power cut would; nothing where it has ended."""
        self.signal(signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def check_alive(self) -> None:
        """Fail the test at once where the process ended by itself."""
        if self.process is not None and (self.process.poll() or 0) > 0:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}: {self.log[-3000:]}")

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    async def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait for the end and return the exit status."""
        process = self.process
        assert process is not None
        return await asyncio.to_thread(process.wait, seconds)

    async def kill_and_wait(self) -> None:
        self.kill()
        if self.process is not None:
            await self.wait()

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace") if self.log_file.exists() else ""
