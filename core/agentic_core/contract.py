"""The contract between the operator and a runner: variables, files, exit codes and limits.

Any image that keeps this contract can be a runner; ``docs/runner-contract.md`` is its prose.
"""

from enum import IntEnum
from typing import Final

# Files. Secrets reach a pod as files only; the variables name the files.
POSTGRES_SECRET: Final = "agentic-postgres"  # noqa: S105  (a resource's name)
POSTGRES_SECRET_KEY: Final = "dsn"  # noqa: S105
POSTGRES_DIR: Final = "/var/run/secrets/agentic/postgres"
RESULT_STORE_SECRET: Final = "agentic-results"  # noqa: S105
RESULT_STORE_DIR: Final = "/var/run/secrets/agentic/results"
ENCRYPTION_SECRET: Final = "agentic-encryption"  # noqa: S105
ENCRYPTION_SECRET_KEY: Final = "keys"  # noqa: S105
ENCRYPTION_DIR: Final = "/var/run/secrets/agentic/encryption"
API_DIR: Final = "/var/run/secrets/agentic/api"
SECRET_ENV_DIR: Final = "/var/run/secrets/agentic/env"  # noqa: S105  (a folder)
VAULT_DIR: Final = "/var/run/secrets/agentic/vault"
WORKSPACE_DIR: Final = "/workspace"
WORKING_DIR: Final = "/app"
"""Of the runner's own image."""
TERMINATION_LOG: Final = "/dev/termination-log"
GATEWAY_AUDIENCE: Final = "agentic-gateway"
"""Whom the token of a runner that reports to the gateway is for."""

# What of this a runner keeps: 3 takes turns of conversations; 2 takes variables of sessions by SESSION_ENV, and reads
# accepted answers in status.answers; 1 reads them in status.interrupts, where they are copied to. An inspection reports
# it.
RUNNER_CONTRACT: Final = 3
# From this version on, a runner takes turns.
TURNS_CONTRACT: Final = 3

# The variables that the operator sets, and that nobody else may.
ENV: Final = (
    "SESSION_NAME",
    "SESSION_UID",
    "NAMESPACE",
    "RUN",
    "JOB_NAME",
    "THREAD_ID",
    "GRAPH",
    "WORKFLOW_IMAGE",
    "BACKEND_URL",
    "WEBSOCKET_URL",
    "TOKEN_FILE",
    "API_CA_FILE",
    "POSTGRES_CONNECTION_STRING_FILE",
    "RESULT_STORE_DIR",
    "ENCRYPTION_KEYS_FILE",
    "WORKSPACE_DIR",
    "CHECKPOINT_RETENTION_DAYS",
    "RETRIES",
    "KEEP_WARM_SECONDS",
    "NOTIFY_CHANNEL",
    "STATE_API",
    "STREAM_TOKENS",
    "TRACEPARENT",
    "TRACES_ENDPOINT",
    "DURABILITY",
    "LANGGRAPH_STRICT_MSGPACK",
    "HOME",
    "SESSION_ENV",
    "MOUNTED_PATHS",
    "SECRET_ENV",
    "SECRET_ENV_FOLDERS",
)

# What an inspection is told instead: the config and context that the definition gives to all of its sessions, as JSON.
GRAPH_DEFAULTS: Final = "GRAPH_DEFAULTS"

# And below which folder the writable paths are mounted, where that is the runner's own working directory.
EXPECTED_WORKING_DIR: Final = "EXPECTED_WORKING_DIR"

# What an image says of the project in it, as `langgraph build` has it: where its graphs lie, and its settings.
PROJECT_ENV: Final = (
    "LANGSERVE_GRAPHS",
    "LANGGRAPH_STORE",
    "LANGGRAPH_AUTH",
    "LANGGRAPH_ENCRYPTION",
    "LANGGRAPH_PRIORITY",
    "LANGGRAPH_HTTP",
    "LANGGRAPH_WEBHOOKS",
    "LANGGRAPH_CHECKPOINTER",
    "LANGGRAPH_UI",
    "LANGGRAPH_UI_CONFIG",
)
# Without the operator's files (in a pod those come first), a local run takes these instead.
LOCAL_ENV: Final = ("TOKEN", "POSTGRES_CONNECTION_STRING")

# Where an interpreter looks for its own folders, isolated or not: the image's entry point takes them away.
INTERPRETER_ENV: Final = ("PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__")

RESERVED_ENV: Final = (*ENV, GRAPH_DEFAULTS, EXPECTED_WORKING_DIR, *PROJECT_ENV, *LOCAL_ENV, *INTERPRETER_ENV)
# The dynamic linker obeys these before any program runs, so only an image may set them.
RESERVED_ENV_PREFIXES: Final = ("LD_", "GLIBC_")

MAX_INPUT_BYTES: Final = 256 * 1024
MAX_SCHEMA_BYTES: Final = 64 * 1024
MAX_INLINE_RESULT_BYTES: Final = 32 * 1024
MAX_ANSWER_BYTES: Final = 32 * 1024
# Of one turn's input or command, and of all of spec.turns.
MAX_TURN_INPUT_BYTES: Final = 32 * 1024
MAX_TURNS_BYTES: Final = 512 * 1024
MAX_TURNS: Final = 64
# Turns that ended and stay in spec.turns and status.turns.
KEPT_TURNS: Final = 20
MAX_CONFIG_BYTES: Final = 32 * 1024
MAX_CONTEXT_BYTES: Final = 32 * 1024
MAX_RECURSION_LIMIT: Final = 1_000_000
MAX_TIMEOUT_SECONDS: Final = 31_536_000
MAX_PINNED_SPEC_BYTES: Final = 128 * 1024
MAX_OUTPUT_BYTES: Final = 100 * 1024 * 1024
# With an object store, larger results are stored there.
MAX_STORED_OUTPUT_BYTES: Final = 90 * 1024 * 1024
MAX_MESSAGE_LENGTH: Final = 2048
MAX_HISTORY: Final = 50

# What a runner writes of its session's status. Everything else there is the operator's, which an admission policy holds
# it to (manifests/operator/admission.yaml).
RUNNER_FIELDS: Final = (
    "phase",
    "reason",
    "message",
    "conditions",
    "limits",
    "startTime",
    "completionTime",
    "currentNode",
    "progress",
    "steps",
    "checkpointId",
    "question",
    "interrupts",
    "result",
    "resultRef",
    "error",
    "history",
    "turnEnd",
    "lastSeq",
)
RUNNER_CONDITIONS: Final = ("Running", "WaitingForInput", "CheckpointsLost", "Complete", "Failed")


class ExitCode(IntEnum):
    """The exit codes of a runner, for the Job's pod failure policy and for readers of ``kubectl describe pod``."""

    DONE = 0
    """The session completed, or waits for input."""
    RETRIABLE = 1
    """The graph raised and has retries left, or something unexpected happened."""
    CONFIGURATION = 2
    """A variable or file of the contract is missing or wrong."""
    GRAPH_FAILED = 3
    """The graph raised and has no retries left; ``status.error`` has the error."""
    GRAPH_NOT_LOADED = 4
    """The graph cannot be found, imported or compiled."""
    SCHEMA_MISMATCH = 5
    """The database is not at the migration that this runner needs."""
    INPUT_REFUSED = 6
    """The graph does not take these inputs, or what to fork from is not there."""
    OUTPUT_TOO_LARGE = 7
    """The result is over 100 MB."""
    SUPERSEDED = 8
    """A newer run owns the thread, or the session is deleted or final."""
    DATABASE_UNAVAILABLE = 20
    """PostgreSQL could not be reached within the runner's patience."""
    API_UNAVAILABLE = 21
    """The API server could not be reached within the runner's patience."""
    RESULTS_UNAVAILABLE = 22
    """The object store did not take the result within the runner's patience; the checkpoint has it."""
    DRAINED = 143
    """SIGTERM: the super-step is saved, a new pod continues."""


# Exit codes after which another pod of the same Job would end the same way.
PERMANENT_EXIT_CODES: Final = tuple(code for code in ExitCode if ExitCode.CONFIGURATION <= code <= ExitCode.SUPERSEDED)
