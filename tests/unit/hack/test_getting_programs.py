"""Programs come from the cache, a download with the right sum, or a build of pinned modules."""

import hashlib
import io
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from hack.cluster import binaries, debian, gobuild, gotoolchain
from hack.cluster.download import Sites, Unreachable, build_source, download, parse_sum
from hack.cluster.errors import ClusterError, MissingTool
from hack.cluster.gotoolchain import parse_go_version
from hack.cluster.programs import PROGRAMS
from hack.cluster.progress import Progress
from hack.cluster.versions import (
    COREDNS,
    ETCD,
    GITLEAKS,
    HELM,
    KUBERNETES,
    PROMETHEUS,
    VAULT,
    VERSITYGW,
    architecture,
)

CONTENT = b"#!/bin/sh\necho a program\n"
SUM = hashlib.sha256(CONTENT).hexdigest()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, Sites]]:
    folder = tmp_path / "site"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
    thread = Thread(target=partial(server.serve_forever, poll_interval=0.01))
    thread.start()
    base = f"http://127.0.0.1:{server.server_port}"
    try:
        yield folder, Sites(base, base, base, base)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def publish(folder: Path, url: str, content: bytes) -> None:
    path = folder / url.split("/", 3)[3]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_each_project_is_published_at_its_place() -> None:
    kubelet, etcd, coredns = (build_source(PROGRAMS[name], Sites(), "arm64") for name in ("kubelet", "etcd", "coredns"))
    assert kubelet.url == f"https://dl.k8s.io/{KUBERNETES}/bin/linux/arm64/kubelet"
    assert kubelet.sum_url == f"{kubelet.url}.sha256"
    assert etcd.url.endswith(f"/{ETCD}/etcd-{ETCD}-linux-arm64.tar.gz")
    assert etcd.member == f"etcd-{ETCD}-linux-arm64/etcd"
    assert coredns.url.endswith(f"/coredns_{COREDNS.removeprefix('v')}_linux_arm64.tgz")
    vault = build_source(PROGRAMS["vault"], Sites(), "arm64")
    assert vault.url.endswith(f"/{VAULT.removeprefix('v')}/vault_{VAULT.removeprefix('v')}_linux_arm64.zip")
    gateway = build_source(PROGRAMS["versitygw"], Sites(), "amd64")
    assert gateway.url.endswith(f"/{VERSITYGW}/versitygw_{VERSITYGW}_Linux_x86_64.tar.gz")
    assert gateway.member == f"versitygw_{VERSITYGW}_Linux_x86_64/versitygw"
    promtool = build_source(PROGRAMS["promtool"], Sites(), "amd64")
    assert promtool.url.endswith(f"/{PROMETHEUS}/prometheus-{PROMETHEUS.removeprefix('v')}.linux-amd64.tar.gz")
    assert promtool.member == f"prometheus-{PROMETHEUS.removeprefix('v')}.linux-amd64/promtool"
    helm = build_source(PROGRAMS["helm"], Sites(), "arm64")
    assert (helm.url, helm.member) == (f"https://get.helm.sh/helm-{HELM}-linux-arm64.tar.gz", "linux-arm64/helm")
    assert helm.sum_url == f"{helm.url}.sha256sum"
    gitleaks = build_source(PROGRAMS["gitleaks"], Sites(), "amd64")
    number = GITLEAKS.removeprefix("v")
    assert gitleaks.url.endswith(f"/{GITLEAKS}/gitleaks_{number}_linux_x64.tar.gz")
    assert gitleaks.sum_url.endswith(f"/{GITLEAKS}/gitleaks_{number}_checksums.txt")


def test_prometheus_counts_its_versions_otherwise_as_a_module() -> None:
    assert PROGRAMS["promtool"].module_version == f"v0.{PROMETHEUS.removeprefix('v').replace('.', '', 1)}"
    assert PROGRAMS["vault"].module_version == VAULT


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("ABC\n", "abc", id="a bare sum"),
        pytest.param("1  other\n2  wanted\n", "2", id="a line among others"),
        pytest.param("2 *wanted\n", "2", id="a line of binary mode"),
    ],
)
def test_a_sum_is_found(text: str, expected: str) -> None:
    assert parse_sum(text, "wanted") == expected


def test_a_file_without_a_sum_is_refused() -> None:
    with pytest.raises(ClusterError, match="no sum of 'wanted'"):
        parse_sum("1  other\n2  another\n", "wanted")


def test_a_program_with_the_published_sum_is_kept(site: tuple[Path, Sites], tmp_path: Path) -> None:
    folder, sites = site
    source = build_source(PROGRAMS["kubelet"], sites)
    publish(folder, source.url, CONTENT)
    publish(folder, source.sum_url, SUM.encode())
    download(PROGRAMS["kubelet"], tmp_path / "kubelet", sites=sites)
    assert (tmp_path / "kubelet").read_bytes() == CONTENT
    assert (tmp_path / "kubelet").stat().st_mode & 0o111


def test_a_program_is_taken_out_of_its_archive(site: tuple[Path, Sites], tmp_path: Path) -> None:
    folder, sites = site
    source = build_source(PROGRAMS["etcd"], sites)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        entry = tarfile.TarInfo(str(source.member))
        entry.size = len(CONTENT)
        tar.addfile(entry, io.BytesIO(CONTENT))
    publish(folder, source.url, buffer.getvalue())
    file = source.url.rpartition("/")[2]
    publish(folder, source.sum_url, f"{hashlib.sha256(buffer.getvalue()).hexdigest()}  {file}\n0  other\n".encode())
    download(PROGRAMS["etcd"], tmp_path / "etcd", sites=sites)
    assert (tmp_path / "etcd").read_bytes() == CONTENT


def test_a_program_is_taken_out_of_a_zip(site: tuple[Path, Sites], tmp_path: Path) -> None:
    folder, sites = site
    source = build_source(PROGRAMS["vault"], sites)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        zipped.writestr("LICENSE.txt", "a licence")
        zipped.writestr("vault", CONTENT)
    publish(folder, source.url, buffer.getvalue())
    file = source.url.rpartition("/")[2]
    publish(folder, source.sum_url, f"{hashlib.sha256(buffer.getvalue()).hexdigest()}  {file}\n".encode())
    download(PROGRAMS["vault"], tmp_path / "vault", sites=sites)
    assert (tmp_path / "vault").read_bytes() == CONTENT
    assert (tmp_path / "vault").stat().st_mode & 0o111


def test_a_program_with_another_sum_is_refused(site: tuple[Path, Sites], tmp_path: Path) -> None:
    folder, sites = site
    source = build_source(PROGRAMS["kubelet"], sites)
    publish(folder, source.url, CONTENT + b"changed")
    publish(folder, source.sum_url, SUM.encode())
    with pytest.raises(ClusterError, match="does not have the sum"):
        download(PROGRAMS["kubelet"], tmp_path / "kubelet", sites=sites)
    assert not (tmp_path / "kubelet").exists()


def test_a_site_without_the_file_is_unreachable(site: tuple[Path, Sites], tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="404"):
        download(PROGRAMS["kubelet"], tmp_path / "kubelet", sites=site[1])


def test_missing_programs_are_downloaded_into_the_cache_once(
    site: tuple[Path, Sites], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, sites = site
    monkeypatch.setenv("AGENTIC_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    source = build_source(PROGRAMS["kubelet"], sites)
    publish(folder, source.url, CONTENT)
    publish(folder, source.sum_url, SUM.encode())
    found = binaries.ensure(["kubelet"], progress=Progress(io.StringIO()), sites=sites)
    assert found["kubelet"].relative_to(tmp_path / "cache").parts == (
        "bin",
        f"kubernetes-{KUBERNETES}-linux-{architecture()}",
        "kubelet",
    )
    publish(folder, source.url, b"nobody asks for this")
    assert binaries.ensure(["kubelet"], sites=sites) == found


def test_without_download_go_and_pip_the_message_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gotoolchain, "find_spec", lambda _: None)
    monkeypatch.setenv("AGENTIC_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    closed = Sites(*["http://127.0.0.1:9"] * 4)
    with pytest.raises(MissingTool, match=r"no Go 1\.21 or newer .* and no pip"):
        binaries.ensure(["kubelet"], progress=Progress(io.StringIO()), sites=closed)


def test_test_binaries_that_the_person_names_are_taken(tmp_path: Path) -> None:
    (tmp_path / "etcd").write_bytes(CONTENT)
    environment = {"AGENTIC_CACHE": str(tmp_path / "cache"), "KUBEBUILDER_ASSETS": str(tmp_path)}
    assert binaries.find(PROGRAMS["etcd"], environment) == tmp_path / "etcd"
    assert binaries.find(PROGRAMS["kubelet"], environment) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("go version go1.25.3 linux/amd64", (1, 25), id="a release"),
        pytest.param("go version go1.26rc1 linux/arm64", (1, 26), id="a candidate"),
        pytest.param("bash: go: not found", None, id="no Go"),
    ],
)
def test_the_version_of_go_is_read(text: str, expected: tuple[int, int] | None) -> None:
    assert parse_go_version(text) == expected


def test_every_module_that_kubernetes_names_is_pinned() -> None:
    own = """module k8s.io/kubernetes

go 1.25.0

require (
\tgoogle.golang.org/grpc v1.72.2
\tk8s.io/api v0.0.0
\tgithub.com/coredns/caddy v1.1.1 // indirect
\tgithub.com/pkg/errors v0.9.1 // indirect
)
"""
    module = gobuild.build_module(own)
    assert f"k8s.io/api => k8s.io/api v0.{KUBERNETES.split('.', 1)[1]}" in module
    assert "google.golang.org/grpc => google.golang.org/grpc v1.72.2" in module
    assert "github.com/pkg/errors => github.com/pkg/errors v0.9.1" in module
    assert "caddy" not in module
    assert "\ngo 1.25.0\n" in module


def test_a_program_of_its_own_is_built_with_what_its_project_replaces() -> None:
    own = """module example.org/vault

go 1.23.3

replace example.org/vault/sdk => ./sdk

replace example.org/keyring => example.org/other/keyring v1.2.3

replace (
\texample.org/signed v1.1.1 => example.org/moved v1.1.1
\texample.org/near => ../near
)
"""
    module = gobuild.build_own_module("example.org/vault", "v1.19.0", own)
    assert "\nrequire example.org/vault v1.19.0\n" in module
    assert "\nreplace example.org/keyring => example.org/other/keyring v1.2.3\n" in module
    assert "\nreplace example.org/signed v1.1.1 => example.org/moved v1.1.1\n" in module
    assert "./" not in module
    assert "\ngo 1.23.3\n" in module


def test_the_version_is_stamped_into_kubernetes() -> None:
    flags = gobuild.build_linker_flags("v1.35.4")
    assert "-X k8s.io/component-base/version.gitVersion=v1.35.4" in flags
    assert "-X k8s.io/component-base/version.gitMinor=35" in flags


def test_the_built_name_of_a_versioned_module_has_no_version() -> None:
    assert PROGRAMS["etcd"].built_name == "server"
    assert PROGRAMS["kubelet"].built_name == "kubelet"
    assert PROGRAMS["coredns"].built_name == "coredns"


def pack(folder: Path, program: str) -> Path:
    """Make a package of Debian with one program in it."""
    tree = folder / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: prometheus\nVersion: 1\nArchitecture: all\nMaintainer: nobody <a@b.c>\nDescription: test\n"
    )
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/bin" / program).write_bytes(CONTENT)
    (tree / "usr/bin" / program).chmod(0o755)
    package = folder / "prometheus_1_all.deb"
    subprocess.run(["dpkg-deb", "--build", str(tree), str(package)], check=True, capture_output=True)
    return package


@pytest.mark.parametrize(
    ("program", "holds", "is_taken"),
    [("promtool", "promtool", True), ("promtool", "other", False), ("helm", "helm", False)],
)
def test_a_program_is_taken_out_of_a_package_without_installing_it(
    program: str, holds: str, is_taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = pack(tmp_path, holds)
    apt = tmp_path / "bin/apt-get"
    apt.parent.mkdir()
    apt.write_text(f'#!/bin/sh\ntest "$1 $2 $3" = "download -q prometheus" && cp {package} .\n')
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{apt.parent}:/usr/bin:/bin")
    target = tmp_path / "program"
    assert debian.take(PROGRAMS[program], tmp_path / "scratch", target, Progress()) is is_taken
    assert target.exists() is is_taken
    if is_taken:
        assert target.read_bytes() == CONTENT
        assert os.access(target, os.X_OK)


def test_a_package_that_is_not_to_be_had_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text("#!/bin/sh\nexit 100\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert not debian.take(PROGRAMS["promtool"], tmp_path / "scratch", tmp_path / "program", Progress())
