"""A result of over 90 MB on the real cluster, with an S3 server of a private authority, and its checkpoints encrypted.

Both are switched on by Secrets as the guides show it, which changes the operator, so nothing else may run beside it.
"""

import hashlib
import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from agentic_runner.keyring import parse_keyring
from hack.cluster.certificates import Authority
from hack.install import NAMESPACE, wait_for_operator
from hack.kubectl import Kubectl
from tests.e2e.conftest import Project, find_address, read_environment, read_everything
from tests.support.cluster import SECRET, SESSION, Cluster
from tests.support.commands import run_agentic
from tests.support.guide import find_console, run_commands
from tests.support.objects import SECRET_KEY, Bucket, ObjectServer, make_bucket
from tests.support.waiting import wait_for

SECRETS = ("agentic-results", "agentic-encryption")
MEBIBYTES = 91
EXPECTED = json.dumps({"rows": ["confidential".ljust(1021, "r")] * 1024 * MEBIBYTES}, separators=(",", ":")).encode()


def follow(page: str, secret: str, kubectl: Kubectl, folder: Path) -> None:
    """Run the block of a guide that makes a Secret."""
    env = read_environment(kubectl)
    for command, more in find_console(page, f"create secret generic {secret}"):
        run_commands("\n".join([command, *more]), env=env, folder=folder)


def switch(kubectl: Kubectl, *settings: str) -> None:
    kubectl.run("-n", NAMESPACE, "set", "env", "deployment/agentic-operator", *settings)
    wait_for_operator(kubectl)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """The folder where somebody runs the guides' commands."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    return folder


@pytest.fixture
def bucket(kubectl: Kubectl, cluster: Cluster, keys: Path, tmp_path: Path) -> Iterator[Bucket]:
    """A bucket that pods reach, and an operator that uses it and encrypts."""
    authority = Authority(tmp_path / "authority")
    authority.create()
    server = ObjectServer(tmp_path / "s3", host=find_address(cluster), authority=authority)
    server.start()
    try:
        bucket = make_bucket(server)
        bucket.write_secret(keys / "results")
        follow("results.md", "agentic-results", kubectl, keys)
        follow("encryption.md", "agentic-encryption", kubectl, keys)
        switch(kubectl, "RESULT_STORE=on", "ENCRYPTION=on")
        yield bucket
    finally:
        server.kill()
        switch(kubectl, "RESULT_STORE-", "ENCRYPTION-")
        for name in SECRETS:
            cluster.delete(SECRET, name, NAMESPACE)


# Every column of every table, bytes as they are and all else as text.
SEARCH = r"""
SELECT format(CASE data_type WHEN 'bytea' THEN 'SELECT %1$L FROM %2$I WHERE position(%1$L::bytea IN %3$I) > 0 LIMIT 1'
                             ELSE 'SELECT %1$L FROM %2$I WHERE position(%1$L IN %3$I::text) > 0 LIMIT 1' END,
              wanted, table_name, column_name)
  FROM information_schema.columns, unnest(string_to_array(:'texts', ' ')) AS wanted WHERE table_schema = 'public' \gexec
"""


def find_in_tables(cluster: Cluster, *texts: str) -> set[str]:
    """Say which of the texts, words without blanks, stand anywhere in the database."""
    client = 'PGPASSWORD="$(cat "$POSTGRES_PASSWORD_FILE")" exec psql -qAt -h 127.0.0.1 -U postgres -d agentic'
    command = ("sh", "-c", f"{client} -v ON_ERROR_STOP=1 -v texts='{' '.join(texts)}'")
    return set(cluster.run("postgres-0", NAMESPACE, *command, stdin=SEARCH).splitlines())


def test_a_result_of_over_90_mb_is_fetched_by_its_link_and_nothing_of_it_is_readable_in_the_database(
    project: Project, bucket: Bucket, keys: Path, tmp_path: Path
) -> None:
    kubectl = project.kubectl
    project.define("large")
    project.start("large", inputs={"mebibytes": MEBIBYTES, "note": "inputs-are-readable"})
    status = project.wait_phase("Completed")
    reference = status["resultRef"]
    digest = hashlib.sha256(EXPECTED).hexdigest()
    assert "result" not in status
    assert reference["url"].startswith(f"s3://{bucket.config.bucket}/{project.name}/")
    assert (reference["size"], reference["sha256"]) == (len(EXPECTED), digest)
    assert [f"s3://{bucket.config.bucket}/{key}" for key in bucket.keys] == [reference["url"]]

    untrusted = run_agentic("result", "s", "-n", project.name, "--save", "nowhere", env=kubectl.environment)
    assert untrusted.returncode == 1
    assert "certificate is not trusted here: name its authority's certificates in" in untrusted.stderr
    certificates = keys / "results/ca.crt"
    env = {**kubectl.environment, "SSL_CERT_FILE": str(certificates)}
    target = tmp_path / "result.json"
    saved = run_agentic("result", "s", "-n", project.name, "--save", str(target), env=env)
    assert saved.returncode == 0, saved.stderr
    assert saved.stderr == f"{len(EXPECTED)} bytes in {target}, sha256 {digest}\n"
    assert target.read_bytes() == EXPECTED
    linked = run_agentic("result", "s", "-n", project.name, "--url", env=env)
    assert linked.returncode == 0, linked.stderr
    trusting = ssl.create_default_context(cafile=certificates)
    with httpx.stream("GET", linked.stdout.strip(), verify=trusting) as answer:
        assert (answer.status_code, answer.headers["content-length"]) == (200, str(len(EXPECTED)))

    key = (keys / "keys").read_text().strip()
    (name,) = parse_keyring(key).names
    readable, sealed = "inputs-are-readable", f"msgpack+agentic-{name}"
    assert find_in_tables(project.cluster, "confidential", readable, sealed) == {readable, sealed}
    seen = read_everything(project.cluster, project.name) + read_everything(project.cluster, NAMESPACE)
    assert SECRET_KEY not in seen
    assert key not in seen

    project.cluster.delete(SESSION, "s", project.name)
    wait_for(
        lambda: bucket.keys,
        lambda found: not found,
        what="the end of the object with its session",
    )
