"""Writes kubeconfig files, as JSON, which is YAML that every client reads."""

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hack.cluster.certificates import KeyPair

NAME = "agentic-operator"


def build_kubeconfig(server: str, authority: bytes, user: Mapping[str, Any], namespace: str = "default") -> str:
    """Write a configuration with one cluster, one user and one context, everything inline."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": NAME, "cluster": {"server": server, "certificate-authority-data": _base64(authority)}},
        ],
        "users": [{"name": NAME, "user": dict(user)}],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": NAME, "namespace": namespace}}],
        "current-context": NAME,
    }
    return json.dumps(config, indent=1) + "\n"


def build_certificate_user(pair: KeyPair) -> dict[str, str]:
    """Describe a user who shows a client certificate."""
    return {
        "client-certificate-data": _base64(pair.certificate.read_bytes()),
        "client-key-data": _base64(pair.key.read_bytes()),
    }


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    unfinished.rename(path)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
