"""``vault-init`` against a real Vault, which asks a real API server whose tokens it is shown.

Vault is set up by the commands of ``docs/vault.md``, as they stand there.
"""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import yaml

from agentic_store.dsn import Dsn
from agentic_vault.errors import ExitCode
from agentic_vault.main import main
from hack.cluster.controlplane import ControlPlane
from hack.kubectl import Kubectl
from tests.support.commands import ROOT, clean_environment
from tests.support.guide import read_commands, run_commands
from tests.support.kube import SYSTEM, Json
from tests.support.postgres import PostgresDatabase
from tests.support.postgres_server import PostgresServer
from tests.support.vault import VaultServer
from tests.support.waiting import PATIENCE_SECONDS, wait_for

# With everything in it that a shell, a URI, libpq or JSON gives a meaning to.
PASSWORD = "c4nary'p@ss/w%rd\\#? \"&"
TEAM = "team-a"


@dataclass(frozen=True)
class Bench:
    """Vault as the guide sets it up, and the accounts that log in."""

    vault: VaultServer
    plane: ControlPlane

    def token(self, namespace: str, account: str, *, audience: str = "vault") -> str:
        return self.plane.service_account_token(namespace, account, audiences=[audience])


@pytest.fixture(scope="module")
def bench(
    control_plane: ControlPlane, postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("vault")
    kubectl = Kubectl(control_plane.kubeconfig)
    kubectl.run("apply", "-f", str(ROOT / "manifests/vault/vault.yaml"))
    for namespace in (TEAM, "team-b"):
        control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        account = {"metadata": {"name": "agentic-runner"}}
        control_plane.request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", account)
    with VaultServer(folder) as vault:
        address = Dsn.parse(postgres_server.dsn())
        env = {
            **vault.environment(),
            "KUBECONFIG": str(control_plane.kubeconfig),
            "DB_HOST": address.host,
            "DB_PORT": address.port,
            "DB_NAME": "postgres",
            **dict.fromkeys(("OWNER_PASSWORD", "OPERATOR_PASSWORD", "RUNNER_PASSWORD"), PASSWORD),
        }
        for commands in read_commands("vault.md"):
            assert PASSWORD not in run_commands(commands, env=env, folder=folder)
        vault.put("agentic/runners/team-b", host="b")
        yield Bench(vault, control_plane)


@dataclass
class Pod:
    """What an init container of a pod has: a folder in memory, a token, variables."""

    bench: Bench
    folder: Path
    capture: pytest.CaptureFixture[str]
    namespace: str = SYSTEM
    account: str = "agentic-migrate"
    role: str = "agentic-migrate"
    path: str = "kv/agentic/owner"
    jwt: str | None = None
    said: str = ""

    @property
    def output(self) -> Path:
        return self.folder / "dsn"

    def environment(self, **variables: str) -> dict[str, str]:
        jwt = self.bench.token(self.namespace, self.account) if self.jwt is None else self.jwt
        (self.folder / "token").unlink(missing_ok=True)
        (self.folder / "token").write_text(jwt)
        return {
            "VAULT_ADDR": self.bench.vault.address,
            "VAULT_ROLE": self.role,
            "VAULT_PATH": self.path,
            "VAULT_JWT_FILE": str(self.folder / "token"),
            "VAULT_OUTPUT": str(self.output),
            "VAULT_WAIT_SECONDS": "0",
            **variables,
        }

    def run(self, **variables: str) -> int:
        """Run the program in this process and keep what it said; the password must be nowhere in it."""
        code = main([], self.environment(**variables))
        said = self.capture.readouterr()
        self.said = said.out + said.err
        assert "c4nary" not in self.said
        assert (self.folder / "token").read_text() not in self.said or not self.jwt
        return code


@pytest.fixture
def pod(bench: Bench, capfd: pytest.CaptureFixture[str]) -> Iterator[Pod]:
    before = signal.getsignal(signal.SIGTERM)
    tokens = bench.vault.tokens()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        made = Pod(bench, Path(folder), capfd)
        yield made
        signal.signal(signal.SIGTERM, before)
        assert {path.name for path in Path(folder).iterdir()} <= {"token", "dsn"}
    assert bench.vault.tokens() == tokens, "a token was left"


# What it is for


@pytest.mark.parametrize(
    ("namespace", "account", "role", "path", "login"),
    [
        pytest.param(SYSTEM, "agentic-migrate", "agentic-migrate", "kv/agentic/owner", "agentic_owner", id="migration"),
        pytest.param(
            SYSTEM, "agentic-operator", "agentic-operator", "kv/agentic/operator", "my_operator", id="operator"
        ),
        pytest.param(TEAM, "agentic-runner", "agentic-runner", "kv/agentic/runners/team-a", "my_runner", id="runner"),
    ],
)
def test_each_component_gets_its_own_login_after_the_commands_of_the_guide(
    pod: Pod, namespace: str, account: str, role: str, path: str, login: str
) -> None:
    pod.namespace, pod.account, pod.role, pod.path = namespace, account, role, path
    assert pod.run() == ExitCode.DONE
    assert pod.output.stat().st_mode & 0o777 == 0o400
    dsn = Dsn.parse(pod.output.read_text())
    assert dsn.user == login
    assert psycopg.conninfo.conninfo_to_dict(dsn.conninfo)["password"] == PASSWORD
    assert [line.split(": ", 1)[1].split(" ")[0] for line in pod.said.splitlines() if "warning" not in line] == [
        "logging",
        "read",
        "revoked",
        "wrote",
    ]


def test_the_migration_runs_with_what_it_wrote(pod: Pod, empty_database: PostgresDatabase) -> None:
    login = "vault_owner"
    empty_database.execute(f"CREATE ROLE {login} LOGIN CREATEROLE PASSWORD '{PASSWORD.replace(chr(39), chr(39) * 2)}'")
    empty_database.execute(f'ALTER DATABASE "{empty_database.name}" OWNER TO {login}')
    address = Dsn.parse(empty_database.dsn)
    pod.bench.vault.put(
        "agentic/owner",
        host=address.host,
        port=int(address.port),
        database=empty_database.name,
        username=login,
        password=PASSWORD,
    )
    assert pod.run() == ExitCode.DONE
    env = clean_environment(POSTGRES_CONNECTION_STRING_FILE=str(pod.output))
    done = subprocess.run(
        [sys.executable, "-m", "agentic_cli", "migrate", "up"], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "c4nary" not in done.stdout + done.stderr
    assert empty_database.execute("SELECT count(*) > 0 FROM agentic_migrations") == [(True,)]

    # The password is rotated, in the database and in Vault: a later Job has the new one, and the old one is refused.
    old = Dsn.parse(pod.output.read_text())
    empty_database.execute(f"ALTER ROLE {login} PASSWORD 'c4nary-rotated'")
    pod.bench.vault.put(
        "agentic/owner",
        host=address.host,
        port=int(address.port),
        database=empty_database.name,
        username=login,
        password="c4nary-rotated",
    )
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(old.conninfo)
    assert pod.run() == ExitCode.DONE
    again = subprocess.run(
        [sys.executable, "-m", "agentic_cli", "migrate", "up"], env=env, capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
    assert "==> already applied" in again.stderr
    assert "c4nary" not in again.stdout + again.stderr
    empty_database.execute(f"REASSIGN OWNED BY {login} TO CURRENT_USER")
    empty_database.execute(f"DROP OWNED BY {login}")
    empty_database.execute(f"DROP ROLE {login}")


@pytest.mark.parametrize(
    ("namespace", "role"), [(SYSTEM, "agentic-migrate"), (SYSTEM, "agentic-operator"), (TEAM, "agentic-runner")]
)
def test_a_token_of_the_guides_roles_lives_for_five_minutes_and_is_renewed_for_ten(
    bench: Bench, namespace: str, role: str
) -> None:
    given = {"role": role, "jwt": bench.token(namespace, role)}
    auth = bench.vault.request("POST", "auth/kubernetes/login", given)["auth"]
    assert auth["lease_duration"] == 300
    assert bench.vault.request("GET", f"auth/kubernetes/role/{role}")["data"]["token_max_ttl"] == 600
    found = bench.vault.request("POST", "auth/token/lookup", {"token": auth["client_token"]})["data"]
    assert 0 < found["ttl"] <= 300
    bench.vault.request("POST", "auth/token/revoke", {"token": auth["client_token"]})


def test_a_changed_password_is_read_by_the_next_run(pod: Pod) -> None:
    pod.namespace, pod.account, pod.role, pod.path = (
        TEAM,
        "agentic-runner",
        "agentic-runner",
        "kv/agentic/runners/team-a",
    )
    assert pod.run() == ExitCode.DONE
    pod.bench.vault.put("agentic/runners/team-a", host="h", port="1", database="d", username="u", password="c4nary-two")
    assert pod.run() == ExitCode.DONE
    assert "c4nary-two" in pod.output.read_text()


def test_the_first_version_of_the_engine_is_read_too(pod: Pod) -> None:
    vault = pod.bench.vault
    vault.request("POST", "sys/mounts/old/team", {"type": "kv", "options": {"version": "1"}})
    vault.request(
        "PUT", "old/team/db", {"host": "h", "port": 5432, "database": "d", "username": "u", "password": "c4nary"}
    )
    vault.request("PUT", "sys/policies/acl/old", {"policy": 'path "old/team/db" { capabilities = ["read"] }'})
    _role(vault, "old", ["old"])
    pod.role, pod.path = "old", "old/team/db"
    assert pod.run() == ExitCode.DONE
    assert Dsn.parse(pod.output.read_text()).describe() == "u@h:5432/d"


def test_an_encrypted_vault_is_trusted_by_the_authority_that_is_given(pod: Pod) -> None:
    vault = pod.bench.vault
    assert pod.run(VAULT_ADDR=vault.tls_address, VAULT_CACERT_BYTES=vault.authorities) == ExitCode.DONE
    assert "warning" not in pod.said
    file = pod.folder.parent / f"{pod.folder.name}.crt"
    file.write_text(vault.authorities)
    assert pod.run(VAULT_ADDR=vault.tls_address, VAULT_CACERT=str(file)) == ExitCode.DONE
    file.unlink()


# What can be missing


def _role(vault: VaultServer, name: str, policies: list[str], **settings: object) -> None:
    body = {
        "bound_service_account_names": ["agentic-migrate"],
        "bound_service_account_namespaces": [SYSTEM],
        "audience": "vault",
        "token_policies": policies,
        "token_ttl": "5m",
        **settings,
    }
    vault.request("POST", f"auth/kubernetes/role/{name}", body)


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        pytest.param({"role": "nobody"}, ExitCode.ROLE_REFUSED, "no role 'nobody'.*vault write", id="role missing"),
        pytest.param({"account": "agentic-operator"}, ExitCode.ROLE_REFUSED, "does not take", id="another account"),
        pytest.param(
            {"namespace": TEAM, "account": "agentic-runner"}, ExitCode.ROLE_REFUSED, "does not take", id="namespace"
        ),
        pytest.param({"path": "kv/agentic/operator"}, ExitCode.DENIED, "may not read.*policy", id="another's secret"),
        pytest.param({"path": "nowhere/agentic"}, ExitCode.DENIED, "may not read", id="no such mount"),
        pytest.param({"jwt": ""}, ExitCode.NO_TOKEN, "is empty", id="an empty token"),
    ],
)
def test_what_is_missing_is_named_with_its_remedy(pod: Pod, change: dict[str, str], code: ExitCode, said: str) -> None:
    for name, value in change.items():
        setattr(pod, name, value)
    assert pod.run() == code, pod.said
    _assert_last_line(pod, said)
    assert not pod.output.exists()


def _assert_last_line(pod: Pod, said: str) -> None:
    last = pod.said.splitlines()[-1]
    assert last.startswith("error: ")
    assert re.search(said, last), last


def test_a_runner_reads_nothing_of_another_namespace(pod: Pod) -> None:
    pod.namespace, pod.account, pod.role, pod.path = (
        TEAM,
        "agentic-runner",
        "agentic-runner",
        "kv/agentic/runners/team-b",
    )
    assert pod.run() == ExitCode.DENIED


def test_a_secret_that_is_not_there_or_was_deleted_is_told_as_such(pod: Pod) -> None:
    vault = pod.bench.vault
    policy = 'path "kv/data/gone/*" { capabilities = ["read"] }'
    vault.request("PUT", "sys/policies/acl/gone", {"policy": policy})
    _role(vault, "gone", ["gone"])
    pod.role, pod.path = "gone", "kv/gone/never"
    assert pod.run() == ExitCode.NO_SECRET
    _assert_last_line(pod, "no secret 'kv/gone/never'.*vault kv put")
    vault.put("gone/deleted", password="c4nary")
    vault.request("DELETE", "kv/data/gone/deleted")
    pod.path = "kv/gone/deleted"
    assert pod.run() == ExitCode.NO_SECRET
    _assert_last_line(pod, "version 1.*was deleted.*undelete")


def test_a_missing_field_is_named_and_the_token_is_revoked(pod: Pod) -> None:
    pod.namespace, pod.account, pod.role, pod.path = (
        "team-b",
        "agentic-runner",
        "agentic-runner",
        "kv/agentic/runners/team-b",
    )
    assert pod.run() == ExitCode.BAD_SECRET
    _assert_last_line(pod, "lacks 'port', 'database', 'username', 'password'; its fields are 'host'")
    assert "revoked the token" in pod.said


def test_a_token_for_another_audience_is_refused(pod: Pod) -> None:
    pod.jwt = pod.bench.token(SYSTEM, "agentic-migrate", audience="another")
    assert pod.run() == ExitCode.ROLE_REFUSED
    _assert_last_line(pod, "audience")


def test_a_token_that_expired_or_whose_account_is_gone_is_refused(pod: Pod) -> None:
    head, _, signature = pod.bench.token(SYSTEM, "agentic-migrate").split(".")
    claims = base64.urlsafe_b64encode(json.dumps({"exp": time.time() - 60}).encode()).decode().rstrip("=")
    pod.jwt = f"{head}.{claims}.{signature}"
    assert pod.run() == ExitCode.NO_TOKEN
    _assert_last_line(pod, "expired 60 s ago")
    accounts = f"/api/v1/namespaces/{SYSTEM}/serviceaccounts"
    pod.bench.plane.request("POST", accounts, {"metadata": {"name": "brief"}})
    pod.jwt = pod.bench.token(SYSTEM, "brief")
    pod.bench.plane.request("DELETE", f"{accounts}/brief")
    _role(pod.bench.vault, "brief", ["default"], bound_service_account_names=["brief"])
    pod.role = "brief"
    assert pod.run() == ExitCode.ROLE_REFUSED
    _assert_last_line(pod, "refuses the login of 'agentic-system:brief'.*the cluster does not know the token")


def test_a_missing_token_file_and_settings_are_named(pod: Pod) -> None:
    assert pod.run(VAULT_JWT_FILE=str(pod.folder / "none")) == ExitCode.NO_TOKEN
    _assert_last_line(pod, "No such file")
    assert pod.run(VAULT_ADDR="") == ExitCode.CONFIGURATION
    assert pod.run(VAULT_AUTH_MOUNT="k8s") == ExitCode.ROLE_REFUSED
    _assert_last_line(pod, "auth/k8s")


def test_a_vault_that_does_not_answer_or_is_not_trusted_is_named(pod: Pod) -> None:
    assert pod.run(VAULT_ADDR="http://127.0.0.1:9") == ExitCode.UNREACHABLE
    _assert_last_line(pod, "does not answer: .*refused.*check VAULT_ADDR")
    assert pod.run(VAULT_ADDR="https://vault.invalid:8200") == ExitCode.UNREACHABLE
    assert pod.run(VAULT_ADDR=pod.bench.vault.tls_address) == ExitCode.TLS
    _assert_last_line(pod, "cannot be trusted.*VAULT_CACERT")


def test_a_token_that_may_not_revoke_itself_is_a_warning(pod: Pod) -> None:
    _role(pod.bench.vault, "batch", ["agentic-owner"], token_type="batch")
    pod.role = "batch"
    assert pod.run() == ExitCode.DONE
    assert "warning: the token could not be revoked" in pod.said
    assert "within 300 s" in pod.said


# What passes


def test_a_sealed_vault_is_waited_for(pod: Pod) -> None:
    vault = pod.bench.vault
    vault.seal()
    try:
        assert pod.run() == ExitCode.NOT_READY
        _assert_last_line(pod, "is sealed: run `vault operator unseal`")
        opener = threading.Timer(1, vault.unseal)
        opener.start()
        assert pod.run(VAULT_WAIT_SECONDS="30") == ExitCode.DONE, pod.said
        opener.join()
        assert "waiting: Vault at" in pod.said
    finally:
        vault.unseal()


def test_a_vault_that_is_killed_and_comes_back_is_waited_for(pod: Pod) -> None:
    vault = pod.bench.vault
    environment = pod.environment(VAULT_WAIT_SECONDS="60")
    vault.kill()
    with subprocess.Popen(
        [sys.executable, "-m", "agentic_vault"],
        env={**clean_environment(), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                if "waiting" in line:
                    break
            # Whoever looks at the process sees no secret.
            seen = Path(f"/proc/{process.pid}/environ").read_bytes() + Path(f"/proc/{process.pid}/cmdline").read_bytes()
            assert b"c4nary" not in seen
        finally:
            vault.start()
            vault.unseal()
        lines.append(process.stdout.read())
        assert process.wait(PATIENCE_SECONDS) == ExitCode.DONE, lines
    assert "c4nary" not in "".join(lines)
    assert pod.output.exists()


def test_stopped_while_it_waits_it_ends_at_once_and_writes_nothing(pod: Pod) -> None:
    environment = pod.environment(VAULT_ADDR="http://127.0.0.1:9", VAULT_WAIT_SECONDS="600")
    with subprocess.Popen(
        [sys.executable, "-m", "agentic_vault"],
        env={**clean_environment(), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if "waiting" in line)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == ExitCode.STOPPED
    assert not pod.output.exists()


def test_beside_the_operator_it_writes_the_file_again_when_the_secret_changes(pod: Pod) -> None:
    vault = pod.bench.vault
    fields = {"host": "h", "port": "1", "database": "d", "username": "u"}
    vault.put("agentic/owner", **fields, password="c4nary-one")
    environment = pod.environment(VAULT_REFRESH_SECONDS="1")
    with subprocess.Popen(
        [sys.executable, "-m", "agentic_vault"],
        env={**clean_environment(), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            wait_for(pod.output.exists, bool, what="the first file", every=0.05)
            vault.seal()
            vault.unseal()
            vault.put("agentic/owner", **fields, password="c4nary-two")
            wait_for(pod.output.read_text, lambda text: "c4nary-two" in text, what="the new one", every=0.05)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        said = process.stdout.read()
        assert process.wait(PATIENCE_SECONDS) == ExitCode.STOPPED
    assert said.count("wrote the connection string") == 2
    assert "c4nary" not in said
    assert pod.output.stat().st_mode & 0o777 == 0o400


# How it is installed


def render(folder: Path, *components: str) -> list[Json]:
    """Return what an overlay of the operator with components is."""
    links = [os.path.relpath(ROOT / "manifests" / name, folder) for name in ("operator", *components)]
    overlay = {"resources": links[:1], "components": links[1:]}
    (folder / "kustomization.yaml").write_text(json.dumps(overlay))
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> list[Json]:
    return render(tmp_path_factory.mktemp("overlay"), "vault")


def _pod_spec(installed: list[Json], kind: str) -> Json:
    (found,) = (one for one in installed if one["kind"] == kind)
    spec: Json = found["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize(
    ("kind", "account", "policy"), [("Job", "agentic-migrate", None), ("Deployment", "agentic-operator", "Always")]
)
def test_the_component_takes_every_secret_out_of_the_manifests(
    bench: Bench, installed: list[Json], kind: str, account: str, policy: str | None
) -> None:
    spec = _pod_spec(installed, kind)
    (init,) = spec["initContainers"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert volumes["postgres"] == {"name": "postgres", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}
    assert not any("secret" in volume for volume in spec["volumes"])
    assert "secretKeyRef" not in json.dumps(spec)
    assert spec["serviceAccountName"] == account
    assert init.get("restartPolicy") == policy
    assert [one["name"] for one in spec["containers"][0]["volumeMounts"]].count("vault") == 0
    # The namespace holds pods to the restricted standard: this asks the API server without making one.
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "try"}, "spec": {"restartPolicy": "Never", **spec}}
    made = bench.plane.request("POST", f"/api/v1/namespaces/{SYSTEM}/pods?dryRun=All", pod)
    assert made["spec"]["initContainers"][0]["name"] == "vault-init"


@pytest.mark.parametrize(("tool", "hook"), [("argocd", "argocd.argoproj.io/hook"), ("helm", "helm.sh/hook")])
def test_as_a_hook_the_migration_finds_what_it_needs_for_vault(tmp_path: Path, tool: str, hook: str) -> None:
    hooks = {
        (one["kind"], one["metadata"]["name"])
        for one in render(tmp_path, "vault", f"migrate/{tool}")
        if hook in (one["metadata"].get("annotations") or {})
    }
    assert hooks == {
        ("ConfigMap", "agentic-migrations"),
        ("ConfigMap", "agentic-vault"),
        ("ServiceAccount", "agentic-migrate"),
        ("Job", "agentic-migrate"),
    }
