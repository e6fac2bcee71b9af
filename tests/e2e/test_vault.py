"""The real cluster with credentials from Vault: migration, operator and a session; no Secret is read.

It changes the installed operator, so nothing else may run beside it; at the end the installation is as it was.
"""

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agentic_vault.errors import ExitCode
from hack.cluster.folders import cluster_folder
from hack.install import image_version, install, wait_for_migration, wait_for_operator
from hack.kubectl import ROOT, Kubectl
from tests.e2e.conftest import SYSTEM, Project, find_address, read_everything
from tests.support.cluster import CLUSTER_ROLE_BINDING, CONFIG_MAP, JOB, POD, SECRET, SERVICE_ACCOUNT, Cluster, Json
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
MIGRATION = "app.kubernetes.io/component=migrate"
MOUNTED = "tmpfs /run/secrets/agentic/postgres tmpfs ro"


def run_sql(cluster: Cluster, *statements: str) -> None:
    """Run statements as the superuser, in the database's own pod."""
    client = 'PGPASSWORD="$(cat "$POSTGRES_PASSWORD_FILE")" exec psql -q -h 127.0.0.1 -U postgres -d agentic'
    command = ("sh", "-c", f"{client} -v ON_ERROR_STOP=1 -f -")
    cluster.run("postgres-0", SYSTEM, *command, stdin="\n".join(statements))


def remove_traces(cluster: Cluster) -> None:
    cluster.delete(CLUSTER_ROLE_BINDING, "agentic-vault-reviewer")
    cluster.delete(SERVICE_ACCOUNT, "vault-reviewer", SYSTEM)
    cluster.delete(SERVICE_ACCOUNT, "agentic-migrate", SYSTEM)
    cluster.delete(CONFIG_MAP, "agentic-vault", SYSTEM)
    remove_migration(cluster)
    run_sql(
        cluster,
        *(
            f"DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{login}') THEN"
            f" REASSIGN OWNED BY {login} TO postgres; DROP OWNED BY {login}; DROP ROLE {login}; END IF; END $$;"
            for login in LOGINS
        ),
    )


def remove_migration(cluster: Cluster) -> None:
    cluster.delete(JOB, "agentic-migrate", SYSTEM)
    cluster.wait_gone(JOB, "agentic-migrate", SYSTEM)


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
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "agentic-vault", "namespace": SYSTEM}}
    overlay = {
        "resources": [os.path.relpath(ROOT / "manifests/demo", folder)],
        "components": [os.path.relpath(ROOT / "manifests/vault", folder)],
        "patches": [{"patch": json.dumps({**settings, "data": data})}],
    }
    (folder / "kustomization.yaml").write_text(json.dumps(overlay))


@pytest.fixture(scope="module")
def began(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that is older than everything that the node writes from here on."""
    path = tmp_path_factory.mktemp("began") / "began"
    path.touch()
    return path


@pytest.fixture(scope="module")
def vault(
    kubectl: Kubectl, cluster: Cluster, began: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VaultServer]:
    """Vault beside the cluster, set up by the guide, with everything installed to use it."""
    folder = tmp_path_factory.mktemp("vault")
    quoted = CANARY.replace("'", "''")
    # Before anything is changed: where Vault cannot be had, the installation stays as it is.
    with VaultServer(folder / "vault", find_address(cluster)) as server:
        env = {
            **server.environment(),
            "KUBECONFIG": str(kubectl.kubeconfig),
            "DB_HOST": f"postgres.{SYSTEM}",
            "DB_PORT": "5432",
            "DB_NAME": "agentic",
            **dict.fromkeys(("OWNER_PASSWORD", "OPERATOR_PASSWORD", "RUNNER_PASSWORD"), CANARY),
        }
        try:
            remove_traces(cluster)
            made = (f"CREATE ROLE {login} LOGIN PASSWORD '{quoted}' {more};" for login, more in LOGINS.items())
            run_sql(cluster, *made)
            for commands in read_commands("vault.md"):
                run_commands(commands, env=env, folder=folder)
            (folder / "overlay").mkdir()
            write_overlay(folder / "overlay", server)
            kubectl.run("apply", "--server-side", "--force-conflicts", "-k", str(folder / "overlay"))
            wait_for_migration(kubectl)
            wait_for_operator(kubectl)
            yield server
        finally:
            remove_traces(cluster)
            install(kubectl, version=image_version())


def find_pod(cluster: Cluster, labels: str) -> str:
    """Return the one pod that runs or has ended well."""
    found = [pod for pod in cluster.find_all(POD, SYSTEM, labels=labels) if "deletionTimestamp" not in pod["metadata"]]
    return str(found[0]["metadata"]["name"])


def check_file(cluster: Cluster, pod: str, namespace: str, container: str) -> None:
    """Check that a container has the file in memory, for its user alone, and nothing secret around it."""

    def run(*command: str) -> str:
        return cluster.run(pod, namespace, *command, container=container)

    mounts = run("cat", "/proc/mounts")
    assert MOUNTED in mounts
    assert "agentic/vault" not in mounts, "the token for Vault"
    assert run("stat", "-c", "%a", f"{POSTGRES_DIR}/dsn").strip() == "400"
    assert "c4nary" not in run("cat", "/proc/1/environ", "/proc/1/cmdline")


def find_volumes(uid: str) -> list[Path]:
    """Return what the node keeps of a pod's volumes in memory."""
    return [*(cluster_folder() / "kubelet/pods" / uid / "volumes/kubernetes.io~empty-dir").glob("*")]


def has_node() -> bool:
    """Whether the node is this machine, so that its disk can be searched."""
    return (cluster_folder() / "kubelet").exists()


def test_migration_operator_and_a_session_work_with_vault_alone(
    vault: VaultServer, project: Project, began: Path
) -> None:
    cluster = project.cluster
    migration = find_pod(cluster, MIGRATION)
    said = cluster.read_log(migration, SYSTEM, "vault-init")
    assert "read 'kv/agentic/owner' version 1" in said
    assert "revoked the token" in said
    assert "warning" not in said
    assert "agentic_owner@" in cluster.read_log(migration, SYSTEM, "migrate")
    check_file(cluster, find_pod(cluster, "app.kubernetes.io/name=agentic-operator"), SYSTEM, "operator")

    login = {"host": f"postgres.{SYSTEM}", "port": "5432", "database": "agentic", "username": "my_runner"}
    vault.put(f"agentic/runners/{project.name}", **login, password=CANARY)
    project.define("steps")
    project.start("steps", inputs={"count": 4, "seconds": 2})
    pod = project.wait_running()["metadata"]
    check_file(cluster, pod["name"], project.name, "runner")
    assert not has_node() or find_volumes(pod["uid"])
    project.wait_phase("Completed")
    assert project.find_all(SECRET) == []
    project.delete_session()
    project.wait_no_pod()
    wait_for(lambda: find_volumes(pod["uid"]), lambda left: not left, what="the end of the file with its pod")
    for namespace in (SYSTEM, project.name):
        assert "c4nary" not in read_everything(cluster, namespace)
    if has_node():
        assert find_on_disk("agentic_owner@", began), "its logs are not where they are looked for"
        assert find_on_disk(CANARY.removeprefix("c4nary'"), began) == []


@contextmanager
def migrating(cluster: Cluster, name: str, **changes: str) -> Iterator[Json]:
    """Run a Job that is the installed migration but for a service account or arguments; yield its first pod."""
    template = cluster.get(JOB, "agentic-migrate", SYSTEM)["spec"]["template"]["spec"]
    if "account" in changes:
        template.update(serviceAccountName=changes["account"], serviceAccount=changes["account"])
    template["containers"][0]["args"] = ["--wait", changes.get("wait", "300")]
    labels = {"app.kubernetes.io/part-of": "agentic-operator", "app.kubernetes.io/component": "migrate"}
    spec = {"backoffLimit": 0, "template": {"metadata": {"labels": labels}, "spec": template}}
    cluster.apply(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": SYSTEM}, "spec": spec}
    )

    def find() -> list[Json]:
        return cluster.find_all(POD, SYSTEM, labels=f"batch.kubernetes.io/job-name={name}")

    try:
        yield wait_for(find, bool, what="its pod")[0]
    finally:
        cluster.delete(JOB, name, SYSTEM)
        wait_for(find, lambda pods: not pods, what="the end of its pod")


def wait_container(cluster: Cluster, pod: str, part: str, state: str) -> Json:
    """Wait until the first container of a part of a pod is in a state; return what is told of it."""

    def find() -> Json | None:
        found = cluster.get(POD, pod, SYSTEM)["status"].get(part)
        told: Json | None = found[0]["state"].get(state) if found else None
        return told

    told = wait_for(find, lambda each: each is not None, what=f"{part} of {pod} {state}")
    assert told is not None
    return told


def test_with_another_service_account_the_migration_never_starts(vault: VaultServer, cluster: Cluster) -> None:
    with migrating(cluster, "migrate-as-nobody", account="default") as pod:
        name = pod["metadata"]["name"]
        ended = wait_container(cluster, name, "initContainerStatuses", "terminated")
        assert ended["exitCode"] == ExitCode.ROLE_REFUSED
        assert "agentic-migrate" in ended["message"]
        wait_for(lambda: cluster.get(POD, name, SYSTEM)["status"]["phase"], "Failed".__eq__, what="the end of the pod")
        (migrate,) = cluster.get(POD, name, SYSTEM)["status"]["containerStatuses"]
        assert (migrate["started"], list(migrate["state"]), migrate.get("containerID")) == (False, ["waiting"], None)


def test_the_file_of_a_migration_is_in_memory_and_goes_with_its_pod(vault: VaultServer, cluster: Cluster) -> None:
    """It waits for a database that is not there, and is looked at meanwhile."""
    owner = {"port": "5432", "database": "agentic", "username": "agentic_owner", "password": CANARY}
    vault.put("agentic/owner", host=f"nowhere.{SYSTEM}", **owner)
    try:
        with migrating(cluster, "migrate-nowhere", wait="600") as pod:
            wait_container(cluster, pod["metadata"]["name"], "containerStatuses", "running")
            check_file(cluster, pod["metadata"]["name"], SYSTEM, "migrate")
            assert not has_node() or find_volumes(pod["metadata"]["uid"])
    finally:
        vault.put("agentic/owner", host=f"postgres.{SYSTEM}", **owner)
    wait_for(lambda: find_volumes(pod["metadata"]["uid"]), lambda left: not left, what="the end of the file")


def test_a_rotated_password_is_what_the_next_migration_connects_with(vault: VaultServer, cluster: Cluster) -> None:
    rotated = f"{CANARY}-rotated"
    quoted = rotated.replace("'", "''")
    run_sql(cluster, f"ALTER ROLE agentic_owner PASSWORD '{quoted}';")
    owner = {"host": f"postgres.{SYSTEM}", "port": "5432", "database": "agentic", "username": "agentic_owner"}
    # The old password is refused from here on.
    with migrating(cluster, "migrate-with-old", wait="0") as pod:
        ended = wait_container(cluster, pod["metadata"]["name"], "containerStatuses", "terminated")
        assert ended["exitCode"] != 0
        assert "password authentication failed" in cluster.read_log(pod["metadata"]["name"], SYSTEM, "migrate")
    tokens = vault.tokens()
    vault.put("agentic/owner", **owner, password=rotated)
    with migrating(cluster, "migrate-with-new") as pod:
        name = pod["metadata"]["name"]
        ended = wait_container(cluster, name, "containerStatuses", "terminated")
        said = cluster.read_log(name, SYSTEM, "migrate")
        assert (ended["exitCode"], "==> already applied" in said) == (0, True), said
        assert "c4nary" not in said + cluster.read_log(name, SYSTEM, "vault-init")
    assert vault.tokens() == tokens, "a token was left"
