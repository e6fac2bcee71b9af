"""Keys of sessions and definitions, for the work queue and the index. Pure."""

from typing import NamedTuple


class SessionKey(NamedTuple):
    """A session, for the work queue and the index."""

    namespace: str
    name: str


class DefinitionKey(NamedTuple):
    """A definition; ``namespace`` is ``""`` for one of the cluster."""

    kind: str
    namespace: str
    name: str


Key = SessionKey | DefinitionKey
