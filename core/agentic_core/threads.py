"""LangGraph thread ids: how a session's checkpoints are named, so that no two sessions can share a thread."""

import re
from typing import Final

_PLAIN: Final = re.compile(r"[A-Za-z0-9._-]")


def escape(part: str) -> str:
    """Percent-encode every byte of ``part`` outside ``A-Z a-z 0-9 . _ -``.

    The separators ``:`` and ``%`` are among those escaped, so that escaping is one-to-one and a part can never
    look like the start of the next one. ``/`` and SQL's ``%`` wildcard cannot be smuggled either.
    """
    return "".join(c if _PLAIN.match(c) else "".join(f"%{byte:02X}" for byte in c.encode()) for c in part)


def project_prefix(namespace: str) -> str:
    """Return what all thread ids of a namespace start with."""
    return f"project-{escape(namespace)}:"


def can_read(reader: str, thread: str) -> bool:
    """Return whether the session of thread ``reader`` may read ``thread``.

    Only within a project; and a private thread only from a private one of the same user.
    """
    project, _, rest = thread.partition(":")
    owner, _, session = rest.rpartition(":")
    if not session.startswith("session-") or not project.startswith("project-"):
        return False
    return reader.startswith(f"{project}:{owner}:" if owner else f"{project}:")


def thread_id(namespace: str, session: str, user: str | None = None) -> str:
    """Return the thread id of a session; a private session's names its user.

    ``project-{namespace}:session-{session}`` or ``project-{namespace}:user-{user}:session-{session}``.
    """
    if not namespace or not session:
        raise ValueError("a thread id needs a namespace and a session name")
    owner = "" if user is None else f"user-{escape(user)}:"
    return f"{project_prefix(namespace)}{owner}session-{escape(session)}"
