"""The migration's manifests: the files as they are, a Job that is bounded, and hooks that come before all else."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.cluster import binaries
from hack.generate import MIGRATIONS, render
from hack.kubectl import ROOT

Json = dict[str, Any]


def render_overlay(folder: Path, resource: str, *components: str) -> list[Json]:
    def link(name: str) -> str:
        return os.path.relpath(ROOT / "manifests" / name, folder)

    overlay = {"resources": [link(resource)], "components": [link(name) for name in components]}
    (folder / "kustomization.yaml").write_text(json.dumps(overlay))
    done = subprocess.run(
        [str(binaries.kubectl()), "kustomize", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.load_all(done.stdout, yaml.CSafeLoader) if document]


def test_the_generated_files_are_those_that_are_committed() -> None:
    stale = [path.name for path, text in render().items() if path.read_text(encoding="utf-8") != text]

    assert stale == [], "run `make generate` and commit the result"


def test_the_job_has_the_files_as_they_are_and_is_bounded(tmp_path: Path) -> None:
    config, job, network = sorted(render_overlay(tmp_path, "migrate"), key=lambda one: str(one["kind"]))

    assert (config["kind"], job["kind"], network["kind"]) == ("ConfigMap", "Job", "NetworkPolicy")
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert network["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    files = {path.name: path.read_text(encoding="utf-8") for path in MIGRATIONS.iterdir() if path.is_file()}
    assert config["data"] == files
    spec = job["spec"]
    assert (spec["backoffLimit"], spec["ttlSecondsAfterFinished"]) == (3, 86400)
    (container,) = spec["template"]["spec"]["containers"]
    assert container["command"] == ["agentic", "migrate", "up"]
    # No secret in the environment: the connection string is a file.
    assert {one["name"]: one["value"] for one in container["env"]} == {
        "POSTGRES_CONNECTION_STRING_FILE": "/var/run/secrets/agentic/postgres/dsn",
        "AGENTIC_MIGRATIONS_DIR": "/migrations",
    }


@pytest.mark.parametrize(
    ("tool", "annotations"),
    [
        (
            "argocd",
            {
                "argocd.argoproj.io/hook": "PreSync",
                "argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation",
            },
        ),
        (
            "helm",
            {"helm.sh/hook": "pre-install,pre-upgrade", "helm.sh/hook-delete-policy": "before-hook-creation"},
        ),
    ],
)
def test_a_component_makes_it_a_hook_with_the_files_before_the_job(
    tmp_path: Path, tool: str, annotations: dict[str, str]
) -> None:
    order = {"argocd": "argocd.argoproj.io/sync-wave", "helm": "helm.sh/hook-weight"}[tool]
    hooks = {
        one["kind"]: one["metadata"]["annotations"]
        for one in render_overlay(tmp_path, "operator", f"migrate/{tool}")
        if one["metadata"].get("annotations", {}).keys() & annotations.keys()
    }

    assert hooks.keys() == {"ConfigMap", "Job", "NetworkPolicy"}
    for found in hooks.values():
        assert annotations.items() <= found.items()
    for kind in ("ConfigMap", "NetworkPolicy"):
        assert int(hooks[kind][order]) < int(hooks["Job"][order]) < 0


def test_a_restore_makes_every_role_that_a_dump_names() -> None:
    files = (ROOT / "migrations").glob("*.up.sql")
    named = {
        role
        for file in files
        for role in re.findall(r"\bTO\s+(agentic_[a-z]+)", re.sub(r"--.*", "", file.read_text(encoding="utf-8")))
    }
    found = re.search(r"^for role in (.*); do$", (ROOT / "manifests/backup/restore.sh").read_text(), re.MULTILINE)
    assert found is not None
    assert named == set(found[1].split())
