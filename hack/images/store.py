"""Keeps built images in the cache with each layer once, and writes archives with only the layers that are asked for.

Most of an image is a base and dependencies that the cluster has from the last time; moving them again would
be most of the time between a change of code and its trial.
"""

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from hack.cluster.errors import ClusterError

_GZIP = b"\x1f\x8b"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True, slots=True)
class Blob:
    """A piece of an image as a registry describes it."""

    mediaType: str  # noqa: N815 - the names of the image specification
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image whose pieces are in the store."""

    config: Blob
    layers: tuple[Blob, ...]

    @classmethod
    def parse(cls, record: Mapping[str, Any]) -> "StoredImage":
        return cls(Blob(**record["config"]), tuple(Blob(**layer) for layer in record["layers"]))

    def digests(self) -> set[str]:
        return {self.config.digest, *(layer.digest for layer in self.layers)}

    def manifest(self) -> bytes:
        return json.dumps({"schemaVersion": 2, "mediaType": _MANIFEST, **asdict(self)}).encode()

    def manifest_digest(self) -> str:
        """Return what the image is known by, to a registry and to containerd."""
        return _digest(self.manifest())


class ImageStore:
    """The pieces of all images, in one folder by their digest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def absorb(self, archive: Path) -> StoredImage:
        """Take an image out of an archive of `docker save`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive, "r:") as tar:
            entry = json.load(_open(tar, "manifest.json"))[0]
            config = _open(tar, entry["Config"]).read()
            layers = [
                self._absorb_layer(_open(tar, name), diff_id)
                for name, diff_id in zip(entry["Layers"], json.loads(config)["rootfs"]["diff_ids"], strict=True)
            ]
        digest = _digest(config)
        self._path(digest).write_bytes(config)
        return StoredImage(Blob(_CONFIG, digest, len(config)), tuple(layers))

    def has(self, image: StoredImage) -> bool:
        return all(self._path(digest).exists() for digest in image.digests())

    def find(self, image: StoredImage) -> list[Path]:
        """Return the files of an image's configuration and of its layers, in this order."""
        return [self._path(blob.digest) for blob in (image.config, *image.layers)]

    def write(self, image: StoredImage, reference: str, target: Path, known: Collection[str] = ()) -> None:
        """Write an archive of an image without the pieces that the reader has; names it for containerd."""
        manifest = image.manifest()
        names = {
            "io.containerd.image.name": reference,
            "org.opencontainers.image.ref.name": reference.rpartition(":")[2],
        }
        described = {**asdict(Blob(_MANIFEST, _digest(manifest), len(manifest))), "annotations": names}
        index = json.dumps({"schemaVersion": 2, "mediaType": _INDEX, "manifests": [described]}).encode()
        with tarfile.open(target, "w") as tar:
            _add(tar, "oci-layout", io.BytesIO(b'{"imageLayoutVersion":"1.0.0"}'), 30)
            _add(tar, "index.json", io.BytesIO(index), len(index))
            _add(tar, f"blobs/{_digest(manifest).replace(':', '/')}", io.BytesIO(manifest), len(manifest))
            for digest in sorted(image.digests() - set(known)):
                with self._path(digest).open("rb") as content:
                    _add(tar, f"blobs/{digest.replace(':', '/')}", content, self._path(digest).stat().st_size)

    def prune(self, images: Iterable[StoredImage]) -> None:
        """Delete the pieces of images that are no longer built."""
        wanted = {digest.partition(":")[2] for image in images for digest in image.digests()}
        for path in self._folder.glob("*"):
            if path.name not in wanted:
                path.unlink(missing_ok=True)

    def _absorb_layer(self, content: IO[bytes], diff_id: str) -> Blob:
        """Keep a layer; one that is not compressed is named by its place in the image, so nobody reads it twice."""
        compressed = content.read(2) == _GZIP
        content.seek(0)
        kind = f"{_LAYER}+gzip" if compressed else _LAYER
        if not compressed and self._path(diff_id).exists():
            return Blob(kind, diff_id, self._path(diff_id).stat().st_size)
        unfinished = self._folder / ".new"
        with unfinished.open("wb") as file:
            shutil.copyfileobj(content, file, 1 << 20)
        digest = diff_id
        if compressed:
            with unfinished.open("rb") as file:
                digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        unfinished.rename(self._path(digest))
        return Blob(kind, digest, self._path(digest).stat().st_size)

    def _path(self, digest: str) -> Path:
        return self._folder / digest.partition(":")[2]


def _open(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    file = tar.extractfile(name)
    if file is None:
        raise ClusterError(f"the archive of the image has no file {name!r}: build it again")
    return file


def _add(tar: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    tar.addfile(entry, content)


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
