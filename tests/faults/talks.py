"""Conversations of the test bed: what a person writes, and what comes of each turn."""

import asyncio
import json
from typing import Any

from agentic_core.lifecycle import Phase
from tests.faults.bed import Bed, until
from tests.support.apiclient import Json, sessions_path
from tests.support.waiting import PATIENCE_SECONDS

ENDED = frozenset({"Completed", "Failed", "Canceled", "Refused"})
APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
# Of the graph `counted`: one super-step, which acts outside, and no question.
ONE_STEP = {"count": 1, "seconds": 0}


async def open_conversation(bed: Bed, workflow: str, name: str, **spec: Any) -> None:
    """Make a conversation and wait until it is idle."""
    await bed.start(workflow, name, mode="Conversation", **spec)
    await bed.wait_phase(name, Phase.IDLE)


async def say(bed: Bed, name: str, turn: str, given: Any, **fields: Any) -> Json:
    """Append a turn as `kubectl apply --server-side` does, under a field manager of its own."""
    return await apply(bed, name, turn, {"turns": [{"name": turn, "input": given, **fields}]})


async def apply(bed: Bed, name: str, manager: str, spec: Json) -> Json:
    """Apply a part of a session's spec."""
    body = {
        "apiVersion": "agentic-operator.dev/v1alpha1",
        "kind": "AgenticSession",
        "metadata": {"name": name},
        "spec": spec,
    }
    path = f"{sessions_path(bed.namespace, name)}?fieldManager={manager}&force=true"
    return await bed.client.request("PATCH", path, body, APPLY)


async def cancel(bed: Bed, name: str, turn: str) -> None:
    """Cancel a turn as a person does who has its place in the list from a read: again where that moved."""
    while True:
        session = await bed.session(name)
        place = next((n for n, each in enumerate(session["spec"].get("turns", ())) if each["name"] == turn), None)
        if place is None:
            return
        steps = [
            {"op": "test", "path": f"/spec/turns/{place}/name", "value": turn},
            {"op": "add", "path": f"/spec/turns/{place}/cancel", "value": True},
        ]
        try:
            await bed.client.request(
                "PATCH", sessions_path(bed.namespace, name), json.dumps(steps).encode(), JSON_PATCH
            )
        except Exception as error:
            if getattr(error, "code", 0) != 422:
                raise
            await asyncio.sleep(0.05)
        else:
            return


async def close(bed: Bed, name: str) -> None:
    await bed.client.patch(sessions_path(bed.namespace, name), {"spec": {"close": True}})


async def find_turn(bed: Bed, name: str, turn: str) -> Json:
    """Return what the status says of a turn; empty where it says nothing."""
    turns: list[Json] = (await bed.status(name)).get("turns") or []
    return next((each for each in turns if each["name"] == turn), {})


async def wait_turn(bed: Bed, name: str, turn: str, *phases: str, seconds: float = PATIENCE_SECONDS) -> Json:
    """Wait until a turn has ended, or is in one of ``phases``; return what the status says of it."""
    wanted = frozenset(phases) or ENDED
    found: Json = {}

    async def is_there() -> bool:
        nonlocal found
        found = await find_turn(bed, name, turn)
        return found.get("phase") in wanted

    await until(is_there, what=f"turn {turn} of {name} {'/'.join(sorted(wanted))}", seconds=seconds, last=lambda: found)
    return found


async def wait_idle(bed: Bed, name: str, *, turns: int, seconds: float = PATIENCE_SECONDS) -> Json:
    """Wait until a conversation is idle and ``turns`` of its turns have ended; return its status."""
    status: Json = {}

    async def is_idle() -> bool:
        nonlocal status
        status = await bed.status(name)
        ended = [each for each in status.get("turns") or () if each["phase"] in ENDED]
        return status.get("phase") == Phase.IDLE and not status.get("turn") and len(ended) >= turns

    await until(is_idle, what=f"{name} idle after {turns} turns", seconds=seconds, last=lambda: status)
    return status


def count_acts(bed: Bed, name: str) -> list[int]:
    """Return the numbers of the super-steps of the graph `counted` that acted outside, in their order."""
    thread = f"project-{bed.namespace}:session-{name}"
    rows = bed.database.execute("SELECT step FROM effects WHERE thread_id = %s AND what = 'start' ORDER BY n", [thread])
    return [int(step) for (step,) in rows]
