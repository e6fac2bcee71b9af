"""What a deployment of the operator says of its version. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

_VERSION_LABEL = "app.kubernetes.io/version"


@dataclass(frozen=True)
class Server:
    """One operator: where it is, what it runs, and how many of its pods are ready."""

    namespace: str
    version: str
    image: str
    ready: int
    wanted: int

    def show(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


def parse_server(deployment: Mapping[str, Any]) -> Server:
    """Return an operator; its version is that of a release's label, else its image's tag or digest."""
    metadata, spec = deployment["metadata"], deployment.get("spec") or {}
    containers = ((spec.get("template") or {}).get("spec") or {}).get("containers") or [{}]
    image = str(containers[0].get("image") or "")
    path, _, tag = image.rpartition("@") if "@" in image else image.rpartition(":")
    label = (metadata.get("labels") or {}).get(_VERSION_LABEL)
    return Server(
        str(metadata.get("namespace") or ""),
        str(label or (tag if path and "/" not in tag else "unknown")),
        image,
        int((deployment.get("status") or {}).get("readyReplicas") or 0),
        int(spec.get("replicas", 1)),
    )
