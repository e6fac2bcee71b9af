"""Asks the database once a minute how it is, for the metrics."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from agentic_core.errors import AgenticError
from agentic_operator.metrics import Sources
from agentic_store.statistics import DatabaseStatistics

INTERVAL_SECONDS: Final = 60.0

logger: Final = logging.getLogger(__name__)


async def sample_database(
    fetch: Callable[[], Awaitable[DatabaseStatistics]], sources: Sources, *, interval_seconds: float = INTERVAL_SECONDS
) -> None:
    """Keep ``sources`` up to date, for ever."""
    while True:
        try:
            sources.database = await fetch()
            sources.is_database_up = True
        except AgenticError as error:
            sources.is_database_up = False
            logger.debug("sampling the database failed: %s", error)
        except Exception as error:  # noqa: BLE001  (what the database holds must not end the process)
            sources.is_database_up = False
            sources.faults.tell("sampler", error)
        await asyncio.sleep(interval_seconds)
