"""What the pods of runs and inspections may connect to: a NetworkPolicy in each namespace that has some.

Nothing may connect to them. Where they may connect to is a list of destinations, of which each is allowed whatever
the others say; names (DNS) are always resolved. A destination by port alone allows that port everywhere: the API
server and most databases lie outside of the cluster, or behind addresses that change, and where a packet goes is
judged after a Service's address was replaced.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final

from agentic_core.names import COMPONENT_LABEL, MANAGED_BY, MANAGED_BY_LABEL

Manifest = dict[str, Any]

POLICY_NAME: Final = "agentic-runner"
INTERNET: Final = "internet"
OFF: Final = "off"
DNS_PORTS: Final = (53, 5353)
"""Where names are resolved: 5353 is the port of OpenShift's pods, behind 53 of their Service."""
_PRIVATE: Final = {
    "0.0.0.0/0": ("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"),
    "::/0": ("fc00::/7", "fe80::/10"),
}
_MAX_DESTINATIONS: Final = 100


@dataclass(frozen=True)
class Destination:
    """A network, a TCP port, or a port of a network."""

    network: IPv4Network | IPv6Network | None = None
    port: int | None = None


@dataclass(frozen=True)
class Egress:
    """Where pods may connect to."""

    destinations: tuple[Destination, ...] = ()
    has_internet: bool = False
    """Every public address, at every port."""


def build_gateway_peer(namespace: str) -> Manifest:
    """Return the gateway's pods as a peer of a NetworkPolicy."""
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "agentic-gateway"}},
    }


def parse_egress(text: str) -> Egress | None:
    """Return what a list of destinations allows, None if no policy shall be made.

    Raises:
        ValueError: an entry is none of ``internet``, a port, a network or ``network:port``; the message names it.
    """
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    if OFF in entries:
        if entries != [OFF]:
            raise ValueError(f"{OFF!r} stands beside other destinations: write it alone")
        return None
    if len(entries) > _MAX_DESTINATIONS:
        raise ValueError(f"{len(entries)} destinations are more than {_MAX_DESTINATIONS}: name larger networks")
    listed = (_parse_destination(entry) for entry in entries if entry != INTERNET)
    return Egress(tuple(dict.fromkeys(listed)), has_internet=INTERNET in entries)


def _parse_destination(entry: str) -> Destination:
    remedy = "write internet, a port as 443, a network as 10.0.0.0/8, or both as 10.0.0.0/8:443 or [fd00::/8]:443"
    found = re.fullmatch(r"\[([^\]]+)\](?::(\d+))?|([^:]+/\d+)(?::(\d+))?|([0-9a-fA-F:]+/\d+)|(\d+)", entry)
    if found is None:
        raise ValueError(f"{entry!r} is no destination: {remedy}")
    bracketed, its_port, plain, plain_port, six, alone = found.groups()
    port = int(its_port or plain_port or alone or 0) or None
    if (its_port or plain_port or alone) and (port is None or port > 65_535):
        raise ValueError(f"{entry!r} is no destination: a port is from 1 to 65535")
    text = bracketed or plain or six
    try:
        network = ip_network(text) if text else None
    except ValueError as error:
        raise ValueError(f"{entry!r} is no destination: {error}; {remedy}") from error
    return Destination(network, port)


def build_runner_policy(egress: Egress, *, gateway_in: str = "") -> Manifest:
    """Return the policy of a namespace's runs and inspections; ``gateway_in`` is where a gateway's pods are."""
    names = [{"protocol": protocol, "port": port} for port in DNS_PORTS for protocol in ("UDP", "TCP")]
    rules: list[Manifest] = [{"ports": names}]
    ports = sorted(each.port for each in egress.destinations if each.network is None and each.port is not None)
    if ports:
        rules.append({"ports": [{"protocol": "TCP", "port": port} for port in ports]})
    for each in egress.destinations:
        if each.network is not None:
            rule: Manifest = {"to": [{"ipBlock": {"cidr": str(each.network)}}]}
            rules.append(rule if each.port is None else {**rule, "ports": [{"protocol": "TCP", "port": each.port}]})
    if gateway_in:
        rules.append({"to": [build_gateway_peer(gateway_in)]})
    if egress.has_internet:
        blocks = [{"ipBlock": {"cidr": cidr, "except": list(kept)}} for cidr, kept in _PRIVATE.items()]
        rules.append({"to": blocks})
    return {
        "metadata": {"name": POLICY_NAME, "labels": {MANAGED_BY_LABEL: MANAGED_BY}},
        "spec": {
            "podSelector": {
                "matchLabels": {MANAGED_BY_LABEL: MANAGED_BY},
                "matchExpressions": [{"key": COMPONENT_LABEL, "operator": "In", "values": ["runner", "inspector"]}],
            },
            "policyTypes": ["Ingress", "Egress"],
            "egress": rules,
        },
    }
