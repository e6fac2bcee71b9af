"""Changes of a session that depend on what it says: read, decided and written as one step."""

from collections.abc import Awaitable, Callable
from typing import Final

from agentic_gateway.auth.identity import Caller
from agentic_gateway.context import Context
from agentic_gateway.kube.client import JSON_PATCH, SESSIONS, Json, object_path
from agentic_gateway.problems import Refused

ATTEMPTS: Final = 8

Build = Callable[[Json], Awaitable[list[Json]]]


async def patch_as_read(
    context: Context, caller: Caller, namespace: str, name: str, build: Build, *, session_uid: str | None = None
) -> Json:
    """Write what ``build`` makes of a session, a JSON patch, to exactly the version that it saw; return the session.

    ``build`` is asked again if somebody else wrote meanwhile; no operations are no write. Raises :class:`Refused`
    as ``build`` and the API server do, 409 if the session changes too fast, and 410 if ``session_uid`` is given
    and another session has the name now.
    """
    path = object_path(SESSIONS, namespace, name)
    for _ in range(ATTEMPTS):
        session = await context.kube.request("GET", path, token=caller.token)
        if session_uid is not None and session["metadata"]["uid"] != session_uid:
            raise Refused("gone", f"session {name!r} was deleted; another one has its name now")
        operations = await build(session)
        if not operations:
            return session
        # Replaced by itself: another version is a conflict, where a failed test would only be invalid.
        version = session["metadata"]["resourceVersion"]
        body = [{"op": "replace", "path": "/metadata/resourceVersion", "value": version}, *operations]
        try:
            return await context.kube.request("PATCH", path, token=caller.token, body=body, content_type=JSON_PATCH)
        except Refused as refused:
            if refused.status != 409:
                raise
    raise Refused("conflict", f"session {name!r} changes too fast: try again", retry_after_seconds=1)
