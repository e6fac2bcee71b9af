"""Vault's HTTP interface, through ``hvac``: log in, read, revoke; and what its errors mean.

The one place that knows hvac and its exceptions. A token lives from ``login`` to ``revoke``, in this object alone.
"""

import base64
import binascii
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

import hvac
import requests
from hvac import exceptions as vault

from agentic_vault.errors import ExitCode, Missing, NotNow
from agentic_vault.settings import Settings

TIMEOUT_SECONDS: Final = 10


@dataclass(frozen=True)
class Secret:
    """What is stored under a path; ``version`` is 0 in the first version of the engine, which keeps none."""

    fields: Mapping[str, object]
    version: int


@dataclass(frozen=True)
class Claims:
    """What a service account's token says of itself, unverified: good for messages, not for decisions of trust."""

    subject: str = ""
    audiences: tuple[str, ...] = ()
    expires_at: float | None = None


class VaultClient:
    """One login's worth of Vault."""

    def __init__(self, settings: Settings, ca_bundle: str | bool) -> None:
        self._settings = settings
        self._client = hvac.Client(
            url=settings.address,
            # Never the token that lies about in the environment or home of whoever runs this.
            token="",
            namespace=settings.namespace or None,
            verify=ca_bundle,
            timeout=TIMEOUT_SECONDS,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.adapter.close()

    def login(self, jwt: str) -> int:
        """Log in; return for how many seconds the token holds."""
        settings, claims = self._settings, read_claims(jwt)

        def explain(error: vault.VaultError) -> Exception | None:
            return _explain_login(error, settings, claims)

        with _translated(settings, explain):
            answer = self._client.auth.kubernetes.login(settings.role, jwt, mount_point=settings.auth_mount)
        return int(answer["auth"]["lease_duration"])

    def read(self) -> Secret:
        """Read the secret, from either version of the engine."""
        settings = self._settings

        def explain(error: vault.VaultError) -> Exception | None:
            return _explain_read(error, settings)

        with _translated(settings, explain):
            # What `vault kv get` asks too: where the mount ends and which version of the engine it is.
            mount = self._client.adapter.get(f"/v1/sys/internal/ui/mounts/{settings.path}")["data"]
            point = str(mount["path"]).strip("/")
            if mount.get("type") not in ("kv", "generic"):
                raise Missing(
                    ExitCode.NO_SECRET,
                    f"{point!r} is a {mount.get('type')!r} engine: VAULT_PATH has to be in a kv engine",
                )
            name = settings.path.removeprefix(point).strip("/")
            if not name:
                raise Missing(
                    ExitCode.CONFIGURATION, f"VAULT_PATH is {settings.path!r}, a mount: add the secret's name below it"
                )
            if (mount.get("options") or {}).get("version") != "2":
                return Secret(self._client.secrets.kv.v1.read_secret(name, mount_point=point)["data"], 0)
            found = self._client.secrets.kv.v2.read_secret_version(
                name, mount_point=point, raise_on_deleted_version=False
            )["data"]
        version = int(found["metadata"]["version"])
        if found["data"] is None:
            raise Missing(
                ExitCode.NO_SECRET,
                f"version {version} of the secret {settings.path!r} was deleted: write it again with `vault kv put "
                f"{settings.path} …`, or `vault kv undelete -versions={version} {settings.path}`",
            )
        return Secret(found["data"], version)

    def revoke(self) -> str:
        """Give the token back; return why it could not be, empty if it could."""
        try:
            self._client.auth.token.revoke_self()
        except (vault.VaultError, requests.RequestException) as error:
            return _said(error) if isinstance(error, vault.VaultError) else type(error).__name__
        finally:
            self._client.token = ""
        return ""


def read_claims(jwt: str) -> Claims:
    """Read a token's own words; what cannot be read is left empty."""
    try:
        body = jwt.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        audience = claims.get("aud") or ()
        expires = claims.get("exp")
        return Claims(
            subject=str(claims.get("sub") or "").removeprefix("system:serviceaccount:"),
            audiences=(audience,) if isinstance(audience, str) else tuple(map(str, audience)),
            expires_at=float(expires) if isinstance(expires, int | float) else None,
        )
    except (IndexError, ValueError, AttributeError, TypeError, binascii.Error):
        return Claims()


@contextmanager
def _translated(settings: Settings, explain: Callable[[vault.VaultError], Exception | None]) -> Iterator[None]:
    where = f"Vault at {settings.address}"
    try:
        yield
    except vault.VaultError as error:
        raise (_explain_state(error, where) or explain(error) or _unknown(error, where)) from None
    except requests.exceptions.SSLError as error:
        raise Missing(
            ExitCode.TLS,
            f"{where} cannot be trusted: {_root(error)}: put its authority into the file of VAULT_CACERT, and check "
            "that the certificate names this host",
        ) from None
    except requests.RequestException as error:
        raise NotNow(
            ExitCode.UNREACHABLE,
            f"{where} does not answer: {_root(error)}: check VAULT_ADDR, that Vault runs, and network policies",
        ) from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotNow(ExitCode.NOT_READY, f"{where} gave an answer that is none of Vault's: check VAULT_ADDR") from error


def _explain_state(error: vault.VaultError, where: str) -> NotNow | None:
    said = _said(error)
    if isinstance(error, vault.VaultNotInitialized) or "not initialized" in said:
        return NotNow(ExitCode.NOT_READY, f"{where} is not initialised: run `vault operator init` and unseal it")
    if isinstance(error, vault.VaultDown):
        state = "is sealed: run `vault operator unseal`" if "sealed" in said else f"is not ready: {said}"
        return NotNow(ExitCode.NOT_READY, f"{where} {state}")
    if isinstance(error, vault.RateLimitExceeded | vault.BadGateway | vault.InternalServerError):
        return NotNow(ExitCode.NOT_READY, f"{where} cannot serve now: {said}")
    return None


def _explain_login(error: vault.VaultError, settings: Settings, claims: Claims) -> Exception | None:
    said, account = _said(error), claims.subject or "this service account"
    role, mount = f"role {settings.role!r}", f"auth/{settings.auth_mount}"
    if "invalid role name" in said:
        return Missing(
            ExitCode.ROLE_REFUSED,
            f"Vault has no {role} at {mount!r}: make it with `vault write {mount}/role/{settings.role} …`",
        )
    if "not authorized" in said:
        bound = "namespaces" if "namespace" in said else "names"
        return Missing(
            ExitCode.ROLE_REFUSED,
            f"{role} at {mount!r} does not take {account!r}: {said}: add it to the role's "
            f"bound_service_account_{bound}",
        )
    if "audience" in said:
        return Missing(
            ExitCode.ROLE_REFUSED,
            f"{role} at {mount!r} wants another audience than the token's {', '.join(claims.audiences) or 'none'}: set "
            "the role's `audience` to the pod's projected one",
        )
    if any(word in said for word in ("lookup failed", "expired", "token is not valid", "error verifying token")):
        return Missing(
            ExitCode.NO_TOKEN,
            f"the cluster does not know the token of {account!r}: {said}: the token expired, its pod or account is "
            f"gone, or `vault write {mount}/config` names another cluster",
        )
    if isinstance(error, vault.InvalidPath | vault.UnsupportedOperation) or "no handler for route" in said:
        return _no_auth_mount(settings, said)
    if isinstance(error, vault.Forbidden | vault.InvalidRequest | vault.Unauthorized):
        return Missing(
            ExitCode.ROLE_REFUSED,
            # Vault's words are the same for all of these.
            f"Vault refuses the login of {account!r} as {role}: {said}: either the cluster does not know the token (it "
            f"expired, its pod or account is gone, or `vault read {mount}/config` names another cluster), or Vault's "
            f"token reviewer expired or may not make TokenReviews, or no Kubernetes auth method is at {mount!r}",
        )
    return None


def _no_auth_mount(settings: Settings, said: str) -> Missing:
    return Missing(
        ExitCode.ROLE_REFUSED,
        f"Vault has no Kubernetes auth method at 'auth/{settings.auth_mount}': {said}: run `vault auth enable "
        f"-path={settings.auth_mount} kubernetes`, or set VAULT_AUTH_MOUNT",
    )


def _explain_read(error: vault.VaultError, settings: Settings) -> Exception | None:
    path = settings.path
    match error:
        case vault.Forbidden():
            mount, _, name = path.partition("/")
            return Missing(
                ExitCode.DENIED,
                f'role {settings.role!r} may not read {path!r}: its policy needs `path "{mount}/data/{name}" '
                '{ capabilities = ["read"] }` (without /data in version 1 of the engine), and the mount has to exist',
            )
        case vault.InvalidPath():
            return Missing(
                ExitCode.NO_SECRET, f"there is no secret {path!r}: write it with `vault kv put {path} host=… …`"
            )
        case vault.InvalidRequest():
            return Missing(ExitCode.NO_SECRET, f"Vault refuses to read {path!r}: {_said(error)}: check VAULT_PATH")
        case _:
            return None


def _unknown(error: vault.VaultError, where: str) -> NotNow:
    return NotNow(ExitCode.NOT_READY, f"{where} refuses: {_said(error)}")


def _said(error: vault.VaultError) -> str:
    """Return Vault's own words on one line, without the address that hvac puts behind them."""
    errors: Any = error.errors
    if isinstance(errors, list) and errors:
        text = "; ".join(map(str, errors))
    else:
        text = str(error.args[0] if error.args and error.args[0] else error.text or type(error).__name__)
    return " ".join(text.split())[:500]


def _root(error: BaseException) -> str:
    """Return what is at the bottom of the wrappings of requests and urllib3."""
    seen = 0
    while seen < 10:
        seen += 1
        inner = getattr(error, "reason", None) or next((a for a in error.args if isinstance(a, BaseException)), None)
        if not isinstance(inner, BaseException):
            break
        error = inner
    text = getattr(error, "strerror", None) or getattr(error, "verify_message", None) or str(error)
    return " ".join(str(text).split())[:300] or type(error).__name__
