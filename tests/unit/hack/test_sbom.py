"""What is in an image, and where a release comes from: read from layers and locks, and compared."""

import io
import json
import tarfile
from collections.abc import Mapping
from email.parser import HeaderParser
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from hack.cluster.errors import ClusterError
from hack.images.build import Built
from hack.images.store import Blob, StoredImage
from hack.kubectl import ROOT
from hack.provenance import build_statement, parse_pushed
from hack.sbom import IMAGES, build_bom, compare, find_debian_licenses, find_licenses, read_content, read_lock, render

SITE = "opt/agentic/lib/python3.11/site-packages"
LOCK = f"""\
a-b==1.0 \\
    --hash=sha256:{"a" * 64} \\
    --hash=sha256:{"b" * 64}
c==2.0 ; sys_platform == 'win32' \\
    --hash=sha256:{"c" * 64}
d==3 ; python_full_version < '3.12' \\
    --hash=sha256:{"d" * 64}
d==4 ; python_full_version >= '3.12' \\
    --hash=sha256:{"e" * 64}
"""
STATUS = """\
Package: libssl3
Status: install ok installed
Architecture: amd64
Version: 3.0.17-1~deb12u3
Description: Secure Sockets Layer toolkit
 Status: is no field here

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""
BUILT = Built("x", StoredImage(Blob("c", f"sha256:{'1' * 64}", 1), (Blob("l", f"sha256:{'2' * 64}", 1),)))
CREATED = "2026-01-02T03:04:05+00:00"


def metadata(name: str, version: str, *more: str) -> str:
    return "\n".join([f"Name: {name}", f"Version: {version}", *more, "", "License: this is the description\n"])


def make_layer(folder: Path, number: int, files: Mapping[str, str]) -> Path:
    path = folder / f"{number}.tar"
    with tarfile.open(path, "w") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


def make_layers(folder: Path, **packages: str) -> list[Path]:
    base = {
        "var/lib/dpkg/status": STATUS,
        "usr/lib/os-release": 'ID=debian\nVERSION_ID="12"\n',
        "usr/share/doc/libssl3/copyright": "Format: x\n\nFiles: *\nLicense: Apache-2.0\n\nLicense: Artistic\n text\n",
    }
    installed = {
        "A_B": metadata("A_B", "1.0", "License-Expression: MIT"),
        "d": metadata("d", "3", "License: BSD"),
        "pip": metadata("pip", "9", "License: MIT"),
        **packages,
    }
    texts = {f"{SITE}/{name}.dist-info/METADATA": text for name, text in installed.items() if text}
    return [make_layer(folder, 1, base), make_layer(folder, 2, texts)]


def test_a_list_has_every_locked_package_with_hashes_and_licence_and_what_debian_installed(tmp_path: Path) -> None:
    def write() -> str:
        return render(build_bom("operator", BUILT, read_content(make_layers(tmp_path)), read_lock(LOCK), CREATED))

    parts = {part["purl"]: part for part in json.loads(write())["components"]}
    debian = "pkg:deb/debian/libssl3@3.0.17-1~deb12u3?arch=amd64&distro=debian-12"
    assert set(parts) == {"pkg:pypi/a-b@1.0", "pkg:pypi/d@3", "pkg:pypi/pip@9", debian}
    (reference,) = parts["pkg:pypi/a-b@1.0"]["externalReferences"]
    assert {each["content"] for each in reference["hashes"]} == {"a" * 64, "b" * 64}
    assert parts["pkg:pypi/a-b@1.0"]["licenses"][0]["license"]["id"] == "MIT"
    assert [each["license"]["name"] for each in parts[debian]["licenses"]] == ["Apache-2.0", "Artistic"]
    # The same image, the same list.
    assert write() == write()


@pytest.mark.parametrize(
    ("packages", "said"),
    [
        ({"d": ""}, "d is locked as 3, and not installed"),
        ({"d": metadata("d", "4", "License: MIT")}, "d is locked as 3, and 4 installed"),
        ({"e": metadata("e", "1", "License: MIT")}, "e 1 is installed and not locked"),
        ({"d": metadata("d", "3")}, "the metadata of d 3 state no licence"),
    ],
)
def test_an_image_that_is_not_what_its_lock_says_has_no_list(
    tmp_path: Path, packages: dict[str, str], said: str
) -> None:
    content = read_content(make_layers(tmp_path, **packages))
    with pytest.raises(ClusterError, match=said):
        build_bom("operator", BUILT, content, read_lock(LOCK), CREATED)


@pytest.mark.parametrize("text", ["a>=1 \\\n    --hash=sha256:00", "a==1"])
def test_a_line_that_locks_nothing_is_refused(text: str) -> None:
    with pytest.raises(ClusterError, match="a lock holds"):
        read_lock(text)


def test_a_licence_is_what_the_metadata_declare_and_no_text_of_one() -> None:
    def find(*lines: str) -> list[str]:
        package = HeaderParser().parsestr("\n".join(["Name: x", *lines, "", ""]))
        return [
            getattr(each, "id", None) or getattr(each, "name", None) or str(each) for each in find_licenses(package)
        ]

    assert find("License-Expression: Apache-2.0", "License: x") == ["Apache-2.0"]
    assert find(f"License: {'word ' * 100}", "Classifier: License :: OSI Approved :: MIT License") == ["MIT License"]
    assert find("License: BSD-3-Clause", "Classifier: License :: OSI Approved :: BSD License") == ["BSD-3-Clause"]
    assert find("Classifier: Programming Language :: Python") == []
    assert find_debian_licenses("This package was debianized by hand.\nLicense: MIT\n") == []


@pytest.mark.parametrize("image", IMAGES)
def test_the_locks_of_the_images_are_read_whole(image: str) -> None:
    text = (ROOT / "requirements" / f"{image}.txt").read_text(encoding="utf-8")
    lock = read_lock(text)
    lines = [line for line in text.splitlines() if "==" in line and not line.startswith(" ")]
    assert sum(map(len, lock.values())) == len(lines)
    assert sum(len(each.hashes) for found in lock.values() for each in found) == text.count("--hash=sha256:")
    # What is installed exactly as it is locked passes, on each Python.
    for python in ("3.11", "3.13"):
        installed = {name: each.version for name, found in lock.items() for each in found if each.applies(python)}
        assert compare(installed, lock, python).keys() == installed.keys()
        assert canonicalize_name("psycopg_binary") in installed
        # What is locked for another platform alone is not asked for.
        elsewhere = {line.partition("==")[0] for line in lines if "; sys_platform == 'win32'" in line}
        assert not elsewhere & installed.keys()


def test_a_statement_names_what_was_made_of_what_and_no_signature() -> None:
    statement = build_statement(
        {"r/operator": "1" * 64}, {"chart.tgz": "2" * 64}, "c" * 40, {"lock": "3" * 64}, "urn:me"
    )
    assert [(each["name"], each["digest"]["sha256"][0]) for each in statement["subject"]] == [
        ("chart.tgz", "2"),
        ("r/operator", "1"),
    ]
    assert (statement["_type"], statement["predicateType"]) == (
        "https://in-toto.io/Statement/v1",
        "https://slsa.dev/provenance/v1",
    )
    (source, lock) = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert (source["digest"], lock["digest"]) == ({"gitCommit": "c" * 40}, {"sha256": "3" * 64})
    assert statement["predicate"]["runDetails"] == {"builder": {"id": "urn:me"}}
    assert "sign" not in json.dumps(statement)


@pytest.mark.parametrize("entry", ["r/operator:1", "r/operator@sha256:12", f"r/operator@sha256:{'G' * 64}"])
def test_a_pushed_image_without_a_digest_is_refused(entry: str) -> None:
    with pytest.raises(ClusterError, match="names no digest"):
        parse_pushed([entry])
    assert parse_pushed([f"r/operator@sha256:{'a' * 64}"]) == {"r/operator": "a" * 64}
