"""Fetching a result that is kept outside of the cluster, by a link that the operator makes for whoever asks.

The asking is a change of the session: whoever may answer its questions may ask. Nothing here has credentials of it.
"""

import hashlib
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from agentic_cli.interaction.following import Clock
from agentic_cli.interaction.target import Project
from agentic_cli.model.sessions import Session
from agentic_cli.output.rendering import describe_reference
from agentic_core.errors import PermanentError, TransientError
from agentic_core.names import DOWNLOAD_ANNOTATION

LINK_WAIT_SECONDS: Final = 30.0
_STILL_GOOD: Final = timedelta(minutes=1)
_LOOK_SECONDS: Final = 0.5
_CHUNK_BYTES: Final = 1024 * 1024


def is_outside(reference: Mapping[str, Any]) -> bool:
    """Return whether a result is in an object store, and not in the database."""
    return str(reference.get("url", "")).startswith("s3://")


def obtain_link(project: Project, session: Session, clock: Clock) -> str:
    """Return a link to the session's result, after asking for one where there is none that is good for a while."""
    reference = session.status["resultRef"]
    if not is_outside(reference):
        raise PermanentError(
            f"{describe_reference(reference)}: read `output_data` of `workflow_sessions` there; links are made to"
            " results in an object store alone"
        )
    if (link := _read_link(reference)) is not None:
        return link
    asked = {"metadata": {"annotations": {DOWNLOAD_ANNOTATION: datetime.now(UTC).isoformat(timespec="seconds")}}}
    project.patch_session(session.name, asked)
    while True:
        found = project.fetch_session(session.name).status.get("resultRef") or {}
        if (link := _read_link(found)) is not None:
            return link
        clock.sleep(clock.limit(_LOOK_SECONDS))


def _read_link(reference: Mapping[str, Any]) -> str | None:
    link, expires_at = reference.get("downloadUrl"), reference.get("downloadExpiresAt")
    if not isinstance(link, str) or not isinstance(expires_at, str):
        return None
    return link if datetime.fromisoformat(expires_at) > datetime.now(UTC) + _STILL_GOOD else None


def save_result(link: str, reference: Mapping[str, Any], target: Path) -> int:
    """Stream the result to a file and return its size; the file appears when its digest was found to be right."""
    import httpx

    digest, size = hashlib.sha256(), 0
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        # No log and no message of ours holds the link: whoever has it reads the result.
        with httpx.stream("GET", link, timeout=60, follow_redirects=False) as answer, unfinished.open("wb") as file:
            if answer.status_code != httpx.codes.OK:
                raise PermanentError(f"the object store answers with {answer.status_code}: ask again for a new link")
            for chunk in answer.iter_raw(_CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
        if digest.hexdigest() != reference.get("sha256"):
            raise PermanentError(
                f"what the object store sent ({size} bytes, sha256 {digest.hexdigest()}) is not the result"
                f" ({reference.get('size')} bytes, sha256 {reference.get('sha256')}): nothing was saved"
            )
        unfinished.replace(target)
    except httpx.TransportError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            remedy = "name its authority's certificates in the variable SSL_CERT_FILE"
            raise PermanentError(f"the object store's certificate is not trusted here: {remedy}") from error
        raise TransientError(f"the object store cannot be reached from here: {type(error).__name__}") from error
    except OSError as error:
        raise PermanentError(f"{str(target)!r} cannot be written: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return size
