"""Exit codes of ``vault-init``: the runners' Jobs decide by them whether another pod can end otherwise."""

from enum import IntEnum
from typing import Final


class VaultExitCode(IntEnum):
    """How ``vault-init`` ends, for the pod's failure policy and for whoever reads ``kubectl describe pod``."""

    DONE = 0
    """The file is written and the token revoked."""
    UNEXPECTED = 1
    """A fault of the program itself."""
    CONFIGURATION = 2
    """A setting is missing or cannot be used."""
    NO_TOKEN = 3
    """The service account's token is missing or expired."""
    ROLE_REFUSED = 4
    """The role does not exist or does not take this service account, or the cluster does not know its token."""
    DENIED = 5
    """The role's policy does not allow the secret to be read."""
    NO_SECRET = 6
    """Nothing is stored under the path, or it was deleted."""
    BAD_SECRET = 7
    """A field is missing or cannot be used."""
    NOT_WRITTEN = 8
    """The file cannot be written."""
    TLS = 9
    """Vault's certificate is not trusted."""
    UNREACHABLE = 20
    """Vault does not answer."""
    NOT_READY = 21
    """Vault answers, and is sealed, not initialised, overloaded or failing."""
    STOPPED = 143
    """SIGTERM: the token was revoked, nothing was written."""


PERMANENT_VAULT_CODES: Final = tuple(
    code for code in VaultExitCode if VaultExitCode.CONFIGURATION <= code < VaultExitCode.UNREACHABLE
)
"""What somebody has to provide: another pod would end in the same way."""
