"""Connection to the API server: the service account's files in a pod, or a kubeconfig file elsewhere.

Kopf and our own client are given the same credentials, so no Kubernetes client library has to be installed for them.
"""

import base64
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

SERVICE_ACCOUNT_DIR: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class NoConnection(ValueError):
    """There is no usable connection to a cluster; the message names the setting."""


@dataclass(frozen=True, repr=False)
class Connection:
    """One cluster and who we are there. Its repr shows no secret."""

    server: str
    ca: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None
    token: str | None = None
    token_file: Path | None = None
    insecure: bool = False

    def __repr__(self) -> str:
        return f"Connection({self.server!r})"

    def read_token(self) -> str | None:
        """Return the token as it is now: the kubelet renews the file about every hour."""
        if self.token_file is not None:
            return self.token_file.read_text(encoding="ascii").strip()
        return self.token

    def build_ssl_context(self) -> ssl.SSLContext | None:
        """Return the TLS settings; None for a plain connection."""
        if not self.server.startswith("https"):
            return None
        context = ssl.create_default_context(cadata=self.ca.decode("ascii") if self.ca else None)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate and self.key:
            # The ssl module reads client certificates from files only.
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "client.pem"
                path.touch(mode=0o600)
                path.write_bytes(self.certificate + b"\n" + self.key)
                context.load_cert_chain(path)
        return context


def find_connection(kubeconfig: Path | None, environ: Mapping[str, str]) -> Connection:
    """Return the connection of a kubeconfig where one is given, else that of the pod's service account."""
    if kubeconfig is not None:
        return read_kubeconfig(kubeconfig)
    token_file = SERVICE_ACCOUNT_DIR / "token"
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if host and token_file.exists():
        shown = f"[{host}]" if ":" in host else host
        ca = (SERVICE_ACCOUNT_DIR / "ca.crt").read_bytes()
        return Connection(server=f"https://{shown}:{port}", ca=ca, token_file=token_file)
    raise NoConnection("no cluster: outside of a pod, name a kubeconfig file with --kubeconfig or KUBECONFIG")


def read_kubeconfig(path: Path) -> Connection:
    """Return the connection of a kubeconfig's current context: certificates or tokens, no plugins."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NoConnection(f"kubeconfig {os.fspath(path)!r} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise NoConnection(f"kubeconfig {os.fspath(path)!r} is not YAML") from error
    if not isinstance(document, dict):
        raise NoConnection(f"kubeconfig {os.fspath(path)!r} holds no kubeconfig")
    context = _entry(document, "contexts", document.get("current-context"), "context", path)
    cluster = _entry(document, "clusters", context.get("cluster"), "cluster", path)
    user = _entry(document, "users", context.get("user"), "user", path)
    if "exec" in user or "auth-provider" in user:
        raise NoConnection(f"kubeconfig {os.fspath(path)!r} logs in by a plugin: give one with a token or certificate")
    token_file = user.get("tokenFile")
    return Connection(
        server=str(cluster.get("server", "")).rstrip("/"),
        ca=_data(cluster, "certificate-authority", path),
        certificate=_data(user, "client-certificate", path),
        key=_data(user, "client-key", path),
        token=user.get("token"),
        token_file=path.parent / token_file if token_file else None,
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
    )


def _entry(document: Mapping[str, Any], section: str, name: str | None, key: str, path: Path) -> Mapping[str, Any]:
    for entry in document.get(section) or ():
        if entry.get("name") == name and isinstance(entry.get(key), dict):
            found: Mapping[str, Any] = entry[key]
            return found
    raise NoConnection(f"kubeconfig {os.fspath(path)!r} has no {key} named {name!r}")


def _data(entry: Mapping[str, Any], name: str, path: Path) -> bytes | None:
    if data := entry.get(f"{name}-data"):
        return base64.b64decode(str(data))
    if file := entry.get(name):
        return (path.parent / str(file)).read_bytes()
    return None
