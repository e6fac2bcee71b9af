"""Links to results in an object store: the operator makes one where a session asks for it. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from agentic_core.names import DOWNLOAD_ANNOTATION

_STILL_GOOD: Final = timedelta(minutes=1)


def is_outside(reference: Mapping[str, Any]) -> bool:
    """Return whether a result is in an object store, and not in the database."""
    return str(reference.get("url", "")).startswith("s3://")


def build_request(now: datetime) -> dict[str, Any]:
    """Return the merge patch of a session that asks for a link."""
    return {"metadata": {"annotations": {DOWNLOAD_ANNOTATION: now.isoformat(timespec="seconds")}}}


def read_link(reference: Mapping[str, Any], now: datetime) -> str | None:
    """Return the link that a ``resultRef`` has; None without one that stays valid for a while."""
    link, expires_at = reference.get("downloadUrl"), reference.get("downloadExpiresAt")
    if not isinstance(link, str) or not isinstance(expires_at, str):
        return None
    return link if datetime.fromisoformat(expires_at) > now + _STILL_GOOD else None
