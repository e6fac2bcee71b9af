"""Says which programs this machine lacks, and installs them where that is one command.

Each need is a program or folder that must be found, not a package: a machine that has it from elsewhere is
as good.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hack.cluster import network
from hack.cluster.errors import MissingTool


@dataclass(frozen=True, slots=True)
class Need:
    """Something the machine must have, how to see that it has it, and its Debian package."""

    what: str
    package: str
    is_there: Callable[[], bool]


def _program(name: str, package: str | None = None) -> Need:
    return Need(name, package or name, lambda: shutil.which(name, path=_path()) is not None)


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"


CLUSTER = (
    _program("containerd"),
    _program("containerd-shim-runc-v2", "containerd"),
    _program("runc"),
    Need("CNI plugins", "containernetworking-plugins", lambda: network.find_plugins() is not None),
    _program("iptables"),
    _program("nft", "nftables"),
    _program("ip", "iproute2"),
    _program("mount"),
    _program("openssl"),
)
BUILDER = (_program("buildah"),)
DEBIAN_BASE = (_program("mmdebstrap"),)
DATABASE = (
    Need("PostgreSQL server", "postgresql", lambda: find_postgres() is not None),
    _program("pgbouncer"),
    Need("libfaketime", "libfaketime", lambda: find_faketime() is not None),
)
GATEWAY = (_program("nginx"),)
BROWSER = (_program("chromium"),)
NETWORK = (_program("ipset"), _program("iptables"))
GROUPS: dict[str, tuple[Need, ...]] = {
    "cluster": CLUSTER,
    "images": (*BUILDER, *DEBIAN_BASE),
    "database": DATABASE,
    "network": NETWORK,
    "gateway": GATEWAY,
    "browser": BROWSER,
}


def find_postgres() -> Path | None:
    """Find the folder of PostgreSQL's server programs: on the PATH, or the newest that Debian has installed."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).parent
    installed = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(installed, key=lambda folder: int(folder.parent.name), default=None)


def find_faketime() -> Path | None:
    """Find the library that gives one process a wrong clock, for tests."""
    folders = [*Path("/usr/lib").glob("*/faketime"), Path("/usr/lib/faketime"), Path("/usr/lib64/faketime")]
    found = (folder / "libfaketimeMT.so.1" for folder in folders)
    return next((library for library in found if library.exists()), None)


def find_missing(needs: Iterable[Need]) -> list[Need]:
    return [need for need in needs if not need.is_there()]


def build_commands(packages: Sequence[str]) -> list[list[str]]:
    """Write the commands that install Debian packages without a question."""
    return [
        ["apt-get", "update", "-q"],
        ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages],
    ]


def ensure(needs: Iterable[Need], say: Callable[[str], None]) -> None:
    """Install what is missing when this is root on Debian or Ubuntu; otherwise raise MissingTool with the commands."""
    missing = find_missing(needs)
    if not missing:
        return
    packages = sorted({need.package for need in missing})
    names = ", ".join(need.what for need in missing)
    if shutil.which("apt-get") is None:
        raise MissingTool(
            f"this machine lacks {names}: install them by its package manager (on Debian they are {' '.join(packages)})"
        )
    commands = build_commands(packages)
    if os.geteuid() != 0:
        shown = " && ".join(f"sudo {' '.join(command)}" for command in commands)
        raise MissingTool(f"this machine lacks {names}: run `{shown}`")
    say(f"this machine lacks {names}")
    for command in commands:
        say(f"running `{' '.join(command)}`")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(command, env=environment, stdout=sys.stderr, check=False)
        # An update fails when one of several package lists cannot be had; the installation tells what matters.
        if done.returncode != 0 and command[1] == "install":
            raise MissingTool(f"`{' '.join(command)}` failed: install {names} in another way and run this again")
    if still := find_missing(needs):
        raise MissingTool(
            f"{', '.join(need.what for need in still)} cannot be found, though the packages are installed"
        )
