"""Owns the control groups of the one-node cluster: one subtree for our programs and all pods.

Whoever lives in this subtree was started by the cluster. That is how `down` finds the last process of a pod
even when the programs that knew of it were killed.
"""

import contextlib
import hashlib
import os
import signal
from pathlib import Path

from hack.cluster.errors import MissingTool, NotReady
from hack.cluster.processes import observe_identity, send
from hack.cluster.waiting import wait_until

_NEEDED = ("cpu", "cpuset", "memory", "pids")


def parse_hierarchies(mountinfo: str) -> list[Path]:
    """Find the mount points of the control groups: one in version 2, one per controller in version 1.

    A machine with both is a version 1 machine, whose unified mount holds no controllers.
    """
    first: list[Path] = []
    second: list[Path] = []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        kind = right.split(" ", 1)[0]
        folder = Path(left.split(" ")[4])
        if kind == "cgroup":
            first.append(folder)
        elif kind == "cgroup2":
            second.append(folder)
    return sorted(first or second)


def hierarchies() -> list[Path]:
    return parse_hierarchies(Path("/proc/self/mountinfo").read_text())


class Subtree:
    """The control groups of one state folder, whose path gives them their name."""

    def __init__(self, state: Path) -> None:
        self.name = f"agentic-operator-{hashlib.sha256(str(state).encode()).hexdigest()[:8]}"
        self.pod_root = f"/{self.name}/pods"

    def create(self) -> list[Path]:
        """Make the subtree and return the folders that our own programs enter.

        Raises MissingTool where the machine lets nobody make control groups.
        """
        found = hierarchies()
        if not found:
            raise MissingTool("no control groups are mounted at /sys/fs/cgroup: run on the machine itself, or use kind")
        entered: list[Path] = []
        for hierarchy in found:
            top = hierarchy / self.name
            try:
                if (hierarchy / "cgroup.controllers").exists():
                    _delegate(hierarchy)
                    top.mkdir(exist_ok=True)
                    _delegate(top)
                for folder in (top, top / "host", top / "pods"):
                    folder.mkdir(exist_ok=True)
                    _inherit_cpus(folder)
            except OSError as error:
                raise MissingTool(
                    f"no control group can be made below {str(hierarchy)!r} ({error.strerror}): "
                    "run on the machine itself or in a privileged container, or use kind"
                ) from error
            entered.append(top / "host")
        return entered

    def kill(self) -> int:
        """Kill every process of the subtree and say how many there were."""
        killed = 0
        for _ in range(20):
            members = self._members()
            if not members:
                break
            for pid in members:
                identity = observe_identity(pid)
                if identity is not None and pid != os.getpid():
                    killed += send(identity, signal.SIGKILL)
            with contextlib.suppress(NotReady):
                wait_until(lambda: not self._members(), seconds=1, what="the end of all pods")
        return killed

    def remove(self) -> None:
        """Remove the emptied subtree, which the kernel allows a moment after the last process is gone."""
        with contextlib.suppress(NotReady):
            wait_until(self._try_remove, seconds=10, what="the removal of the control groups", poll=0.05)

    def leftovers(self) -> list[str]:
        return [f"control group {one / self.name}" for one in hierarchies() if (one / self.name).exists()]

    def _members(self) -> set[int]:
        found: set[int] = set()
        for hierarchy in hierarchies():
            for file in (hierarchy / self.name).rglob("cgroup.procs"):
                with contextlib.suppress(OSError):
                    found.update(int(pid) for pid in file.read_text().split())
        return {pid for pid in found if observe_identity(pid) is not None}

    def _try_remove(self) -> bool:
        for hierarchy in hierarchies():
            for folder, _, _ in os.walk(hierarchy / self.name, topdown=False):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()
        return not self.leftovers()


def _delegate(folder: Path) -> None:
    available = (folder / "cgroup.controllers").read_text().split()
    wanted = [f"+{name}" for name in _NEEDED if name in available]
    (folder / "cgroup.subtree_control").write_text(" ".join(wanted))


def _inherit_cpus(folder: Path) -> None:
    """Version 1 lets nobody enter a cpuset before its processors and memory nodes are named."""
    for file in ("cpuset.cpus", "cpuset.mems"):
        if (folder / file).exists() and not (folder / "cgroup.controllers").exists():
            value = (folder / file).read_text().strip()
            if not value:
                (folder / file).write_text((folder.parent / file).read_text())
