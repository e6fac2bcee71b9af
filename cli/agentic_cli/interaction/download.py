"""Downloads a result from outside the cluster, by a link that the operator makes on request.

The request is a change of the session, so it needs the right to answer. This code has no credentials.
"""

import hashlib
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from agentic_cli.interaction.following import Clock
from agentic_cli.interaction.target import Project
from agentic_cli.model.sessions import Session
from agentic_cli.output.rendering import describe_reference
from agentic_core.downloads import build_request, is_outside, read_link
from agentic_core.errors import PermanentError, TransientError

LINK_WAIT_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.5
_CHUNK_BYTES: Final = 1024 * 1024


def obtain_link(project: Project, session: Session, clock: Clock) -> str:
    """Return a link to the session's result; request one if there is none that stays valid for a while."""
    reference = session.status["resultRef"]
    if not is_outside(reference):
        raise PermanentError(
            f"{describe_reference(reference)}: read `output_data` of `workflow_sessions` there; links are made to"
            " results in an object store alone"
        )
    if (link := read_link(reference, datetime.now(UTC))) is not None:
        return link
    project.patch_session(session.name, build_request(datetime.now(UTC)))
    while True:
        found = project.fetch_session(session.name).status.get("resultRef") or {}
        if (link := read_link(found, datetime.now(UTC))) is not None:
            return link
        clock.sleep(clock.limit(_LOOK_SECONDS))


def save_result(link: str, reference: Mapping[str, Any], target: Path) -> int:
    """Stream the result to a file and return its size; the file appears when its digest was found to be right."""
    import httpx

    digest, size = hashlib.sha256(), 0
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        # The link is in no log and no message: anybody who has it can read the result.
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
