"""The commands of ``docs/installing.md`` on a real API server, and the kustomizations of all guides."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from hack.cluster.binaries import kubectl
from hack.cluster.controlplane import ControlPlane
from hack.kubectl import ROOT, Kubectl
from tests.support.guide import read_commands, run_commands
from tests.support.waiting import PATIENCE_SECONDS

KUSTOMIZATION = re.compile(
    r"^```yaml\n(apiVersion: kustomize\.config\.k8s\.io/\S+\nkind: Kustomization\n.*?)^```$", re.M | re.S
)
PAGES = sorted(
    path.name for path in (ROOT / "docs").glob("*.md") if KUSTOMIZATION.search(path.read_text(encoding="utf-8"))
)
WAITS = ("kubectl -n agentic-system wait --for=condition=complete", "kubectl -n agentic-system rollout status")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what a reader has before them."""
    for name in ("crds", "manifests", "migrations", "hack", "requirements"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    # Its environment is made already.
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    return tmp_path


def test_the_pages_with_a_kustomization_are_known() -> None:
    assert {"installing.md", "vault.md"} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_each_kustomization_of_the_guides_builds(checkout: Path, page: str) -> None:
    for number, text in enumerate(KUSTOMIZATION.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))):
        folder = checkout / "manifests" / f"mine-{number}"
        folder.mkdir()
        (folder / "kustomization.yaml").write_text(re.sub(r"https://…/manifests/", "../", text))
        done = subprocess.run(
            [str(kubectl()), "kustomize", str(folder)],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        assert done.returncode == 0, f"{page}:\n{text}\n{done.stderr}"
        kinds = {each["kind"] for each in yaml.safe_load_all(done.stdout)}
        assert "Job" in kinds, f"{page}: {kinds}"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A cluster that knows nothing of this project yet; it has controllers and no node."""
    with ControlPlane(tmp_path_factory.mktemp("guide-plane"), controller_manager=True) as plane:
        yield plane


def test_the_commands_of_the_page_install_upgrade_and_remove(plane: ControlPlane, checkout: Path) -> None:
    """There is no node: the migration's end is taken for granted, all else happens as the page says."""
    install, upgrade, remove = read_commands("installing.md")
    commands = checkout / "bin"
    commands.mkdir()
    (commands / "kubectl").symlink_to(kubectl())
    for role in ("owner", "operator", "runner"):
        (checkout / f"{role}.txt").write_text(f"postgresql://{role}@postgres/agentic")
    env = {
        "PATH": f"{commands}:{os.environ['PATH']}",
        "HOME": str(checkout),
        "KUBECONFIG": str(plane.kubeconfig),
        # The environment is that of the tests, and not made again for the copy.
        "MAKEFLAGS": "STAMP=.venv/bin/python",
    }
    client = Kubectl(plane.kubeconfig)

    def run(block: str) -> str:
        lines = [line for line in block.splitlines() if not line.startswith(WAITS)]
        return run_commands("\n".join(lines), env=env, folder=checkout)

    run(install)
    for kind, name in (
        ("deployment", "agentic-operator"),
        ("job", "agentic-migrate"),
        ("validatingadmissionpolicybinding", "turns-are-their-authors.agentic-operator.dev"),
        *(("secret", f"agentic-postgres-{role}") for role in ("owner", "operator", "runner")),
    ):
        assert client.get("-n", "agentic-system", kind, name) is not None, f"{kind}/{name}"
    image = "registry.example.com/agentic-operator/operator:0.1.0"
    assert f"image: {image}\n" in client.run("-n", "agentic-system", "get", "deployment,job", "-o", "yaml")
    # What the file makes is what kustomize would make.
    kinds = {each["kind"] for each in yaml.safe_load_all((checkout / "build/install.yaml").read_text())}
    assert {"CustomResourceDefinition", "Deployment", "NetworkPolicy", "PodDisruptionBudget"} <= kinds
    first = client.get("-n", "agentic-system", "job", "agentic-migrate")
    run(upgrade)
    second = client.get("-n", "agentic-system", "job", "agentic-migrate")
    assert first is not None
    assert second is not None
    assert first["metadata"]["uid"] != second["metadata"]["uid"]

    run(remove)
    assert client.get("namespace", "agentic-system") is None
    assert client.get("crd", "agenticsessions.agentic-operator.dev") is None
