"""``make sbom``: what is in the images, as CycloneDX 1.6: Python packages with hashes and licences, and Debian's.

What is installed is read from the layers of the images as they were built, what may be installed from the locks: an
image that holds a package which is not locked, or lacks one that is, is an error and has no list. The same image gives
the same file.
"""

import argparse
import json
import re
import sys
import tarfile
import tomllib
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from typing import Any, Final

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, License, LicenseAcknowledgement
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.markers import Marker
from packaging.utils import canonicalize_name

from hack.cluster.errors import ClusterError
from hack.images.build import REPOSITORY, Built, find_built, find_layers
from hack.kubectl import ROOT

IMAGES: Final = ("operator", "runner", "gateway")
OUTPUT: Final = ROOT / "build" / "release"
_OWN_LICENSE: Final = "Apache-2.0"
_LOCKED: Final = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)(?: ; ([^\\\n]+?))?(?: \\)?$")
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_METADATA: Final = re.compile(r"(?:^|/)lib/python(\d+\.\d+)/site-packages/[^/]+\.dist-info/METADATA$")
_COPYRIGHT: Final = re.compile(r"usr/share/doc/([^/]+)/copyright$")
# What `python -m venv` takes from its base, and what images of authors are built with.
_OF_THE_BASE: Final = frozenset({"pip", "setuptools"})
# More than that is the text of a licence and not its name.
_MAX_NAME: Final = 120


@dataclass(frozen=True)
class Locked:
    """A line of a lock: which distributions of which version, and where."""

    version: str
    marker: str
    hashes: tuple[str, ...]

    def applies(self, python: str) -> bool:
        """Return whether it is for Linux with this Python."""
        environment = {
            "sys_platform": "linux",
            "platform_system": "Linux",
            "os_name": "posix",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "python_version": python,
            "python_full_version": f"{python}.0",
        }
        return not self.marker or Marker(self.marker).evaluate(environment)


@dataclass
class Content:
    """What is read of an image's layers, those above before those below."""

    python: str = ""
    packages: dict[str, Message] = field(default_factory=dict)
    debian: list[Mapping[str, str]] = field(default_factory=list)
    release: dict[str, str] = field(default_factory=dict)
    copyrights: dict[str, str] = field(default_factory=dict)


def read_version() -> str:
    """Return the version of this project."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def read_lock(text: str) -> dict[str, list[Locked]]:
    """Return the packages of a lock by their normalised names; one may stand in several lines, for several Pythons."""
    found: dict[str, list[Locked]] = {}
    for block in re.split(r"\n(?=\S)", text.strip()):
        line, _, rest = block.partition("\n")
        if (match := _LOCKED.match(line)) is None:
            raise ClusterError(f"a lock holds {line!r}: it is none of name==version")
        name, version, marker = match.groups()
        locked = Locked(version, (marker or "").strip(), tuple(_HASH.findall(rest)))
        if not locked.hashes:
            raise ClusterError(f"a lock holds {line!r} without a hash: run `make lock`")
        found.setdefault(canonicalize_name(name), []).append(locked)
    return found


def read_content(layers: Sequence[Path]) -> Content:
    """Read the layers of an image, the lowest first."""
    content = Content()
    for layer in layers:
        with tarfile.open(layer) as archive:
            for member in archive:
                _read_member(archive, member, content)
    return content


def _read_member(archive: tarfile.TarFile, member: tarfile.TarInfo, content: Content) -> None:
    name = member.name.removeprefix("./")
    found, about = _METADATA.search(name), _COPYRIGHT.search(name)
    # Debian's is a link to this.
    is_release = name == "usr/lib/os-release"
    if not member.isfile() or not (found or about or is_release or name == "var/lib/dpkg/status"):
        return
    file = archive.extractfile(member)
    text = file.read().decode("utf-8", "replace") if file is not None else ""
    if found:
        content.python = found[1]
        package = HeaderParser().parsestr(text)
        content.packages[canonicalize_name(package["Name"])] = package
    elif about:
        content.copyrights[about[1]] = text
    elif is_release:
        content.release = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    else:
        content.debian = [dict(_read_fields(block)) for block in text.strip().split("\n\n")]


def _read_fields(block: str) -> Iterator[tuple[str, str]]:
    for line in block.splitlines():
        name, colon, value = line.partition(": ")
        if colon and not line.startswith(" "):
            yield name, value


def compare(installed: Mapping[str, str], lock: Mapping[str, Iterable[Locked]], python: str) -> dict[str, Locked]:
    """Return the line of the lock for each package that is installed.

    What a virtual environment has from its base is none of the lock's.

    Raises:
        ClusterError: a package is installed that is not locked in that version, or one that is locked is not there.
    """
    wanted = {name: each for name, lines in lock.items() for each in lines if each.applies(python)}
    known = wanted.keys() | _OF_THE_BASE
    faults = [
        *(f"{name} {version} is installed and not locked" for name, version in installed.items() if name not in known),
        *(
            f"{name} is locked as {each.version}, and {installed.get(name) or 'not'} installed"
            for name, each in wanted.items()
            if installed.get(name) != each.version
        ),
    ]
    if faults:
        raise ClusterError(f"the image is not what its lock says: {'; '.join(sorted(faults))}: build it again")
    return wanted


def find_licenses(package: Message) -> list[License]:
    """Return what a package's metadata declares: an SPDX expression, else its classifiers, else its own words."""
    factory = LicenseFactory()
    classifiers = [
        value.rpartition(" :: ")[2]
        for value in package.get_all("Classifier", [])
        if value.startswith("License ::") and value != "License :: OSI Approved"
    ]
    stated = [package["License-Expression"], package["License"]]
    named = [value.strip() for value in stated if value and len(value.strip()) <= _MAX_NAME and "\n" not in value]
    chosen = named[:1] or classifiers
    return [factory.make_from_string(name, license_acknowledgement=LicenseAcknowledgement.DECLARED) for name in chosen]


def find_debian_licenses(copyright_file: str) -> list[License]:
    """Return the short names of a machine-readable copyright file; none if it is not one."""
    if not copyright_file.startswith("Format:"):
        return []
    names = dict.fromkeys(re.findall(r"^License: *(\S.*?)\s*$", copyright_file, re.MULTILINE))
    return [DisjunctiveLicense(name=name) for name in names]


def build_bom(image: str, built: Built, content: Content, lock: Mapping[str, Iterable[Locked]], created: str) -> Bom:
    """Return the list of one image's parts."""
    installed = {name: package["Version"] for name, package in content.packages.items()}
    wanted = compare(installed, lock, content.python)
    digest = built.stored.manifest_digest()
    root = Component(
        name=f"{REPOSITORY.partition('/')[2]}/{image}",
        version=read_version(),
        type=ComponentType.CONTAINER,
        bom_ref=f"image:{image}",
        purl=PackageURL("oci", None, image, digest, {"repository_url": f"{REPOSITORY.partition('/')[2]}/{image}"}),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest.partition(":")[2])],
        licenses=[LicenseFactory().make_from_string(_OWN_LICENSE)],
        properties=[Property(name="oci:layer", value=layer.digest) for layer in built.stored.layers],
    )
    parts = [
        *(_describe_python(name, content.packages[name], each) for name, each in sorted(wanted.items())),
        *(_describe_base(name, content.packages[name]) for name in sorted(installed.keys() - wanted.keys())),
        *_describe_debian(content),
    ]
    metadata = BomMetaData(component=root, timestamp=datetime.fromisoformat(created))
    # Told by what it lists: the same list is the same document.
    text = json.dumps([digest, sorted(str(part.purl) for part in parts)])
    bom = Bom(components=parts, metadata=metadata, serial_number=uuid.uuid5(uuid.NAMESPACE_OID, text))
    bom.register_dependency(root, parts)
    return bom


def _describe_python(name: str, package: Message, locked: Locked) -> Component:
    licenses = find_licenses(package)
    if not licenses:
        raise ClusterError(f"the metadata of {name} {locked.version} state no licence: look what it is")
    purl = PackageURL("pypi", None, name, locked.version)
    reference = ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION,
        url=XsUri(str(purl)),
        comment="the distributions that the lock allows, of which one is installed",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=content) for content in locked.hashes],
    )
    return Component(
        name=package["Name"],
        version=locked.version,
        bom_ref=str(purl),
        purl=purl,
        licenses=licenses,
        external_references=[reference],
    )


def _describe_base(name: str, package: Message) -> Component:
    """Return a package without a hash of its distribution: whoever made the base has it."""
    purl = PackageURL("pypi", None, name, package["Version"])
    told = [Property(name="origin", value="the base image")]
    return Component(
        name=package["Name"],
        version=package["Version"],
        bom_ref=str(purl),
        purl=purl,
        licenses=find_licenses(package),
        properties=told,
    )


def _describe_debian(content: Content) -> Iterator[Component]:
    system = content.release.get("ID", "debian").strip('"')
    distro = f"{system}-{content.release.get('VERSION_ID', '').strip(chr(34))}"
    for package in sorted(content.debian, key=lambda each: each["Package"]):
        if package.get("Status") != "install ok installed":
            continue
        name, version, machine = package["Package"], package["Version"], package["Architecture"]
        purl = PackageURL("deb", system, name, version, {"arch": machine, "distro": distro})
        licenses = find_debian_licenses(content.copyrights.get(name, ""))
        told = [] if licenses else [Property(name="license", value="not stated in the image in a form that is read")]
        yield Component(name=name, version=version, bom_ref=str(purl), purl=purl, licenses=licenses, properties=told)


def render(bom: Bom) -> str:
    """Return the document; raise :class:`ClusterError` if it does not keep to its schema."""
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    if (fault := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)) is not None:
        raise ClusterError(f"the list does not keep to CycloneDX 1.6: {str(fault)[:2000]}")
    return f"{text}\n"


def describe(image: str) -> str:
    """Return the document of an image as it was built last; raise :class:`ClusterError` where it cannot be made."""
    built = find_built(image)
    config, layers = find_layers(built)
    settings: dict[str, Any] = json.loads(config.read_bytes())
    lock = read_lock((ROOT / "requirements" / f"{image}.txt").read_text(encoding="utf-8"))
    return render(build_bom(image, built, read_content(layers), lock, settings["created"][:19] + "+00:00"))


def write_all(folder: Path, images: Sequence[str] = IMAGES) -> list[Path]:
    """Write one document for each image; return where."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / f"{image}.cdx.json" for image in images]
    for image, path in zip(images, written, strict=True):
        path.write_text(describe(image), encoding="utf-8")
        print(f"wrote {path}")
    return written


def main() -> int:
    """Write the documents; one line and status 1 where that cannot be."""
    parser = argparse.ArgumentParser(prog="python -m hack.sbom", description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder of the documents (default: build/release)")
    try:
        write_all(parser.parse_args().output)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
