"""`@latest`: the session that was made last. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from agentic_core.errors import PermanentError

LATEST: Final = "@latest"


def find_latest(sessions: Iterable[Mapping[str, Any]], namespace: str) -> str:
    """Return the name of the newest session; raise ``PermanentError`` if there is none, or none that is it alone.

    The API server keeps whole seconds: of two that were made in one, none is the last.
    """
    made = sorted((str(each["metadata"]["creationTimestamp"]), str(each["metadata"]["name"])) for each in sessions)
    if not made:
        raise PermanentError(f"there is no session in namespace {namespace!r}, so none is {LATEST}")
    newest = [name for at, name in made if at == made[-1][0]]
    if len(newest) > 1:
        raise PermanentError(
            f"{LATEST} could be any of {', '.join(newest)}, which were made in one second: give a name"
        )
    return newest[0]
