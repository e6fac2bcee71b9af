"""The REST surface: routes over the resources and the database's records of them."""

from typing import Final

from fastapi import APIRouter

from agentic_gateway.api import (
    audit,
    checkpoints,
    definitions,
    follow_ups,
    inbox,
    listing,
    login,
    namespaces,
    pod_logs,
    records,
    results,
    runners,
    schemas,
    sessions,
    state,
    steering,
    tickets,
)

ROUTERS: Final[tuple[APIRouter, ...]] = (
    definitions.router,
    schemas.router,
    listing.router,
    sessions.router,
    steering.router,
    follow_ups.router,
    records.router,
    results.router,
    checkpoints.router,
    state.router,
    audit.router,
    pod_logs.router,
    runners.router,
    inbox.router,
    namespaces.router,
    tickets.router,
    login.router,
)
