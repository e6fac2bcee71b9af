"""Fetches the official builds of programs and checks their sums.

A closed network must not cost time: the first thing fetched is a sum of a few bytes, with a short time-out.
"""

import hashlib
import io
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.errors import ClusterError
from hack.cluster.programs import Program
from hack.cluster.versions import architecture

REACH_SECONDS = 3
READ_SECONDS = 60


class Unreachable(ClusterError):
    """The download site does not answer, or not with the file: try another way."""


@dataclass(frozen=True, slots=True)
class Sites:
    """Where the projects publish; a test names its own server."""

    kubernetes: str = "https://dl.k8s.io"
    etcd: str = "https://github.com/etcd-io/etcd/releases/download"
    coredns: str = "https://github.com/coredns/coredns/releases/download"
    vault: str = "https://releases.hashicorp.com/vault"
    versitygw: str = "https://github.com/versity/versitygw/releases/download"
    prometheus: str = "https://github.com/prometheus/prometheus/releases/download"
    helm: str = "https://get.helm.sh"
    gitleaks: str = "https://github.com/gitleaks/gitleaks/releases/download"


@dataclass(frozen=True, slots=True)
class Source:
    """A published file, the file with its sum, and the member that is the program when it is an archive."""

    url: str
    sum_url: str
    member: str | None


def build_source(program: Program, sites: Sites, machine: str | None = None) -> Source:
    """Return where a program is published for a processor, named as Go does."""
    machine = machine or architecture()
    version = program.version
    match program.project:
        case "kubernetes":
            url = f"{sites.kubernetes}/{version}/bin/linux/{machine}/{program.name}"
            return Source(url, f"{url}.sha256", None)
        case "etcd":
            folder = f"etcd-{version}-linux-{machine}"
            base = f"{sites.etcd}/{version}"
            return Source(f"{base}/{folder}.tar.gz", f"{base}/SHA256SUMS", f"{folder}/etcd")
        case "coredns":
            url = f"{sites.coredns}/{version}/coredns_{version.removeprefix('v')}_linux_{machine}.tgz"
            return Source(url, f"{url}.sha256", "coredns")
        case "vault":
            number = version.removeprefix("v")
            base = f"{sites.vault}/{number}/vault_{number}"
            return Source(f"{base}_linux_{machine}.zip", f"{base}_SHA256SUMS", "vault")
        case "versitygw":
            folder = f"versitygw_{version}_Linux_{'x86_64' if machine == 'amd64' else machine}"
            base = f"{sites.versitygw}/{version}"
            return Source(f"{base}/{folder}.tar.gz", f"{base}/checksums.txt", f"{folder}/versitygw")
        case "prometheus":
            folder = f"prometheus-{version.removeprefix('v')}.linux-{machine}"
            base = f"{sites.prometheus}/{version}"
            return Source(f"{base}/{folder}.tar.gz", f"{base}/sha256sums.txt", f"{folder}/{program.name}")
        case "helm":
            url = f"{sites.helm}/helm-{version}-linux-{machine}.tar.gz"
            return Source(url, f"{url}.sha256sum", f"linux-{machine}/helm")
        case "gitleaks":
            base = f"{sites.gitleaks}/{version}/gitleaks_{version.removeprefix('v')}"
            file = f"linux_{'x64' if machine == 'amd64' else machine}.tar.gz"
            return Source(f"{base}_{file}", f"{base}_checksums.txt", "gitleaks")
        case "argosync" | "netpol":
            raise Unreachable(f"{program.name} is published nowhere")


def parse_sum(text: str, file: str) -> str:
    """Find the SHA-256 of a file in a sum file, which holds one bare sum or lines of sum and name."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if len(lines) == 1 and len(lines[0]) == 1:
        return lines[0][0].lower()
    for fields in lines:
        if len(fields) == 2 and fields[1].lstrip("*") == file:
            return fields[0].lower()
    raise ClusterError(f"no sum of {file!r} was published: try again, or report it to the project that publishes it")


def download(
    program: Program, target: Path, *, sites: Sites | None = None, status: Callable[[str], None] = lambda _: None
) -> None:
    """Fetch a program to `target`.

    Raises Unreachable when the site does not answer, ClusterError when what it sent has another sum.
    """
    source = build_source(program, sites or Sites())
    file = source.url.rpartition("/")[2]
    published = parse_sum(_fetch(source.sum_url, REACH_SECONDS).decode(errors="replace"), file)
    status(f"downloading {program.name}")
    content = _fetch(source.url, READ_SECONDS)
    if hashlib.sha256(content).hexdigest() != published:
        raise ClusterError(f"{source.url!r} does not have the sum that was published for it: do not use it, try again")
    unfinished = target.with_name(f".{target.name}.download")
    unfinished.write_bytes(content if source.member is None else _take_member(content, source.member))
    unfinished.chmod(0o755)
    unfinished.rename(target)


def _take_member(archive: bytes, member: str) -> bytes:
    if zipfile.is_zipfile(io.BytesIO(archive)):
        with zipfile.ZipFile(io.BytesIO(archive)) as zipped:
            if member in zipped.namelist():
                return zipped.read(member)
        raise ClusterError(f"the archive holds no {member!r}: the project changed its layout")
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for entry in tar:
            if entry.name.removeprefix("./") == member and (file := tar.extractfile(entry)):
                return file.read()
    raise ClusterError(f"the archive holds no {member!r}: the project changed its layout")


def _fetch(url: str, seconds: float) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=seconds) as answer:  # noqa: S310 - the sites above, or a test's
            content: bytes = answer.read()
            return content
    except (urllib.error.URLError, OSError) as error:
        raise Unreachable(f"{url!r} cannot be had: {error}") from error
