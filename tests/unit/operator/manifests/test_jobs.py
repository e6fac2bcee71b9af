"""The Jobs that are built: the contract with the runner, the restricted security context, the failure policy."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from agentic_core import contract
from agentic_core.names import MAX_SESSION_NAME
from agentic_core.resources import AgenticSession, WorkflowDefinition, WorkflowSnapshot
from agentic_operator.config import GatewayAccess, JobDefaults, VaultAccess
from agentic_operator.manifests.inspection_jobs import build_inspection_job, inspection_fingerprint
from agentic_operator.manifests.jobs import build_claim, build_job
from tests.support.builders import IMAGE, SessionBuilder, a_cluster_definition, a_definition, a_session
from tests.support.pod_rules import find_faults, find_tokens

SNAPSHOT = WorkflowSnapshot(image=IMAGE, graph="main")
DEFAULTS = JobDefaults()
DISK = "ephemeral-storage"
ASKED, ALLOWED = {DISK: "256Mi"}, {DISK: "10Gi"}
VAULT = VaultAccess(address="https://vault.example.com:8200", image=IMAGE)


def built(
    session: SessionBuilder | None = None, definition: WorkflowDefinition | None = None, run: int = 1, **defaults: Any
) -> dict[str, Any]:
    made: AgenticSession = (session or a_session()).build()
    spec = (definition or a_definition()).spec
    return build_job(made, SNAPSHOT, spec, run, "project-team:session-s", JobDefaults(**defaults))


def container(job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = job["spec"]["template"]["spec"]["containers"][0]
    return found


def env(job: dict[str, Any]) -> dict[str, Any]:
    return {entry["name"]: entry.get("value") for entry in container(job)["env"]}


def test_the_contracts_variables_are_all_there_and_no_other() -> None:
    variables = env(built())
    assert set(variables) == set(contract.ENV)
    assert variables["RUN"] == "1"
    assert variables["JOB_NAME"] == "s-r1"
    assert variables["GRAPH"] == "main"
    assert variables["WORKFLOW_IMAGE"] == IMAGE
    assert variables["TOKEN_FILE"] == f"{contract.API_DIR}/token"
    assert variables["POSTGRES_CONNECTION_STRING_FILE"] == f"{contract.POSTGRES_DIR}/dsn"


GATEWAY = GatewayAccess("https://gateway.example.com:8443", "-----BEGIN CERTIFICATE-----\n")


def api_sources(job: dict[str, Any]) -> list[dict[str, Any]]:
    (volume,) = (each for each in job["spec"]["template"]["spec"]["volumes"] if each["name"] == "api")
    sources: list[dict[str, Any]] = volume["projected"]["sources"]
    return sources


def test_a_runner_that_reports_to_the_gateway_is_told_where_it_is_and_has_no_token_for_the_api_server() -> None:
    job = built(definition=a_definition(reportsTo="Gateway"), gateway=GATEWAY, backend_url="https://api")
    variables = env(job)
    assert set(variables) == set(contract.ENV)
    assert variables["BACKEND_URL"] == "https://gateway.example.com:8443"
    assert variables["WEBSOCKET_URL"] == "wss://gateway.example.com:8443/ws"
    assert variables["API_CA_FILE"] == f"{contract.API_DIR}/ca.crt"
    token, authorities = api_sources(job)
    assert token["serviceAccountToken"]["audience"] == contract.GATEWAY_AUDIENCE
    (item,) = authorities["downwardAPI"]["items"]
    assert item["path"] == "ca.crt"
    name = item["fieldRef"]["fieldPath"].removeprefix("metadata.annotations['").removesuffix("']")
    assert job["spec"]["template"]["metadata"]["annotations"] == {name: GATEWAY.authorities}


def test_a_runner_of_the_api_server_hears_of_the_gateway_and_keeps_its_token() -> None:
    job = built(gateway=GATEWAY, backend_url="https://api")
    assert env(job)["BACKEND_URL"] == "https://api"
    assert env(job)["WEBSOCKET_URL"] == "wss://gateway.example.com:8443/ws"
    assert "audience" not in api_sources(job)[0]["serviceAccountToken"]
    assert "annotations" not in job["spec"]["template"]["metadata"]


def test_without_a_gateway_a_runner_that_reports_to_it_gets_no_address_and_no_other_token() -> None:
    job = built(definition=a_definition(reportsTo="Gateway"))
    assert (env(job)["BACKEND_URL"], env(job)["WEBSOCKET_URL"], env(job)["API_CA_FILE"]) == ("", "", "")
    assert [each["serviceAccountToken"]["audience"] for each in api_sources(job)] == [contract.GATEWAY_AUDIENCE]


def test_the_runner_is_told_the_image_that_its_pod_runs() -> None:
    digest = "registry.example.com/team/workflow@sha256:" + "a" * 64
    pinned = SNAPSHOT.model_copy(update={"image_digest": digest})
    job = build_job(a_session().build(), pinned, a_definition().spec, 1, "project-team:session-s", JobDefaults())
    assert (env(job)["WORKFLOW_IMAGE"], container(job)["image"]) == (digest, digest)
    assert container(built())["image"] == env(built())["WORKFLOW_IMAGE"] == IMAGE


def test_a_finished_job_has_a_time_after_which_it_goes() -> None:
    assert built()["spec"]["ttlSecondsAfterFinished"] == JobDefaults().job_ttl_seconds == 300
    assert built(job_ttl_seconds=7)["spec"]["ttlSecondsAfterFinished"] == 7


@pytest.mark.parametrize(
    ("session", "definition", "seconds", "deadline"),
    [
        ({}, {}, "0", 86_400),
        ({}, {"timeoutSeconds": 100, "keepWarmSeconds": 30}, "30", 130),
        ({"keepWarmSeconds": 0}, {"timeoutSeconds": 100, "keepWarmSeconds": 30}, "0", 100),
        ({"keepWarmSeconds": 5, "timeoutSeconds": 10}, {}, "5", 15),
        ({"keepWarmSeconds": 5}, {}, "5", 86_405),
    ],
)
def test_a_warm_wait_is_no_execution(
    session: dict[str, Any], definition: dict[str, Any], seconds: str, deadline: int
) -> None:
    job = built(a_session().with_spec(**session), a_definition(defaults=definition))
    assert env(job)["KEEP_WARM_SECONDS"] == seconds
    assert job["spec"].get("activeDeadlineSeconds") == deadline


def test_the_job_is_owned_by_its_session_and_never_holds_up_its_deletion() -> None:
    owner = built()["metadata"]["ownerReferences"]
    assert owner == [
        {
            "apiVersion": "agentic-operator.dev/v1alpha1",
            "kind": "AgenticSession",
            "name": "s",
            "uid": "uid-s",
            "controller": True,
            "blockOwnerDeletion": False,
        }
    ]


def test_the_pod_keeps_the_restricted_standard() -> None:
    for job in (built(), build_inspection_job(a_definition(), "team", DEFAULTS)):
        pod, main = job["spec"]["template"]["spec"], container(job)
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert main["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert main["securityContext"]["readOnlyRootFilesystem"] is True
        assert main["securityContext"]["allowPrivilegeEscalation"] is False
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert "memory" in main["resources"]["limits"]


USER_KEYS = {"runAsUser", "runAsGroup", "fsGroup"}


def test_a_cluster_that_says_the_user_is_asked_for_none_and_all_else_stays() -> None:
    settings: dict[str, Any] = {"has_result_store": True, "has_encryption": True, "vault": VAULT}
    definition = a_definition(
        podTemplate={"volumes": [{"name": "s", "mountPath": "/mnt/s", "secret": {"secretName": "s"}}]}
    )
    fixed = (
        built(definition=definition, **settings),
        build_inspection_job(definition, "team", JobDefaults(**settings)),
    )
    settings["leaves_user"] = True
    left = (built(definition=definition, **settings), build_inspection_job(definition, "team", JobDefaults(**settings)))
    for ours, theirs in zip(fixed, left, strict=True):
        had, has = ours["spec"]["template"]["spec"], theirs["spec"]["template"]["spec"]
        assert {key: had["securityContext"].pop(key) for key in USER_KEYS} == dict.fromkeys(USER_KEYS, 65532)
        for volume in had["volumes"]:
            for kind in ("secret", "projected"):
                if "defaultMode" in volume.get(kind, {}):
                    assert volume[kind]["defaultMode"] == 0o400
                    volume[kind]["defaultMode"] = 0o440
        assert has == had
        assert not USER_KEYS & {key for part in has["containers"] for key in part["securityContext"]}


def test_secrets_are_files_and_appear_in_no_variable() -> None:
    job = built()
    volumes = {volume["name"]: volume for volume in job["spec"]["template"]["spec"]["volumes"]}
    assert volumes["postgres"]["secret"]["defaultMode"] == 0o400
    assert volumes["api"]["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"] == 3600
    assert "secretKeyRef" not in json.dumps(job)


def test_an_inspection_gets_neither_token_nor_database() -> None:
    job = build_inspection_job(a_definition(), "team", DEFAULTS)
    text = json.dumps(job)
    assert "serviceAccountToken" not in text
    assert contract.POSTGRES_SECRET not in text
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == "agentic-inspector"
    assert container(job)["args"] == ["inspect"]
    assert "command" not in container(job)


def test_the_failure_policy_tells_disruptions_from_permanent_ends() -> None:
    rules = built()["spec"]["podFailurePolicy"]["rules"]
    assert [rule["action"] for rule in rules] == ["Ignore", "Ignore", "FailJob"]
    assert rules[1]["onExitCodes"]["values"] == [143]
    assert rules[2]["onExitCodes"]["values"] == [2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    ("session", "definition", "expected"),
    [
        ({}, {}, 3),
        ({}, {"defaults": {"retries": 5}}, 5),
        ({"retries": 0}, {"defaults": {"retries": 5}}, 0),
    ],
)
def test_retries_come_from_the_session_then_the_definition_then_the_default(
    session: dict[str, Any], definition: dict[str, Any], expected: int
) -> None:
    job = built(a_session().with_spec(**session), a_definition(**definition))
    assert job["spec"]["backoffLimit"] == expected
    assert env(job)["RETRIES"] == str(expected)


def test_a_timeout_bounds_the_run() -> None:
    assert built(timeout_seconds=7200)["spec"]["activeDeadlineSeconds"] == 7200
    assert built(a_session().with_spec(timeoutSeconds=60))["spec"]["activeDeadlineSeconds"] == 60
    job = built(definition=a_definition(defaults={"timeoutSeconds": 90}))
    assert job["spec"]["activeDeadlineSeconds"] == 90


@pytest.mark.parametrize(
    ("given", "requests", "limits"),
    [
        (None, {"cpu": "100m", "memory": "256Mi", **ASKED}, {"cpu": "2", "memory": "1Gi", **ALLOWED}),
        (
            {"limits": {"memory": "64Mi"}},
            {"cpu": "100m", "memory": "64Mi", **ASKED},
            {"cpu": "2", "memory": "64Mi", **ALLOWED},
        ),
        ({"requests": {"cpu": 4}}, {"cpu": "4", "memory": "256Mi", **ASKED}, {"memory": "1Gi", **ALLOWED}),
        (
            {"limits": {DISK: "1Gi"}},
            {"cpu": "100m", "memory": "256Mi", DISK: "1Gi"},
            {"cpu": "2", "memory": "1Gi", DISK: "1Gi"},
        ),
        (
            {"requests": {DISK: "50Gi"}},
            {"cpu": "100m", "memory": "256Mi", DISK: "50Gi"},
            {"cpu": "2", "memory": "1Gi"},
        ),
    ],
)
def test_what_the_author_says_of_resources_wins_and_stays_consistent(
    given: Any, requests: dict[str, str], limits: dict[str, str]
) -> None:
    definition = a_definition() if given is None else a_definition(resources=given)
    assert container(built(definition=definition))["resources"] == {"requests": requests, "limits": limits}


def test_variables_of_the_session_stand_before_those_of_the_definition() -> None:
    definition = a_definition(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "1"}])
    variables = env(built(a_session().with_spec(env=[{"name": "B", "value": "2"}]), definition))
    assert (variables["A"], variables["B"]) == ("1", "2")


def test_keys_of_a_config_map_and_variables_of_the_image_reach_the_project_as_they_are() -> None:
    definition = a_definition(envFrom=[{"configMapRef": {"name": "settings"}}])
    plain = a_definition()
    for job, without in (
        (built(definition=definition), built(definition=plain)),
        (build_inspection_job(definition, "team", DEFAULTS), build_inspection_job(plain, "team", DEFAULTS)),
    ):
        assert container(job)["envFrom"] == [{"configMapRef": {"name": "settings"}}]
        # Nothing stands before what the image sets: our program starts isolated from it by itself.
        assert env(job) == env(without)
        assert {"LD_LIBRARY_PATH", "PYTHONPATH", "PATH"}.isdisjoint(env(job))


@pytest.mark.parametrize("name", ["my agent", "a/b:c", "$(TOKEN_FILE)", "日本語"])
def test_a_graph_of_any_name_reaches_the_runner_as_it_is(name: str) -> None:
    definition = a_definition(graph=name)
    given = env(build_inspection_job(definition, "team", DEFAULTS))["GRAPH"]
    # Kubernetes makes one dollar sign of two, and replaces nothing after it.
    assert given.replace("$$", "$") == name
    assert "$(" not in given.replace("$$", "")


def test_the_pod_template_is_taken_over_but_cannot_replace_what_is_ours() -> None:
    definition = a_definition(
        podTemplate={
            "labels": {"team": "a", "agentic-operator.dev/session": "other", "app.kubernetes.io/managed-by": "me"},
            "annotations": {"note": "x"},
            "nodeSelector": {"gpu": "yes"},
            "tolerations": [{"key": "gpu", "operator": "Exists"}],
            "runtimeClassName": "gvisor",
            "volumes": [{"name": "tmp", "mountPath": "/data/cache", "emptyDir": {}}],
        }
    )
    template = built(definition=definition)["spec"]["template"]
    assert template["metadata"]["labels"]["team"] == "a"
    assert template["metadata"]["labels"]["agentic-operator.dev/session"] == "s"
    assert template["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "agentic-operator"
    assert template["metadata"]["annotations"] == {"note": "x"}
    spec = template["spec"]
    assert (spec["nodeSelector"], spec["runtimeClassName"]) == ({"gpu": "yes"}, "gvisor")
    assert spec["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
    assert [volume["name"] for volume in spec["volumes"]] == ["tmp", "workspace", "api", "postgres", "x-tmp"]


def test_a_workspace_is_a_claim_of_the_session() -> None:
    definition = a_definition(workspace={"size": "1Gi"})
    claim = build_claim(a_session().build(), definition.spec)
    assert claim is not None
    assert claim["metadata"]["name"] == "s-workspace"
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    volumes = built(definition=definition)["spec"]["template"]["spec"]["volumes"]
    assert volumes[1]["persistentVolumeClaim"] == {"claimName": "s-workspace"}
    assert build_claim(a_session().build(), a_definition().spec) is None


def test_the_longest_names_give_valid_names() -> None:
    job = built(a_session().named("s" * MAX_SESSION_NAME), run=999)
    assert len(job["metadata"]["name"]) <= 57  # and six more characters of its pods
    definition = a_definition()
    longest = definition.model_copy(update={"metadata": definition.metadata.model_copy(update={"name": "d" * 52})})
    inspection = build_inspection_job(longest, "team", DEFAULTS)
    assert len(inspection["metadata"]["name"]) <= 57
    assert all(len(value) <= 63 for value in inspection["metadata"]["labels"].values())


def test_an_inspection_is_named_by_what_it_depends_on() -> None:
    one = inspection_fingerprint(a_definition().spec)
    assert one == inspection_fingerprint(a_definition(description="other words", maxActiveSessions=3).spec)
    assert one != inspection_fingerprint(a_definition(image="registry.example.com/team/workflow:2").spec)
    assert one != inspection_fingerprint(a_definition(graph="other").spec)
    cluster = build_inspection_job(a_cluster_definition(), "agentic-system", DEFAULTS)
    assert cluster["metadata"]["name"] == f"cwfd-report-{one}"
    assert cluster["metadata"]["labels"]["agentic-operator.dev/inspects"] == "cwfd.report"


def test_labels_of_the_author_reach_job_and_pod_and_a_queues_name_the_job() -> None:
    labels = {
        "cost-center": "42",
        "kueue.x-k8s.io/queue-name": "small",
        "kueue.x-k8s.io/priority-class": "low",
        "app.kubernetes.io/managed-by": "me",
        "agentic-operator.dev/session": "other",
        "batch.kubernetes.io/job-name": "other",
        "argocd.argoproj.io/instance": "release",
    }
    definition = a_definition(podTemplate={"labels": labels})
    own = {"kueue.x-k8s.io/queue-name": "large", "app": "database", "argocd.argoproj.io/instance": "release"}
    job = built(a_session().with_metadata(labels=own), definition)
    made = job["metadata"]["labels"]
    assert (made["cost-center"], made["kueue.x-k8s.io/queue-name"]) == ("42", "large")
    assert made["kueue.x-k8s.io/priority-class"] == "low"
    pod = job["spec"]["template"]["metadata"]["labels"]
    assert pod["cost-center"] == "42"
    # What a queue manages is the Job.
    assert not any("kueue" in name for name in pod)
    for found in (made, pod):
        assert found["app.kubernetes.io/managed-by"] == "agentic-operator"
        assert found["agentic-operator.dev/session"] == "s"
        assert not {"batch.kubernetes.io/job-name", "argocd.argoproj.io/instance", "app"} & set(found)
    inspection = build_inspection_job(definition, "team", DEFAULTS)["metadata"]["labels"]
    assert (inspection["cost-center"], inspection["kueue.x-k8s.io/queue-name"]) == ("42", "small")


def test_writable_paths_are_limited_empty_folders_in_runs_and_inspections() -> None:
    paths = [{"path": "data"}, {"path": ".cache/models", "sizeLimit": "5Gi"}]
    definition = a_definition(podTemplate={"writablePaths": paths})
    for job in (built(definition=definition), build_inspection_job(definition, "team", DEFAULTS)):
        spec = job["spec"]["template"]["spec"]
        mounts = {mount["name"]: mount["mountPath"] for mount in container(job)["volumeMounts"]}
        assert (mounts["w-0"], mounts["w-1"]) == ("/app/data", "/app/.cache/models")
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        assert volumes["w-0"] == {"name": "w-0", "emptyDir": {"sizeLimit": "1Gi"}}
        assert volumes["w-1"] == {"name": "w-1", "emptyDir": {"sizeLimit": "5Gi"}}
        assert container(job)["securityContext"]["readOnlyRootFilesystem"] is True
        assert "workingDir" not in container(job)
    assert env(build_inspection_job(definition, "team", DEFAULTS))["EXPECTED_WORKING_DIR"] == "/app"


FOLDERS: dict[str, Any] = {
    "writablePaths": [{"path": "data"}, {"path": ".cache", "sizeLimit": "5Gi"}],
    "volumes": [
        {"name": "a", "mountPath": "/mnt/a", "emptyDir": {}},
        {"name": "b", "mountPath": "/mnt/b", "emptyDir": {"sizeLimit": "512Mi"}},
        {"name": "c", "mountPath": "/mnt/c", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
        {"name": "d", "mountPath": "/mnt/d", "emptyDir": {"medium": "Memory"}},
    ],
}


@pytest.mark.parametrize(
    ("resources", "limit"),
    [
        # The default is for all else: 10 GiB beside the folders of 1, 5 and 0.5.
        pytest.param(None, "16896Mi", id="the default"),
        pytest.param({"limits": {DISK: "20Gi"}}, "20Gi", id="the author's"),
    ],
)
def test_every_folder_on_the_nodes_disk_has_a_limit(resources: Any, limit: str) -> None:
    definition = a_definition(podTemplate=FOLDERS, **({"resources": resources} if resources else {}))
    for job in (built(definition=definition), build_inspection_job(definition, "team", DEFAULTS)):
        assert container(job)["resources"]["limits"][DISK] == limit
        volumes = job["spec"]["template"]["spec"]["volumes"]
        folders = {volume["name"]: volume["emptyDir"] for volume in volumes if "emptyDir" in volume}
        assert folders == {
            "tmp": {"sizeLimit": limit},
            "workspace": {"sizeLimit": limit},
            "w-0": {"sizeLimit": "1Gi"},
            "w-1": {"sizeLimit": "5Gi"},
            "x-a": {"sizeLimit": limit},
            "x-b": {"sizeLimit": "512Mi"},
            "x-c": {"medium": "Memory", "sizeLimit": "1Gi"},
            "x-d": {"medium": "Memory"},
        }


def all_jobs() -> Iterator[dict[str, Any]]:
    """Build a run and an inspection for every combination of settings, and of what a definition asks for."""
    switches = ("has_result_store", "has_encryption", "leaves_user", "vault")
    asked: tuple[dict[str, Any], ...] = ({}, {"workspace": {"size": "1Gi"}}, {"podTemplate": FOLDERS})
    for chosen in itertools.product((False, True), repeat=len(switches)):
        settings: dict[str, Any] = dict(zip(switches, chosen, strict=True))
        settings["vault"] = VAULT if settings["vault"] else None
        for spec in asked:
            yield built(definition=a_definition(**spec), **settings)
            for definition in (a_definition(**spec), a_cluster_definition(**spec)):
                yield build_inspection_job(definition, "team", JobDefaults(**settings))


def test_every_pod_that_the_operator_makes_says_what_it_may() -> None:
    for job in all_jobs():
        # A folder in memory that an author gives no size has what the pod may have.
        assert [fault for fault in find_faults(job) if "/volumes/x-d:" not in fault] == []
        assert find_tokens(job) == []


def test_a_session_says_how_much_its_pods_may_write() -> None:
    job = built(a_session().with_spec(resources={"limits": {DISK: "30Gi"}}), a_definition(podTemplate=FOLDERS))
    assert container(job)["resources"]["limits"][DISK] == "30Gi"
    without = built(limits={"memory": "1Gi"}, definition=a_definition(podTemplate=FOLDERS))
    assert DISK not in container(without)["resources"]["limits"]
    assert {"name": "tmp", "emptyDir": {}} in without["spec"]["template"]["spec"]["volumes"]


def test_a_working_directory_that_is_given_is_the_containers_and_holds_the_writable_paths() -> None:
    definition = a_definition(podTemplate={"workingDir": "/deps/a/src", "writablePaths": [{"path": "data"}]})
    for job in (built(definition=definition), build_inspection_job(definition, "team", DEFAULTS)):
        assert container(job)["workingDir"] == "/deps/a/src"
        assert container(job)["volumeMounts"][-1]["mountPath"] == "/deps/a/src/data"
        assert "EXPECTED_WORKING_DIR" not in env(job)


def test_a_runner_is_told_by_name_and_by_file_which_of_its_variables_are_secrets() -> None:
    key = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "llm", "key": "k"}}}
    setting = {"name": "SETTING", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}
    sources = [
        {"configMapRef": {"name": "c"}},
        {"prefix": "A_", "secretRef": {"name": "whole"}},
        {"secretRef": {"name": "maybe", "optional": True}},
    ]
    definition = a_definition(env=[key, setting, {"name": "PLAIN", "value": "1"}], envFrom=sources)
    for job in (built(definition=definition), build_inspection_job(definition, "team", DEFAULTS)):
        variables = env(job)
        assert variables["SECRET_ENV"] == "KEY"
        folders = variables["SECRET_ENV_FOLDERS"].split(":")
        mounts = {mount["mountPath"]: mount for mount in container(job)["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in job["spec"]["template"]["spec"]["volumes"]}
        assert [volumes[mounts[folder]["name"]]["secret"] for folder in folders] == [
            {"secretName": "whole", "defaultMode": 0o400},
            {"secretName": "maybe", "defaultMode": 0o400, "optional": True},
        ]
        assert all(mounts[folder]["readOnly"] for folder in folders)
