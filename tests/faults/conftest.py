"""One control plane for all fault tests, and a bed of its own for each."""

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from hack.cluster.controlplane import JOB_CONTROLLERS, ControlPlane
from hack.kubectl import ROOT, Kubectl
from tests.faults.bed import LONG, Bed, open_bed
from tests.support.postgres import PostgresDatabase
from tests.support.settled import wait_for_policies

_numbers = itertools.count(1)

FAULT_PLANE: Final[dict[str, Any]] = {
    "controller_manager": True,
    # Without the last one no claim could ever go: the API server protects each with a finalizer.
    "controllers": [*JOB_CONTROLLERS, "persistentvolumeclaim-protection-controller"],
    # Old versions vanish from etcd within seconds instead of minutes.
    "apiserver_flags": ["--etcd-compaction-interval=2s"],
}

collect_ignore = [] if LONG else ["test_patience.py"]


def install(plane: ControlPlane) -> None:
    """Apply what an administrator installs: resources, roles, admission policies."""
    kubectl = Kubectl(plane.kubeconfig)
    kubectl.run("apply", "--server-side", "-k", str(ROOT / "crds"))
    for file in ("namespace", "inspections", "rbac", "admission"):
        kubectl.run("apply", "--server-side", "-f", str(ROOT / f"manifests/operator/{file}.yaml"))
    kubectl.run("apply", "--server-side", "-f", str(ROOT / "manifests/gateway/rbac.yaml"))
    for kind in ("workflowdefinitions", "clusterworkflowdefinitions", "agenticsessions"):
        kubectl.run("wait", "--for=condition=Established", f"crd/{kind}.agentic-operator.dev", "--timeout=180s")
    wait_for_policies(plane)


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """The control plane. A test that kills a part of it starts it again."""
    with ControlPlane(tmp_path_factory.mktemp("faults-plane"), **FAULT_PLANE) as plane:
        install(plane)
        yield plane


@pytest_asyncio.fixture
async def bed(plane: ControlPlane, database: PostgresDatabase, tmp_path: Path) -> AsyncIterator[Bed]:
    """A namespace with proxies, a node and a history; the test starts operators as it needs them."""
    async with open_bed(plane, database, tmp_path, f"faults-{next(_numbers)}") as made:
        yield made
