"""The run's configuration: the variables of the contract, parsed once.

Secrets come from files; their plain variables work for local runs. Their values never appear in a ``repr``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, cast

from agentic_core import contract
from agentic_core.errors import PermanentError
from agentic_core.names import job_name
from agentic_core.trace_context import find_trace_id, read_traceparent
from agentic_runner.keyring import Keyring, read_keyring

Durability = Literal["sync", "async"]
StateApi = Literal["None", "Latest", "History"]

_REMEDY: Final = "the operator sets it in the pod of a session; for a local run, export it (docs/runner-contract.md)"


class ConfigurationError(PermanentError):
    """Variables or files of the contract are missing or wrong; ``problems`` has one line for each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problems))


@dataclass(frozen=True)
class TokenSource:
    """Where the bearer token comes from; the file is read for each request, since kubelet rotates it."""

    file: Path | None = None
    value: str | None = field(default=None, repr=False)

    def read(self) -> str:
        """Return the token as it is now; raise ``OSError`` where the file cannot be read."""
        if self.file is not None:
            return self.file.read_text(encoding="utf-8").strip()
        return self.value or ""


@dataclass(frozen=True)
class RunConfig:
    """The settings of one run of one session, from its pod."""

    session_name: str
    session_uid: str
    namespace: str
    run: int
    thread_id: str
    job_name: str
    backend_url: str
    token: TokenSource
    api_ca_file: Path | None
    graph: str | None = None
    workflow_image: str = ""
    holder: str = ""
    retries: int = 0
    keep_warm_seconds: float = 0.0
    """How long the process may wait for answers, all its questions together."""
    notify_channel: str | None = None
    """The database's channel on which the operator says that the session has news; None if it does not."""
    state_api: StateApi = "None"
    """Which values of the state are stored to be read."""
    streams_tokens: bool = True
    traceparent: str = ""
    """The span that the run is part of, as W3C's Trace Context writes it; empty where there is none."""
    traces_endpoint: str = ""
    """Where spans of the run go unless a standard variable says it; empty for nowhere."""
    durability: Durability = "sync"
    workspace_dir: Path = Path(contract.WORKSPACE_DIR)
    project_file: Path = Path("langgraph.json")
    grace_seconds: float = 30.0
    """What kubelet gives between SIGTERM and SIGKILL."""
    api_patience_seconds: float = 120.0
    """How long an API server may be away before the runner gives up telling it something."""
    database_patience_seconds: float = 60.0
    """How long PostgreSQL may be away before the runner leaves the rest to the next pod."""
    result_store_dir: Path | None = None
    """The Secret that describes the object store; None if results of over 100 MB are refused."""
    result_store_patience_seconds: float = 60.0
    """How long the object store may be away before the runner leaves the result to the next pod."""
    keyring: Keyring | None = field(default=None, repr=False)
    """What checkpoints are encrypted with; None if they are not."""

    @property
    def trace_id(self) -> str:
        """The trace that the run is part of; empty where it is none's."""
        return find_trace_id(self.traceparent)


class _Reader:
    """Reads variables and collects every problem, so that one start names all of them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []

    def text(self, name: str, default: str | None = None) -> str:
        value = self._environ.get(name, "").strip()
        if value:
            return value
        if default is None:
            self.problems.append(f"variable {name} is not set: {_REMEDY}")
            return ""
        return default

    def integer(self, name: str, default: int | None = None, *, minimum: int = 0) -> int:
        text = self.text(name, None if default is None else str(default))
        if text and (not text.isdecimal() or int(text) < minimum):
            self.problems.append(f"variable {name} is {text!r}: set it to a whole number of at least {minimum}")
            return minimum
        return int(text or minimum)

    def seconds(self, name: str, default: float) -> float:
        text = self.text(name, str(default))
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value < 1e6:
            self.problems.append(f"variable {name} is {text!r}: set it to a number of seconds")
            return default
        return value

    def choice(self, name: str, default: str, *others: str) -> str:
        text = self.text(name, default)
        if text not in (default, *others):
            self.problems.append(f"variable {name} is {text!r}: set it to one of {', '.join((default, *others))}")
            return default
        return text

    def secret_file(self, name: str, plain: str) -> Path | None:
        """Return the file that ``name`` names; None if the ``plain`` variable replaces it."""
        path = self._environ.get(name, "").strip()
        if not path:
            if not self._environ.get(plain, "").strip():
                self.problems.append(f"variable {name} is not set (nor {plain}): {_REMEDY}")
            return None
        try:
            if not Path(path).read_text(encoding="utf-8").strip():
                self.problems.append(f"file {path!r} (from {name}) is empty: put the secret into it")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            self.problems.append(f"file {path!r} (from {name}) cannot be read: {reason}; mount the secret there")
        return Path(path)


def _result_store(reader: _Reader, environ: Mapping[str, str]) -> Path | None:
    """Return the folder of the object store's Secret once it is known to be whole."""
    path = environ.get("RESULT_STORE_DIR", "").strip()
    if not path:
        return None
    from agentic_store.results.objects import read_object_store_folder

    try:
        read_object_store_folder(Path(path))
    except PermanentError as error:
        reader.problems.append(f"{error} (from RESULT_STORE_DIR)")
    return Path(path)


def _keyring(reader: _Reader, environ: Mapping[str, str]) -> Keyring | None:
    path = environ.get("ENCRYPTION_KEYS_FILE", "").strip()
    if not path:
        return None
    try:
        return read_keyring(Path(path))
    except PermanentError as error:
        reader.problems.append(f"{error} (from ENCRYPTION_KEYS_FILE)")
    return None


def _backend_url(reader: _Reader, environ: Mapping[str, str]) -> str:
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
    inside = f"https://{f'[{host}]' if ':' in host else host}:{port}" if host else None
    url = reader.text("BACKEND_URL", inside).rstrip("/")
    if url and not url.startswith(("https://", "http://")):
        reader.problems.append(f"variable BACKEND_URL is {url!r}: set it to an http:// or https:// address")
    return url


def read_config(environ: Mapping[str, str]) -> RunConfig:
    """Return the run that ``environ`` describes; raise :class:`ConfigurationError` with every problem in it."""
    read = _Reader(environ)
    session_name = read.text("SESSION_NAME")
    run = read.integer("RUN", minimum=1)
    durability = read.text("DURABILITY", "sync")
    if durability not in ("sync", "async"):
        read.problems.append(
            f"variable DURABILITY is {durability!r}: set it to 'sync' or 'async'"
            " (with 'exit' a crash could not continue from a checkpoint)"
        )
    state_api = read.choice("STATE_API", "None", "Latest", "History")
    streams_tokens = read.choice("STREAM_TOKENS", "true", "false")
    token_file = read.secret_file("TOKEN_FILE", "TOKEN")
    read.secret_file("POSTGRES_CONNECTION_STRING_FILE", "POSTGRES_CONNECTION_STRING")
    ca_file = environ.get("API_CA_FILE", "").strip()
    if ca_file and not Path(ca_file).is_file():
        read.problems.append(f"file {ca_file!r} (from API_CA_FILE) does not exist: mount the API server's CA there")
    config = RunConfig(
        session_name=session_name,
        session_uid=read.text("SESSION_UID"),
        namespace=read.text("NAMESPACE"),
        run=run,
        thread_id=read.text("THREAD_ID"),
        job_name=read.text("JOB_NAME", job_name(session_name, run)),
        backend_url=_backend_url(read, environ),
        token=TokenSource(file=token_file, value=environ.get("TOKEN", "").strip() or None),
        api_ca_file=Path(ca_file) if ca_file else None,
        graph=read.text("GRAPH", "") or None,
        workflow_image=read.text("WORKFLOW_IMAGE", ""),
        holder=read.text("HOSTNAME", "runner"),
        retries=read.integer("RETRIES", 0),
        keep_warm_seconds=read.seconds("KEEP_WARM_SECONDS", RunConfig.keep_warm_seconds),
        notify_channel=read.text("NOTIFY_CHANNEL", "") or None,
        state_api=cast("StateApi", state_api),
        streams_tokens=streams_tokens == "true",
        traceparent=read_traceparent(environ.get("TRACEPARENT")),
        traces_endpoint=read.text("TRACES_ENDPOINT", ""),
        durability=cast("Durability", durability),
        workspace_dir=Path(read.text("WORKSPACE_DIR", contract.WORKSPACE_DIR)),
        project_file=project_file(environ),
        grace_seconds=read.seconds("TERMINATION_GRACE_SECONDS", RunConfig.grace_seconds),
        api_patience_seconds=read.seconds("API_PATIENCE_SECONDS", RunConfig.api_patience_seconds),
        database_patience_seconds=read.seconds("DATABASE_PATIENCE_SECONDS", RunConfig.database_patience_seconds),
        result_store_dir=_result_store(read, environ),
        result_store_patience_seconds=read.seconds(
            "RESULT_STORE_PATIENCE_SECONDS", RunConfig.result_store_patience_seconds
        ),
        keyring=_keyring(read, environ),
    )
    if read.problems:
        raise ConfigurationError(read.problems)
    return config


def project_file(environ: Mapping[str, str]) -> Path:
    """Return the path of the project's ``langgraph.json``: in the working directory, or LANGGRAPH_CONFIG."""
    return Path(environ.get("LANGGRAPH_CONFIG", "").strip() or "langgraph.json")
