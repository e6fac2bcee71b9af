"""kubectl on the local cluster, for the demo and the end-to-end tests: a process per call, JSON parsed, errors told."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hack.cluster import binaries
from hack.cluster.errors import ClusterError

ROOT = Path(__file__).resolve().parent.parent


class KubectlError(Exception):
    """kubectl said no; the text is what it printed."""


class Kubectl:
    """kubectl with one kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        try:
            self.program = str(binaries.kubectl())
        except ClusterError as error:
            raise KubectlError(f"kubectl is not on the PATH and cannot be had: {error}") from error
        self.kubeconfig = kubeconfig

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig)}

    def run(self, *arguments: str, stdin: str | None = None, timeout_seconds: float = 240) -> str:
        """Run ``kubectl arguments`` and return what it printed; raise :class:`KubectlError` where it fails."""
        done = subprocess.run(
            [self.program, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=timeout_seconds,
            check=False,
        )
        if done.returncode:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def get(self, *arguments: str) -> dict[str, Any] | None:
        """Return an object or list as JSON, None if it does not exist."""
        try:
            text = self.run("get", *arguments, "-o", "json", "--ignore-not-found")
        except KubectlError as error:
            if "the server doesn't have a resource type" in str(error):
                return None
            raise
        parsed: dict[str, Any] | None = json.loads(text) if text.strip() else None
        return parsed

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Apply objects, server-side, so that no annotation repeats them."""
        manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.run("apply", "--server-side", "--force-conflicts", "--field-manager=hack", "-f", "-", stdin=manifest)


def local_kubeconfig() -> Path:
    """Return the local cluster's kubeconfig."""
    done = subprocess.run(
        [sys.executable, "-m", "hack.cluster", "kubeconfig"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise KubectlError(done.stderr.strip() or "the local cluster does not run: start it with `make cluster-up`")
    return Path(done.stdout.strip())
