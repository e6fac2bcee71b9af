"""The login roles of namespaces, by which PostgreSQL itself separates the rows of namespaces.

A namespace has one current role. Replacing it creates another and retires the old one, which works until nobody has
used it for a while, so a rotation disturbs no running pod. Row-level security compares the namespace of the current
role, so all roles of a namespace see the same rows (decision 12).
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from psycopg.rows import class_row, scalar_row

from agentic_core.errors import TransientError
from agentic_core.threads import project_prefix
from agentic_store.pool import Connections
from agentic_store.statements import load_statements

PASSWORD_BYTES: Final = 32
_SQL: Final = load_statements("tenants")


@dataclass(frozen=True)
class Credentials:
    """A login role and its password; the password shows in no text form."""

    role_name: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class TenantRole:
    """A namespace's login role, as the database has it."""

    role_name: str
    namespace: str
    is_valid: bool
    """False if the role was dropped, may not log in, or if the row came with a copy of another database."""
    retired_at: datetime | None
    """When another role replaced it; None for the current one."""
    seen_at: datetime | None
    """When a connection of it was last seen, once it is retired."""


class PostgresTenants:
    """Makes, lists and removes the roles of namespaces; needs the rights of ``agentic_operator``."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def find_obstacle(self) -> str | None:
        """Return why this database cannot have a role for each namespace, with the remedy; None if it can."""
        async with self._connections() as conn, conn.cursor(row_factory=scalar_row) as cursor:
            found: str | None = await (await cursor.execute(_SQL["obstacle"])).fetchone()
            return found

    async def make_role(self, namespace: str) -> Credentials:
        """Make a new current role for the namespace, with a random password, and retire the one before."""
        password = secrets.token_urlsafe(PASSWORD_BYTES)
        async with self._connections() as conn, conn.cursor(row_factory=scalar_row) as cursor:
            # Hashed here: the server's log may hold statements and their parameters.
            verifier = conn.pgconn.encrypt_password(password.encode(), b"", b"scram-sha-256").decode()
            await cursor.execute(_SQL["make"], {"namespace": namespace, "verifier": verifier})
            role_name: str | None = await cursor.fetchone()
        assert role_name is not None  # noqa: S101  (the function returns a name or raises)
        return Credentials(role_name, password)

    async def is_current(self, role_name: str, namespace: str) -> bool:
        """Return whether the role is there and is the namespace's current one."""
        params = {"role_name": role_name, "namespace": namespace}
        async with self._connections() as conn, conn.cursor(row_factory=scalar_row) as cursor:
            return bool(await (await cursor.execute(_SQL["has_current"], params)).fetchone())

    async def list_roles(self) -> Sequence[TenantRole]:
        """Return all roles of all namespaces, retired ones included, after noting which of them are connected."""
        async with self._connections() as conn, conn.cursor(row_factory=class_row(TenantRole)) as cursor:
            await conn.execute(_SQL["note_connected"])
            return await (await cursor.execute(_SQL["list"])).fetchall()

    async def settle_roles(self) -> list[str]:
        """Reset the own settings of namespaces' roles; return the roles that had any."""
        async with self._connections() as conn, conn.cursor(row_factory=scalar_row) as cursor:
            return await (await cursor.execute(_SQL["settle"])).fetchall()

    async def drop_role(self, role_name: str) -> bool:
        """Remove a role with the objects that it created, and disconnect it; return whether it existed.

        Raises ``TransientError`` where something keeps it, as what it owns in another database: it logs in no more, and
        is listed as not valid until it can be removed.
        """
        async with self._connections() as conn, conn.cursor(row_factory=scalar_row) as cursor:
            dropped: bool | None = await (await cursor.execute(_SQL["drop"], {"role_name": role_name})).fetchone()
        if dropped is None:
            raise TransientError(
                f"database role {role_name!r} cannot log in any more, and cannot be removed yet: something that it owns"
                " is locked, or lies in another database of the server, where an administrator runs"
                f' DROP OWNED BY "{role_name}"'
            )
        return dropped

    async def purge_memory(self, namespace: str) -> int:
        """Delete what graphs of a namespace keep in LangGraph's long-term store; return the number of items."""
        async with self._connections() as conn:
            return (await conn.execute(_SQL["purge_memory"], {"label": memory_label(namespace)})).rowcount


def memory_label(namespace: str) -> str:
    """Return the first label of everything that graphs of a namespace keep in LangGraph's long-term store."""
    return project_prefix(namespace).removesuffix(":")
