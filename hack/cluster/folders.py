"""Says where the tool keeps things: what took long to get in the cache, all else in one folder of state."""

import os
from collections.abc import Mapping
from pathlib import Path


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Name the folder of binaries and images, shared by every checkout of this person."""
    if chosen := environment.get("AGENTIC_CACHE"):
        return Path(chosen).absolute()
    base = environment.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "agentic-operator"


def cluster_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Name the folder that holds all state of the local cluster and can be deleted when it is down."""
    if chosen := environment.get("AGENTIC_CLUSTER_DIR"):
        return Path(chosen).absolute()
    return cache_folder(environment) / "cluster"
