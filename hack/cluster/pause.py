"""Makes the image that holds a pod's namespaces, without a registry and without a container tool."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

from hack.cluster import gobuild
from hack.cluster.errors import MissingTool
from hack.cluster.folders import cache_folder
from hack.cluster.versions import PAUSE, architecture

LOCAL_NAME = f"docker.io/agentic-operator/pause:{PAUSE}"
OFFICIAL_NAME = f"registry.k8s.io/pause:{PAUSE}"
_SOURCE = Path(__file__).parents[2] / "images" / "pause" / "main.go"


def ensure_archive() -> Path | None:
    """Build the image into the cache and say where; None without Go, when the official image has to serve."""
    folder = cache_folder() / "images"
    archive = folder / f"pause-{PAUSE}-{hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:12]}.tar"
    if archive.exists():
        return archive
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "pause"
    try:
        gobuild.build_small(_SOURCE, program)
    except MissingTool:
        return None
    unfinished = archive.with_suffix(".new")
    unfinished.write_bytes(build_archive(program.read_bytes(), LOCAL_NAME, architecture()))
    unfinished.rename(archive)
    program.unlink()
    return archive


def build_archive(program: bytes, name: str, machine: str) -> bytes:
    """Write an image of one static program in the format of `docker save`; equal input gives equal bytes."""
    layer = _tar({"pause": program}, mode=0o755)
    config = json.dumps(
        {
            "architecture": machine,
            "os": "linux",
            "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    return _tar({config_name: config, "layer.tar": layer, "manifest.json": manifest}, mode=0o644)


def _tar(files: dict[str, bytes], *, mode: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
