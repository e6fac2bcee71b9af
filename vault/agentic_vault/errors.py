"""What can be missing, each with the exit code that says so: those from 20 on may pass by themselves."""

from agentic_core.errors import PermanentError, TransientError
from agentic_core.vault_exit import VaultExitCode as ExitCode

__all__ = ["ExitCode", "Missing", "NotNow"]


class Missing(PermanentError):
    """A prerequisite that somebody has to provide; the message names it and the remedy."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class NotNow(TransientError):
    """Vault cannot serve at the moment; the same may work in a while."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code
