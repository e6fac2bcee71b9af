"""Images are found, ordered, built when their content changed, and moved without what is there already."""

import hashlib
import json
import tarfile
import tomllib
from pathlib import Path

import pytest

from hack.cluster.errors import ClusterError
from hack.cluster.pause import build_archive
from hack.images.base import BASES, build_debian_command, parse_suite
from hack.images.build import (
    CONSOLE_SOURCES,
    ON_OTHER_PYTHON,
    OTHER_PYTHON,
    ROOT,
    Image,
    compute_hash,
    find_images,
    select,
)
from hack.images.builders import (
    build_mounts,
    build_npm_configuration,
    build_pip_configuration,
    build_uv_configuration,
    is_start_refused,
)
from hack.images.store import ImageStore


def test_every_example_with_a_containerfile_is_an_image_on_top_of_the_runner() -> None:
    images = find_images()
    for file in (ROOT / "examples").glob("*/Containerfile"):
        assert images[f"example-{file.parent.name}"].base == "runner"


def test_what_an_image_stands_on_is_built_before_it() -> None:
    images = find_images()
    example = next(name for name in images if name.startswith("example-"))
    assert [image.name for image in select(images, [example])] == ["runner", example]


def test_an_unknown_image_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ClusterError, match="no image 'nothing': known are operator, gateway, runner"):
        select(find_images(), ["nothing"])


def test_images_on_another_python_are_built_by_name_alone_on_top_of_each_other() -> None:
    images = find_images()
    others = [f"{name}-{OTHER_PYTHON}" for name in ON_OTHER_PYTHON]
    assert not set(others) & {image.name for image in select(images, [])}
    assert [image.name for image in select(images, [others[-1]])] == [f"runner-{OTHER_PYTHON}", others[-1]]
    base = BASES[images[f"runner-{OTHER_PYTHON}"].base]
    assert base.official == f"docker.io/library/python:{OTHER_PYTHON.removeprefix('py')}-slim"


@pytest.mark.parametrize("image", ["runner", "operator"])
def test_the_base_is_one_argument_of_the_build(image: str) -> None:
    lines = (ROOT / "images" / image / "Containerfile").read_text().splitlines()
    stages = [line for line in lines if line.startswith("FROM ")]
    assert [line for line in lines if line.startswith("ARG ")] == ["ARG BASE=docker.io/library/python:3.11-slim"]
    assert all(line.split()[1] == "${BASE}" for line in stages)


def make_image(folder: Path) -> Image:
    (folder / "source").mkdir()
    (folder / "source" / "a.py").write_text("1")
    (folder / "Containerfile").write_text("FROM scratch")
    file = folder / "Containerfile"
    return Image("x", file, folder, (file, folder / "source"), "base-python")


def test_the_content_of_an_image_names_it(tmp_path: Path) -> None:
    image = make_image(tmp_path)
    first = compute_hash(image, "base", "buildah")
    (tmp_path / "source" / "__pycache__").mkdir()
    (tmp_path / "source" / "__pycache__" / "a.pyc").write_text("compiled here")
    (tmp_path / "unrelated").write_text("beside")
    assert compute_hash(image, "base", "buildah") == first
    assert compute_hash(image, "another base", "buildah") != first
    (tmp_path / "source" / "a.py").write_text("2")
    assert compute_hash(image, "base", "buildah") != first


def test_an_archive_has_only_what_the_reader_lacks(tmp_path: Path) -> None:
    saved = tmp_path / "saved.tar"
    saved.write_bytes(build_archive(b"a program", "docker.io/x/pause:1", "amd64"))
    store = ImageStore(tmp_path / "blobs")
    image = store.absorb(saved)
    assert store.has(image)

    store.write(image, "docker.io/x/pause:1", tmp_path / "all.tar")
    names, index = read_archive(tmp_path / "all.tar")
    assert {f"blobs/{digest.replace(':', '/')}" for digest in image.digests()} < names
    assert index["manifests"][0]["annotations"]["io.containerd.image.name"] == "docker.io/x/pause:1"

    store.write(image, "docker.io/x/pause:1", tmp_path / "some.tar", {image.layers[0].digest})
    assert f"blobs/{image.layers[0].digest.replace(':', '/')}" not in read_archive(tmp_path / "some.tar")[0]


def test_every_piece_in_an_archive_has_the_content_of_its_name(tmp_path: Path) -> None:
    saved = tmp_path / "saved.tar"
    saved.write_bytes(build_archive(b"a program", "docker.io/x/pause:1", "amd64"))
    store = ImageStore(tmp_path / "blobs")
    store.write(store.absorb(saved), "docker.io/x/pause:1", tmp_path / "all.tar")
    with tarfile.open(tmp_path / "all.tar") as tar:
        for entry in tar:
            if entry.name.startswith("blobs/") and (file := tar.extractfile(entry)):
                assert hashlib.sha256(file.read()).hexdigest() == entry.name.rpartition("/")[2]


def test_pieces_of_no_image_are_deleted(tmp_path: Path) -> None:
    saved = tmp_path / "saved.tar"
    saved.write_bytes(build_archive(b"a program", "docker.io/x/pause:1", "amd64"))
    store = ImageStore(tmp_path / "blobs")
    image = store.absorb(saved)
    (tmp_path / "blobs" / "old").write_text("old")
    store.prune([image])
    assert store.has(image)
    assert not (tmp_path / "blobs" / "old").exists()


def read_archive(path: Path) -> tuple[set[str], dict[str, list[dict[str, dict[str, str]]]]]:
    with tarfile.open(path) as tar:
        file = tar.extractfile("index.json")
        assert file is not None
        return set(tar.getnames()), json.load(file)


def test_a_machine_with_an_authority_of_its_own_lends_it_to_the_build() -> None:
    environment = {"PIP_CERT": "/etc/ssl/certs/ca-certificates.crt", "PIP_INDEX_URL": "https://mirror/simple"}
    mounts = build_mounts(environment, Path("/c/pip.conf"), Path("/c/pip"))
    assert "/etc/ssl/certs:/etc/ssl/certs:ro" in mounts
    written = build_pip_configuration(environment)
    assert "cert = /etc/ssl/certs/ca-certificates.crt\n" in written
    assert "index-url = https://mirror/simple\n" in written


def test_an_index_of_the_machine_is_used_by_the_build_unless_a_variable_names_another(tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://of-the-file/\nprogress-bar = off\n")
    files = [tmp_path / "pip.conf", tmp_path / "missing"]
    assert "index-url = https://of-the-file/\n" in build_pip_configuration({}, files)
    assert "progress-bar" not in build_pip_configuration({}, files)
    assert "https://of-the-file/" not in build_pip_configuration({"PIP_INDEX_URL": "https://other/"}, files)


def test_uv_inside_a_build_gets_its_packages_as_pip_does() -> None:
    environment = {"PIP_CERT": "/etc/ssl/certs/ca-certificates.crt", "PIP_INDEX_URL": "https://mirror/simple"}
    assert tomllib.loads(build_uv_configuration(environment)) == {
        "system-certs": True,
        "index": [{"url": "https://mirror/simple", "default": True}],
    }
    assert build_uv_configuration({}) == ""


def test_npm_inside_a_build_gets_its_packages_as_the_machine_does(tmp_path: Path) -> None:
    (tmp_path / "npmrc").write_text(
        "cafile = /etc/ssl/own.pem\n//x/:_authToken=s3cret\nregistry=https://of-the-file/\n"
    )
    files = [tmp_path / "missing", tmp_path / "npmrc"]
    assert build_npm_configuration({}, files) == "cafile=/etc/ssl/own.pem\nregistry=https://of-the-file/\n"
    environment = {"PIP_CERT": "/etc/ssl/certs/ca-certificates.crt", "NPM_CONFIG_REGISTRY": "https://other/"}
    written = build_npm_configuration(environment, files)
    assert written == "cafile=/etc/ssl/certs/ca-certificates.crt\nregistry=https://other/\n"
    assert build_npm_configuration({}) == ""
    assert "/c/npmrc:/etc/npmrc:ro" in build_mounts({}, Path("/c/pip.conf"), Path("/c/pip"), None, Path("/c/npmrc"))


def test_the_gateway_is_built_anew_where_the_console_changed_and_copies_all_of_its_sources() -> None:
    image = find_images()["gateway"]
    text = image.containerfile.read_text(encoding="utf-8")
    for name in CONSOLE_SOURCES:
        assert ROOT / "console" / name in image.inputs
        assert f"console/{name} " in text, name
    assert not any("node_modules" in path.parts for path in image.inputs)


def test_an_ordinary_machine_lends_only_its_cache() -> None:
    assert build_mounts({}, Path("/c/pip.conf"), Path("/c/pip")) == [
        "--volume",
        "/c/pip:/var/cache/pip:rw",
        "--volume",
        "/c/pip.conf:/etc/pip.conf:ro",
    ]
    assert "cert" not in build_pip_configuration({})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("ID=debian\nVERSION_CODENAME=trixie\n", "trixie", id="Debian"),
        pytest.param('ID=ubuntu\nVERSION_CODENAME="noble"\n', "noble", id="Ubuntu"),
        pytest.param("ID=fedora\nVERSION_CODENAME=\n", "bookworm", id="another"),
        pytest.param("ID=debian\n", "bookworm", id="a Debian that has no name yet"),
    ],
)
def test_the_base_is_of_the_release_of_the_machine(text: str, expected: str) -> None:
    assert parse_suite(text) == expected


def test_postgres_has_the_user_of_the_official_image() -> None:
    command = build_debian_command(BASES["base-postgres"], "bookworm", Path("/x.tar"))
    assert any("postgres:x:999:999:" in part for part in command)
    assert command[-2:] == ["bookworm", "/x.tar"]


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        (1, "Close_Fd sealing memfd copy: Device or resource busy\nsubprocess exited with status 1", True),
        (0, "Close_Fd sealing memfd copy: Device or resource busy", False),
        (1, "mount: Device or resource busy", False),
    ],
)
def test_only_a_step_that_the_kernel_did_not_start_is_started_again(status: int, said: str, expected: bool) -> None:
    assert is_start_refused(status, said) is expected
