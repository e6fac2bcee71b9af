"""Workers: take a key, run its pass, and schedule the retry after an error."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from pydantic import ValidationError

from agentic_core.errors import AgenticError, Conflict, TransientError
from agentic_operator.backoff import compute_delay, jitter
from agentic_operator.cache.workqueue import WorkQueue
from agentic_operator.controllers.definition import DefinitionReconciler
from agentic_operator.controllers.session import SessionReconciler
from agentic_operator.faults import describe_invalid
from agentic_operator.kube.errors import Forbidden
from agentic_operator.sessions.keys import Key, SessionKey

logger: Final = logging.getLogger(__name__)


async def run_workers(
    count: int,
    queue: WorkQueue[Key],
    sessions: SessionReconciler,
    definitions: DefinitionReconciler,
    observe: Callable[[str, float], None],
) -> None:
    """Run ``count`` passes at a time until cancelled; ``observe`` is called with each pass' kind and seconds."""
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(_work(queue, sessions, definitions, observe), name=f"worker {number}")


async def _work(
    queue: WorkQueue[Key],
    sessions: SessionReconciler,
    definitions: DefinitionReconciler,
    observe: Callable[[str, float], None],
) -> None:
    while True:
        key = await queue.get()
        began = time.monotonic()
        try:
            if isinstance(key, SessionKey):
                await sessions.reconcile(key)
            else:
                await definitions.reconcile(key)
            queue.succeed(key)
        except Exception as error:  # noqa: BLE001  (one failed pass must not stop the others)
            schedule_retry(queue, key, error)
        finally:
            queue.done(key)
            observe("session" if isinstance(key, SessionKey) else "definition", time.monotonic() - began)


def schedule_retry(queue: WorkQueue[Key], key: Key, error: Exception) -> None:
    """Log the error of a pass and queue its key again, with a delay that grows with each failure."""
    failures = queue.fail(key)
    about = {"namespace": key.namespace, "session" if isinstance(key, SessionKey) else "definition": key.name}
    if isinstance(error, ValidationError):
        logger.error("invalid object: %s", describe_invalid(error), extra=about)
        return
    if isinstance(error, Forbidden) and error.is_terminating:
        logger.info("namespace is being deleted", extra=about)
        return
    delay = compute_delay(error, failures, jitter())
    if isinstance(error, Conflict):
        logger.debug("conflict, reading again: %s", error, extra=about)
    elif isinstance(error, TransientError):
        logger.warning("retrying in %.1f s: %s", delay, error, extra=about)
    elif isinstance(error, AgenticError):
        logger.error("retrying in %.1f s: %s", delay, error, extra=about)
    else:
        logger.error("retrying in %.1f s after an unexpected error", delay, exc_info=error, extra=about)
    queue.add_after(key, delay)
