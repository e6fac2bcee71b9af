"""The OpenAPI document's text: made once, and never on the event loop."""

import asyncio
import json
import threading

from agentic_gateway.api.openapi import DescriptionText


async def test_it_is_made_once_beside_the_event_loop_however_many_ask() -> None:
    made: list[int] = []
    may_end, has_begun = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def build() -> dict[str, object]:
        made.append(threading.get_ident())
        loop.call_soon_threadsafe(has_begun.set)
        may_end.wait()
        return {"openapi": "3.1.0", "info": {"title": "Größe"}}

    text = DescriptionText(build)
    asking = [asyncio.create_task(text.read()) for _ in range(20)]
    # The loop goes on while it is being made.
    await has_begun.wait()
    may_end.set()
    found = await asyncio.gather(*asking, text.read())
    assert [json.loads(each) for each in found] == [{"openapi": "3.1.0", "info": {"title": "Größe"}}] * 21
    assert len(made) == 1
    assert threading.get_ident() not in made
