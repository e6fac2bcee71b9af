"""The gateway's client for Python: sessions, their messages as they come, answers, turns and results.

``AsyncClient`` and ``Client`` have the same methods; ``docs/python-client.md`` is the guide. What a program needs is
here; the modules below are the client's own.
"""

from agentic_client.asynchronous import AsyncClient, AsyncStream
from agentic_client.connection import ConnectionState
from agentic_client.errors import (
    BadRequest,
    Conflict,
    FieldProblem,
    Forbidden,
    GatewayError,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    Problem,
    ServerFault,
    TooManyRequests,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    WaitTimeout,
)
from agentic_client.messages import Gap, Message
from agentic_client.numbers import Numbers
from agentic_client.sessions import Question, Session, Turn
from agentic_client.synchronous import Client, Stream

__all__ = [
    "AsyncClient",
    "AsyncStream",
    "BadRequest",
    "Client",
    "Conflict",
    "ConnectionState",
    "FieldProblem",
    "Forbidden",
    "Gap",
    "GatewayError",
    "InvalidInput",
    "Message",
    "NotAuthenticated",
    "NotFound",
    "Numbers",
    "Problem",
    "Question",
    "ServerFault",
    "Session",
    "Stream",
    "TooManyRequests",
    "Turn",
    "Unavailable",
    "UnexpectedAnswer",
    "Unreachable",
    "WaitTimeout",
]
