"""Where runners get their connection string from: a Secret by default, or an init container that asks Vault."""

import json
from typing import Any, cast

import pytest

from agentic_core import contract
from agentic_core.conditions import Reason
from agentic_core.contract import ExitCode
from agentic_core.resources import WorkflowSnapshot
from agentic_core.times import parse_time
from agentic_operator.config import InvalidSetting, JobDefaults, Settings, VaultAccess, read_settings
from agentic_operator.kube.client import PODS, Kind, Kube
from agentic_operator.kube.own_image import complete_vault
from agentic_operator.manifests.jobs import build_job
from agentic_operator.sessions.children import observe_pod
from agentic_operator.sessions.diagnosis import classify_pod, find_trouble
from tests.support.builders import IMAGE, a_definition, a_session

VAULT = VaultAccess(
    address="https://vault.example.com:8200",
    image="registry.example.com/operator:1",
    role="runner-{namespace}",
    authorities="-----BEGIN CERTIFICATE-----",
)


def build_pod(vault: VaultAccess | None = VAULT) -> dict[str, Any]:
    return dict(build()["template"]["spec"]) if vault else dict(build(None)["template"]["spec"])


def build(vault: VaultAccess | None = VAULT) -> dict[str, Any]:
    job = build_job(
        a_session().build(),
        WorkflowSnapshot(image=IMAGE, graph="main"),
        a_definition().spec,
        1,
        "t",
        JobDefaults(vault=vault),
    )
    spec: dict[str, Any] = job["spec"]
    return spec


def test_by_default_it_is_a_secrets_file_and_nothing_asks_vault() -> None:
    pod = build_pod(None)
    assert "initContainers" not in pod
    assert next(v for v in pod["volumes"] if v["name"] == "postgres")["secret"]["secretName"] == "agentic-postgres"


def test_with_vault_the_file_is_in_memory_and_no_secret_is_mounted() -> None:
    pod = build_pod()
    volume = next(v for v in pod["volumes"] if v["name"] == "postgres")
    assert volume["emptyDir"] == {"medium": "Memory", "sizeLimit": "1Mi"}
    assert contract.POSTGRES_SECRET not in json.dumps(pod)


def test_the_init_container_logs_in_for_its_namespace() -> None:
    (init,) = build_pod()["initContainers"]
    env = {entry["name"]: entry["value"] for entry in init["env"]}
    assert env["VAULT_ROLE"] == "runner-team"
    assert env["VAULT_PATH"] == "kv/agentic/runners/team"
    assert env["VAULT_ADDR"] == "https://vault.example.com:8200"
    assert env["VAULT_CACERT_BYTES"] == "-----BEGIN CERTIFICATE-----"
    assert env["VAULT_OUTPUT"] == f"{contract.POSTGRES_DIR}/dsn"
    assert init["image"] == "registry.example.com/operator:1"
    assert init["command"] == ["python", "-m", "agentic_vault"]


def test_the_init_container_keeps_the_restricted_standard() -> None:
    (init,) = build_pod()["initContainers"]
    assert init["securityContext"] == build_pod()["containers"][0]["securityContext"]
    assert "memory" in init["resources"]["limits"]


def test_the_token_for_vault_has_its_own_audience_and_reaches_the_init_container_alone() -> None:
    pod = build_pod()
    volume = next(v for v in pod["volumes"] if v["name"] == "vault")
    (source,) = volume["projected"]["sources"]
    assert source["serviceAccountToken"] == {"path": "token", "expirationSeconds": 3600, "audience": "vault"}
    assert "vault" not in {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    assert all(mount["readOnly"] for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "postgres")


def test_what_somebody_has_to_provide_fails_the_job_at_once_and_an_outage_does_not() -> None:
    rules = [
        (rule["action"], rule["onExitCodes"]["values"])
        for rule in build()["podFailurePolicy"]["rules"]
        if rule.get("onExitCodes", {}).get("containerName") == "vault-init"
    ]
    assert rules == [("Ignore", [143]), ("FailJob", [2, 3, 4, 5, 6, 7, 8, 9])]
    others = {rule.get("onExitCodes", {}).get("containerName") for rule in build(None)["podFailurePolicy"]["rules"]}
    assert "vault-init" not in others


def a_pod(init: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "status": {
            "phase": "Failed",
            "initContainerStatuses": [{"name": "vault-init", "state": init}],
            "containerStatuses": [{"name": "runner", "state": {"waiting": {"reason": "PodInitializing"}}}],
        },
    }


@pytest.mark.parametrize(
    ("code", "expected", "reason"),
    [
        pytest.param(4, ExitCode.CONFIGURATION, Reason.RUNNER_MISCONFIGURED, id="a role is missing"),
        pytest.param(21, ExitCode.DATABASE_UNAVAILABLE, Reason.DATABASE_UNAVAILABLE, id="sealed"),
    ],
)
def test_a_failed_init_container_speaks_for_the_pod(code: int, expected: ExitCode, reason: Reason) -> None:
    seen = observe_pod(a_pod({"terminated": {"exitCode": code, "message": "error: Vault has no role 'x'\n"}}))
    assert seen.exit_code == expected
    assert not seen.has_started
    verdict = classify_pod(seen)
    assert verdict.reason == reason
    assert "Vault has no role 'x'" in verdict.message


def test_an_init_image_that_cannot_be_pulled_is_told_as_such() -> None:
    raw = a_pod({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}})
    raw["status"]["phase"] = "Pending"
    at = parse_time("2026-01-01T00:00:10Z")
    assert at is not None
    trouble = find_trouble([observe_pod(raw)], at)
    assert trouble is not None
    assert trouble.reason == Reason.IMAGE_PULL_FAILED


def test_an_init_container_that_is_done_leaves_the_word_to_the_runner() -> None:
    seen = observe_pod(a_pod({"terminated": {"exitCode": 0}}))
    assert seen.exit_code is None
    assert seen.waiting_reason == "PodInitializing"


def test_the_settings_name_what_is_missing() -> None:
    with pytest.raises(InvalidSetting, match="VAULT_ADDR is not set"):
        read_settings([], {"CREDENTIALS": "vault"})
    with pytest.raises(InvalidSetting, match="VAULT_RUNNER_PATH"):
        read_settings([], {"CREDENTIALS": "vault", "VAULT_ADDR": "https://v", "VAULT_RUNNER_PATH": "kv/{user}"})
    with pytest.raises(InvalidSetting, match="CREDENTIALS is 'file'"):
        read_settings([], {"CREDENTIALS": "file"})


def test_vault_is_asked_only_where_the_settings_say_so() -> None:
    assert read_settings([], {"VAULT_ADDR": "https://v"}).jobs.vault is None
    given = read_settings([], {"CREDENTIALS": "vault", "VAULT_ADDR": "https://v", "VAULT_INIT_IMAGE": "i"}).jobs.vault
    assert given == VaultAccess(address="https://v", image="i")


class Pods:
    """The one question that is asked of the API server."""

    def __init__(self, pod: dict[str, Any] | None) -> None:
        self._pod = pod

    async def find(self, kind: Kind, namespace: str, name: str) -> dict[str, Any] | None:
        return self._pod if (kind, namespace, name) == (PODS, "agentic-system", "operator-1") else None


def settings(**environ: str) -> Settings:
    return read_settings([], {"CREDENTIALS": "vault", "VAULT_ADDR": "https://v", "POD_NAME": "operator-1", **environ})


async def test_the_init_containers_image_is_the_operators_own() -> None:
    pod = {"spec": {"containers": [{"name": "proxy", "image": "p"}, {"name": "operator", "image": "reg/operator:1"}]}}
    completed = await complete_vault(settings(), cast("Kube", Pods(pod)))
    assert completed.jobs.vault is not None
    assert completed.jobs.vault.image == "reg/operator:1"


async def test_outside_of_a_pod_the_image_has_to_be_named() -> None:
    with pytest.raises(InvalidSetting, match="VAULT_INIT_IMAGE is not set"):
        await complete_vault(settings(), cast("Kube", Pods(None)))
    given = settings(VAULT_INIT_IMAGE="i")
    assert await complete_vault(given, cast("Kube", Pods(None))) == given
