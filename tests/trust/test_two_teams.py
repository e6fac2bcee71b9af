"""Two teams of one cluster, each with an operator whose rights are Roles in its own namespaces: the chart as delivered.

The cluster's admin makes the shared part once and the rights of each team; each team its operator. Everything runs
against the real API server with exactly these rights.
"""

import asyncio
import itertools
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from agentic_core.lifecycle import Phase
from agentic_core.names import GROUP
from agentic_operator.cache.index import Index
from agentic_operator.database.retention import Retention
from agentic_operator.database.retention_policy import Keep
from agentic_operator.kube.client import open_kube
from agentic_operator.kube.connection import read_kubeconfig
from agentic_operator.kube.event_recorder import EventRecorder
from agentic_store.database import open_database
from agentic_store.dsn import Dsn
from hack.chart.places import CHART
from hack.cluster.binaries import ensure
from hack.cluster.controlplane import ControlPlane
from hack.kubectl import Kubectl
from tests.faults.bed import API_VERSION, IMAGE, SYSTEM, Bed, open_bed, until
from tests.faults.conftest import FAULT_PLANE
from tests.faults.operators import Operator
from tests.support.apiclient import GROUP_PATH, core_path, definitions_path, jobs_path, sessions_path
from tests.support.postgres import PostgresDatabase
from tests.support.threads import count, days_ago, plant
from tests.trust.roles import an_account
from tests.trust.snapshot import compare, list_rights

Json = dict[str, Any]


_numbers = itertools.count(1)


def render(folder: Path, release: str, namespace: str, part: str, *values: str) -> Path:
    """Return a file with what a release of one part of the chart makes."""
    others = [f"parts.{each}=false" for each in ("shared", "rights", "operator") if each != part]
    # The database is migrated already; a Job that waits for its image would take a place on the test's node.
    chosen = ["rbac.scope=Namespaces", "sharedName=agentic", "migrate.enabled=false", *others, *values]
    arguments = [each for value in chosen for each in ("--set", value)]
    command = [str(ensure(["helm"])["helm"]), "template", release, str(CHART), "--namespace", namespace, *arguments]
    file = folder / f"{release}-{part}.yaml"
    file.write_text(subprocess.run(command, capture_output=True, text=True, check=True).stdout, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane with the shared part, and nothing of an operator of the whole cluster."""
    folder = tmp_path_factory.mktemp("teams")
    with ControlPlane(folder / "plane", **FAULT_PLANE) as plane:
        kubectl = Kubectl(plane.kubeconfig)
        plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": SYSTEM}})
        file = render(folder, "agentic-operator", SYSTEM, "shared", "watchNamespaces={any}")
        kubectl.run("apply", "--server-side", "-f", str(file))
        for kind in ("workflowdefinitions", "clusterworkflowdefinitions", "agenticsessions"):
            kubectl.run("wait", "--for=condition=Established", f"crd/{kind}.{GROUP}", "--timeout=180s")
        yield plane


@dataclass
class Team:
    """A team with a namespace of its own, and its operator in another."""

    bed: Bed
    namespace: str

    @property
    def home(self) -> str:
        return f"{self.namespace}-system"

    @property
    def account(self) -> tuple[str, str]:
        return self.home, f"{self.namespace}-agentic-operator"

    async def place_secret(self) -> None:
        """Give the operator what the admin gives it: how runners reach the database."""
        secret = await self.bed.client.get(core_path(SYSTEM, "secrets", "agentic-postgres-runner"))
        copy = {"metadata": {"name": "agentic-postgres-runner"}, "data": secret["data"]}
        await self.bed.client.create(core_path(self.home, "secrets"), copy)

    async def operator(self, *namespaces: str) -> Operator:
        return await self.bed.operator(
            f"operator-{self.namespace}",
            account=self.account,
            WATCH_NAMESPACES=",".join((self.namespace, *namespaces)),
            CLUSTER_DEFINITIONS="off",
            LEADER_ELECTION="true",
        )

    @property
    def role(self) -> str:
        return f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.namespace}/roles/{self.account[1]}"


def install(plane: ControlPlane, folder: Path, team: str) -> None:
    """Make a team's namespaces and rights, as the cluster's admin, and what is its operator's."""
    for name in (team, f"{team}-system"):
        plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    for part in ("operator", "rights"):
        file = render(folder, team, f"{team}-system", part, f"watchNamespaces={{{team}}}")
        Kubectl(plane.kubeconfig).run("apply", "--server-side", "-f", str(file))


@pytest_asyncio.fixture
async def teams(plane: ControlPlane, database: PostgresDatabase, tmp_path: Path) -> AsyncIterator[tuple[Team, Team]]:
    """Two teams; the bed's own namespace is that of the first."""
    number = next(_numbers)
    names = f"blue{number}", f"green{number}"
    for name in names:
        await asyncio.to_thread(install, plane, tmp_path, name)
    async with open_bed(plane, database, tmp_path, names[0], is_new=False) as bed:
        bed.namespaces.append(names[1])
        made = Team(bed, names[0]), Team(bed, names[1])
        for team in made:
            await team.place_secret()
        yield made


def list_strays(operator: Operator, team: Team) -> list[str]:
    """Return what an operator asked for outside of its namespaces, but for what everybody may ask."""
    places = tuple(f"/namespaces/{namespace}/" for namespace in (team.namespace, team.home))

    def is_for_all(path: str) -> bool:
        # What it may do, and which groups and kinds there are.
        return (
            path.startswith("/apis/authorization.k8s.io/v1/selfsubject")
            or re.fullmatch(r"/(api|apis|version|api/v1|apis/[^/]+(/v[^/]+)?)/?", path) is not None
        )

    return [
        str(each)
        for each in operator.proxy.passed
        if not is_for_all(each.resource) and not any(place in f"{each.resource}/" for place in places)
    ]


def list_refusals(operator: Operator) -> list[str]:
    return [str(each) for each in operator.proxy.passed if each.status == 403]


async def test_sessions_live_from_start_to_end_under_roles_in_a_namespace(teams: tuple[Team, Team]) -> None:
    team, _ = teams
    bed = team.bed
    operator = await team.operator()
    for graph in ("quick", "asks", "steps"):
        await bed.define(graph)
    await bed.start("quick", "s", inputs={})
    await bed.start("asks", "q", inputs={})
    await bed.start("steps", "t", inputs={"count": 300, "seconds": 0.1})
    await bed.wait_phase("s", Phase.COMPLETED)
    status = await bed.wait_phase("q", Phase.WAITING_FOR_INPUT)
    answer = {"interruptId": status["interrupts"][0]["id"], "value": "yes"}
    await bed.client.patch(sessions_path(bed.namespace, "q"), {"spec": {"responses": [answer]}})
    await bed.wait_phase("q", Phase.COMPLETED)
    await bed.wait_phase("t", Phase.RUNNING)
    await bed.stop("t")
    await bed.wait_phase("t", Phase.STOPPED)
    for name in ("s", "q", "t"):
        await bed.delete(name)
        await bed.wait_gone(name)
    assert list_strays(operator, team) == []
    assert list_refusals(operator) == []
    assert "manifests/namespaced" not in operator.log


async def test_a_session_of_a_cluster_definition_waits_and_says_why(teams: tuple[Team, Team]) -> None:
    team, _ = teams
    bed = team.bed
    operator = await team.operator()
    await bed.start("shared", "c", workflowRef={"name": "shared", "kind": "ClusterWorkflowDefinition"})

    async def is_told() -> bool:
        return "CLUSTER_DEFINITIONS" in ((await bed.status("c")).get("message") or "")

    await until(is_told, what="why it waits")
    await bed.stop("c")
    await bed.wait_phase("c", Phase.STOPPED)
    assert list_strays(operator, team) == []


async def test_retention_goes_round_under_roles_in_a_namespace(
    teams: tuple[Team, Team], database: PostgresDatabase
) -> None:
    team, other = teams
    bed = team.bed
    done = await bed.start("quick", "old", inputs={})
    for phase in ("Pending", "Creating", "Running", "Completed"):
        ends = {"completionTime": "2026-01-01T00:00:00Z"} if phase == "Completed" else {}
        path = f"{sessions_path(team.namespace, 'old')}/status"
        await bed.client.patch(path, {"status": {"phase": phase, **ends}})
    uid = done["metadata"]["uid"]
    thread = plant(database, "old", project=team.namespace, uid=uid, ended=days_ago(5))
    foreign = plant(database, "old", project=other.namespace, ended=days_ago(50))
    note = {"metadata": {"annotations": {"agentic-operator.dev/checkpoint-retention-days": "3"}}}
    await bed.client.patch(f"/api/v1/namespaces/{team.namespace}", note)
    registry = Index(lambda _: None, lambda _: None)
    registry.see_session(await bed.session("old"))
    connection = read_kubeconfig(bed.plane.kubeconfig_for_service_account(*team.account))
    dsn = Dsn.parse((bed.folder / "operator.dsn").read_text(encoding="utf-8").strip())
    async with open_kube(connection) as kube, open_database(dsn, application_name="operator") as store:
        announcer = EventRecorder(kube, "test", team.home, now=kube.clock.now)
        retention = Retention(
            store.retention, kube, registry, announcer, (team.namespace,), Keep(30), clock=kube.clock.now
        )
        await retention.run_once()
    assert count(database, thread) == (0, 0, 0)
    assert count(database, foreign) == (3, 3, 3)
    assert retention.progress.failures == 0


async def test_two_teams_work_side_by_side_and_touch_nothing_of_each_other(teams: tuple[Team, Team]) -> None:
    blue, green = teams
    bed = blue.bed
    operators = [await team.operator() for team in teams]
    await bed.define("quick")
    definition = {"apiVersion": API_VERSION, "kind": "WorkflowDefinition", "metadata": {"name": "quick"}}
    spec = {"image": IMAGE, "graph": "quick"}
    await bed.client.create(definitions_path(green.namespace), {**definition, "spec": spec})
    body = {"apiVersion": API_VERSION, "kind": "AgenticSession", "metadata": {"name": "g"}}
    await bed.client.create(
        sessions_path(green.namespace), {**body, "spec": {"workflowRef": {"name": "quick"}, "inputs": {}}}
    )
    await bed.start("quick", "b", inputs={})
    await bed.wait_phase("b", Phase.COMPLETED)

    async def is_done() -> bool:
        found = await bed.client.get(sessions_path(green.namespace, "g"))
        return bool((found.get("status") or {}).get("phase") == "Completed")

    await until(is_done, what="the other team's session")
    leases = "/apis/coordination.k8s.io/v1/namespaces/{}/leases/agentic-operator"
    for operator, team in zip(operators, teams, strict=True):
        assert list_strays(operator, team) == []
        assert list_refusals(operator) == []
        lease = await bed.client.get(leases.format(team.home))
        assert lease["spec"]["holderIdentity"] == operator.name


async def test_the_operator_of_a_team_has_no_right_at_the_others(teams: tuple[Team, Team]) -> None:
    blue, green = teams
    account = an_account(blue.bed.plane, *blue.account)
    for path in (
        sessions_path(green.namespace),
        jobs_path(green.namespace),
        core_path(green.namespace, "pods"),
        core_path(green.namespace, "secrets", "agentic-postgres"),
        core_path(green.home, "secrets", "agentic-postgres-runner"),
        f"/apis/coordination.k8s.io/v1/namespaces/{green.home}/leases/agentic-operator",
        f"/api/v1/namespaces/{green.namespace}",
        "/api/v1/namespaces",
        f"{GROUP_PATH}/agenticsessions",
        f"{GROUP_PATH}/clusterworkflowdefinitions",
        "/apis/batch/v1/jobs",
    ):
        assert (await asyncio.to_thread(account.request, "GET", path)).code == 403, path


async def test_every_right_of_a_teams_service_accounts_is_on_the_list(teams: tuple[Team, Team]) -> None:
    team, other = teams
    bed = team.bed
    await team.operator()
    await bed.define("quick")
    await bed.start("quick", "s", inputs={})
    await bed.wait_phase("s", Phase.COMPLETED)

    def list_all() -> dict[str, list[str]]:
        operator = an_account(bed.plane, *team.account)
        runner = an_account(bed.plane, team.namespace, "agentic-runner")
        return {
            "namespaces: the operator in its own namespace": list_rights(operator, team.home),
            "namespaces: the operator where it serves": list_rights(operator, team.namespace),
            "namespaces: the operator in any other": list_rights(operator, other.namespace),
            "namespaces: a runner in its namespace": list_rights(runner, team.namespace),
            "namespaces: a runner in the operator's": list_rights(runner, team.home),
            "namespaces: an inspection in its namespace": list_rights(
                an_account(bed.plane, team.namespace, "agentic-inspector"), team.namespace
            ),
        }

    compare(await asyncio.to_thread(list_all))


async def test_only_the_operator_of_a_namespace_makes_runs_there(teams: tuple[Team, Team]) -> None:
    """Also where another team's operator may make Jobs: the policy of each release names its own account."""
    blue, green = teams
    client = blue.bed.client
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{green.namespace}"
    rule = {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"]}
    await client.create(f"{rbac}/roles", {"metadata": {"name": "makes-jobs"}, "rules": [rule]})
    subject = {"kind": "ServiceAccount", "namespace": blue.home, "name": blue.account[1]}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "makes-jobs"}
    binding = {"metadata": {"name": "makes-jobs"}, "roleRef": reference, "subjects": [subject]}
    await client.create(f"{rbac}/rolebindings", binding)
    containers = [{"name": "c", "image": "i"}]
    pod = {"serviceAccountName": "agentic-runner", "restartPolicy": "Never", "containers": containers}
    job = {"metadata": {"generateName": "forged-"}, "spec": {"template": {"spec": pod}}}

    def forge(team: Team) -> str:
        answer = an_account(team.bed.plane, *team.account).request("POST", jobs_path(green.namespace), job)
        return "made" if answer.is_done else answer.message

    async def is_refused() -> bool:
        return "their Jobs are made by the operator" in await asyncio.to_thread(forge, blue)

    # Policies and bindings that were just made take a moment.
    await until(is_refused, what="a refusal")
    assert await asyncio.to_thread(forge, green) == "made"


async def test_a_missing_right_is_told_once_by_name_and_the_rest_is_served(teams: tuple[Team, Team]) -> None:
    team, other = teams
    bed = team.bed
    rules = (await bed.client.get(team.role))["rules"]
    await bed.client.patch(team.role, {"rules": [rule for rule in rules if "events" not in rule["resources"]]})
    operator = await team.operator("nowhere", other.namespace)
    await bed.define("quick")
    await bed.start("quick", "s", inputs={})
    await bed.wait_phase("s", Phase.COMPLETED)
    log = operator.log
    lacks = "has to be allowed to: create, list events.events.k8s.io; grant it by the Role"
    assert log.count(f"in namespace '{team.namespace}' the operator {lacks}") == 1, log
    for namespace in ("nowhere", other.namespace):
        assert log.count(f"in namespace '{namespace}' the operator serves nothing until it may") == 1, log
    assert operator.is_alive
