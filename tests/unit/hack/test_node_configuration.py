"""The node's configuration keeps to its folder and fits the machine."""

import json
import tomllib
from pathlib import Path

import pytest

from hack.cluster import cgroups, mounts, network, nodeconfig
from hack.cluster.certificates import KeyPair
from hack.cluster.nodeconfig import Machine

STATE = Path("/state")
MACHINE = Machine(Path("/usr/lib/cni"), "pause:1", True, False, Path("/etc/resolv.conf"), True)
CRI = "io.containerd.grpc.v1.cri"


def test_containerd_keeps_everything_below_the_state_folder() -> None:
    config = tomllib.loads(nodeconfig.build_containerd_config(STATE, MACHINE))
    assert all(Path(config[key]).is_relative_to(STATE) for key in ("root", "state"))
    assert Path(config["grpc"]["address"]).is_relative_to(STATE)
    cri = config["plugins"][CRI]
    assert cri["sandbox_image"] == "pause:1"
    assert cri["netns_mounts_under_state_dir"] is True
    assert cri["containerd"]["snapshotter"] == "overlayfs"


def test_a_root_without_the_right_to_lower_oom_scores_gets_pods_all_the_same() -> None:
    weak = Machine(MACHINE.plugins, "pause:1", False, False, MACHINE.resolver, True)
    config = tomllib.loads(nodeconfig.build_containerd_config(STATE, weak))
    assert config["plugins"][CRI]["restrict_oom_score_adj"] is True


def test_on_an_overlay_file_system_images_are_copied() -> None:
    container = Machine(MACHINE.plugins, "pause:1", True, True, MACHINE.resolver, True)
    config = tomllib.loads(nodeconfig.build_containerd_config(STATE, container))
    assert config["plugins"][CRI]["containerd"]["snapshotter"] == "native"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param("Name:\tx\nCapEff:\t000001ffffffffff\n", True, id="all rights"),
        pytest.param("CapEff:\t000001fffeffffff\n", False, id="all but CAP_SYS_RESOURCE"),
        pytest.param("Name:\tx\n", False, id="a kernel that does not say"),
    ],
)
def test_the_right_to_lower_oom_scores_is_read(status: str, expected: bool) -> None:
    assert nodeconfig.parse_may_raise_oom_score(status) is expected


def test_the_kubelet_never_collects_the_images_we_loaded() -> None:
    pair = KeyPair(Path("/a.crt"), Path("/a.key"))
    config = json.loads(nodeconfig.build_kubelet_config(STATE, MACHINE, Path("/ca.crt"), pair))
    assert config["imageGCHighThresholdPercent"] == 100
    assert config["authentication"]["anonymous"]["enabled"] is False
    assert config["cgroupRoot"] == cgroups.Subtree(STATE).pod_root


@pytest.mark.parametrize(("has_nameserver", "expected"), [(True, True), (False, False)])
def test_names_are_forwarded_only_where_somebody_answers(has_nameserver: bool, expected: bool) -> None:
    machine = Machine(MACHINE.plugins, "pause:1", True, False, MACHINE.resolver, has_nameserver)
    corefile = nodeconfig.build_corefile(Path("/k"), "context", machine)
    assert ("forward . /etc/resolv.conf" in corefile) is expected


def test_pod_addresses_are_recorded_below_the_state_folder() -> None:
    (plugin,) = json.loads(network.build_pod_network(STATE))["plugins"]
    assert Path(plugin["ipam"]["dataDir"]).is_relative_to(STATE)
    assert plugin["ipam"]["ranges"] == [[{"subnet": network.POD_CIDR}]]


def mountinfo(*lines: tuple[str, str]) -> str:
    return "".join(f"1 2 0:3 / {point} rw - {kind} source rw\n" for point, kind in lines)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param([("/sys/fs/cgroup", "cgroup2")], ["/sys/fs/cgroup"], id="version 2"),
        pytest.param(
            [("/sys/fs/cgroup/cpu", "cgroup"), ("/sys/fs/cgroup/unified", "cgroup2"), ("/", "ext4")],
            ["/sys/fs/cgroup/cpu"],
            id="both, which is version 1",
        ),
        pytest.param([("/", "ext4")], [], id="none"),
    ],
)
def test_the_version_of_control_groups_is_told(lines: list[tuple[str, str]], expected: list[str]) -> None:
    assert cgroups.parse_hierarchies(mountinfo(*lines)) == [Path(path) for path in expected]


def test_two_clusters_have_control_groups_apart() -> None:
    assert cgroups.Subtree(Path("/a")).name != cgroups.Subtree(Path("/b")).name


def test_mounts_are_removed_from_the_inside_out() -> None:
    text = mountinfo(("/state", "x"), ("/state/a/b", "x"), ("/statefulset", "x"), ("/state/a", "x"), ("/other", "x"))
    assert mounts.parse_mounts(text, STATE) == [Path("/state/a/b"), Path("/state/a"), Path("/state")]
