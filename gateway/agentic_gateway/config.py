"""Settings from the environment, checked once at the start; errors name the variable."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentic_core.errors import PermanentError
from agentic_store.dsn import Dsn, read_dsn

MAX_WAIT_SECONDS: Final = 60
"""How long a runner of another kind may wait for its input."""

SERVICE_ACCOUNT_DIR: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# Where the image has the web console; a checkout has none there.
CONSOLE_DIR: Final = Path(__file__).parent / "console"
NO_CONSOLE: Final = "off"


class InvalidSetting(ValueError):
    """A variable that cannot be used; the message names it."""


class Variables(BaseModel):
    """The variables of the environment that the gateway reads."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    PORT: Annotated[int, Field(ge=0, le=65535, description="Port to listen on; a free one if 0.")] = 8080
    HOST: Annotated[str, Field(description="Address to listen on.")] = "0.0.0.0"  # noqa: S104  (a pod's own address)
    KUBERNETES_API: Annotated[
        str, Field(description="URL of the API server; that of the pod's own cluster if empty.")
    ] = ""
    KUBERNETES_CA_FILE: Annotated[
        str, Field(description="Certificates (PEM) that vouch for the API server; the pod's own if empty.")
    ] = ""
    POSTGRES_CONNECTION_STRING_FILE: Annotated[
        str, Field(description="File with the connection string of the database, as the role agentic_gateway.")
    ] = ""
    DATABASE_CONNECTIONS: Annotated[
        int,
        Field(ge=1, le=100, description="How many connections to the database are open at most, beside one to listen."),
    ] = 8
    MAX_BODY_BYTES: Annotated[
        int, Field(ge=64 * 1024, le=64 * 1024 * 1024, description="How large a request's body may be.")
    ] = 2 * 1024 * 1024
    ANSWER_SECONDS: Annotated[
        float,
        # More than a runner may wait for its input: else its answer would come too late each time.
        Field(ge=MAX_WAIT_SECONDS + 5, le=3600, description="How long an answer may take to begin, streams aside."),
    ] = 90.0
    REQUESTS_PER_SECOND: Annotated[
        float, Field(gt=0, le=100_000, description="How many requests a second one person may send to one replica.")
    ] = 50.0
    REQUESTS_BURST: Annotated[
        int, Field(ge=1, le=1_000_000, description="How many of them may come at once after a pause.")
    ] = 200
    STREAMS_PER_PERSON: Annotated[
        int, Field(ge=1, le=100_000, description="How many streams one person may have open at one replica.")
    ] = 100
    MAX_HEADER_BYTES: Annotated[
        int, Field(ge=8192, le=1024 * 1024, description="How large a request's line and headers may be.")
    ] = 32 * 1024
    PUBLIC_URL: Annotated[
        str, Field(description="The gateway's own address for browsers, such as https://agents.example.org.")
    ] = ""
    CONSOLE_DIR: Annotated[
        str, Field(description="Folder of the built web console, the image's if empty; `off` serves none.")
    ] = ""
    CORS_ORIGINS: Annotated[
        str, Field(description="Other origins whose pages may call with a bearer token, with commas; none if empty.")
    ] = ""
    OIDC_ISSUER: Annotated[
        str,
        Field(description="OpenID provider for log-ins, exactly as its tokens name it; off if empty."),
    ] = ""
    OIDC_CLIENT_ID: Annotated[str, Field(description="What the provider knows this gateway as.")] = ""
    OIDC_CLIENT_SECRET_FILE: Annotated[
        str, Field(description="File with the client's secret; a public client if empty.")
    ] = ""
    OIDC_SCOPES: Annotated[
        str, Field(description="What is asked of the provider; offline_access brings refreshes.")
    ] = "openid email groups offline_access"
    OIDC_CA_FILE: Annotated[
        str, Field(description="Certificates (PEM) that vouch for the provider; the system's if empty.")
    ] = ""
    LOGIN_HOURS: Annotated[
        float, Field(gt=0, le=24 * 90, description="How long a log-in lasts at most, refreshes included.")
    ] = 12.0
    PROXY_USER_HEADER: Annotated[
        str, Field(description="Header in which a trusted proxy names the person; off if empty.")
    ] = ""
    PROXY_GROUPS_HEADER: Annotated[
        str, Field(description="Header in which it names their groups, with commas; none if empty.")
    ] = ""
    PROXY_ADDRESSES: Annotated[
        str, Field(description="Addresses or networks (CIDR) that the proxy calls from, with commas.")
    ] = ""
    PROXY_SECRET_FILE: Annotated[
        str, Field(description="File with what the proxy sends as X-Agentic-Proxy-Secret.")
    ] = ""
    IMPERSONATE_USERS: Annotated[
        str, Field(description="Users that the gateway stands for if the proxy names them, with commas.")
    ] = ""
    IMPERSONATE_GROUPS: Annotated[
        str, Field(description="Groups of theirs that it passes on, with commas; others are dropped.")
    ] = ""
    KUBERNETES_TOKEN_FILE: Annotated[
        str, Field(description="Token of the gateway's own account; the pod's if empty.")
    ] = ""
    TLS_CERT_FILE: Annotated[str, Field(description="Certificate chain (PEM) to serve with; plain HTTP if empty.")] = ""
    TLS_KEY_FILE: Annotated[str, Field(description="Its private key (PEM).")] = ""
    TLS_CLIENT_CA_FILE: Annotated[
        str, Field(description="Where set, only clients with a certificate of this authority (PEM) can connect.")
    ] = ""
    TLS_RELOAD_SECONDS: Annotated[
        float,
        Field(gt=0, le=3600, description="How often those files are looked at: new ones need no restart."),
    ] = 10.0
    LOG_FORMAT: Annotated[str, Field(pattern="^(json|text)$", description="json or text.")] = "json"
    LOG_LEVEL: Annotated[str, Field(pattern="^(debug|info|warning|error)$", description="What is logged.")] = "info"
    METRICS_PORT: Annotated[
        int | None,
        Field(ge=0, le=65535, description="Port of /metrics, /healthz and /readyz; a free one if 0, none if empty."),
    ] = None
    DRAIN_SECONDS: Annotated[
        float,
        Field(ge=0, le=600, description="How long a process that was told to end still serves, and is not ready."),
    ] = 5.0
    SHUTDOWN_SECONDS: Annotated[float, Field(ge=0, le=600, description="How long requests have to end after that.")] = (
        20.0
    )
    REQUEST_SECONDS: Annotated[
        float, Field(ge=1, le=600, description="How long a request may take to come, head and body.")
    ] = 30.0
    PEER_SECONDS: Annotated[
        float,
        Field(ge=1, le=60, description="How long a peer may take nothing of what is sent before its connection ends."),
    ] = 30.0
    RECHECK_SECONDS: Annotated[
        float,
        Field(ge=1, le=45, description="How often, at least, it is asked whether who follows a session still may."),
    ] = 45.0


@dataclass(frozen=True)
class Settings:
    """All that a gateway process is told."""

    variables: Variables
    server: str
    ca_file: str | None
    dsn: Dsn
    token_file: Path


def read_settings(environ: Mapping[str, str], folder: Path = SERVICE_ACCOUNT_DIR) -> Settings:
    """Return the settings of an environment; ``folder`` is where a pod's service account lies.

    Raises :class:`InvalidSetting`.
    """
    given = {name: environ[name] for name in Variables.model_fields if environ.get(name, "") != ""}
    try:
        variables = Variables.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InvalidSetting(f"{first['loc'][0]}: {first['msg']}") from error
    if not variables.POSTGRES_CONNECTION_STRING_FILE:
        raise InvalidSetting("POSTGRES_CONNECTION_STRING_FILE: name the file with the database's connection string")
    try:
        dsn = read_dsn({}, file=Path(variables.POSTGRES_CONNECTION_STRING_FILE))
    except PermanentError as error:
        raise InvalidSetting(f"POSTGRES_CONNECTION_STRING_FILE: {error}") from error
    token_file = Path(variables.KUBERNETES_TOKEN_FILE or folder / "token")
    if variables.KUBERNETES_API:
        server = variables.KUBERNETES_API.rstrip("/")
        return Settings(variables, server, variables.KUBERNETES_CA_FILE or None, dsn, token_file)
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise InvalidSetting("KUBERNETES_API: outside of a pod, name the URL of an API server")
    shown = f"[{host}]" if ":" in host else host
    ca_file = variables.KUBERNETES_CA_FILE or str(folder / "ca.crt")
    return Settings(variables, f"https://{shown}:{port}", ca_file, dsn, token_file)
