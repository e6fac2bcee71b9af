"""Finds ports to listen on and asks health pages, without a proxy in between."""

import contextlib
import random
import socket
import ssl
import urllib.request

from hack.cluster.errors import ClusterError

LOOPBACK = "127.0.0.1"


def find_free_ports(count: int, *, address: str = LOOPBACK) -> list[int]:
    """Find ports that nobody listens on, below the range the kernel gives to outgoing connections.

    A port from that range could be taken by any connection while a killed API server is down.
    """
    ports: list[int] = []
    for port in random.sample(range(20000, 32000), 2000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((address, port))
            ports.append(port)
        if len(ports) == count:
            return ports
    raise ClusterError(f"no {count} free ports between 20000 and 32000 on {address}")


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
