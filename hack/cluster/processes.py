"""Owns the long-running processes of a cluster: starts them detached, records who they are, ends exactly those.

A process id alone is not an identity, because the kernel uses it again. A record therefore holds the id, the
start time in clock ticks and the boot id, and a process is signalled only through a pidfd that was opened
before the identity was compared. The record is written by the process itself before it becomes the program:
a tool that is killed between the two leaves no process that nobody knows of.
"""

import os
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.errors import ClusterError, NotReady
from hack.cluster.waiting import wait_until

START_SECONDS = 10.0

# $1 is the record, then cgroup.procs files up to "--", then the program. The shell started by "&" is the one
# that becomes the program, so "$$" inside it is the program's process id.
_LAUNCH = """
sh -c '
set -e
record=$1; shift
while [ "$1" != -- ]; do echo $$ > "$1"; shift; done; shift
begun=$(sed "s/.*) //" /proc/$$/stat | cut -d" " -f20)
echo "$$ $begun $(cat /proc/sys/kernel/random/boot_id)" > "$record.new"
mv "$record.new" "$record"
exec "$@"
' launch "$@" &
"""


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, told apart from any later one with the same id."""

    pid: int
    started_ticks: int
    boot_id: str

    def __str__(self) -> str:
        return f"{self.pid} {self.started_ticks} {self.boot_id}"


def parse_identity(text: str) -> Identity | None:
    """Read a record; None when it is not one, for example half written by a full disk."""
    fields = text.split()
    if len(fields) != 3 or not fields[0].isdecimal() or not fields[1].isdecimal():
        return None
    return Identity(int(fields[0]), int(fields[1]), fields[2])


def parse_stat(text: str) -> tuple[str, int]:
    """Take state and start time from /proc/PID/stat, whose second field may hold spaces and brackets."""
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])


def observe_identity(pid: int) -> Identity | None:
    """Return who has this process id now; None when nobody lives under it (a zombie does not live)."""
    try:
        state, started = parse_stat(Path(f"/proc/{pid}/stat").read_text())
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (OSError, IndexError, ValueError):
        return None
    return None if state in "ZX" else Identity(pid, started, boot_id)


def is_alive(identity: Identity) -> bool:
    return observe_identity(identity.pid) == identity


def send(identity: Identity, signum: signal.Signals) -> bool:
    """Signal this very process; False when it is gone, whoever has its id now."""
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return False
    try:
        if not is_alive(identity):
            return False
        signal.pidfd_send_signal(descriptor, signum)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


class Processes:
    """The recorded processes of one folder: `<folder>/run/NAME.pid` and `<folder>/log/NAME.log`."""

    def __init__(self, folder: Path) -> None:
        self._records = folder / "run"
        self._logs = folder / "log"

    def log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def names(self) -> list[str]:
        """Name the recorded processes, alive or not."""
        return sorted(path.stem for path in self._records.glob("*.pid"))

    def identity(self, name: str) -> Identity | None:
        try:
            return parse_identity(self._record(name).read_text())
        except OSError:
            return None

    def is_running(self, name: str) -> bool:
        identity = self.identity(name)
        return identity is not None and is_alive(identity)

    def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        cgroups: Iterable[Path] = (),
    ) -> Identity:
        """Start a program detached from this terminal and session, unless it runs already.

        `cgroups` are folders of the cgroup file system which the process enters before it runs.
        """
        if self.is_running(name) and (running := self.identity(name)):
            return running
        self._records.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        record = self._record(name)
        record.unlink(missing_ok=True)
        entered = [str(folder / "cgroup.procs") for folder in cgroups]
        with self.log(name).open("ab") as log:
            subprocess.run(
                ["/bin/sh", "-c", _LAUNCH, "launch", str(record), *entered, "--", *argv],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=dict(environment) if environment is not None else None,
                start_new_session=True,
            )
        try:
            wait_until(record.exists, seconds=START_SECONDS, what=f"the start of {name}", poll=0.002)
        except NotReady as error:
            raise ClusterError(f"{name} could not be started: {self.tail(name)}") from error
        identity = self.identity(name)
        if identity is None:
            raise ClusterError(f"the record {str(record)!r} is damaged: run `down` and `up` again")
        return identity

    def stop(self, name: str, *, grace_seconds: float = 10, signum: signal.Signals = signal.SIGTERM) -> bool:
        """End a recorded process and forget it; True when it was alive. Killed when it ignores the first signal."""
        identity = self.identity(name)
        alive = identity is not None and send(identity, signum)
        if identity is not None and alive:
            try:
                wait_until(lambda: not is_alive(identity), seconds=grace_seconds, what=f"the end of {name}", poll=0.005)
            except NotReady:
                send(identity, signal.SIGKILL)
                wait_until(lambda: not is_alive(identity), seconds=10, what=f"the killing of {name}", poll=0.005)
        self._record(name).unlink(missing_ok=True)
        return alive

    def kill_all(self) -> list[str]:
        """End every recorded process at once with SIGKILL, in no order; name those that were alive."""
        return [name for name in self.names() if self.stop(name, signum=signal.SIGKILL)]

    def tail(self, name: str, lines: int = 15) -> str:
        """Quote the end of a log for an error message."""
        try:
            text = self.log(name).read_text(errors="replace")
        except OSError:
            return "(no log was written)"
        return "\n".join(text.splitlines()[-lines:])

    def _record(self, name: str) -> Path:
        return self._records / f"{name}.pid"
