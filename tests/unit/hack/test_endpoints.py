"""Ports for servers: found once, by one process at a time."""

import subprocess
import sys

from hack.cluster.endpoints import find_free_ports
from tests.support.commands import ROOT

TAKE = "import sys; from hack.cluster.endpoints import _claim; print(*[_claim(int(port)) for port in sys.argv[1:]])"


def claim_elsewhere(*ports: int) -> list[str]:
    """Try to claim ports in another process."""
    command = [sys.executable, "-c", TAKE, *map(str, ports)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()


def test_a_port_is_found_once() -> None:
    ports = find_free_ports(20) + find_free_ports(20)
    assert len(set(ports)) == 40


def test_a_port_that_was_found_is_no_other_processs_until_this_one_ends() -> None:
    (port,) = find_free_ports(1)
    assert claim_elsewhere(port, port) == ["False", "False"]
    find = "from hack.cluster.endpoints import find_free_ports; print(*find_free_ports(1))"
    found = subprocess.run([sys.executable, "-c", find], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert claim_elsewhere(int(found)) == ["True"], "that process has ended"
