"""Sessions whose runners fetch their database credentials from a real Vault; no Kubernetes object holds them."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentic_core.lifecycle import Phase
from hack.cluster.controlplane import ControlPlane
from tests.faults.bed import Bed, until
from tests.support.apiclient import core_path, jobs_path
from tests.support.postgres import PostgresDatabase
from tests.support.vault import VaultServer

PASSWORD = "c4nary/p@ss'w%rd"
LOGIN = "vault_runner"


@pytest.fixture(scope="module")
def vault(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    with VaultServer(tmp_path_factory.mktemp("vault")) as server:
        server.trust(plane)
        yield server


def store_login(vault: VaultServer, bed: Bed, password: str) -> None:
    """Give the namespace's login a password, in PostgreSQL and in Vault."""
    server = bed.database.server
    _set_password(bed.database, bed.namespace, password)
    vault.put(
        f"agentic/runners/{bed.namespace}",
        host="127.0.0.1",
        port=server.port,
        database=bed.database.name,
        username=LOGIN,
        password=password,
    )


def _set_password(database: PostgresDatabase, namespace: str, password: str) -> None:
    quoted = password.replace("'", "''")
    database.execute(
        f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{LOGIN}')"
        f" THEN CREATE ROLE {LOGIN} LOGIN IN ROLE agentic_tenant; END IF; END $$"
    )
    database.execute(f"ALTER ROLE {LOGIN} PASSWORD '{quoted}'")
    database.execute(
        "INSERT INTO tenants (role_name, namespace) VALUES (%s, %s) ON CONFLICT DO NOTHING", [LOGIN, namespace]
    )


async def start_operator(vault: VaultServer, bed: Bed, path: str = "kv/agentic/runners/{namespace}") -> None:
    await bed.operator(
        CREDENTIALS="vault",
        VAULT_ADDR=vault.address,
        VAULT_INIT_IMAGE="agentic-operator/operator:dev",
        VAULT_RUNNER_PATH=path,
    )
    await bed.define("quick")


async def find_leaks(bed: Bed) -> list[str]:
    """Return the places that people read and where the password stands."""
    lists = {
        "jobs": jobs_path(bed.namespace),
        "pods": core_path(bed.namespace, "pods"),
        "secrets": core_path(bed.namespace, "secrets"),
        "events": f"/apis/events.k8s.io/v1/namespaces/{bed.namespace}/events",
        "sessions and their status": f"/apis/agentic-operator.dev/v1alpha1/namespaces/{bed.namespace}/agenticsessions",
    }
    texts = {name: json.dumps(await bed.client.list(path)) for name, path in lists.items()}
    texts |= {str(path): path.read_text(errors="replace") for path in _logs(bed.folder)}
    return [name for name, text in texts.items() if "c4nary" in text]


def _logs(folder: Path) -> list[Path]:
    return [*folder.glob("*.log"), *folder.glob("pods/*/*log"), *folder.glob("pods/*/termination")]


async def test_sessions_run_with_credentials_that_no_kubernetes_object_holds(vault: VaultServer, bed: Bed) -> None:
    store_login(vault, bed, PASSWORD)
    tokens = vault.tokens()
    await start_operator(vault, bed)
    await bed.start("quick", "first", inputs={})
    await bed.wait_phase("first", Phase.COMPLETED)
    assert await bed.client.list(core_path(bed.namespace, "secrets")) == []
    # The password is changed: the next run reads the new one.
    store_login(vault, bed, f"{PASSWORD}-two")
    await bed.start("quick", "second", inputs={})
    await bed.wait_phase("second", Phase.COMPLETED)
    assert vault.tokens() == tokens
    assert await find_leaks(bed) == []
    assert len(_logs(bed.folder)) >= 5
    await bed.check()


async def test_a_vault_that_is_sealed_holds_sessions_up_and_loses_none(vault: VaultServer, bed: Bed) -> None:
    store_login(vault, bed, PASSWORD)
    await start_operator(vault, bed)
    vault.seal()
    try:
        await bed.start("quick", "s", inputs={})

        def is_waiting() -> bool:
            return any("is sealed" in path.read_text() for path in bed.folder.glob("pods/*/vault-init.log"))

        await until(is_waiting, what="vault-init waits")
    finally:
        await asyncio.to_thread(vault.unseal)
    await bed.wait_phase("s", Phase.COMPLETED)


async def test_what_is_missing_in_vault_fails_the_session_at_once_and_by_name(vault: VaultServer, bed: Bed) -> None:
    await start_operator(vault, bed, "kv/agentic/runners/nobody")
    await bed.start("quick", "s", inputs={}, retries=3)
    status = await bed.wait_phase("s", Phase.FAILED)
    assert "no secret 'kv/agentic/runners/nobody': write it with `vault kv put" in status["error"]["message"]
    assert len(list(bed.folder.glob("pods/*/vault-init.log"))) == 1, "more than one attempt"
