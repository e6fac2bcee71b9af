"""Settings: every wrong one is named."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from agentic_operator.config import InvalidSetting, read_settings
from agentic_operator.variables import OPTIONS, build_parser, build_table


def read(*arguments: str, **environ: str) -> object:
    return read_settings(arguments, environ)


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = read_settings([], {})
    assert settings.namespace == "agentic-system"
    assert settings.leader_election
    assert settings.allowed_images.everything
    assert settings.jobs.limits == {"cpu": "2", "memory": "1Gi", "ephemeral-storage": "10Gi"}
    assert settings.watch_namespaces == ()


def test_a_flag_stands_before_its_variable() -> None:
    settings = read_settings(
        ["--workers", "3", "--watch-namespaces", "a, b"], {"WORKERS": "5", "KUBECONFIG": "/x", "RUNNER_LIMITS": ""}
    )
    assert settings.workers == 3
    assert settings.watch_namespaces == ("a", "b")
    assert settings.kubeconfig == Path("/x")


@pytest.mark.parametrize(
    "environ",
    [
        {"WATCH_NAMESPACES": "UPPER"},
        {"INSPECTION_NAMESPACE": "agentic-system"},
        {"INSPECTION_NAMESPACE": "Elsewhere"},
        {"ALLOWED_IMAGES": "team"},
        {"RUNNER_REQUESTS": "cpu"},
        {"RUNNER_LIMITS": "memory=lots"},
        {"RUNNER_EGRESS": "everywhere"},
        {"CHECKPOINT_RETENTION_DAYS": "-1"},
        {"CHECKPOINT_RETENTION_DAYS": "thirty"},
        {"CHECKPOINT_RETENTION_DAYS": "40000"},
        {"CHECKPOINT_PRUNE_DAYS": "1.5"},
        {"JOB_TTL_SECONDS": "-1"},
        {"TENANCY": "maybe"},
        {"RUNNER_USER": "1000"},
        {"TENANCY": "on"},
        {
            "TENANCY": "on",
            "POSTGRES_CONNECTION_STRING_FILE": "/dsn",
            "CREDENTIALS": "vault",
            "VAULT_ADDR": "http://vault",
        },
        {"REMOVED_NAMESPACE_MEMORY": "forget"},
        {"LEADER_ELECTION": "maybe"},
        {"LEASE_SECONDS": "1"},
        {"LIVENESS_PORT": "70000"},
        {"LOG_FORMAT": "xml"},
        {"LOG_LEVEL": "loud"},
        {"WORKERS": "many"},
        {"BACKEND_URL": "https://user:secret@host"},
    ],
)
def test_a_wrong_setting_is_refused_by_the_name_of_its_variable(environ: Mapping[str, str]) -> None:
    with pytest.raises(InvalidSetting, match=next(iter(environ))):
        read_settings([], environ)


def test_the_guide_has_the_table_that_the_settings_make() -> None:
    text = (Path(__file__).parents[3] / "docs" / "operator.md").read_text(encoding="utf-8")
    assert build_table() in text
    assert all(option.about for option in OPTIONS)


def test_a_flag_that_is_empty_stands_before_its_variable() -> None:
    assert read_settings(["--watch-namespaces", ""], {"WATCH_NAMESPACES": "a"}).watch_namespaces == ()
    with pytest.raises(InvalidSetting, match="WORKERS is ''"):
        read_settings(["--workers", ""], {})


def test_the_help_says_each_setting_in_plain_text() -> None:
    text = " ".join(build_parser().format_help().split())
    assert "[security]" not in text
    assert "`" not in text
    assert "reconcile passes at a time (WORKERS, default '16')" in text
    assert "who this replica is in the Lease (POD_NAME, default 'the host name')" in text


def test_zero_days_of_retention_is_for_ever() -> None:
    settings = read_settings([], {"CHECKPOINT_RETENTION_DAYS": "0", "CHECKPOINT_PRUNE_DAYS": "7"})
    assert (settings.jobs.retention_days, settings.prune_days) == (0, 7)
    assert (read_settings([], {}).jobs.retention_days, read_settings([], {}).prune_days) == (30, 0)
