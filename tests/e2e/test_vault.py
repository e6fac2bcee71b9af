"""The real cluster with credentials from Vault: migration, operator and a session; no Secret is read.

It changes the installed operator, so nothing else may run beside it; at the end the installation is as it was.
"""

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.cluster.folders import cluster_folder
from hack.install import NAMESPACE, image_version, install, wait_for_migration, wait_for_operator
from hack.kubectl import ROOT, Kubectl
from tests.e2e.conftest import Project, find_address, read_everything
from tests.support.guide import read_commands, run_commands
from tests.support.vault import VaultServer
from tests.support.waiting import wait_for

CANARY = f"c4nary'{secrets.token_urlsafe(8)}"
LOGINS = {
    "agentic_owner": "SUPERUSER",
    "my_operator": "IN ROLE agentic_operator",
    "my_runner": "IN ROLE agentic_runner",
}
POSTGRES_DIR = "/var/run/secrets/agentic/postgres"
# /var/run is a link.
MOUNTED = "tmpfs /run/secrets/agentic/postgres tmpfs ro"
SYSTEM = ("-n", NAMESPACE)


def run_sql(kubectl: Kubectl, *statements: str) -> None:
    """Run statements as the superuser, in the database's own pod."""
    client = 'PGPASSWORD="$(cat "$POSTGRES_PASSWORD_FILE")" exec psql -q -h 127.0.0.1 -U postgres -d agentic'
    command = ("sh", "-c", f"{client} -v ON_ERROR_STOP=1 -f -")
    kubectl.run(*SYSTEM, "exec", "-i", "statefulset/postgres", "--", *command, stdin="\n".join(statements))


def remove_traces(kubectl: Kubectl) -> None:
    kubectl.run("delete", "clusterrolebinding", "agentic-vault-reviewer", "--ignore-not-found")
    for name in ("serviceaccount/vault-reviewer", "serviceaccount/agentic-migrate", "configmap/agentic-vault"):
        kubectl.run(*SYSTEM, "delete", name, "--ignore-not-found")
    kubectl.run(*SYSTEM, "delete", "job/agentic-migrate", "--ignore-not-found", "--wait=true")
    run_sql(
        kubectl,
        *(
            f"DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{login}') THEN"
            f" REASSIGN OWNED BY {login} TO postgres; DROP OWNED BY {login}; DROP ROLE {login}; END IF; END $$;"
            for login in LOGINS
        ),
    )


def find_on_disk(text: str, since: Path) -> list[str]:
    """Return the files that the node has written since then and that hold a text; what is in memory is none of them."""
    written = ["find", str(cluster_folder()), "-xdev", "-type", "f", "-newer", str(since)]
    done = subprocess.run(
        [*written, "-exec", "grep", "-lF", "--", text, "{}", "+"], capture_output=True, text=True, check=False
    )
    return done.stdout.splitlines()


def write_overlay(folder: Path, vault: VaultServer) -> None:
    """Write the demonstration's installation with the component and where Vault is, as the guide does with its own.

    That the guide's own overlay builds is shown by ``tests/integration/test_installing_guide.py``.
    """
    data = {"VAULT_ADDR": vault.tls_address, "VAULT_CACERT_BYTES": vault.authorities}
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "agentic-vault", "namespace": NAMESPACE}}
    overlay = {
        "resources": [os.path.relpath(ROOT / "manifests/demo", folder)],
        "components": [os.path.relpath(ROOT / "manifests/vault", folder)],
        "patches": [{"patch": json.dumps({**settings, "data": data})}],
    }
    (folder / "kustomization.yaml").write_text(json.dumps(overlay))


@pytest.fixture
def vault(kubectl: Kubectl, tmp_path: Path) -> Iterator[VaultServer]:
    """Vault beside the cluster, set up by the guide, with everything installed to use it."""
    address = find_address(kubectl)
    remove_traces(kubectl)
    (tmp_path / "began").touch()
    quoted = CANARY.replace("'", "''")
    run_sql(kubectl, *(f"CREATE ROLE {login} LOGIN PASSWORD '{quoted}' {more};" for login, more in LOGINS.items()))
    with VaultServer(tmp_path / "vault", address) as server:
        env = {
            **server.environment(),
            "KUBECONFIG": str(kubectl.kubeconfig),
            "DB_HOST": f"postgres.{NAMESPACE}",
            "DB_PORT": "5432",
            "DB_NAME": "agentic",
            **dict.fromkeys(("OWNER_PASSWORD", "OPERATOR_PASSWORD", "RUNNER_PASSWORD"), CANARY),
        }
        for commands in read_commands("vault.md"):
            run_commands(commands, env=env, folder=tmp_path)
        (tmp_path / "overlay").mkdir()
        write_overlay(tmp_path / "overlay", server)
        try:
            kubectl.run("apply", "--server-side", "--force-conflicts", "-k", str(tmp_path / "overlay"))
            wait_for_migration(kubectl)
            wait_for_operator(kubectl)
            yield server
        finally:
            remove_traces(kubectl)
            install(kubectl, version=image_version())


def test_migration_operator_and_a_session_work_with_vault_alone(
    vault: VaultServer, project: Project, tmp_path: Path
) -> None:
    kubectl = project.kubectl
    said = kubectl.run(*SYSTEM, "logs", "job/agentic-migrate", "-c", "vault-init")
    assert "read 'kv/agentic/owner' version 1" in said
    assert "revoked the token" in said
    assert "warning" not in said
    assert "agentic_owner@" in kubectl.run(*SYSTEM, "logs", "job/agentic-migrate", "-c", "migrate")

    # The operator's file is in memory, and nothing in its environment is secret.
    inside = (*SYSTEM, "exec", "deployment/agentic-operator", "-c", "operator", "--")
    mounts = kubectl.run(*inside, "cat", "/proc/mounts")
    assert MOUNTED in mounts
    assert kubectl.run(*inside, "stat", "-c", "%a", f"{POSTGRES_DIR}/dsn").strip() == "400"
    assert "c4nary" not in kubectl.run(*inside, "cat", "/proc/1/environ", "/proc/1/cmdline")

    login = {"host": f"postgres.{NAMESPACE}", "port": "5432", "database": "agentic", "username": "my_runner"}
    vault.put(f"agentic/runners/{project.name}", **login, password=CANARY)
    project.define("steps")
    project.start("steps", inputs={"count": 2, "seconds": 2})
    pod = wait_for(lambda: [p for p in project.pods() if p["status"]["phase"] == "Running"], bool, what="a runner")[0]
    name = pod["metadata"]["name"]
    mounts = project.run("exec", name, "-c", "runner", "--", "cat", "/proc/mounts")
    assert MOUNTED in mounts
    assert "agentic/vault" not in mounts
    assert "c4nary" not in project.run("exec", name, "-c", "runner", "--", "cat", "/proc/1/environ")
    project.wait_phase("Completed")
    assert json.loads(project.run("get", "secrets", "-o", "json"))["items"] == []
    for namespace in (NAMESPACE, project.name):
        assert "c4nary" not in read_everything(kubectl, namespace)
    if (cluster_folder() / "kubelet").exists():
        # The node is this machine.
        assert find_on_disk("agentic_owner@", tmp_path / "began"), "its logs are not where they are looked for"
        assert find_on_disk(CANARY.removeprefix("c4nary'"), tmp_path / "began") == []
