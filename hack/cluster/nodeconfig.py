"""Writes the configuration of what runs on the node: containerd, kubelet, kube-proxy, CoreDNS. Pure text."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hack.cluster.certificates import KeyPair
from hack.cluster.cgroups import Subtree
from hack.cluster.network import NODE_ADDRESS, POD_CIDR

NODE_NAME = "agentic-node"
CLUSTER_DOMAIN = "cluster.local"
RUNTIME_NAMESPACE = "k8s.io"
_SYS_RESOURCE_BIT = 24


@dataclass(frozen=True, slots=True)
class Machine:
    """What differs between machines and matters to the configuration."""

    plugins: Path
    pause_image: str
    may_raise_oom_score: bool
    is_overlay: bool
    resolver: Path
    has_nameserver: bool


def parse_may_raise_oom_score(status: str) -> bool:
    """Read from /proc/self/status whether this root has CAP_SYS_RESOURCE, as in some containers it has not."""
    for line in status.splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _SYS_RESOURCE_BIT & 1)
    return False


def runtime_socket(state: Path) -> Path:
    return state / "containerd" / "containerd.sock"


def build_containerd_config(state: Path, machine: Machine) -> str:
    """Write containerd's configuration: everything it keeps is below the state folder, nothing is shared."""
    folder = state / "containerd"
    # Some containers run on an overlay file system, on which another cannot be mounted.
    snapshotter = "native" if machine.is_overlay else "overlayfs"
    return f"""\
version = 2
root = {_toml(folder / "root")}
state = {_toml(folder / "state")}
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.opt",
  "io.containerd.internal.v1.tracing",
  "io.containerd.tracing.processor.v1.otlp",
]

[grpc]
  address = {_toml(runtime_socket(state))}

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = {_toml(machine.pause_image)}
  restrict_oom_score_adj = {json.dumps(not machine.may_raise_oom_score)}
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = {_toml(machine.plugins)}
  conf_dir = {_toml(state / "cni" / "conf")}

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "{snapshotter}"
  default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false
  Root = {_toml(folder / "runc")}
"""


def build_kubelet_config(state: Path, machine: Machine, authority: Path, serving: KeyPair) -> str:
    """Write the kubelet's configuration: quick on a laptop, and never collecting the images we loaded."""
    return _json(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": NODE_ADDRESS,
            "healthzBindAddress": NODE_ADDRESS,
            "healthzPort": 10248,
            "readOnlyPort": 0,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(authority)},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(serving.certificate),
            "tlsPrivateKeyFile": str(serving.key),
            "containerRuntimeEndpoint": f"unix://{runtime_socket(state)}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": Subtree(state).pod_root,
            "failCgroupV1": False,
            "failSwapOn": False,
            "clusterDNS": [NODE_ADDRESS],
            "clusterDomain": CLUSTER_DOMAIN,
            "resolvConf": str(machine.resolver),
            "maxPods": 250,
            "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "makeIPTablesUtilChains": False,
            "oomScoreAdj": 0,
            "serializeImagePulls": False,
            "kubeAPIQPS": 200,
            "kubeAPIBurst": 400,
            "eventRecordQPS": 0,
            "podLogsDir": str(state / "pod-logs"),
            "volumePluginDir": str(state / "kubelet" / "volume-plugins"),
        }
    )


def build_proxy_config(kubeconfig: Path) -> str:
    """Write kube-proxy's configuration; it changes no kernel limit, those belong to the machine's owner."""
    return _json(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "hostnameOverride": NODE_NAME,
            "clusterCIDR": POD_CIDR,
            "clientConnection": {"kubeconfig": str(kubeconfig), "qps": 200, "burst": 400},
            "bindAddress": NODE_ADDRESS,
            "healthzBindAddress": f"{NODE_ADDRESS}:10256",
            "metricsBindAddress": f"{NODE_ADDRESS}:10249",
            "nodePortAddresses": [f"{NODE_ADDRESS}/32"],
            "oomScoreAdj": 0,
            "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
            "nftables": {"minSyncPeriod": "100ms", "syncPeriod": "30s"},
        }
    )


def build_corefile(kubeconfig: Path, context: str, machine: Machine) -> str:
    """Write CoreDNS's configuration; a "no such name" is kept for a second, since services appear all the time."""
    forward = f"    forward . {machine.resolver}\n" if machine.has_nameserver else ""
    return f"""\
.:53 {{
    bind {NODE_ADDRESS}
    errors
    ready {NODE_ADDRESS}:8181
    kubernetes {CLUSTER_DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig} {context}
        ttl 5
        fallthrough in-addr.arpa ip6.arpa
    }}
{forward}    cache {{
        success 4096 30
        denial 4096 1
    }}
}}
"""


# What CoreDNS may read, and the class whose volumes our own provisioner makes.
CLUSTER_OBJECTS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    (
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "local-cluster-dns"},
            "rules": [
                {
                    "apiGroups": [""],
                    "resources": ["endpoints", "services", "pods", "namespaces"],
                    "verbs": ["list", "watch"],
                },
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
            ],
        },
    ),
    (
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "local-cluster-dns"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "local-cluster-dns"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "local-cluster-dns"}],
        },
    ),
    (
        "/apis/storage.k8s.io/v1/storageclasses",
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": "standard",
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            "provisioner": "local-cluster/folder",
            "reclaimPolicy": "Delete",
            "volumeBindingMode": "WaitForFirstConsumer",
        },
    ),
)


def _toml(path: Path | str) -> str:
    return json.dumps(str(path))


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=1) + "\n"
