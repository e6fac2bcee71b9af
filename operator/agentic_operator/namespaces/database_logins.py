"""The database roles of the runners of each namespace, and the Secret with the login.

If the operator's role can create roles, every namespace has its own, and PostgreSQL separates their rows. Otherwise all
share the administrator's connection string. A Secret that somebody else created is not changed.

The role is created before the Secret names it, and the previous role stays valid: whatever happens in between, the
existing Secret lets runners log in.
"""

import asyncio
import base64
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from agentic_core.conditions import Reason
from agentic_core.contract import POSTGRES_SECRET, POSTGRES_SECRET_KEY
from agentic_core.errors import DatabaseUnavailable, PermanentError, TransientError
from agentic_core.names import GROUP
from agentic_operator.config import Settings
from agentic_operator.kube.client import SECRETS, Json, Kube
from agentic_operator.kube.errors import Blocked
from agentic_operator.namespaces.secrets import is_ours, read_text, write_secret
from agentic_operator.variables import Tenancy
from agentic_store.dsn import Dsn, read_dsn
from agentic_store.tenants import Credentials, TenantRole

ROLE_ANNOTATION: Final = f"{GROUP}/database-role"
ROTATE_ANNOTATION: Final = f"{GROUP}/rotate-credentials"
ROTATED_ANNOTATION: Final = f"{GROUP}/rotated-for"
# What the operator's role may do changes with migrations and grants, seldom.
MODE_SECONDS: Final = 300.0
# A session that starts does not wait longer than that for a database that is away.
PATIENCE_SECONDS: Final = 5.0

logger: Final = logging.getLogger(__name__)


class Tenants(Protocol):
    """What is needed of ``agentic_store.tenants``."""

    async def find_obstacle(self) -> str | None: ...

    async def make_role(self, namespace: str) -> Credentials: ...

    async def is_current(self, role_name: str, namespace: str) -> bool: ...

    async def list_roles(self) -> Sequence[TenantRole]: ...

    async def settle_roles(self) -> list[str]: ...

    async def drop_role(self, role_name: str) -> bool: ...

    async def purge_memory(self, namespace: str) -> int: ...


class DatabaseLogins:
    """Gives namespaces their connection strings."""

    def __init__(
        self, kube: Kube, settings: Settings, tenants: Tenants | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kube = kube
        self._settings = settings
        self._tenants = tenants
        self._clock = clock
        self._has_own_roles: bool | None = None
        self._known_until = 0.0

    async def place(self, namespace: str) -> None:
        """Make sure that the namespace's Secret is there and lets its runners in.

        Raises ``TransientError`` where it cannot be given.
        """
        there = await self._kube.find(SECRETS, namespace, POSTGRES_SECRET)
        if there is not None and not is_ours(there):
            _read(there, namespace, POSTGRES_SECRET)
            return
        # Without its key it lets nobody in, whatever role it names.
        role_name = role_of(there) if _has_text(there) else None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                tenants = await self.find_tenants()
                if tenants is None:
                    await self._copy_shared(namespace, there)
                elif there is None or role_name is None or not await tenants.is_current(role_name, namespace):
                    await self._give_own(namespace, there, tenants, {})
                else:
                    await self._follow_pattern(namespace, there)
        except (DatabaseUnavailable, TimeoutError) as error:
            # Runners wait for the database by themselves, with the existing Secret.
            if role_name is None:
                said = str(error) or f"PostgreSQL did not answer within {PATIENCE_SECONDS:g} s"
                raise DatabaseUnavailable(f"the namespace's login cannot be made yet: {said}") from error

    async def rotate(self, namespace: str, request: str) -> str | None:
        """Give the namespace a new role, once for each ``request``; return its name if it was created now."""
        there = await self._kube.find(SECRETS, namespace, POSTGRES_SECRET)
        tenants = await self.find_tenants()
        if there is None or not is_ours(there) or tenants is None:
            return None
        if (there["metadata"].get("annotations") or {}).get(ROTATED_ANNOTATION) == request:
            return None
        return await self._give_own(namespace, there, tenants, {ROTATED_ANNOTATION: request})

    async def find_tenants(self) -> Tenants | None:
        """Return what makes roles of their own for namespaces; None if they share one.

        Raises ``TransientError`` where they should not and cannot have their own.
        """
        if self._tenants is None or self._settings.tenancy is Tenancy.OFF:
            return None
        if self._has_own_roles is None or self._clock() >= self._known_until:
            await self._look_at_database(self._tenants)
        return self._tenants if self._has_own_roles else None

    async def _look_at_database(self, tenants: Tenants) -> None:
        try:
            obstacle = await tenants.find_obstacle()
        except PermanentError as error:
            obstacle = str(error)
        if obstacle is not None and self._settings.tenancy is Tenancy.ON:
            raise TransientError(f"namespaces cannot have database roles of their own, and TENANCY is 'on': {obstacle}")
        if (obstacle is None) != self._has_own_roles:
            if obstacle is None:
                logger.info("every namespace has a database role of its own")
            else:
                logger.warning("all namespaces share one database role and see each other's rows: %s", obstacle)
        self._has_own_roles = obstacle is None
        self._known_until = self._clock() + MODE_SECONDS

    async def _give_own(
        self, namespace: str, there: Json | None, tenants: Tenants, annotations: Mapping[str, str]
    ) -> str:
        # Asked before the role is made: without a pattern it would be for nothing.
        pattern = await self._find_pattern()
        credentials = await tenants.make_role(namespace)
        login = pattern.with_login(credentials.role_name, credentials.password)
        annotations = {**annotations, ROLE_ANNOTATION: credentials.role_name}
        await self._write(namespace, there, login.conninfo, annotations)
        logger.info(
            "created a database role for a namespace",
            extra={"namespace": namespace, "database_role": credentials.role_name},
        )
        return credentials.role_name

    async def _follow_pattern(self, namespace: str, there: Json) -> None:
        """Give the namespace's own login to where the database is now: behind a pooler, or with TLS."""
        known = _read(there, namespace, POSTGRES_SECRET)
        wanted = (await self._find_pattern()).with_login_of(_parse(known, namespace, POSTGRES_SECRET)).conninfo
        if wanted != known:
            await self._write(namespace, there, wanted, {})

    async def _find_pattern(self) -> Dsn:
        """Return host, options and database as runners reach them; the operator's own where nobody gave any."""
        shared = await self._find_shared()
        if shared is None:
            return read_dsn({}, file=self._settings.postgres_file)
        return _parse(shared, self._settings.namespace, self._settings.runner_postgres_secret)

    async def _copy_shared(self, namespace: str, there: Json | None) -> None:
        shared = await self._find_shared()
        if shared is None:
            name, home = self._settings.runner_postgres_secret, self._settings.namespace
            raise Blocked(
                Reason.SECRET_MISSING,
                f"runners in {namespace!r} have no database: make Secret {name!r} in {home!r}, or Secret"
                f" {POSTGRES_SECRET!r} in {namespace!r}, with the connection string under {POSTGRES_SECRET_KEY!r},"
                " and they start by themselves",
            )
        _parse(shared, self._settings.namespace, self._settings.runner_postgres_secret)
        if there is None or (there.get("data") or {}).get(POSTGRES_SECRET_KEY) != _encode(shared):
            await self._write(namespace, there, shared, {ROLE_ANNOTATION: None})

    async def _find_shared(self) -> str | None:
        source = await self._kube.find(SECRETS, self._settings.namespace, self._settings.runner_postgres_secret)
        return (
            None if source is None else _read(source, self._settings.namespace, self._settings.runner_postgres_secret)
        )

    async def _write(
        self, namespace: str, there: Json | None, text: str, annotations: Mapping[str, str | None]
    ) -> None:
        data = {POSTGRES_SECRET_KEY: _encode(text)}
        await write_secret(self._kube, namespace, POSTGRES_SECRET, there, data, annotations)


def role_of(secret: Json | None) -> str | None:
    """Return the role of its own that a namespace's Secret lets runners in with."""
    if secret is None:
        return None
    role_name: str | None = (secret["metadata"].get("annotations") or {}).get(ROLE_ANNOTATION)
    return role_name


def _has_text(secret: Json | None) -> bool:
    return bool(secret is not None and (secret.get("data") or {}).get(POSTGRES_SECRET_KEY))


def _read(secret: Json, place: str, name: str) -> str:
    return read_text(secret, place, name, POSTGRES_SECRET_KEY)


def _parse(text: str, place: str, name: str) -> Dsn:
    try:
        return Dsn.parse(text)
    except PermanentError as error:
        raise Blocked(Reason.SECRET_INVALID, f"Secret {name!r} in {place!r}: {error}") from error


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
