"""A network of its own for a program, as a visitor's machine has it.

Pods that start and end change the addresses of the machine that they are on, and Chromium then drops whatever it is
fetching: on the node itself a page may lose its first script. A visitor's machine has no part in that.
"""

import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

# Two addresses of a range that neither pods nor Services have; the machine forwards what comes by way of the first.
_HERE: Final = "10.99.255.1"
_THERE: Final = "10.99.255.2"


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


@contextmanager
def own_network(program: str, folder: Path) -> Iterator[Path]:
    """Make a network namespace that reaches the cluster by way of this machine; yield a program that starts there."""
    name = f"visitor-{os.getpid()}"
    # Names of devices have 15 characters at most.
    device = f"vis{os.getpid()}"
    _run("ip", "netns", "add", name)
    try:
        _run("ip", "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", name)
        _run("ip", "address", "add", f"{_HERE}/30", "dev", device)
        _run("ip", "link", "set", device, "up")
        for arguments in (
            ("address", "add", f"{_THERE}/30", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("link", "set", "lo", "up"),
            ("route", "add", "default", "via", _HERE),
        ):
            _run("ip", "-n", name, *arguments)
        start = folder / "start"
        start.write_text(f'#!/bin/sh\nexec ip netns exec {name} {program} "$@"\n', encoding="utf-8")
        start.chmod(start.stat().st_mode | stat.S_IXUSR)
        yield start
    finally:
        # Its devices go with it.
        _run("ip", "netns", "delete", name)
