"""Judges a connection by NetworkPolicies as their specification says it: an own reading, for tests."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any, Literal

Json = Mapping[str, Any]
Direction = Literal["Ingress", "Egress"]


@dataclass(frozen=True)
class Target:
    """The other end of a connection: a pod has labels and those of its namespace, all else an address alone."""

    address: str
    port: int
    protocol: str = "TCP"
    labels: Mapping[str, str] | None = None
    namespace: str = ""
    namespace_labels: Mapping[str, str] = field(default_factory=dict)


def selects(selector: Json, labels: Mapping[str, str]) -> bool:
    """Say whether a label selector has these labels; an empty one has all."""
    for one in selector.get("matchExpressions") or ():
        value = labels.get(one["key"])
        match one["operator"]:
            case "In":
                fits = value in one["values"]
            case "NotIn":
                fits = value not in one["values"]
            case "Exists":
                fits = value is not None
            case other:
                assert other == "DoesNotExist"
                fits = value is None
        if not fits:
            return False
    return dict(selector.get("matchLabels") or {}).items() <= dict(labels).items()


def allows(policies: Iterable[Json], labels: Mapping[str, str], direction: Direction, target: Target) -> bool:
    """Say whether the policies of a pod's own namespace let it connect, or be connected to."""
    own = [one for one in policies if selects(one["spec"]["podSelector"], labels)]
    held = [one for one in own if direction in one["spec"]["policyTypes"]]
    if not held:
        return True
    return any(
        _has(rule, direction, target, one["metadata"].get("namespace", ""))
        for one in held
        for rule in one["spec"].get(direction.lower()) or ()
    )


def _has(rule: Json, direction: Direction, target: Target, namespace: str) -> bool:
    ports, peers = rule.get("ports"), rule.get("to" if direction == "Egress" else "from")
    by_port = not ports or any(
        port.get("protocol", "TCP") == target.protocol and port.get("port") in (None, target.port) for port in ports
    )
    return by_port and (not peers or any(_is(peer, target, namespace) for peer in peers))


def _is(peer: Json, target: Target, namespace: str) -> bool:
    if (block := peer.get("ipBlock")) is not None:
        address = ip_address(target.address)
        # What is in `except` is out, and networks of the other family hold nothing.
        kept = any(address in ip_network(network) for network in block.get("except") or ())
        return address in ip_network(block["cidr"]) and not kept
    if target.labels is None:
        return False
    spaces = peer.get("namespaceSelector")
    in_space = target.namespace == namespace if spaces is None else selects(spaces, target.namespace_labels)
    return in_space and selects(peer.get("podSelector") or {}, target.labels)
