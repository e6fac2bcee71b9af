"""What Vault's answers mean: those that a test server does not give at will, and those of other versions."""

import base64
import json
import re
from pathlib import Path

import pytest
import requests
from hvac import exceptions as vault

from agentic_vault import client
from agentic_vault.client import Claims, read_claims
from agentic_vault.errors import ExitCode, Missing, NotNow
from agentic_vault.main import read_token
from agentic_vault.settings import Settings

SETTINGS = Settings(address="https://vault:8200", role="r", path="kv/agentic/owner")
CLAIMS = Claims(subject="team:runner", audiences=("api",))


def failing_login(error: Exception) -> Missing | NotNow:
    """Return what a login that fails so is told as."""

    def explain(refused: vault.VaultError) -> Exception | None:
        return client._explain_login(refused, SETTINGS, CLAIMS)

    with pytest.raises((Missing, NotNow)) as caught, client._translated(SETTINGS, explain):
        raise error
    assert isinstance(caught.value, Missing | NotNow)
    return caught.value


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        pytest.param(vault.VaultNotInitialized(), ExitCode.NOT_READY, "vault operator init", id="501"),
        pytest.param(vault.VaultDown(errors=["Vault is sealed"]), ExitCode.NOT_READY, "is sealed: run", id="sealed"),
        pytest.param(
            vault.VaultDown(text="upstream"), ExitCode.NOT_READY, "is not ready: upstream", id="a proxy's 503"
        ),
        pytest.param(vault.RateLimitExceeded(errors=["quota"]), ExitCode.NOT_READY, "cannot serve now", id="429"),
        pytest.param(vault.InternalServerError(errors=["internal"]), ExitCode.NOT_READY, "cannot serve", id="500"),
        pytest.param(vault.UnexpectedError(text="472"), ExitCode.NOT_READY, "refuses: 472", id="a standby's"),
        pytest.param(
            vault.Forbidden(errors=["namespace not authorized"]),
            ExitCode.ROLE_REFUSED,
            "'team:runner'.*bound_service_account_namespaces",
            id="namespace",
        ),
        pytest.param(
            vault.Forbidden(errors=["service account name not authorized"]),
            ExitCode.ROLE_REFUSED,
            "bound_service_account_names",
            id="account",
        ),
        pytest.param(
            vault.InvalidRequest(errors=['invalid role name "r"']), ExitCode.ROLE_REFUSED, "has no role 'r'", id="role"
        ),
        pytest.param(
            vault.Forbidden(errors=["invalid audience (aud) claim"]),
            ExitCode.ROLE_REFUSED,
            "another audience than the token's api",
            id="audience",
        ),
        pytest.param(
            vault.InternalServerError(errors=["lookup failed: service account unauthorized"]),
            ExitCode.NOT_READY,
            "lookup failed",
            id="the cluster does not answer Vault",
        ),
        pytest.param(
            vault.Forbidden(errors=["lookup failed: service account unauthorized"]),
            ExitCode.NO_TOKEN,
            "the cluster does not know the token of 'team:runner'",
            id="account gone, in an older version",
        ),
        pytest.param(
            vault.InvalidRequest(errors=["a jwt that is none"]),
            ExitCode.ROLE_REFUSED,
            "refuses the login.*a jwt that is none",
            id="anything else that stays wrong",
        ),
        pytest.param(
            vault.InvalidPath(errors=["no handler for route"]),
            ExitCode.ROLE_REFUSED,
            "vault auth enable",
            id="auth method missing",
        ),
        pytest.param(
            requests.exceptions.SSLError("certificate verify failed"), ExitCode.TLS, "VAULT_CACERT", id="certificate"
        ),
        pytest.param(requests.ConnectTimeout("timed out"), ExitCode.UNREACHABLE, "check VAULT_ADDR", id="time-out"),
        pytest.param(KeyError("auth"), ExitCode.NOT_READY, "none of Vault's", id="another server's answer"),
    ],
)
def test_each_answer_is_told_by_what_to_do(error: Exception, code: ExitCode, said: str) -> None:
    told = failing_login(error)
    assert told.code == code
    assert isinstance(told, NotNow) == (code >= ExitCode.UNREACHABLE)
    assert re.search(said, str(told)), str(told)


def test_a_token_is_read_for_messages_whatever_it_is() -> None:
    body = {"sub": "system:serviceaccount:team:runner", "aud": ["vault"], "exp": 5}
    jwt = "x." + base64.urlsafe_b64encode(json.dumps(body).encode()).decode().rstrip("=") + ".y"
    assert read_claims(jwt) == Claims("team:runner", ("vault",), 5.0)
    for broken in ("", "a", "a.b.c", "a.W10.c", "a.bnVsbA.c"):
        assert read_claims(broken) == Claims()


def test_a_token_that_is_none_is_named_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"\xff")
    with pytest.raises(Missing, match="token': not a token"):
        read_token(tmp_path / "token", 0)
