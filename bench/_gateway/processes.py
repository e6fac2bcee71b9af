"""What a process has used: processor time and memory, as the kernel counts them; and how busy the machine is."""

import os
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")


def read_cpu_seconds(pid: int) -> float:
    """Return the processor time of a process, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def read_memory(pid: int) -> int:
    """Return the memory that a process holds for itself, in bytes."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"the kernel does not tell the memory of process {pid}")


def describe_load() -> str:
    """Return the machine's load beside its cores: with more than a little, the figures are of a busy machine."""
    return f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
