"""The Helm chart as Helm renders it: the objects that kustomize makes, values in their places, nothing secret."""

import json
import os
import re
import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.chart.places import CHART
from hack.cluster.binaries import ensure, kubectl
from hack.cluster.controlplane import ControlPlane
from hack.image_list import list_images
from hack.install_file import build_install
from hack.kubectl import ROOT, Kubectl
from hack.scan import STRICT_RULES
from tests.support.documents import find_images, read_documents

Json = dict[str, Any]
# What an installation by Helm has beyond the manifests.
OF_HELM = {
    "helm.sh/chart", "helm.sh/resource-policy",
    "app.kubernetes.io/managed-by", "app.kubernetes.io/instance", "app.kubernetes.io/version",
}  # fmt: skip
OF_THE_BUILD = ("--set", "image.tag=dev")
VAULT = "https://vault.example.com:8200"


@pytest.fixture(scope="module")
def helm() -> Path:
    return ensure(["helm"])["helm"]


def run(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def template(helm: Path, *arguments: str, release: str = "agentic-operator") -> list[Json]:
    """Return the objects of a release, hooks among them."""
    done = run(helm, "template", release, str(CHART), "--namespace", "agentic-system", *arguments)
    assert done.returncode == 0, done.stderr
    return read_documents(done.stdout)


def kustomize(folder: Path, resources: list[str], components: list[str]) -> list[Json]:
    def link(name: str) -> str:
        return os.path.relpath(ROOT / name, folder)

    overlay = {"resources": [link(name) for name in resources], "components": [link(name) for name in components]}
    (folder / "kustomization.yaml").write_text(json.dumps(overlay))
    done = run(kubectl(), "kustomize", str(folder))
    assert done.returncode == 0, done.stderr
    return read_documents(done.stdout)


def normalise(value: Any) -> Any:
    """Take away what Helm adds, and the order of lists whose members have names."""
    if isinstance(value, Mapping):
        kept = {key: normalise(item) for key, item in value.items() if key not in OF_HELM}
        return {key: item for key, item in kept.items() if item != {} or value[key] == {}}
    if isinstance(value, list):
        items = [normalise(item) for item in value]
        named = all(isinstance(item, Mapping) and "name" in item for item in items)
        return sorted(items, key=lambda item: str(item["name"])) if named else items
    return value


def index(documents: list[Json]) -> dict[tuple[str, str], Json]:
    def name(one: Json) -> str:
        namespace = one["metadata"].get("namespace", "agentic-system")
        return (
            str(one["metadata"]["name"]) if namespace == "agentic-system" else f"{namespace}/{one['metadata']['name']}"
        )

    found = {(one["kind"], name(one)): normalise(one) for one in documents}
    assert len(found) == len(documents)
    # The namespace is Helm's user's to make.
    found.pop(("Namespace", "agentic-system"), None)
    return found


def render_everything(helm: Path, *values: str, release: str = "agentic-operator") -> list[Json]:
    switched_on = (
        "gateway.enabled=true",
        "monitoring.enabled=true",
        "backup.enabled=true",
        "vault.enabled=true",
        f"vault.address={VAULT}",
    )
    return template(helm, "--set", ",".join([*switched_on, *values]), release=release)


@pytest.fixture(scope="module")
def everything(helm: Path) -> list[Json]:
    return render_everything(helm)


@pytest.mark.parametrize(
    ("values", "resources", "components"),
    [
        pytest.param((), (), ("manifests/migrate/helm",), id="by default"),
        pytest.param(("migrate.hook=argocd",), (), ("manifests/migrate/argocd",), id="for ArgoCD"),
        pytest.param(("migrate.hook=none",), (), (), id="without a hook"),
        pytest.param(
            ("vault.enabled=true", f"vault.address={VAULT}"),
            (),
            ("manifests/vault", "manifests/migrate/helm"),
            id="with Vault",
        ),
        pytest.param(
            ("monitoring.enabled=true", "backup.enabled=true", "migrate.hook=none"),
            ("manifests/monitoring", "manifests/backup"),
            (),
            id="with alerts and backups",
        ),
        pytest.param(
            ("podUser=cluster", "backup.enabled=true", "migrate.hook=none"),
            ("manifests/backup",),
            ("manifests/openshift",),
            id="for OpenShift",
        ),
        pytest.param(
            ("gateway.enabled=true", "gateway.image.tag=dev", "migrate.hook=none"),
            (),
            ("manifests/gateway",),
            id="with the gateway",
        ),
        pytest.param(
            ("networkPolicies.enabled=false", "backup.enabled=true", "migrate.hook=none"),
            ("manifests/backup",),
            ("manifests/open-network",),
            id="with an open network",
        ),
        pytest.param(
            ("rbac.scope=Namespaces", "watchNamespaces={team}", "migrate.hook=none"),
            (),
            ("manifests/namespaced",),
            id="with rights in a namespace alone",
        ),
    ],
)
def test_the_chart_renders_what_kustomize_does(
    helm: Path, tmp_path: Path, values: tuple[str, ...], resources: tuple[str, ...], components: tuple[str, ...]
) -> None:
    arguments = [part for value in values for part in ("--set", value)]
    expected = index(kustomize(tmp_path, ["crds", "manifests/operator", *resources], list(components)))

    assert index(template(helm, *OF_THE_BUILD, *arguments)) == expected


TEAMS = ("rbac.scope=Namespaces", "watchNamespaces={one,two}", "vault.enabled=true", f"vault.address={VAULT}")
# Of these, an operator with rights in namespaces alone has none: they are the admin's, once a cluster.
OF_CLUSTER = ("ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "ValidatingAdmissionPolicy", "Namespace")


def names(documents: list[Json]) -> set[tuple[str, str, str]]:
    found = [(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]) for one in documents]
    assert len(set(found)) == len(found)
    return set(found)


def part(helm: Path, which: str, *values: str, release: str = "agentic-operator") -> list[Json]:
    """Return what a release of one part alone makes."""
    others = [f"parts.{each}=false" for each in ("shared", "rights", "operator") if each != which]
    shared = () if which == "shared" else ("sharedName=agentic",)
    arguments = [each for value in (*TEAMS, *others, *shared, *values) for each in ("--set", value)]
    return template(helm, *arguments, release=release)


def test_an_admin_and_a_team_make_their_parts_of_an_installation(helm: Path) -> None:
    arguments = [each for value in TEAMS for each in ("--set", value)]
    shared, rights, operator = (part(helm, which) for which in ("shared", "rights", "operator"))
    assert names(shared) | names(rights) | names(operator) == names(template(helm, *arguments))
    assert not names(shared) & names(rights)
    assert not names(rights) & names(operator)

    # A team that may edit its namespace installs and upgrades its operator, and gives no rights.
    assert {one["metadata"]["namespace"] for one in operator} == {"agentic-system"}
    assert not {one["kind"] for one in operator} & {*OF_CLUSTER, "Role", "RoleBinding"}


def test_rights_in_namespaces_are_none_in_the_cluster(helm: Path) -> None:
    rights = part(helm, "rights")
    roles = {one["metadata"]["namespace"] for one in rights if one["kind"] == "Role"}
    assert roles == {"agentic-system", "one", "two"}
    of_cluster = {one["kind"] for one in rights} & set(OF_CLUSTER)
    assert of_cluster == {"ValidatingAdmissionPolicy"}
    for binding in (one for one in rights if one["kind"] == "ValidatingAdmissionPolicyBinding"):
        (rule,) = binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
        assert rule["values"] == ["one", "two"]

    (deployment,) = (one for one in part(helm, "operator") if one["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    told = {each["name"]: each.get("value") for each in container["env"]}
    assert (told["WATCH_NAMESPACES"], told["CLUSTER_DEFINITIONS"]) == ("one,two", "off")
    assert told["VAULT_INIT_IMAGE"] == container["image"]


@pytest.mark.parametrize(
    ("chosen", "verbs"), [("read", {"get", "list", "watch"}), ("inspect", {"get", "list", "watch", "patch"})]
)
def test_definitions_of_the_cluster_are_the_one_thing_to_see_in_the_cluster(
    helm: Path, chosen: str, verbs: set[str]
) -> None:
    rights = part(helm, "rights", f"clusterDefinitions={chosen}")
    (role,) = (one for one in rights if one["kind"] == "ClusterRole")
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == verbs
    assert {one.split("/")[0] for rule in role["rules"] for one in rule["resources"]} == {"clusterworkflowdefinitions"}
    inspects = {one["metadata"].get("namespace") for one in rights if one["kind"] == "Role"}
    assert ("agentic-inspections" in inspects) is (chosen == "inspect")
    assert (("Namespace", "", "agentic-inspections") in names(rights)) is (chosen == "inspect")


def test_two_teams_share_the_shared_part_and_nothing_else(helm: Path) -> None:
    def made(team: str) -> list[Json]:
        return [
            one for which in ("rights", "operator") for one in part(helm, which, "backup.enabled=true", release=team)
        ]

    one, other = made("blue"), made("green")
    # The Roles of two teams are in namespaces of their own; here both serve the same.
    assert not {(kind, name) for kind, _, name in names(one)} & {(kind, name) for kind, _, name in names(other)}
    bound = [
        rule["resourceNames"]
        for role in (*one, *other)
        if role["kind"] == "Role"
        for rule in role["rules"]
        if "bind" in rule["verbs"]
    ]
    assert bound == [["agentic-runner"]] * 4


def test_the_one_file_for_kubectl_makes_what_kustomize_does(tmp_path: Path) -> None:
    written = read_documents(build_install("agentic-operator/operator:dev"))
    assert index(written) == index(kustomize(tmp_path, ["crds", "manifests/operator"], []))


def test_a_trial_database_comes_with_passwords_and_without_a_hook(helm: Path, control_plane: ControlPlane) -> None:
    documents = template(helm, "--set", "trial.enabled=true,gateway.enabled=true")
    assert not [one for one in documents if "helm.sh/hook" in json.dumps(one)]
    secrets = {one["metadata"]["name"]: one["stringData"] for one in documents if one["kind"] == "Secret"}
    passwords = secrets.pop("agentic-trial-postgres")
    assert len(set(passwords.values())) == len(passwords) == 4
    assert secrets.keys() == {f"agentic-postgres-{part}" for part in ("owner", "operator", "runner", "gateway")}
    host = "agentic-trial-postgres.agentic-system.svc:5432/agentic"
    assert secrets["agentic-postgres-owner"] == {"dsn": f"postgresql://postgres:{passwords['password']}@{host}"}
    assert secrets["agentic-postgres-operator"] == {
        "dsn": f"postgresql://agentic_operator_login:{passwords['operator']}@{host}"
    }
    jobs = {one["metadata"]["name"] for one in documents if one["kind"] == "Job"}
    assert jobs == {"agentic-migrate-1", "agentic-trial-postgres-logins-1"}

    beside = {(one["kind"], one["metadata"]["name"]) for one in documents} - {
        (one["kind"], one["metadata"]["name"]) for one in template(helm, "--set", "gateway.enabled=true")
    }
    text = yaml.safe_dump_all(one for one in documents if (one["kind"], one["metadata"]["name"]) in beside)
    Kubectl(control_plane.kubeconfig).run("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=text)


def test_a_trial_database_is_refused_beside_vault(helm: Path) -> None:
    done = run(
        helm, "template", "x", str(CHART), "--set", f"trial.enabled=true,vault.enabled=true,vault.address={VAULT}"
    )
    assert done.returncode != 0
    assert "/vault/enabled" in done.stderr


def read_values(page: str) -> list[tuple[str, Json]]:
    """Return the values for the chart in the manifests of a page, each with its kind."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.M | re.S)
    documents = [one for block in blocks for one in yaml.safe_load_all(block)]
    found = []
    for one in documents:
        source = (one.get("spec") or {}).get("source") or {}
        values = source.get("helm", {}).get("valuesObject") or (one.get("spec") or {}).get("values")
        if values:
            found.append((one["kind"], values))
    return found


@pytest.mark.parametrize("page", ["helm.md", "installing-examples.md"])
def test_the_values_of_written_out_examples_render(helm: Path, tmp_path: Path, page: str) -> None:
    found = read_values(page)
    assert found
    for kind, values in found:
        (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
        (deployment,) = (
            one for one in template(helm, "-f", str(tmp_path / "values.yaml")) if one["kind"] == "Deployment"
        )
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["image"].startswith("registry.example.com/agentic-operator/operator:"), kind


def test_the_chart_passes_helms_own_checks(helm: Path) -> None:
    done = run(helm, "lint", "--strict", str(CHART))

    assert done.returncode == 0, done.stdout
    assert "WARNING" not in done.stdout


def test_values_arrive_where_they_belong(helm: Path, tmp_path: Path) -> None:
    values = {
        "image": {"repository": "registry.example.com/agentic/operator", "tag": "1.2.3", "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "pull"}],
        "replicas": 3,
        "resources": {"limits": {"memory": "1Gi"}},
        "podAnnotations": {"example.com/scrape": "true"},
        "nodeSelector": {"pool": "system"},
        "tolerations": [{"key": "system", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
        "allowedImages": ["registry.example.com/team", "docker.io/library"],
        "watchNamespaces": ["team-a", "team-b"],
        "settings": {"WORKERS": 32, "JOB_TTL_SECONDS": 2000000, "LEADER_ELECTION": False, "LOG_LEVEL": "debug"},
        "database": {"ownerSecret": "o", "operatorSecret": "p", "runnerSecret": "r"},
        "migrate": {"waitSeconds": 5, "backoffLimit": 0},
        "backup": {"enabled": True, "storageClassName": "fast", "size": "20Gi", "dumps": 3},
    }
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    found = index(template(helm, "-f", str(tmp_path / "values.yaml")))

    deployment = found["Deployment", "agentic-operator"]["spec"]
    job = found["Job", "agentic-migrate"]["spec"]
    backup = found["CronJob", "agentic-backup"]["spec"]["jobTemplate"]["spec"]
    assert deployment["replicas"] == 3
    assert deployment["template"]["metadata"]["annotations"] == values["podAnnotations"]
    for spec in (deployment["template"]["spec"], job["template"]["spec"], backup["template"]["spec"]):
        for key in ("imagePullSecrets", "nodeSelector", "tolerations", "affinity", "priorityClassName"):
            assert spec[key] == values[key], key
    (container,) = deployment["template"]["spec"]["containers"]
    assert container["image"] == "registry.example.com/agentic/operator:1.2.3"
    assert container["imagePullPolicy"] == "Always"
    environment = {one["name"]: one.get("value") for one in container["env"]}
    assert environment["ALLOWED_IMAGES"] == "registry.example.com/team,docker.io/library"
    assert environment["WATCH_NAMESPACES"] == "team-a,team-b"
    domain = "agentic-operator.dev"
    for policy in ("runners-are-the-operators", "runner-writes-own-session"):
        binding = found["ValidatingAdmissionPolicyBinding", f"{policy}.{domain}"]["spec"]
        (served,) = binding["matchResources"]["namespaceSelector"]["matchExpressions"]
        assert served == {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["team-a", "team-b"]}
    assert [environment[name] for name in ("WORKERS", "JOB_TTL_SECONDS", "LEADER_ELECTION", "LOG_LEVEL")] == [
        "32", "2000000", "false", "debug",
    ]  # fmt: skip
    assert environment["RUNNER_POSTGRES_SECRET"] == "r"
    mounted = [
        volume["secret"]["secretName"]
        for spec in (job, deployment, backup)
        for volume in spec["template"]["spec"]["volumes"]
        if "secret" in volume
    ]
    assert mounted == ["o", "p", "o"]
    assert ({"r", "agentic-results", "agentic-encryption"}, ["get"]) in [
        (set(rule.get("resourceNames", [])), rule["verbs"]) for rule in found["Role", "agentic-operator"]["rules"]
    ]
    assert job["template"]["spec"]["containers"][0]["args"] == ["--wait", "5"]
    assert job["backoffLimit"] == 0
    claim = found["PersistentVolumeClaim", "agentic-backups"]["spec"]
    assert (claim["storageClassName"], claim["resources"]["requests"]["storage"]) == ("fast", "20Gi")


def list_switches() -> list[str]:
    """Return the value of each optional part."""
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    found = [name for name, part in values.items() if isinstance(part, dict) and part.get("enabled") is False]
    assert {"gateway", "trial", "vault", "backup"} <= set(found)
    return found


def render_parts(helm: Path, *values: str) -> list[Json]:
    """Return all objects of two releases with every optional part: a trial database and Vault exclude each other."""
    switches = list_switches()
    both = [
        template(helm, "--set", ",".join([*(f"{each}.enabled=true" for each in switches if each != out), *more]))
        for out, more in (("trial", [f"vault.address={VAULT}", *values]), ("vault", values))
    ]
    return [one for documents in both for one in documents]


MIRROR = "mirror.example.com:5000/copies"


def test_one_value_puts_every_image_below_a_mirror(helm: Path) -> None:
    plain = find_images(render_parts(helm, "image.repository=ghcr.io/of/operator"))
    mirrored = find_images(render_parts(helm, "image.repository=ghcr.io/of/operator", f"global.imageRegistry={MIRROR}"))
    assert [image for image in mirrored if not image.startswith(f"{MIRROR}/")] == []
    # Only the registry is another one: what was copied by its path is found.
    assert set(mirrored) == {
        f"{MIRROR}/of/operator:0.1.0",
        f"{MIRROR}/agentic-operator/gateway:0.1.0",
        f"{MIRROR}/library/postgres:16",
    }
    assert len(plain) == len(mirrored)
    assert not any(image.startswith("mirror.") for image in plain)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("postgres:16", f"{MIRROR}/library/postgres:16"),
        ("team/postgres:16", f"{MIRROR}/team/postgres:16"),
        ("docker.io/library/postgres:16", f"{MIRROR}/library/postgres:16"),
        ("localhost/postgres:16", f"{MIRROR}/postgres:16"),
        ("registry:5000/a/b/postgres@sha256:" + "1" * 64, f"{MIRROR}/a/b/postgres@sha256:" + "1" * 64),
        (f"{MIRROR}/hub/postgres:16", f"{MIRROR}/hub/postgres:16"),
    ],
)
def test_a_mirror_stands_in_place_of_a_registry(helm: Path, image: str, expected: str) -> None:
    values = ("trial.enabled=true", f"trial.image={image}", f"global.imageRegistry={MIRROR}")
    documents = template(helm, *(part for value in values for part in ("--set", value)))
    (server,) = (one for one in documents if one["kind"] == "StatefulSet")
    assert find_images(server) == [expected]


def test_an_image_that_a_setting_names_is_below_the_mirror_and_what_sessions_may_run_is_as_given(helm: Path) -> None:
    settings = ("settings.VAULT_INIT_IMAGE=quay.io/of/init:1", "allowedImages={mirror.example.com:5000/team}")
    values = (*TEAMS, *settings, f"global.imageRegistry={MIRROR}")
    documents = template(helm, *(part for value in values for part in ("--set", value)))
    assert f"{MIRROR}/of/init:1" in find_images(documents)
    (deployment,) = (one for one in documents if one["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert {"name": "ALLOWED_IMAGES", "value": "mirror.example.com:5000/team"} in container["env"]


def test_the_list_of_images_is_what_the_chart_pulls_and_the_runner(helm: Path) -> None:
    registry = "registry.example.com/agentic-operator"
    ours = (f"image.repository={registry}/operator", f"gateway.image.repository={registry}/gateway")
    assert {*find_images(render_parts(helm, *ours)), f"{registry}/runner:0.1.0"} == set(list_images(registry, "0.1.0"))


def test_two_releases_share_no_name_but_those_of_the_resources(helm: Path, everything: list[Json]) -> None:
    ours, other = index(everything), index(render_everything(helm, "vault.migrate.role=of-vault", release="b"))

    assert {kind for kind, _ in other.keys() & ours.keys()} == {"CustomResourceDefinition"}
    deployment = other["Deployment", "b-agentic-operator"]["spec"]["template"]["spec"]
    environment = {one["name"]: one.get("value") for one in deployment["containers"][0]["env"]}
    assert ("ClusterRole", environment["RUNNER_CLUSTER_ROLE"]) in other
    # What is referred to, by alerts too, has the other's name; runners' accounts are told apart by namespaces, and
    # "agentic-gateway" is also the tokens' audience and a label.
    text = json.dumps([body for (kind, _), body in other.items() if kind != "CustomResourceDefinition"])
    names = {name for _, name in ours} - {"agentic-operator", "agentic-runner", "agentic-gateway"}
    assert [name for name in names if re.search(rf"[\"\\\\/]{name}[\"\\\\]", text)] == []


def test_resources_and_dumps_stay_when_the_release_goes(helm: Path) -> None:
    documents = template(helm, "--set", "backup.enabled=true")
    kept = [one for one in documents if "helm.sh/resource-policy" in one["metadata"].get("annotations", {})]

    assert sorted(one["kind"] for one in kept) == ["CustomResourceDefinition"] * 3 + ["PersistentVolumeClaim"]
    for values in ("crds.install=false", "crds.keep=false"):
        crds = [one for one in template(helm, "--set", values) if one["kind"] == "CustomResourceDefinition"]
        assert len(crds) == (0 if "install" in values else 3)
        assert not any("annotations" in one["metadata"] for one in crds)


@pytest.mark.parametrize(
    ("value", "place", "reason"),
    [
        ("migrate.hook=flux", "/migrate/hook", "'helm', 'argocd', 'none'"),
        ("settings.WORKER=3", "/settings", "additional properties 'WORKER'"),
        ("settings.POSTGRES_CONNECTION_STRING=x", "/settings", "not allowed"),
        ("replicas=-1", "/replicas", "got -1, want 0"),
        ("global.imageRegistry=https://mirror", "/global/imageRegistry", "does not match"),
        ("global.imageRegistry=mirror/", "/global/imageRegistry", "does not match"),
        ("image.tagg=1", "/image", "additional properties 'tagg'"),
        ("image.pullPolicy=Sometimes", "/image/pullPolicy", "'IfNotPresent'"),
        ("watchNamespaces={Team A}", "/watchNamespaces/0", "does not match"),
        ("vault.enabled=true", "/vault/address", "minLength"),
        ("vault.address=https://me:secret@vault", "/vault/address", "does not match"),
        ("tracing.endpoint=https://me:secret@collector:4318", "/tracing/endpoint", "does not match"),
        ("rbac.scope=Namespaces", "/watchNamespaces", "minItems"),
        ("rbac.scope=Team", "/rbac/scope", "'Cluster', 'Namespaces'"),
        ("parts.shared=false", "/sharedName", "minLength"),
        ("clusterDefinitions=on", "/clusterDefinitions", "'inspect', 'read', 'off'"),
        ("migrate.waitSeconds=soon", "/migrate/waitSeconds", "want integer"),
        ("operator.image=x", "''", "additional properties 'operator'"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(helm: Path, value: str, place: str, reason: str) -> None:
    done = run(helm, "template", "x", str(CHART), "--set", value)

    assert done.returncode != 0
    assert f"at '{place.strip(chr(39))}'" in done.stderr
    assert reason in done.stderr


def test_by_default_there_is_one_deployment_and_a_database_of_yours(helm: Path) -> None:
    documents = template(helm)
    kinds = [one["kind"] for one in documents]

    assert (kinds.count("Deployment"), kinds.count("Job"), "StatefulSet" in kinds, "Service" in kinds) == (
        1, 1, False, False,
    )  # fmt: skip
    pods = json.dumps([one for one in documents if one["kind"] in ("Deployment", "Job")]).lower()
    for broker in ("redis", "nats", "rabbitmq", "kafka"):
        assert broker not in pods


def find_credentials(gitleaks: Path, folder: Path) -> list[str]:
    report = folder.with_suffix(".json")
    done = run(gitleaks, "dir", str(folder), "--no-banner", "--config", str(STRICT_RULES), "--report-path", str(report))
    assert done.returncode in (0, 1), done.stderr
    return sorted(finding["RuleID"] for finding in json.loads(report.read_text(encoding="utf-8")))


def test_no_object_holds_a_credential(helm: Path, everything: list[Json], tmp_path: Path) -> None:
    """By a scanner that finds one which is planted beside; and Secrets are none of the chart's."""
    gitleaks = ensure(["gitleaks"])["gitleaks"]
    folder = tmp_path / "rendered"
    folder.mkdir()
    for documents in (template(helm), everything):
        assert not [one for one in documents if one["kind"] == "Secret"]
        for number, one in enumerate(documents):
            (folder / f"{len(documents)}-{number}.yaml").write_text(yaml.safe_dump(one), encoding="utf-8")
    for name in ("values.yaml", "Chart.yaml", "templates/NOTES.txt"):
        (folder / Path(name).name).write_text((CHART / name).read_text(encoding="utf-8"), encoding="utf-8")

    assert find_credentials(gitleaks, folder) == []
    planted = {"dsn": f"postgresql://me:{secrets.token_hex(8)}@db/agentic", "token": f"ghp_{secrets.token_hex(18)}"}
    (folder / "planted.yaml").write_text(yaml.safe_dump({"kind": "ConfigMap", "data": planted}), encoding="utf-8")
    assert find_credentials(gitleaks, folder) == ["connection-string", "github-pat"]


def test_spans_are_sent_where_the_chart_says_and_its_policies_let_them(helm: Path) -> None:
    collector = "http://collector.monitoring:4318"
    told = ("--set", f"gateway.enabled=true,tracing.endpoint={collector},tracing.headersSecret=collector-headers")
    sampled = ("--set-string", "tracing.variables.OTEL_TRACES_SAMPLER=always_off")

    def read(*values: str) -> tuple[dict[str, dict[str, Any]], dict[str, list[int]]]:
        found = template(helm, *values)
        env = {
            one["metadata"]["name"]: {each["name"]: each for each in container["env"]}
            for one in found
            if one["kind"] == "Deployment"
            for container in one["spec"]["template"]["spec"]["containers"]
        }
        ports = {
            one["metadata"]["name"]: [
                port["port"] for rule in one["spec"].get("egress") or () for port in rule.get("ports") or ()
            ]
            for one in found
            if one["kind"] == "NetworkPolicy"
        }
        return env, ports

    env, ports = read(*told, *sampled)
    for name in ("agentic-operator", "agentic-gateway"):
        assert env[name]["OTEL_EXPORTER_OTLP_ENDPOINT"]["value"] == collector
        assert env[name]["OTEL_TRACES_SAMPLER"]["value"] == "always_off"
        headers = env[name]["OTEL_EXPORTER_OTLP_HEADERS"]["valueFrom"]["secretKeyRef"]
        assert headers == {"name": "collector-headers", "key": "headers"}
        assert 4318 in ports[name]
    operator = env["agentic-operator"]
    assert operator["TRACES_ENDPOINT"]["value"] == collector
    assert "4318" in operator["RUNNER_EGRESS"]["value"].split(",")

    env, _ = read(*told, "--set", "tracing.runs=false")
    assert "TRACES_ENDPOINT" not in env["agentic-operator"]
    assert "4318" not in env["agentic-operator"]["RUNNER_EGRESS"]["value"]

    env, ports = read("--set", "gateway.enabled=true")
    assert not [variable for found in env.values() for variable in found if "OTEL" in variable]
    assert not [name for name, found in ports.items() if 4318 in found]
