"""How a runner's pod gets its connection string: a Secret's file, or a file that an init container fetches from Vault.

Either way the runner finds one file in one place and knows nothing of its origin. The token for Vault is another than
the runner's own, has another audience, and is mounted into the init container alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from agentic_core.contract import POSTGRES_DIR, POSTGRES_SECRET, POSTGRES_SECRET_KEY, VAULT_DIR
from agentic_core.names import VAULT_CONTAINER
from agentic_core.vault_exit import PERMANENT_VAULT_CODES, VaultExitCode
from agentic_operator.config import VaultAccess
from agentic_operator.manifests.pods import TOKEN_SECONDS, Manifest, build_container_context, build_env

_MEMORY_BYTES: Final = "1Mi"


@dataclass(frozen=True)
class DatabaseAccess:
    """What a pod needs besides its mount of the volume ``postgres``."""

    volumes: tuple[Manifest, ...]
    init_containers: tuple[Manifest, ...] = ()
    failure_rules: tuple[Manifest, ...] = ()


def build_database_access(vault: VaultAccess | None, namespace: str) -> DatabaseAccess:
    """Return the volumes with the connection string, and who fills them."""
    if vault is None:
        return DatabaseAccess(volumes=(_secret_volume(),))
    in_memory = {"name": "postgres", "emptyDir": {"medium": "Memory", "sizeLimit": _MEMORY_BYTES}}
    return DatabaseAccess(
        volumes=(in_memory, _token_volume(vault)),
        init_containers=(_init_container(vault, namespace),),
        failure_rules=(_rule("Ignore", [VaultExitCode.STOPPED]), _rule("FailJob", PERMANENT_VAULT_CODES)),
    )


def _secret_volume() -> Manifest:
    return {
        "name": "postgres",
        "secret": {
            "secretName": POSTGRES_SECRET,
            "items": [{"key": POSTGRES_SECRET_KEY, "path": POSTGRES_SECRET_KEY}],
            # The kubelet adds group read for fsGroup: effectively 0440 for uid and gid of the runner alone.
            "defaultMode": 0o400,
        },
    }


def _token_volume(vault: VaultAccess) -> Manifest:
    token = {"path": "token", "expirationSeconds": TOKEN_SECONDS, "audience": vault.audience}
    return {"name": "vault", "projected": {"defaultMode": 0o400, "sources": [{"serviceAccountToken": token}]}}


def _init_container(vault: VaultAccess, namespace: str) -> Manifest:
    given = {
        "VAULT_ADDR": vault.address,
        "VAULT_AUTH_MOUNT": vault.auth_mount,
        "VAULT_ROLE": vault.resolve(vault.role, namespace),
        "VAULT_PATH": vault.resolve(vault.path, namespace),
        "VAULT_NAMESPACE": vault.vault_namespace,
        "VAULT_CACERT_BYTES": vault.authorities,
        "VAULT_JWT_FILE": f"{VAULT_DIR}/token",
        "VAULT_OUTPUT": f"{POSTGRES_DIR}/{POSTGRES_SECRET_KEY}",
    }
    return {
        "name": VAULT_CONTAINER,
        "image": vault.image,
        "command": ["python", "-m", "agentic_vault"],
        "env": build_env(**{name: value for name, value in given.items() if value}),
        "resources": {
            "requests": {"cpu": "20m", "memory": "64Mi", "ephemeral-storage": "16Mi"},
            "limits": {"memory": "128Mi", "ephemeral-storage": "512Mi"},
        },
        "volumeMounts": [
            {"name": "vault", "mountPath": VAULT_DIR, "readOnly": True},
            {"name": "postgres", "mountPath": POSTGRES_DIR},
        ],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": build_container_context(),
    }


def _rule(action: str, codes: Iterable[int]) -> Manifest:
    return {
        "action": action,
        "onExitCodes": {"containerName": VAULT_CONTAINER, "operator": "In", "values": [int(code) for code in codes]},
    }
