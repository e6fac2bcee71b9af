"""The pod's termination message: the one sentence that ``kubectl describe pod`` shows."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

from agentic_core import contract
from agentic_runner.output.redaction import bounded

# Kubelet keeps 4,096 bytes; a character may take four.
_LIMIT = 1000


def write_termination(environ: Mapping[str, str], message: str) -> None:
    """Write ``message`` to the file that the kubelet reads; does nothing outside a pod, where the file is missing."""
    path = Path(environ.get("TERMINATION_LOG", "").strip() or contract.TERMINATION_LOG)
    if path != Path(contract.TERMINATION_LOG) or path.exists():
        with contextlib.suppress(OSError):
            path.write_text(bounded(message, _LIMIT), encoding="utf-8", errors="replace")
