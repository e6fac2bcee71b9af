"""Finds ports to listen on and asks health pages, without a proxy in between."""

import contextlib
import fcntl
import os
import random
import socket
import ssl
import tempfile
import urllib.request
from functools import cache
from pathlib import Path

from hack.cluster.errors import ClusterError

LOOPBACK = "127.0.0.1"


def find_free_ports(count: int, *, address: str = LOOPBACK) -> list[int]:
    """Find ports that nobody listens on, below the range the kernel gives to outgoing connections.

    A port from that range could be taken by any connection while a killed API server is down. A port is found once:
    as long as this process lives, neither it nor another one finds it again, also where its server is down for a while.
    """
    ports: list[int] = []
    for port in random.sample(range(20000, 32000), 2000):
        if port in _claimed or not _claim(port):
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((address, port))
            ports.append(port)
        if len(ports) == count:
            return ports
    raise ClusterError(f"no {count} free ports between 20000 and 32000 on {address}")


_claimed: set[int] = set()
_CLAIMS = Path(tempfile.gettempdir()) / "agentic-operator-ports"
"""One byte for each port. A process holds a lock on those that it has claimed; the kernel ends it with the process."""


@cache
def _open_claims() -> int:
    """Open the file once: closing it anywhere in the process would end all locks of the process."""
    return os.open(_CLAIMS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _claim(port: int) -> bool:
    """Claim a port for this process; False if another one has it.

    Where the file is somebody else's, ports are claimed within this process alone.
    """
    try:
        fcntl.lockf(_open_claims(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except PermissionError:
        pass
    except OSError:
        return False
    _claimed.add(port)
    return True


def is_free(port: int, *, address: str = LOOPBACK) -> bool:
    """Return whether a server could listen on a port, connections of an ended one aside."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def is_answering(url: str) -> bool:
    """Return whether a health page of our own process answers 200, whatever certificate it made itself."""
    trust = ssl.create_default_context()
    trust.check_hostname = False
    trust.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust))
    try:
        with opener.open(url, timeout=3) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
