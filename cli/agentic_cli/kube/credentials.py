"""Who we are, as a request carries it: tokens read when needed, login plugins asked, TLS set up, proxies found."""

import base64
import ipaddress
import json
import os
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agentic_cli.kube.kubeconfig import ClusterConnection, LoginPlugin
from agentic_core.errors import PermanentError


@dataclass(frozen=True, repr=False)
class Credentials:
    """What one login gave: a token, a client certificate, or both."""

    token: str | None = None
    certificate: bytes | None = None
    key: bytes | None = None


def log_in(connection: ClusterConnection, environ: Mapping[str, str] = os.environ) -> Credentials:
    """Return the credentials of a connection; run its login plugin if there are no other credentials."""
    if connection.token_file is not None:
        try:
            return Credentials(connection.token_file.read_text(encoding="utf-8").strip(), *_pair(connection))
        except OSError as error:
            raise PermanentError(f"the token file of user {connection.user!r} cannot be read: {error}") from error
    if connection.plugin is not None and not connection.token:
        given = run_plugin(connection.plugin, connection.user, environ)
        return given if given.certificate else Credentials(given.token, *_pair(connection))
    return Credentials(connection.token, *_pair(connection))


def run_plugin(plugin: LoginPlugin, user: str, environ: Mapping[str, str]) -> Credentials:
    """Run a login plugin. Its messages go to the terminal; it may ask questions there, if there is one."""
    wants_terminal = plugin.interactive_mode != "Never"
    is_interactive = wants_terminal and sys.stdin.isatty()
    if plugin.interactive_mode == "Always" and not is_interactive:
        raise PermanentError(
            f"the login plugin {plugin.command!r} of user {user!r} has to ask, and there is no terminal"
        )
    request: dict[str, Any] = {"interactive": is_interactive}
    if plugin.cluster_info is not None:
        request["cluster"] = dict(plugin.cluster_info)
    info = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": request}
    try:
        done = subprocess.run(
            [plugin.command, *plugin.arguments],
            env={**environ, **plugin.environment, "KUBERNETES_EXEC_INFO": json.dumps(info)},
            stdin=None if is_interactive else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            check=False,
        )
    except OSError as error:
        hint = f"; {plugin.install_hint}" if plugin.install_hint else ""
        raise PermanentError(
            f"the login plugin {plugin.command!r} of user {user!r} cannot be run: {error.strerror}{hint}"
        ) from error
    if done.returncode:
        raise PermanentError(
            f"the login plugin {plugin.command!r} of user {user!r} ended with status {done.returncode}"
        )
    return read_credential(done.stdout, plugin)


def read_credential(text: bytes, plugin: LoginPlugin) -> Credentials:
    """Read the ExecCredential that a plugin printed."""
    try:
        answer = json.loads(text)
        status = answer["status"]
        version, token = answer.get("apiVersion"), status.get("token")
        certificate, key = status.get("clientCertificateData"), status.get("clientKeyData")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise PermanentError(f"the login plugin {plugin.command!r} printed no ExecCredential with a status") from error
    if version != plugin.api_version:
        raise PermanentError(
            f"the login plugin {plugin.command!r} answered in {version!r}, the kubeconfig wants {plugin.api_version!r}"
        )
    if not token and not (certificate and key):
        raise PermanentError(f"the login plugin {plugin.command!r} gave neither a token nor a certificate with its key")
    return Credentials(token, certificate.encode() if certificate else None, key.encode() if key else None)


def build_headers(connection: ClusterConnection, credentials: Credentials) -> list[tuple[str, str]]:
    """Return the headers that authenticate and impersonate."""
    headers = list(connection.impersonate)
    if credentials.token:
        headers.append(("Authorization", f"Bearer {credentials.token}"))
    elif connection.password is not None:
        pair = base64.b64encode(":".join(connection.password).encode()).decode("ascii")
        headers.append(("Authorization", f"Basic {pair}"))
    return headers


def build_ssl_context(connection: ClusterConnection, credentials: Credentials) -> ssl.SSLContext:
    """Return the TLS settings: the cluster's own authority if it names one, else the system's."""
    try:
        context = ssl.create_default_context(cadata=connection.ca.decode("ascii") if connection.ca else None)
    except (ssl.SSLError, UnicodeDecodeError) as error:
        raise PermanentError(f"the certificate authority of {connection.server} is not PEM text") from error
    if connection.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if credentials.certificate and credentials.key:
        # The ssl module reads client certificates from files only; mkstemp makes one that nobody else can read.
        descriptor, path = tempfile.mkstemp(suffix=".pem")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(credentials.certificate + b"\n" + credentials.key)
            context.load_cert_chain(path)
        except ssl.SSLError as error:
            raise PermanentError(
                f"the client certificate of user {connection.user!r} cannot be used: {error}"
            ) from error
        finally:
            Path(path).unlink()
    return context


def find_proxy(connection: ClusterConnection, environ: Mapping[str, str]) -> str | None:
    """Return the proxy for the API server as kubectl finds it: the kubeconfig's, else the environment's."""
    if connection.proxy_url:
        return connection.proxy_url
    address = urlsplit(connection.server)
    host, port = address.hostname or "", address.port
    names = ("HTTPS_PROXY", "https_proxy") if address.scheme == "https" else ("HTTP_PROXY", "http_proxy")
    proxy = next((environ[name] for name in names if environ.get(name)), None)
    if proxy is None or _is_excepted(host, port, environ.get("NO_PROXY") or environ.get("no_proxy") or ""):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_excepted(host: str, port: int | None, exceptions: str) -> bool:
    ip = _parse_ip(host)
    if host == "localhost" or (ip is not None and ip.is_loopback):
        return True
    for rule in (part.strip().lower() for part in exceptions.split(",")):
        name, colon, rule_port = rule.rpartition(":")
        if colon and rule_port.isdigit() and "]" not in rule_port and name.count(":") == 0:
            if rule_port != str(port):
                continue
            rule = name
        if rule == "*" or rule == host:
            return True
        if ip is not None and "/" in rule:
            try:
                if ip in ipaddress.ip_network(rule, strict=False):
                    return True
            except ValueError:
                continue
        elif rule and ip is None and host.endswith(rule if rule.startswith(".") else f".{rule}"):
            return True
    return False


def _parse_ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _pair(connection: ClusterConnection) -> tuple[bytes | None, bytes | None]:
    return connection.certificate, connection.key
