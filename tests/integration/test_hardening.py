"""What pods and accounts say explicitly in every rendering of the manifests and of the chart: no list to keep."""

import copy
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentic_operator.networks import build_runner_policy, parse_egress
from hack.chart.places import CHART
from hack.cluster.binaries import ensure, kubectl
from hack.kubectl import ROOT
from tests.integration.test_chart import VAULT, kustomize, run, template
from tests.support.network_rules import Target, allows
from tests.support.pod_rules import find_faults, find_pods, find_tokens

Json = dict[str, Any]


@pytest.fixture(scope="module")
def helm() -> Path:
    return ensure(["helm"])["helm"]


def folders(kind: str) -> list[str]:
    found = (path for path in sorted((ROOT / "manifests").rglob("kustomization.yaml")))
    return [str(path.parent.relative_to(ROOT)) for path in found if yaml.safe_load(path.read_text())["kind"] == kind]


def choose(names: list[str]) -> Iterator[tuple[str, ...]]:
    """Yield none of them, each, each pair, and all."""
    for size in (0, 1, 2, len(names)):
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
COMPONENTS = dict.fromkeys(
    chosen for hook in HOOKS for chosen in choose([name for name in folders("Component") if name != hook])
)


@pytest.mark.parametrize("components", sorted(COMPONENTS), ids=lambda chosen: " ".join(chosen) or "none")
def test_no_component_takes_back_what_a_pod_says(tmp_path: Path, components: tuple[str, ...]) -> None:
    # Vault before the hooks, which its objects become part of.
    ordered = sorted(components, key=lambda name: (not name.endswith("vault"), name))
    pods = 3 + ("manifests/gateway" in components)
    assert check(kustomize(tmp_path, ["manifests/operator", "manifests/backup"], ordered)) == pods


def switches(value: Any, schema: Json, path: str = "") -> Iterator[str]:
    """Yield every value of the chart that is a choice, each with what it is not by default."""
    for key, inner in schema.get("properties", {}).items():
        if not isinstance(inner, dict):
            # A name that must not be there.
            continue
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
    """The defaults, and each choice of the values with all else that can be switched on."""
    everything = ["gateway.enabled=true", "monitoring.enabled=true", "backup.enabled=true", "vault.enabled=true"]
    # What some of the choices ask for.
    everything += [f"vault.address={VAULT}", "watchNamespaces={team}", "sharedName=agentic"]
    chosen = chart_switches()
    assert {"backup.enabled=true", "migrate.hook=argocd", "podUser=cluster"} <= set(chosen)
    other = {"migrate.enabled=false": 3, "gateway.enabled=true": 4, "parts.operator=false": 0, "trial.enabled=true": 6}
    # A trial has a database and a Job for its passwords, and no Vault: the schema says so.
    without = {"trial.enabled=true": ["vault.enabled=false"]}
    assert check(template(helm)) == 2
    for one in chosen:
        values = (*everything, one, *without.get(one, []))
        pods = check(template(helm, *(part for value in values for part in ("--set", value))))
        assert pods == other.get(one, 4), one


def test_the_budget_and_the_spread_are_values(helm: Path) -> None:
    def find(*values: str) -> tuple[list[Any], list[Any]]:
        documents = template(helm, *(part for value in values for part in ("--set-json", value)))
        (pod,) = (one["spec"]["template"]["spec"] for one in documents if one["kind"] == "Deployment")
        budgets = [one["spec"]["maxUnavailable"] for one in documents if one["kind"] == "PodDisruptionBudget"]
        return budgets, pod.get("topologySpreadConstraints", [])

    budgets, spread = find()
    assert (budgets, [one["topologyKey"] for one in spread]) == (
        [1],
        ["kubernetes.io/hostname", "topology.kubernetes.io/zone"],
    )
    own = {"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}
    budgets, spread = find('podDisruptionBudget.maxUnavailable="50%"', f"topologySpreadConstraints=[{json.dumps(own)}]")
    selector = {"matchLabels": {"app.kubernetes.io/name": "agentic-operator"}}
    assert (budgets, spread) == (["50%"], [{**own, "labelSelector": selector}])
    assert find("podDisruptionBudget.enabled=false", "topologySpreadConstraints=[]") == ([], [])


def test_the_check_finds_what_is_missing(tmp_path: Path) -> None:
    documents = kustomize(tmp_path, ["manifests/operator", "manifests/backup"], ["manifests/vault"])
    (deployment,) = (one for one in documents if one["kind"] == "Deployment")
    (account,) = (
        one for one in documents if one["kind"] == "ServiceAccount" and one["metadata"]["name"] == "agentic-migrate"
    )

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


DIGEST = f"sha256:{'d' * 64}"
OURS = "registry.example.com/agentic/operator"


def find_images(documents: list[Json]) -> set[str]:
    kinds = ("initContainers", "containers")
    pods = [pod for one in documents if one["kind"] != "CustomResourceDefinition" for _, pod in find_pods(one)]
    return {container["image"] for pod in pods for kind in kinds for container in pod.get(kind) or ()}


def test_every_image_can_be_named_by_its_digest(helm: Path, tmp_path: Path) -> None:
    values = {
        "image.repository": OURS,
        "image.digest": DIGEST,
        "vault.enabled": "true",
        "vault.address": VAULT,
        "backup.enabled": "true",
        "backup.image": f"docker.io/library/postgres@{DIGEST}",
    }
    rendered = template(helm, *(part for key, value in values.items() for part in ("--set", f"{key}={value}")))
    wanted = {f"{OURS}@{DIGEST}", f"docker.io/library/postgres@{DIGEST}"}
    assert find_images(rendered) == wanted
    # And with kustomize.
    documents = kustomize(
        tmp_path, ["manifests/operator", "manifests/backup", "manifests/postgres"], ["manifests/vault"]
    )
    file = tmp_path / "kustomization.yaml"
    images = [
        {"name": "agentic-operator/operator", "newName": OURS, "digest": DIGEST},
        {"name": "docker.io/library/postgres", "digest": DIGEST},
    ]
    file.write_text(json.dumps({**json.loads(file.read_text()), "images": images}))
    done = run(kubectl(), "kustomize", str(tmp_path))
    assert find_images(list(yaml.safe_load_all(done.stdout))) == wanted
    assert not find_images(documents) & wanted


def test_every_base_of_an_image_is_an_argument() -> None:
    """So that `--build-arg BASE=…@sha256:…` names what an image stands on, and nothing else is taken beside it."""
    for file in sorted((ROOT / "images").glob("*/Containerfile")):
        froms = re.findall(r"^FROM (\S+)", file.read_text(encoding="utf-8"), re.M)
        assert set(froms) == {"${BASE}"}, file


def held(documents: list[Json]) -> Iterator[tuple[str, Json, list[Json]]]:
    """Yield the labels of each pod of ours, and the policies of its namespace."""
    policies = [one for one in documents if one["kind"] == "NetworkPolicy"]
    for one in documents:
        for pod in find_templates(one):
            space = one["metadata"]["namespace"]
            own = [policy for policy in policies if policy["metadata"]["namespace"] == space]
            yield one["metadata"]["name"], pod["metadata"]["labels"], own


def find_templates(value: Any) -> Iterator[Json]:
    if isinstance(value, dict):
        if "containers" in (value.get("template") or {}).get("spec", {}):
            yield value["template"]
        elif value.get("kind") != "CustomResourceDefinition":
            for item in value.values():
                yield from find_templates(item)


DATABASE, OTHER = Target("10.1.2.3", 5432), Target("10.1.2.3", 8000)
API_SERVER, NAMES = Target("10.1.2.4", 6443), Target("10.96.0.10", 53, "UDP")


def check_networks(documents: list[Json]) -> None:
    seen = {}
    for name, labels, policies in held(documents):
        seen[name] = labels
        assert not allows(policies, labels, "Egress", OTHER), name
        assert not allows(policies, labels, "Ingress", OTHER), name
        is_database, is_operator = name == "postgres", name.endswith("operator")
        assert allows(policies, labels, "Egress", DATABASE) is not is_database, name
        assert allows(policies, labels, "Egress", NAMES) is not is_database, name
        assert allows(policies, labels, "Egress", API_SERVER) is is_operator, name
        assert allows(policies, labels, "Ingress", Target("10.1.2.5", 8080)) is is_operator, name
        if is_database:
            for client in (*(labels for other, labels in seen.items() if other != name),):
                peer = Target("10.1.2.6", 5432, labels=client, namespace="agentic-system")
                assert allows(policies, labels, "Ingress", peer), client
            runner = {"app.kubernetes.io/managed-by": "agentic-operator", "app.kubernetes.io/component": "runner"}
            for client, expected in ((runner, True), ({"app": "other"}, False)):
                peer = Target("10.1.2.6", 5432, labels=client, namespace="team")
                assert allows(policies, labels, "Ingress", peer) is expected, client
    assert seen


def test_every_pod_of_the_manifests_is_closed_but_for_what_it_needs(tmp_path: Path) -> None:
    parts = ["manifests/operator", "manifests/backup", "manifests/restore", "manifests/postgres"]
    for number, part in enumerate(parts):
        (tmp_path / str(number)).mkdir()
        check_networks(kustomize(tmp_path / str(number), [part], []))
    documents = [one for part in range(len(parts)) for one in kustomize(tmp_path / str(part), [parts[part]], [])]
    check_networks(documents)


def test_networks_of_the_chart_narrow_what_is_open(helm: Path) -> None:
    check_networks(template(helm, "--set", "backup.enabled=true"))
    narrow = {
        "networkPolicies.apiServer.ports": "{6443}",
        "networkPolicies.apiServer.cidrs": "{10.1.2.4/32}",
        "networkPolicies.database.cidrs": "{10.1.2.3/32,fd00:1::/64}",
        "networkPolicies.runners.internet": "false",
        "networkPolicies.runners.destinations": "{9000,10.1.7.0/24:8000}",
    }
    documents = template(helm, *(part for key, value in narrow.items() for part in ("--set", f"{key}={value}")))
    check_networks(documents)
    ((_, labels, policies),) = (each for each in held(documents) if each[0] == "agentic-operator")
    for outside in (Target("10.1.2.9", 6443), Target("10.1.2.9", 5432), Target("10.1.2.4", 443)):
        assert not allows(policies, labels, "Egress", outside)
    (deployment,) = (one for one in documents if one["kind"] == "Deployment")
    variables = {each["name"]: each.get("value") for each in find_env(deployment)}
    assert variables["RUNNER_EGRESS"] == (
        "10.1.2.4/32:6443,10.1.2.3/32:5432,[fd00:1::/64]:5432,10.1.2.3/32:6432,[fd00:1::/64]:6432,9000,10.1.7.0/24:8000"
    )
    assert parse_egress(variables["RUNNER_EGRESS"]) is not None


@pytest.mark.parametrize(
    ("value", "port"), [("settings.RESULT_STORE=on", 9000), (f"vault.enabled=true,vault.address={VAULT}", 8200)]
)
def test_what_else_is_switched_on_is_let_through(helm: Path, value: str, port: int) -> None:
    """To the operator, which removes results too, and to runners."""
    target = Target("10.1.2.3", port)
    for arguments, expected in (((), False), (("--set", value), True)):
        documents = template(helm, *arguments)
        ((_, labels, policies),) = (each for each in held(documents) if each[0] == "agentic-operator")
        assert allows(policies, labels, "Egress", target) is expected
        (deployment,) = (one for one in documents if one["kind"] == "Deployment")
        variables = {each["name"]: each.get("value") for each in find_env(deployment)}
        egress = parse_egress(str(variables["RUNNER_EGRESS"]))
        assert egress is not None
        runner = {"app.kubernetes.io/managed-by": "agentic-operator", "app.kubernetes.io/component": "runner"}
        assert allows([build_runner_policy(egress)], runner, "Egress", target) is expected


def find_env(deployment: Json) -> list[Json]:
    found: list[Json] = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    return found
