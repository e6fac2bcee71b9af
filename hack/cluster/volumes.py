"""Gives each claim of the one-node cluster a folder, as kind's provisioner does, and takes it away again.

Runs as a process of its own: `python -m hack.cluster.volumes STATE`. It compares claims and volumes from
scratch on every pass, so it may be killed at any point.
"""

import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hack.cluster.controlplane import ControlPlane
from hack.cluster.errors import ClusterError
from hack.cluster.nodeconfig import NODE_NAME
from hack.cluster.onenode import open_control_plane
from hack.cluster.waiting import wait_until

_CLAIMS = "/api/v1/persistentvolumeclaims"
_VOLUMES = "/api/v1/persistentvolumes"
PROVISIONER = "local-cluster/folder"
_CLASS_ANNOTATION = "pv.kubernetes.io/provisioned-by"
_NODE_ANNOTATION = "volume.kubernetes.io/selected-node"
_NAME = re.compile(r"pvc-[0-9a-f-]{36}")


@dataclass(frozen=True, slots=True)
class Work:
    """What one pass wants done."""

    create: tuple[Mapping[str, Any], ...]
    delete: tuple[str, ...]


def build_volume(claim: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """Write the volume of a claim: a folder on the only node, owned by nobody in particular."""
    name = f"pvc-{claim['metadata']['uid']}"
    spec = claim["spec"]
    node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE_NAME]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {_CLASS_ANNOTATION: PROVISIONER}},
        "spec": {
            "accessModes": spec["accessModes"],
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": spec["storageClassName"],
            "volumeMode": "Filesystem",
            "local": {"path": str(root / name)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [node]}]}},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": claim["metadata"]["namespace"],
                "name": claim["metadata"]["name"],
                "uid": claim["metadata"]["uid"],
            },
        },
    }


def decide(claims: Iterable[Mapping[str, Any]], volumes: Iterable[Mapping[str, Any]], root: Path) -> Work:
    """Return which volumes to make and which to delete."""
    ours = [one for one in volumes if one["metadata"].get("annotations", {}).get(_CLASS_ANNOTATION) == PROVISIONER]
    existing = {one["metadata"]["name"] for one in ours}
    create = tuple(
        build_volume(claim, root)
        for claim in claims
        if claim["metadata"].get("annotations", {}).get(_NODE_ANNOTATION) == NODE_NAME
        and claim["metadata"]["annotations"].get("volume.kubernetes.io/storage-provisioner") == PROVISIONER
        and f"pvc-{claim['metadata']['uid']}" not in existing
        and not claim["metadata"].get("deletionTimestamp")
    )
    delete = tuple(one["metadata"]["name"] for one in ours if one.get("status", {}).get("phase") == "Released")
    return Work(create, delete)


def run_pass(plane: ControlPlane, root: Path) -> str | None:
    """Do what one look at the cluster asks for; the version to wait from when there was nothing to do."""
    claims = plane.request("GET", _CLAIMS)
    work = decide(claims["items"], plane.request("GET", _VOLUMES)["items"], root)
    for volume in work.create:
        folder = root / volume["metadata"]["name"]
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)
        plane.request("POST", _VOLUMES, volume)
    for name in work.delete:
        plane.request("DELETE", f"{_VOLUMES}/{name}")
        if _NAME.fullmatch(name):
            shutil.rmtree(root / name, ignore_errors=True)
    return None if work.create or work.delete else str(claims["metadata"]["resourceVersion"])


def main() -> None:
    state = Path(sys.argv[1])
    plane = open_control_plane(state)
    while True:
        try:
            version = run_pass(plane, state / "volumes")
            if version is not None:
                plane.wait_for_change(_CLAIMS, version, seconds=2)
        except ClusterError as error:
            print(f"trying again: {error}", file=sys.stderr, flush=True)
            wait_until(plane.is_ready, seconds=3600, what="the API server becoming ready", poll=1)


if __name__ == "__main__":
    main()
