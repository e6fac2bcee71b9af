"""The few error classes, named by how the caller should react.

::

    AgenticError
    ├── InvalidResource      the person who wrote the input must change it
    ├── TransientError       trying the same again later may work
    │   ├── ApiUnavailable
    │   └── DatabaseUnavailable
    ├── Conflict             somebody else changed it: read again, decide again
    ├── Superseded           a newer writer owns the thread: stop, write nothing more
    └── PermanentError       trying the same again will fail again
        ├── SchemaMismatch   the database's migrations are not those this program needs
        ├── OutputTooLarge
        └── GraphLoadError

Foreign exceptions are translated into these at the edge, in one place per client, with ``raise … from``.
"""

from dataclasses import dataclass


class AgenticError(Exception):
    """Base of all errors that this project raises on purpose."""


@dataclass(frozen=True)
class Problem:
    """One fault in a document: its place and its remedy.

    ``pointer`` is a JSON pointer (RFC 6901) into the document that the reader wrote, ``""`` for the whole of it.
    """

    pointer: str
    message: str

    def __str__(self) -> str:
        return f"{self.pointer or '/'}: {self.message}"


class InvalidResource(AgenticError):
    """A resource or input is invalid; ``problems`` has the places and remedies."""

    def __init__(self, problems: tuple[Problem, ...] | list[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


class TransientError(AgenticError):
    """A temporary fault; ``retry_after_seconds`` is the pause that the other side requested, if any."""

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class ApiUnavailable(TransientError):
    """The API server does not answer, or cannot at present."""


class DatabaseUnavailable(TransientError):
    """PostgreSQL does not answer, refuses connections, or ended this one."""


class Conflict(AgenticError):
    """The object changed since it was read; read it again and decide again."""


class Superseded(AgenticError):
    """A newer runner owns the thread (or its session is gone); this writer must stop."""


class PermanentError(AgenticError):
    """Trying again without a change elsewhere fails again."""


class SchemaMismatch(PermanentError):
    """The database is not at the migration that this program needs."""


class OutputTooLarge(PermanentError):
    """A result is over the size that can be stored."""


class GraphLoadError(PermanentError):
    """The image's graph cannot be found, imported or compiled."""
