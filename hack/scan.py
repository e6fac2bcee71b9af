"""``make scan``: no credential in the history, the manifests or the images; no known fault in what is locked.

gitleaks looks for credentials: in every commit, in what the manifests and the chart render to, and in every file of the
layers of our images. pip-audit asks PyPI what is known of the locked versions. Every step runs, also behind one that
found something; no finding prints the credential.
"""

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from hack.cluster.binaries import ensure, kubectl
from hack.cluster.errors import ClusterError
from hack.images.build import find_built, find_layers
from hack.kubectl import ROOT
from hack.steps import step

AUDITOR = "pip-audit==2.10.1"
IMAGES = ("operator", "runner", "gateway")
LOCKS = ("operator", "runner", "gateway", "dev")
# What it knows, and connection strings with a password; these stand in tests and in others' documentation, too.
STRICT_RULES = ROOT / "hack/credentials.toml"


def scan_history(gitleaks: Path, repository: Path = ROOT) -> int:
    """Look for credentials in every commit."""
    return step("credentials in the history", [str(gitleaks), "git", "--no-banner", "--redact", "-v", str(repository)])


def scan_folder(gitleaks: Path, title: str, folder: Path, *rules: str) -> int:
    """Look for credentials in every file of a folder."""
    return step(title, [str(gitleaks), "dir", "--no-banner", "--redact", "-v", *rules, str(folder)])


def render_manifests(programs: dict[str, Path], folder: Path) -> None:
    """Write what each folder of `manifests/` and the chart render to, a component on top of the operator."""
    for found in sorted((ROOT / "manifests").rglob("kustomization.yaml")):
        name = str(found.parent.relative_to(ROOT / "manifests"))
        kind = yaml.safe_load(found.read_text(encoding="utf-8")).get("kind")
        overlay = folder / "overlay"
        overlay.mkdir(exist_ok=True)
        parts = {"components": [name], "resources": ["operator"]} if kind == "Component" else {"resources": [name]}
        linked = {part: [os.path.relpath(ROOT / "manifests" / one, overlay) for one in parts[part]] for part in parts}
        (overlay / "kustomization.yaml").write_text(json.dumps(linked), encoding="utf-8")
        _write(folder / f"{name.replace('/', '-')}.yaml", [str(kubectl()), "kustomize", str(overlay)])
    _write(folder / "chart.yaml", [str(programs["helm"]), "template", "agentic", str(ROOT / "charts/agentic-operator")])


def _write(target: Path, command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"{target.stem} cannot be rendered: {done.stderr.strip()[-2000:]}")
    target.write_text(done.stdout, encoding="utf-8")


def unpack_images(names: Sequence[str], folder: Path) -> None:
    """Unpack the configuration and the files of every layer of built images, each layer once."""
    for name in names:
        config, layers = find_layers(find_built(name))
        (folder / f"{name}.json").write_bytes(config.read_bytes())
        for layer in layers:
            target = folder / layer.name[:12]
            if not target.exists():
                target.mkdir()
                unpack_files(layer, target)


def unpack_files(layer: Path, folder: Path) -> None:
    """Unpack what a layer has of files; links and devices hold nothing."""
    with tarfile.open(layer) as archive:
        for member in archive:
            if member.isfile():
                member.mode = 0o600
                archive.extract(member, folder, filter="data")


def audit(lock: str) -> int:
    """Ask what is known of the locked versions; a version that cannot be asked about counts as a fault."""
    command = [
        *(str(Path(sys.executable).with_name("uv")), "tool", "run", AUDITOR),
        *("--strict", "--disable-pip", "--require-hashes", "--progress-spinner", "off"),
        *("-r", f"requirements/{lock}.txt"),
    ]
    return step(f"known faults in {lock}", command)


def run() -> Iterator[tuple[str, int]]:
    """Take every step; yield its name and status."""
    programs = ensure(["gitleaks", "helm"])
    gitleaks = programs["gitleaks"]
    yield "the history", scan_history(gitleaks)
    with tempfile.TemporaryDirectory(prefix="agentic-scan-") as name:
        rendered, unpacked = Path(name) / "rendered", Path(name) / "unpacked"
        rendered.mkdir()
        render_manifests(programs, rendered)
        title = "credentials in the manifests"
        yield "the manifests", scan_folder(gitleaks, title, rendered, "--config", str(STRICT_RULES))
        unpacked.mkdir()
        unpack_images(IMAGES, unpacked)
        yield "the images", scan_folder(gitleaks, "credentials in the images", unpacked)
    for lock in LOCKS:
        yield f"requirements/{lock}.txt", audit(lock)


def main() -> int:
    """Take all steps; name those that found something or could not be taken."""
    argparse.ArgumentParser(prog="python -m hack.scan", description=__doc__).parse_args()
    try:
        found = [name for name, status in run() if status]
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"scan: look at {', '.join(found)}" if found else "scan: nothing found")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
