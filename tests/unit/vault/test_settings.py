"""Every setting that is missing or wrong is named, with what to write instead."""

from pathlib import Path

import pytest

from agentic_vault.errors import ExitCode, Missing
from agentic_vault.settings import OPTIONS, read_settings

GIVEN = {"VAULT_ADDR": "https://vault:8200/", "VAULT_ROLE": "r", "VAULT_PATH": "/kv/agentic/owner"}


def test_three_settings_are_enough() -> None:
    settings = read_settings([], GIVEN)
    assert settings.address == "https://vault:8200"
    assert settings.path == "kv/agentic/owner"
    assert settings.output == Path("/var/run/secrets/agentic/postgres/dsn")
    assert settings.jwt_file == Path("/var/run/secrets/agentic/vault/token")


def test_a_flag_stands_before_its_variable() -> None:
    assert read_settings(["--role", "flag", "--wait", "0"], GIVEN).role == "flag"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"VAULT_ADDR": ""}, "VAULT_ADDR is not set"),
        ({"VAULT_ADDR": "vault:8200"}, "VAULT_ADDR is 'vault:8200'"),
        ({"VAULT_ADDR": "https://vault:port"}, "VAULT_ADDR is"),
        ({"VAULT_ADDR": "https://me:canary@vault"}, "holds credentials"),
        ({"VAULT_ROLE": ""}, "VAULT_ROLE is not set"),
        ({"VAULT_PATH": ""}, "VAULT_PATH is not set"),
        ({"VAULT_PATH": "kv"}, "VAULT_PATH is 'kv'"),
        ({"VAULT_PATH": "kv/../sys/seal"}, "VAULT_PATH is"),
        ({"VAULT_WAIT_SECONDS": "a while"}, "VAULT_WAIT_SECONDS is 'a while'"),
    ],
)
def test_what_is_missing_or_wrong_is_named(given: dict[str, str], said: str) -> None:
    with pytest.raises(Missing, match=said) as caught:
        read_settings([], {**GIVEN, **given})
    assert caught.value.code == ExitCode.CONFIGURATION
    assert "canary" not in str(caught.value)


def test_every_setting_and_exit_code_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "vault.md").read_text(encoding="utf-8")
    for option in OPTIONS:
        assert f"`{option.variable}`" in text, option.variable
    for code in ExitCode:
        assert f"| {int(code)} |" in text, code
