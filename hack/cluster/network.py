"""Owns the network of the one-node cluster: the address of the node, the pods' way out, and their removal.

The node's address sits on a bridge without ports, because it must exist on every machine and never change:
a laptop's own address does neither, and not every kernel has dummy devices. Each pod gets a link of its own
to the host (the `ptp` plugin), so all its traffic passes the host's routing and service addresses work
without the br_netfilter module.
"""

import json
import shutil
import socket
import subprocess
from pathlib import Path

from hack.cluster.errors import ClusterError

DEVICE = "agentic0"
NODE_ADDRESS = "10.98.0.1"
POD_CIDR = "10.97.0.0/16"
TABLE = "agentic_operator"

_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_PLUGIN_FOLDERS = ("/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni")
_RULES = f"""
table ip {TABLE}
delete table ip {TABLE}
table ip {TABLE} {{
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    ip saddr {POD_CIDR} ip daddr != {{ {POD_CIDR}, {NODE_ADDRESS} }} masquerade
  }}
}}
"""
# The second is kube-proxy's own, which it leaves behind when it ends.
_TABLES = (("ip", TABLE), ("ip", "kube-proxy"), ("ip6", "kube-proxy"))


def find_plugins() -> Path | None:
    """Find the folder of the CNI plugins."""
    for folder in _PLUGIN_FOLDERS:
        if Path(folder, "ptp").exists() and Path(folder, "host-local").exists():
            return Path(folder)
    return None


def build_pod_network(state: Path) -> str:
    """Write the CNI configuration of the pods; addresses in use are kept below the state folder."""
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": POD_CIDR}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(state / "cni" / "addresses"),
    }
    return json.dumps({"cniVersion": "0.4.0", "name": "agentic", "plugins": [{"type": "ptp", "ipam": addresses}]})


def create(state: Path) -> None:
    """Make the device, the rules and forwarding, if they are not there already."""
    if not _has_device():
        _run("ip", "link", "add", DEVICE, "type", "bridge")
    _run("ip", "address", "replace", f"{NODE_ADDRESS}/32", "dev", DEVICE)
    _run("ip", "link", "set", DEVICE, "up")
    _run("nft", "-f", "-", text=_RULES)
    for rule in _build_forward_rules():
        if (
            _drops_forwarded()
            and subprocess.run(["iptables", "-C", *rule], capture_output=True, check=False).returncode
        ):
            _run("iptables", "-I", *rule)
    if _FORWARD.read_text().strip() != "1":
        (state / "ip_forward").write_text("0")
        _FORWARD.write_text("1")
    configuration = state / "cni" / "conf" / "10-agentic.conflist"
    configuration.parent.mkdir(parents=True, exist_ok=True)
    configuration.write_text(build_pod_network(state))


def remove(state: Path) -> None:
    """Take everything away again; what is not there is no error."""
    if _has_device():
        _run("ip", "link", "delete", DEVICE)
    if shutil.which("nft"):
        for family, table in _TABLES:
            subprocess.run(["nft", "delete", "table", family, table], capture_output=True, check=False)
    if shutil.which("iptables"):
        for rule in _build_forward_rules():
            subprocess.run(["iptables", "-D", *rule], capture_output=True, check=False)
    if (state / "ip_forward").exists():
        _FORWARD.write_text("0")


def leftovers() -> list[str]:
    """Name what is on this machine of the above, for `status` and for tests of `down`."""
    found = [f"network device {DEVICE}"] if _has_device() else []
    if shutil.which("nft"):
        listed = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False).stdout
        found += [f"nft table {family} {table}" for family, table in _TABLES if f"table {family} {table}\n" in listed]
    return found


def _build_forward_rules() -> list[list[str]]:
    mark = ["-m", "comment", "--comment", "agentic-operator local cluster", "-j", "ACCEPT"]
    return [["FORWARD", direction, POD_CIDR, *mark] for direction in ("-s", "-d")]


def _drops_forwarded() -> bool:
    """Return whether what is forwarded is dropped unless somebody allows it, as Docker's daemon sets it."""
    if not shutil.which("iptables"):
        return False
    shown = subprocess.run(["iptables", "-S", "FORWARD"], capture_output=True, text=True, check=False)
    return shown.stdout.startswith("-P FORWARD DROP")


def _has_device() -> bool:
    """Look in the network namespace of this process; /sys may show that of another."""
    try:
        socket.if_nametoindex(DEVICE)
    except OSError:
        return False
    return True


def _run(*argv: str, text: str | None = None) -> None:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"`{' '.join(argv)}` failed: {done.stderr.strip()}")
