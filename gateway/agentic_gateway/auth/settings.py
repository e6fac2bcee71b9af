"""What the settings say about identity, read once at the start; errors name the variable and what to write."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Final

from agentic_gateway.auth.oidc.provider import Client
from agentic_gateway.auth.proxy import RESERVED, TrustedProxy
from agentic_gateway.config import InvalidSetting, Variables
from agentic_gateway.web.origins import Origins, read_origin

CALLBACK: Final = "/auth/callback"
_HEADER: Final = re.compile(r"[A-Za-z0-9-]+")
_TAKEN: Final = frozenset({"authorization", "cookie", "host", "origin", "x-agentic-request", "x-agentic-proxy-secret"})


@dataclass(frozen=True)
class IdentitySettings:
    """Which ways in there are; ``client`` and ``proxy`` are None if they are off."""

    origins: Origins
    client: Client | None
    proxy: TrustedProxy | None


def read_identity(variables: Variables) -> IdentitySettings:
    """Return the ways in; raises :class:`InvalidSetting`."""
    origins = Origins(
        _read_own(variables.PUBLIC_URL),
        frozenset(_read_url("CORS_ORIGINS", each) for each in _split(variables.CORS_ORIGINS)),
    )
    return IdentitySettings(origins, _read_client(variables, origins), _read_proxy(variables, origins))


def _split(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _read_own(url: str) -> str:
    return _read_url("PUBLIC_URL", url) if url else ""


def _read_url(name: str, url: str) -> str:
    try:
        origin = read_origin(url)
    except ValueError as error:
        raise InvalidSetting(f"{name}: {error}") from error
    if url.rstrip("/") != origin:
        raise InvalidSetting(f"{name}: {url!r} is no origin: write {origin!r}, in lower case and without a path")
    return origin


def _require_tls(name: str, origins: Origins) -> None:
    if not origins.own.startswith("https://"):
        raise InvalidSetting(f"PUBLIC_URL: with {name}, write the gateway's address, https://…: cookies need TLS")


def _read_client(variables: Variables, origins: Origins) -> Client | None:
    if not variables.OIDC_ISSUER:
        return None
    _require_tls("OIDC_ISSUER", origins)
    if not variables.OIDC_ISSUER.startswith("https://"):
        raise InvalidSetting("OIDC_ISSUER: write an https:// address")
    if not variables.OIDC_CLIENT_ID:
        raise InvalidSetting("OIDC_CLIENT_ID: write the client that the provider knows this gateway as")
    scopes = variables.OIDC_SCOPES.split()
    if "openid" not in scopes:
        raise InvalidSetting("OIDC_SCOPES: it has to hold 'openid'")
    return Client(
        issuer=variables.OIDC_ISSUER,
        client_id=variables.OIDC_CLIENT_ID,
        secret=_read_secret("OIDC_CLIENT_SECRET_FILE", variables.OIDC_CLIENT_SECRET_FILE),
        scopes=" ".join(scopes),
        redirect_uri=origins.own + CALLBACK,
    )


def _read_proxy(variables: Variables, origins: Origins) -> TrustedProxy | None:
    user_header, groups_header = variables.PROXY_USER_HEADER.lower(), variables.PROXY_GROUPS_HEADER.lower()
    if not user_header:
        return None
    for name, header in (("PROXY_USER_HEADER", user_header), ("PROXY_GROUPS_HEADER", groups_header)):
        if header and (not _HEADER.fullmatch(header) or header in _TAKEN):
            raise InvalidSetting(f"{name}: {header!r} cannot be the header")
    # A proxy's own log-in is a cookie, which browsers send for every page.
    _require_tls("PROXY_USER_HEADER", origins)
    networks = tuple(_read_network(each) for each in _split(variables.PROXY_ADDRESSES))
    secret = _read_secret("PROXY_SECRET_FILE", variables.PROXY_SECRET_FILE)
    has_certificates = bool(variables.TLS_CLIENT_CA_FILE)
    if not (networks or secret or has_certificates):
        raise InvalidSetting(
            "PROXY_USER_HEADER: say by what the proxy is known: PROXY_ADDRESSES, PROXY_SECRET_FILE or "
            "TLS_CLIENT_CA_FILE; without, everybody could name anybody"
        )
    users, groups = _split(variables.IMPERSONATE_USERS), _split(variables.IMPERSONATE_GROUPS)
    if not users:
        raise InvalidSetting("IMPERSONATE_USERS: list the users that the gateway may stand for")
    for name, listed in (("IMPERSONATE_USERS", users), ("IMPERSONATE_GROUPS", groups)):
        wrong = next((each for each in listed if each.startswith(RESERVED) or "*" in each), None)
        if wrong is not None:
            raise InvalidSetting(f"{name}: {wrong!r} cannot be listed: write exact names, never of the system")
    return TrustedProxy(
        user_header, groups_header, networks, secret, has_certificates, frozenset(users), frozenset(groups)
    )


def _read_network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(text)
    except ValueError as error:
        raise InvalidSetting(f"PROXY_ADDRESSES: {error}") from error
    if network.prefixlen == 0:
        raise InvalidSetting(f"PROXY_ADDRESSES: {text!r} is everybody")
    return network


def _read_secret(name: str, file: str) -> str:
    if not file:
        return ""
    try:
        secret = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSetting(f"{name}: {file!r} cannot be read: {type(error).__name__}") from error
    if not secret:
        raise InvalidSetting(f"{name}: {file!r} is empty")
    return secret
