"""Reads cluster and user from kubectl's configuration: merges files, chooses a context, resolves paths.

Pure but for reading the files. The rules are those of kubectl: of several files in KUBECONFIG the first one to name an
entry wins, paths are relative to the file that holds them, and a pod without a file uses its service account
(decision 7).
"""

import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from agentic_core.errors import PermanentError

SERVICE_ACCOUNT_DIR: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, repr=False)
class LoginPlugin:
    """A program that logs in (the cloud providers' way), as ``users[].user.exec`` describes it."""

    command: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    api_version: str
    interactive_mode: str
    install_hint: str
    cluster_info: Mapping[str, Any] | None


@dataclass(frozen=True, repr=False)
class ClusterConnection:
    """One cluster and who we are there. Its repr shows no secret."""

    server: str
    namespace: str = "default"
    context: str = ""
    user: str = ""
    ca: bytes | None = None
    insecure: bool = False
    tls_server_name: str | None = None
    proxy_url: str | None = None
    certificate: bytes | None = None
    key: bytes | None = None
    token: str | None = None
    token_file: Path | None = None
    password: tuple[str, str] | None = None
    plugin: LoginPlugin | None = None
    impersonate: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"Connection({self.server!r}, context={self.context!r})"


@dataclass(frozen=True)
class Config:
    """The merged files: each entry with the folder that its relative paths start from."""

    contexts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    clusters: Mapping[str, tuple[Mapping[str, Any], Path]] = field(default_factory=dict)
    users: Mapping[str, tuple[Mapping[str, Any], Path]] = field(default_factory=dict)
    current_context: str = ""
    files: tuple[Path, ...] = ()


def find_connection(
    environ: Mapping[str, str],
    *,
    kubeconfig: Path | None = None,
    context: str | None = None,
    service_account: Path = SERVICE_ACCOUNT_DIR,
) -> ClusterConnection:
    """Return the connection that kubectl would use; raise ``PermanentError`` if there is none."""
    config = read_config(find_files(environ, kubeconfig), must_exist=kubeconfig is not None)
    if not config.contexts and kubeconfig is None and context is None:
        inside = _read_service_account(environ, service_account)
        if inside is not None:
            return inside
    return choose(config, context)


def find_files(environ: Mapping[str, str], kubeconfig: Path | None = None) -> tuple[Path, ...]:
    """Return the files to merge: the one given, those of KUBECONFIG, or ``~/.kube/config``."""
    if kubeconfig is not None:
        return (kubeconfig,)
    if named := environ.get("KUBECONFIG"):
        return tuple(dict.fromkeys(Path(part) for part in named.split(os.pathsep) if part))
    home = environ.get("HOME")
    return (Path(home) / ".kube" / "config",) if home else ()


def read_config(files: Sequence[Path], *, must_exist: bool = False) -> Config:
    """Read and merge; the first file to name an entry, or a current context, wins. Missing files count as empty."""
    contexts: dict[str, Mapping[str, Any]] = {}
    clusters: dict[str, tuple[Mapping[str, Any], Path]] = {}
    users: dict[str, tuple[Mapping[str, Any], Path]] = {}
    current = ""
    for file in files:
        document = _read_document(file, must_exist=must_exist)
        folder = file.absolute().parent
        current = current or str(document.get("current-context") or "")
        for name, context in _entries(document, "contexts", "context"):
            contexts.setdefault(name, context)
        for name, cluster in _entries(document, "clusters", "cluster"):
            clusters.setdefault(name, (cluster, folder))
        for name, user in _entries(document, "users", "user"):
            users.setdefault(name, (user, folder))
    return Config(contexts, clusters, users, current, tuple(files))


def choose(config: Config, context_name: str | None = None) -> ClusterConnection:
    """Return the connection of a context, by default the current one."""
    name = context_name or config.current_context
    files = ", ".join(map(str, config.files)) or "no file"
    if not name:
        raise PermanentError(
            f"no cluster: {files} names no current context; set KUBECONFIG, or give --kubeconfig or --context"
        )
    context = config.contexts.get(name)
    if context is None:
        known = ", ".join(sorted(config.contexts)) or "none"
        raise PermanentError(f"no context {name!r} in {files}: there is {known}")
    cluster_name, user_name = str(context.get("cluster") or ""), str(context.get("user") or "")
    if cluster_name not in config.clusters:
        raise PermanentError(f"context {name!r} names the cluster {cluster_name!r}, which {files} does not describe")
    if user_name and user_name not in config.users:
        raise PermanentError(f"context {name!r} names the user {user_name!r}, which {files} does not describe")
    cluster, cluster_folder = config.clusters[cluster_name]
    user, user_folder = config.users.get(user_name, ({}, Path()))
    server = str(cluster.get("server") or "").rstrip("/")
    if not server.startswith(("https://", "http://")):
        raise PermanentError(f"the cluster {cluster_name!r} has the server {server!r}: it must be an https:// address")
    if "auth-provider" in user and not user.get("exec"):
        raise PermanentError(
            f"the user {user_name!r} logs in by an auth-provider, which is gone from Kubernetes: use exec"
        )
    token_file = user.get("tokenFile")
    return ClusterConnection(
        server=server,
        namespace=str(context.get("namespace") or "default"),
        context=name,
        user=user_name,
        ca=_read_data(cluster, "certificate-authority", cluster_folder),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        tls_server_name=cluster.get("tls-server-name") or None,
        proxy_url=cluster.get("proxy-url") or None,
        certificate=_read_data(user, "client-certificate", user_folder),
        key=_read_data(user, "client-key", user_folder),
        token=user.get("token") or None,
        token_file=user_folder / str(token_file) if token_file else None,
        password=(str(user["username"]), str(user.get("password") or "")) if user.get("username") else None,
        plugin=_read_plugin(user, user_name, user_folder, cluster, cluster_folder),
        impersonate=tuple(_read_impersonation(user)),
    )


def _read_document(file: Path, *, must_exist: bool) -> Mapping[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        if must_exist:
            raise PermanentError(f"there is no kubeconfig {str(file)!r}") from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise PermanentError(f"the kubeconfig {str(file)!r} cannot be read: {error}") from error
    try:
        document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  (safe in both)
    except yaml.YAMLError as error:
        raise PermanentError(f"the kubeconfig {str(file)!r} is not YAML: {' '.join(str(error).split())}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise PermanentError(f"the kubeconfig {str(file)!r} holds {type(document).__name__}, not a configuration")
    return document


def _entries(document: Mapping[str, Any], section: str, key: str) -> list[tuple[str, Mapping[str, Any]]]:
    return [
        (str(entry["name"]), entry.get(key) or {})
        for entry in document.get(section) or ()
        if isinstance(entry, dict) and entry.get("name") and isinstance(entry.get(key) or {}, dict)
    ]


def _read_data(entry: Mapping[str, Any], name: str, folder: Path) -> bytes | None:
    """Return PEM text from the file itself (base64) or from another file that it names."""
    try:
        if data := entry.get(f"{name}-data"):
            return base64.b64decode("".join(str(data).split()), validate=True)
        if file := entry.get(name):
            return (folder / str(file)).read_bytes()
    except binascii.Error as error:
        raise PermanentError(f"the kubeconfig's {name}-data is not base64: {error}") from error
    except OSError as error:
        raise PermanentError(f"the kubeconfig's {name} cannot be read: {error}") from error
    return None


def _read_plugin(
    user: Mapping[str, Any], user_name: str, folder: Path, cluster: Mapping[str, Any], cluster_folder: Path
) -> LoginPlugin | None:
    described = user.get("exec")
    if not described:
        return None
    command = str(described.get("command") or "")
    version = str(described.get("apiVersion") or "")
    if not command or not version.startswith("client.authentication.k8s.io/"):
        raise PermanentError(
            f"the user {user_name!r} logs in by a plugin without a command or with the unknown apiVersion {version!r}"
        )
    # A bare name is looked up on the PATH; a path is relative to the file that holds it.
    if os.sep in command and not Path(command).is_absolute():
        command = str(folder / command)
    return LoginPlugin(
        command=command,
        arguments=tuple(str(argument) for argument in described.get("args") or ()),
        environment={str(each["name"]): str(each.get("value", "")) for each in described.get("env") or ()},
        api_version=version,
        interactive_mode=str(described.get("interactiveMode") or "IfAvailable"),
        install_hint=" ".join(str(described.get("installHint") or "").split()),
        cluster_info=_cluster_info(cluster, cluster_folder) if described.get("provideClusterInfo") else None,
    )


def _cluster_info(cluster: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    ca = _read_data(cluster, "certificate-authority", folder)
    extensions = {entry.get("name"): entry.get("extension") for entry in cluster.get("extensions") or ()}
    info = {
        "server": cluster.get("server"),
        "tls-server-name": cluster.get("tls-server-name"),
        "insecure-skip-tls-verify": cluster.get("insecure-skip-tls-verify"),
        "certificate-authority-data": base64.b64encode(ca).decode("ascii") if ca else None,
        "proxy-url": cluster.get("proxy-url"),
        "config": extensions.get("client.authentication.k8s.io/exec"),
    }
    return {name: value for name, value in info.items() if value}


def _read_impersonation(user: Mapping[str, Any]) -> list[tuple[str, str]]:
    headers = []
    if user.get("as"):
        headers.append(("Impersonate-User", str(user["as"])))
    if user.get("as-uid"):
        headers.append(("Impersonate-Uid", str(user["as-uid"])))
    headers += [("Impersonate-Group", str(group)) for group in user.get("as-groups") or ()]
    for name, values in (user.get("as-user-extra") or {}).items():
        headers += [(f"Impersonate-Extra-{name}", str(value)) for value in values]
    return headers


def _read_service_account(environ: Mapping[str, str], folder: Path) -> ClusterConnection | None:
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (folder / "token").is_file():
        return None
    address = f"[{host}]" if ":" in host else host
    namespace, ca = folder / "namespace", folder / "ca.crt"
    return ClusterConnection(
        server=f"https://{address}:{port}",
        namespace=namespace.read_text(encoding="utf-8").strip() if namespace.is_file() else "default",
        context="in-cluster",
        ca=ca.read_bytes() if ca.is_file() else None,
        token_file=folder / "token",
    )
