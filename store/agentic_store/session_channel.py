"""When a waiting runner should look at its session again: notifications of one session's channel.

The connection is one of its own, so that waiting takes none of the pool's. A notification is a hint and may be lost:
whoever waits also looks from time to time, and much more often while nobody listens.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import psycopg
from psycopg import sql

from agentic_core.errors import AgenticError
from agentic_store.connect import connect, is_pooled
from agentic_store.dsn import Dsn

_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 10.0

log = logging.getLogger(__name__)


class SessionChannel:
    """Whether hints can be relied upon now, and whether there was one; whoever waits clears it before looking."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.is_listening = False


@asynccontextmanager
async def listen_to_session(dsn: Dsn, channel: str | None, *, application_name: str) -> AsyncIterator[SessionChannel]:
    """Listen on a channel until the block ends, connecting again as often as it takes; not at all where None.

    Behind a pooler nothing is heard, because the next statement may come to another backend: nobody listens there.
    """
    found = SessionChannel()
    if channel is None:
        yield found
        return
    task = asyncio.create_task(_listen_for_ever(dsn, channel, application_name, found), name="listen")
    try:
        yield found
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _listen_for_ever(dsn: Dsn, channel: str, application_name: str, found: SessionChannel) -> None:
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            conn = await connect(dsn.refresh(), application_name=application_name)
            async with conn:
                if await is_pooled(conn):
                    log.info("a pooler is between here and the database: reading the session instead of listening")
                    return
                await conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                pause = _FIRST_PAUSE_SECONDS
                found.is_listening = True
                # Nobody told us what happened before we listened.
                found.changed.set()
                async for _ in conn.notifies():
                    found.changed.set()
        except (psycopg.Error, AgenticError) as error:
            log.warning("not listening for the session: %s", dsn.redact(str(error)).strip())
        finally:
            found.is_listening = False
            # Whoever waits for the next hint for long has to know.
            found.changed.set()
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
