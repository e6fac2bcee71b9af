"""What pods and accounts say explicitly in every rendering of the manifests and of the chart: no list to keep."""

import copy
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.chart_places import CHART
from hack.cluster.binaries import ensure
from hack.kubectl import ROOT
from tests.integration.test_chart import VAULT, kustomize, template
from tests.support.pod_rules import find_faults, find_pods, find_tokens

Json = dict[str, Any]


@pytest.fixture(scope="module")
def helm() -> Path:
    return ensure(["helm"])["helm"]


def folders(kind: str) -> list[str]:
    found = (path for path in sorted((ROOT / "manifests").rglob("kustomization.yaml")))
    return [str(path.parent.relative_to(ROOT)) for path in found if yaml.safe_load(path.read_text())["kind"] == kind]


def subsets(names: list[str]) -> Iterator[tuple[str, ...]]:
    for size in range(len(names) + 1):
        yield from itertools.combinations(names, size)


def check(documents: list[Json]) -> int:
    """Check every object; return how many pods there were."""
    assert [fault for one in documents for fault in find_faults(one)] == []
    # Nobody but the operator speaks to the API server.
    assert {name.partition("/")[0] for one in documents for name in find_tokens(one)} <= {"Deployment"}
    return sum(1 for one in documents for _ in find_pods(one) if one["kind"] != "CustomResourceDefinition")


@pytest.mark.parametrize("folder", folders("Kustomization"))
def test_every_pod_of_the_manifests_says_what_it_may(tmp_path: Path, folder: str) -> None:
    pods = check(kustomize(tmp_path, [folder], []))
    assert pods or folder.endswith("monitoring")


# The two that make the migration a hook are each other's alternative.
HOOKS = {"manifests/migrate/argocd", "manifests/migrate/helm"}
COMPONENTS = [chosen for chosen in subsets(folders("Component")) if not set(chosen) >= HOOKS]


@pytest.mark.parametrize("components", COMPONENTS, ids=lambda chosen: " ".join(chosen) or "none")
def test_no_component_takes_back_what_a_pod_says(tmp_path: Path, components: tuple[str, ...]) -> None:
    # Vault before the hooks, which its objects become part of.
    ordered = sorted(components, key=lambda name: (not name.endswith("vault"), name))
    assert check(kustomize(tmp_path, ["manifests/operator", "manifests/backup"], ordered)) == 3


def switches(value: Any, schema: Json, path: str = "") -> Iterator[str]:
    """Yield every value of the chart that is a choice, each with what it is not by default."""
    for key, inner in schema.get("properties", {}).items():
        at, now = f"{path}.{key}".lstrip("."), value.get(key) if isinstance(value, dict) else None
        if inner.get("type") == "boolean":
            yield f"{at}={json.dumps(not now)}"
        elif "enum" in inner and path != "settings":
            yield from (f"{at}={other}" for other in inner["enum"] if other != now)
        yield from switches(now, inner, at)


def chart_switches() -> list[str]:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    return list(switches(values, json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))))


def test_every_pod_of_the_chart_says_what_it_may_whatever_is_switched(helm: Path) -> None:
    """Each choice of the values by itself, and with all that can be switched on."""
    everything = ["monitoring.enabled=true", "backup.enabled=true", "vault.enabled=true"]
    chosen = chart_switches()
    assert {"backup.enabled=true", "migrate.hook=argocd", "podUser=cluster"} <= set(chosen)
    for first, one in itertools.product(([], everything), chosen):
        arguments = [part for value in (f"vault.address={VAULT}", *first, one) for part in ("--set", value)]
        pods = check(template(helm, *arguments))
        assert pods >= (1 if one == "migrate.enabled=false" else 2), one


def test_the_check_finds_what_is_missing(tmp_path: Path) -> None:
    documents = kustomize(tmp_path, ["manifests/operator", "manifests/backup"], ["manifests/vault"])
    (deployment,) = (one for one in documents if one["kind"] == "Deployment")
    (account,) = (one for one in documents if one["metadata"]["name"] == "agentic-migrate" and one["kind"] != "Job")

    def without(change: Any, one: Json = deployment) -> list[str]:
        changed = copy.deepcopy(one)
        change(changed.get("spec", changed).get("template", {}).get("spec", changed))
        return [fault.partition(": ")[2] for fault in find_faults(changed)]

    assert without(lambda pod: pod.pop("automountServiceAccountToken")) == ["automountServiceAccountToken is not said"]
    assert without(lambda pod: pod["initContainers"][0]["resources"]["limits"].pop("ephemeral-storage")) == [
        "no limits of ephemeral-storage"
    ]
    assert (
        without(lambda pod: [volume.get("emptyDir", {}).clear() for volume in pod["volumes"]])
        == ["an emptyDir without sizeLimit"] * 2
    )
    assert without(lambda body: body.pop("automountServiceAccountToken"), account) == [
        "automountServiceAccountToken is not false"
    ]
