"""Install the operator and a try-out PostgreSQL from this checkout into the local cluster; repeating is quick."""

import base64
import json
import secrets
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from hack.cluster.certificates import Authority
from hack.kubectl import ROOT, Kubectl, KubectlError, local_kubeconfig

NAMESPACE = "agentic-system"
SUPERUSER_SECRET = "postgres-superuser"  # noqa: S105  (a name)
# The login of each part, and the group role whose rights it has.
LOGINS = {"operator": "agentic_operator", "runner": "agentic_runner", "gateway": "agentic_gateway"}
GATEWAY = "agentic-gateway"
GATEWAY_TLS = "agentic-gateway-tls"


def install(
    kubectl: Kubectl, *, version: str, gateway_version: str = "", folder: Path = ROOT / "manifests/demo"
) -> None:
    """Make the Secrets, apply ``folder`` and wait until the operator and the gateway are ready.

    ``version`` and ``gateway_version`` stand for the content of the images: where they change, the migration runs again
    and pods are replaced.
    """
    kubectl.run("apply", "-f", str(ROOT / "manifests/operator/namespace.yaml"))
    make_secrets(kubectl)
    replace_old_migration(kubectl, version)
    kubectl.run("apply", "--server-side", "--force-conflicts", "-k", str(folder))
    kubectl.run(
        "-n", NAMESPACE, "annotate", "job/agentic-migrate", f"agentic-operator.dev/version={version}", "--overwrite"
    )
    for name, content in (("agentic-operator", version), (GATEWAY, gateway_version or version)):
        note = {"annotations": {"agentic-operator.dev/version": content}}
        patch = json.dumps({"spec": {"template": {"metadata": note}}})
        kubectl.run("-n", NAMESPACE, "patch", f"deployment/{name}", "-p", patch)
    kubectl.run("-n", NAMESPACE, "rollout", "status", "statefulset/postgres", "--timeout=180s", timeout_seconds=200)
    wait_for_migration(kubectl)
    make_logins(kubectl)
    wait_for_operator(kubectl)
    wait_for_operator(kubectl, GATEWAY)


def make_secrets(kubectl: Kubectl) -> None:
    """Make the passwords once; what exists stays."""
    wanted = {SUPERUSER_SECRET: ("password", "postgres")} | {
        f"agentic-postgres-{part}": ("dsn", f"agentic_{part}_login") for part in LOGINS
    }
    superuser = read_secret(kubectl, SUPERUSER_SECRET, "password") or secrets.token_urlsafe(24)
    for name, (key, user) in wanted.items():
        if kubectl.get("-n", NAMESPACE, "secret", name) is None:
            value = superuser if key == "password" else dsn(user, secrets.token_urlsafe(24))
            kubectl.apply(secret(name, key, value))
    kubectl.apply(secret("agentic-postgres-owner", "dsn", dsn("postgres", superuser)))
    if kubectl.get("-n", NAMESPACE, "secret", GATEWAY_TLS) is None:
        kubectl.apply(make_certificate())


def make_certificate() -> dict[str, object]:
    """Return a certificate for the gateway's Service and for localhost, of an authority that is made for it alone."""
    host = f"{GATEWAY}.{NAMESPACE}.svc"
    with TemporaryDirectory() as folder:
        authority = Authority(Path(folder))
        authority.create()
        pair = authority.issue("tls", host, names=[host, f"{host}.cluster.local", "localhost", "127.0.0.1"])
        files = {"tls.crt": pair.certificate, "tls.key": pair.key, "ca.crt": authority.pair.certificate}
        return {**secret(GATEWAY_TLS, "", ""), "stringData": {key: file.read_text() for key, file in files.items()}}


def dsn(user: str, password: str) -> str:
    return f"postgresql://{user}:{quote(password, safe='')}@postgres.{NAMESPACE}:5432/agentic"


def secret(name: str, key: str, value: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app.kubernetes.io/part-of": "agentic-operator"}},
        "stringData": {key: value},
    }


def read_secret(kubectl: Kubectl, name: str, key: str) -> str | None:
    found = kubectl.get("-n", NAMESPACE, "secret", name)
    return base64.b64decode(found["data"][key]).decode() if found else None


def replace_old_migration(kubectl: Kubectl, version: str) -> None:
    """Delete the migration Job of another version, and one that failed: a Job's template cannot change."""
    job = kubectl.get("-n", NAMESPACE, "job", "agentic-migrate")
    if job is None:
        return
    annotations = job["metadata"].get("annotations", {})
    if annotations.get("agentic-operator.dev/version") != version or job.get("status", {}).get("failed"):
        kubectl.run("-n", NAMESPACE, "delete", "job/agentic-migrate", "--wait=true")


def wait_for_migration(kubectl: Kubectl) -> None:
    try:
        kubectl.run(
            "-n", NAMESPACE, "wait", "--for=condition=complete", "job/agentic-migrate", "--timeout=240s",
            timeout_seconds=260,
        )  # fmt: skip
    except KubectlError as error:
        log = kubectl.run("-n", NAMESPACE, "logs", "job/agentic-migrate", "--tail=20")
        raise KubectlError(f"the migration did not complete: {error}\n{log}") from error


def wait_for_operator(kubectl: Kubectl, name: str = "agentic-operator") -> None:
    """Wait until a Deployment is rolled out: the operator's, or the gateway's."""
    deployment = f"deployment/{name}"
    try:
        kubectl.run("-n", NAMESPACE, "rollout", "status", deployment, "--timeout=90s", timeout_seconds=100)
    except KubectlError as error:
        log = kubectl.run("-n", NAMESPACE, "logs", deployment, "--tail=20")
        raise KubectlError(f"{name} does not become ready: {error}\n{log}") from error


def make_logins(kubectl: Kubectl) -> None:
    """Make the login roles whose passwords are in the Secrets; they go in over stdin, never in an argument."""
    statements = []
    for part, group in LOGINS.items():
        connection = read_secret(kubectl, f"agentic-postgres-{part}", "dsn")
        if connection is None:
            raise KubectlError(f"secret agentic-postgres-{part} is gone: run this again")
        login, password = connection.removeprefix("postgresql://").split("@", 1)[0].split(":", 1)
        statements.append(
            f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{login}')"
            f" THEN CREATE ROLE {login} LOGIN IN ROLE {group}; END IF; END $$;\n"
            f"ALTER ROLE {login} PASSWORD '{password}';"
        )
    # The password goes from its file into the client's environment inside the container, and is in no argument.
    client = 'PGPASSWORD="$(cat "$POSTGRES_PASSWORD_FILE")" exec psql -q -h 127.0.0.1 -U postgres -d agentic'
    command = ("sh", "-c", f"{client} -v ON_ERROR_STOP=1 -f -")
    kubectl.run("-n", NAMESPACE, "exec", "-i", "statefulset/postgres", "--", *command, stdin="\n".join(statements))


def image_version(name: str = "operator") -> str:
    """Return what stands for the content of an image."""
    done = subprocess.run(
        [sys.executable, "-m", "hack.images", "hash", name], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def main() -> int:
    """Install into the local cluster; one line and status 1 where it cannot."""
    try:
        install(Kubectl(local_kubeconfig()), version=image_version(), gateway_version=image_version("gateway"))
    except (KubectlError, subprocess.SubprocessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
