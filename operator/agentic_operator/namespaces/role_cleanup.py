"""Rotates the database roles of namespaces on request, and removes unused ones.

Roles are compared with the namespaces every minute. A retired role is removed an hour after its last connection, and
all roles of a namespace with the namespace. Rows are not touched here: those of sessions are removed with the sessions,
and the items of LangGraph's long-term store stay for a namespace of that name, unless a setting says otherwise.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from agentic_operator.faults import Faults, Outage, repeat
from agentic_operator.kube.client import NAMESPACES, Json, Kube
from agentic_operator.kube.errors import Forbidden
from agentic_operator.namespaces.database_logins import ROTATE_ANNOTATION, DatabaseLogins, Tenants
from agentic_store.tenants import TenantRole

INTERVAL_SECONDS: Final = 60.0
UNUSED: Final = timedelta(hours=1)
# How a request for a rotation begins that also ends the connections of the roles before.
REVOKE: Final = "revoke"

logger: Final = logging.getLogger(__name__)

Annotations = Mapping[str, str]


def decide_drops(roles: Sequence[TenantRole], namespaces: Mapping[str, Annotations], now: datetime) -> list[TenantRole]:
    """Return the roles that nobody needs; ``namespaces`` are those that exist."""
    return [
        role
        for role in roles
        if role.namespace not in namespaces
        or not role.is_valid
        or (role.retired_at is not None and now - (role.seen_at or role.retired_at) > UNUSED)
    ]


class RoleCleanup:
    """Goes round every minute."""

    def __init__(
        self,
        kube: Kube,
        logins: DatabaseLogins,
        watched: tuple[str, ...],
        *,
        purges_memory: bool,
        faults: Faults | None = None,
        now: Callable[[], datetime],
    ) -> None:
        self._kube = kube
        self._logins = logins
        self._watched = watched
        self._purges_memory = purges_memory
        self._faults = faults or Faults()
        self._now = now

    async def run(self) -> None:
        """Go round for ever."""
        await repeat("database roles", self.run_once, self._faults, first_seconds=0, seconds=INTERVAL_SECONDS)

    async def run_once(self) -> None:
        """Compare roles and namespaces, once."""
        tenants = await self._logins.find_tenants()
        if tenants is None:
            return
        with self._faults.apart("database roles"):
            for name in await tenants.settle_roles():
                logger.warning(
                    "reset settings that a database role had made for its own connections",
                    extra={"database_role": name},
                )
        # Roles first: a namespace that is made in between is on the list then.
        roles = [role for role in await tenants.list_roles() if not self._watched or role.namespace in self._watched]
        namespaces = await self._list_namespaces()
        for role in decide_drops(roles, namespaces, self._now()):
            await self._drop(role, tenants)
        known = roles_by_namespace(roles)
        outage = Outage()
        for namespace in known.keys() - namespaces.keys():
            with self._faults.apart("database roles", outage, namespace=namespace):
                if self._purges_memory and (items := await tenants.purge_memory(namespace)):
                    logger.info(
                        "deleted the long-term memory of a namespace", extra={"namespace": namespace, "items": items}
                    )
        for namespace, annotations in namespaces.items():
            if request := annotations.get(ROTATE_ANNOTATION):
                with self._faults.apart("database roles", outage, namespace=namespace):
                    await self._rotate(namespace, request, known.get(namespace, ()), tenants)

    async def _rotate(self, namespace: str, request: str, roles: Sequence[TenantRole], tenants: Tenants) -> None:
        made = await self._logins.rotate(namespace, request)
        if made is not None and request.startswith(REVOKE):
            for role in roles:
                await self._drop(role, tenants)

    async def _drop(self, role: TenantRole, tenants: Tenants) -> None:
        # One that cannot be dropped must not keep the others.
        with self._faults.apart("database roles", namespace=role.namespace, database_role=role.role_name):
            await tenants.drop_role(role.role_name)
            logger.info("removed a database role", extra={"namespace": role.namespace, "database_role": role.role_name})

    async def _list_namespaces(self) -> dict[str, Annotations]:
        if self._watched:
            found = [await self._find_namespace(name) for name in self._watched]
            listed = [raw for raw in found if raw is not None]
        else:
            listed = await self._kube.list_all(NAMESPACES)
        return {raw["metadata"]["name"]: raw["metadata"].get("annotations") or {} for raw in listed}

    async def _find_namespace(self, name: str) -> Json | None:
        try:
            return await self._kube.find(NAMESPACES, "", name)
        except Forbidden as error:
            # It is taken to be there, since nothing of it may be removed, and to ask for nothing.
            logger.debug("a namespace cannot be read, which `get` on namespaces allows: %s", error)
            return {"metadata": {"name": name}}


def roles_by_namespace(roles: Sequence[TenantRole]) -> dict[str, list[TenantRole]]:
    """Return the roles of each namespace that has any."""
    found: dict[str, list[TenantRole]] = {}
    for role in roles:
        found.setdefault(role.namespace, []).append(role)
    return found
