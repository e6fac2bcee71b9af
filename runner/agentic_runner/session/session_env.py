"""Variables of a session: for the graph's code alone, once everything is loaded that a variable could change.

They are never in the pod's environment. Whoever may only start sessions so reaches neither the interpreter nor the
dynamic linker, neither TLS nor libpq nor any other library that reads variables while this program starts; the graph
and the programs that it starts see them, under the names that the definition's author listed for that (decision 25).
"""

import os
from collections.abc import MutableMapping
from typing import Final

from agentic_core.errors import PermanentError
from agentic_core.resources.session import AgenticSession

VARIABLE: Final = "SESSION_ENV"


class EnvRefused(PermanentError):
    """A variable of the session is one that the image or its definition sets."""


def take_session_env(session: AgenticSession, environ: MutableMapping[str, str] = os.environ) -> None:
    """Set the session's variables that the operator named; raise :class:`EnvRefused` for one that is set already.

    What the author sets stands, also where the operator could not see it: in the image, or in a Secret or ConfigMap
    that the definition takes as a whole.
    """
    names = {name for name in environ.get(VARIABLE, "").split(",") if name}
    taken = {entry.name: entry.value or "" for entry in session.spec.env if entry.name in names}
    if standing := sorted(name for name in taken if name in environ):
        raise EnvRefused(
            f"/spec/env: {', '.join(map(repr, standing))} is set by the image or by its definition's envFrom, and what"
            " they set stands; leave it out"
        )
    environ.update(taken)
