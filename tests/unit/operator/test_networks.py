"""Where runners may connect to: what a setting means, and the policy that is made of it."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_operator.networks import Destination, Egress, build_runner_policy, parse_egress
from tests.support.network_rules import Target, allows


@pytest.mark.parametrize(
    "text",
    [
        "everything", "internet,off", "0", "65536", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0", "[fd00::/8",
        "fd00::/8:443", "[10.0.0.0/8]x", "example.com:443", "10.0.0.0/8:0", "-1", "443;80",
    ],
)  # fmt: skip
def test_what_is_no_destination_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(ValueError, match=r"destination|stands beside"):
        parse_egress(text)


def test_each_form_of_a_destination_is_read_once() -> None:
    egress = parse_egress(" internet, 443,443, 10.0.0.0/8,10.0.0.0/8:8000 ,fd00::/8,[fd00::/8]:443 ")
    assert egress is not None
    assert egress.has_internet
    told = [(str(each.network or ""), each.port) for each in egress.destinations]
    assert told == [("", 443), ("10.0.0.0/8", None), ("10.0.0.0/8", 8000), ("fd00::/8", None), ("fd00::/8", 443)]
    assert parse_egress("off") is None
    assert parse_egress("") == Egress()


def test_hundreds_of_destinations_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 100"):
        parse_egress(",".join(str(port) for port in range(1, 103)))


DELIVERED = "internet,443,6443,5432,6432"
LABELS = {"app.kubernetes.io/managed-by": "agentic-operator", "app.kubernetes.io/component": "runner"}


@pytest.mark.parametrize(
    ("text", "address", "port", "expected"),
    [
        # An API server, a database and an object store, wherever they are.
        pytest.param(DELIVERED, "10.98.0.1", 6443, True, id="API server of a node"),
        pytest.param(DELIVERED, "172.20.0.9", 443, True, id="API server in a private network"),
        pytest.param(DELIVERED, "10.1.2.3", 5432, True, id="database in a private network"),
        pytest.param(DELIVERED, "10.1.2.3", 9000, False, id="object store that is not listed"),
        pytest.param(f"{DELIVERED},9000", "10.1.2.3", 9000, True, id="object store that is"),
        # A provider of models, and what is not the internet.
        pytest.param(DELIVERED, "104.18.6.192", 443, True, id="a model's provider"),
        pytest.param(DELIVERED, "104.18.6.192", 8443, True, id="any port of the internet"),
        pytest.param(DELIVERED, "2606:4700::6812:6c0", 8443, True, id="the internet by IPv6"),
        pytest.param(DELIVERED, "169.254.169.254", 80, False, id="the cloud's metadata"),
        pytest.param(DELIVERED, "10.1.2.3", 8000, False, id="a service of the cluster"),
        pytest.param(DELIVERED, "fd00::1", 8000, False, id="a service of the cluster by IPv6"),
        pytest.param(f"{DELIVERED},10.1.0.0/16:8000", "10.1.2.3", 8000, True, id="a service that is listed"),
        pytest.param(f"{DELIVERED},10.1.0.0/16:8000", "10.2.2.3", 8000, False, id="another network"),
        pytest.param("10.98.0.1/32:6443,10.1.0.0/16:5432", "104.18.6.192", 443, False, id="no internet"),
        pytest.param("10.98.0.1/32:6443,10.1.0.0/16:5432", "10.1.2.3", 443, False, id="the API server by its address"),
        pytest.param("10.98.0.1/32:6443,10.1.0.0/16:5432", "10.98.0.1", 6443, True, id="the API server itself"),
        # Names are resolved whatever is listed.
        pytest.param("443", "10.96.0.10", 53, True, id="DNS"),
        pytest.param("443", "10.128.0.5", 5353, True, id="DNS of OpenShift"),
    ],
)
def test_the_policy_allows_what_is_listed_and_no_more(text: str, address: str, port: int, expected: bool) -> None:
    egress = parse_egress(text)
    assert egress is not None
    policy = build_runner_policy(egress)
    assert allows([policy], LABELS, "Egress", Target(address, port)) is expected
    # Nobody connects to a runner.
    assert allows([policy], LABELS, "Ingress", Target(address, port)) is False
    # Pods of others are none of its.
    assert allows([policy], {"app": "other"}, "Egress", Target("10.1.2.3", 8000)) is True


PORTS = st.integers(min_value=1, max_value=65_535)
PRIVATE = [
    ip_network(network)
    for network in ("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
] + [ip_network("fe80::/10")]
ADDRESSES = st.one_of(st.ip_addresses(), *(st.ip_addresses(network=str(network)) for network in PRIVATE))


@given(
    st.lists(st.one_of(PORTS.map(lambda port: Destination(port=port)), st.none()), max_size=8),
    st.booleans(),
    ADDRESSES,
    PORTS,
)
def test_a_connection_is_allowed_exactly_where_a_destination_has_it(
    listed: list[Destination | None], has_internet: bool, address: IPv4Address | IPv6Address, port: int
) -> None:
    """Invariant: allowed is what DNS, a listed port, or the internet allows; nothing else, whatever the list."""
    destinations = tuple(each for each in listed if each is not None)
    policy = build_runner_policy(Egress(destinations, has_internet))
    found = allows([policy], LABELS, "Egress", Target(str(address), port))
    by_port = port in {53, 5353, *(each.port for each in destinations)}
    is_public = not any(address in network for network in PRIVATE)
    assert found is (by_port or (has_internet and is_public))
