"""Whether a replica should get requests: what a Service is told, and what people read on /readyz.

The API server says who a caller is and what they may do. A replica that does not reach it can answer nobody and is
taken out of the Service. Where the API server is away for all, nobody can take replicas out either: clients go on
getting 503 with ``Retry-After``. The database holds streams, turns and results; a replica without it still starts
sessions and takes answers, and stays. Either has to have answered once, so that a rollout with a wrong address or
password stops before the replicas that work are gone.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from agentic_core.errors import AgenticError
from agentic_gateway.operations.lifecycle import Lifecycle

API_SERVER: Final = "API server"
DATABASE: Final = "database"
CHECK_SECONDS: Final = 2.0
PATIENCE_SECONDS: Final = 5.0
# One request that is lost says nothing yet.
FAILURES: Final = 2

Check = Callable[[], Awaitable[None]]

log = logging.getLogger(__name__)


@dataclass
class Part:
    """Something that the gateway needs, as it was found lately."""

    has_answered: bool = False
    failures: int = 0
    error: str = "has not answered yet"

    @property
    def is_up(self) -> bool:
        """Whether it answers."""
        return self.has_answered and self.failures < FAILURES


@dataclass(frozen=True)
class Verdict:
    """Whether requests should come, and what to tell people."""

    is_ready: bool
    text: str


@dataclass
class Readiness:
    """What the checks found, and what follows from that."""

    lifecycle: Lifecycle
    parts: dict[str, Part] = field(default_factory=lambda: {API_SERVER: Part(), DATABASE: Part()})

    def judge(self) -> Verdict:
        """Return whether requests should come to this replica."""
        lines = [f"{name}: {'ok' if part.is_up else part.error}" for name, part in self.parts.items()]
        has_started = all(part.has_answered for part in self.parts.values())
        is_ready = has_started and self.parts[API_SERVER].is_up and not self.lifecycle.is_draining
        head = "draining" if self.lifecycle.is_draining else "ready" if is_ready else "not ready"
        return Verdict(is_ready, "\n".join([head, *lines]) + "\n")

    def note(self, name: str, error: str | None) -> None:
        """Record how a check went; ``error`` is None if the part answered."""
        part, was_up = self.parts[name], self.parts[name].is_up
        if error is None:
            self.parts[name] = part = Part(has_answered=True, error="")
        else:
            part.failures, part.error = part.failures + 1, error
        if part.is_up and not was_up:
            log.info("the %s answers", name)
        elif was_up and not part.is_up:
            log.warning("the %s does not answer: %s", name, error)

    @contextlib.asynccontextmanager
    async def watch(self, checks: Mapping[str, Check]) -> AsyncIterator[None]:
        """Check every part from time to time until the block ends."""
        tasks = [asyncio.create_task(self._watch(name, check), name=f"check {name}") for name, check in checks.items()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, name: str, check: Check) -> None:
        while True:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await check()
            except (AgenticError, TimeoutError) as error:
                self.note(name, str(error) or f"no answer within {PATIENCE_SECONDS:g} s")
            else:
                self.note(name, None)
            await asyncio.sleep(CHECK_SECONDS)
