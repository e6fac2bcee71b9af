"""Release files of the images that the other tests run: complete, and of what the cluster has."""

import json
import re

import pytest

from hack.images.build import find_built
from hack.kubectl import ROOT
from hack.sbom import IMAGES, describe, read_lock


@pytest.mark.parametrize("image", IMAGES)
def test_the_list_of_an_image_has_every_locked_package_with_its_hashes_and_licence(image: str) -> None:
    document = json.loads(describe(image))
    parts = {part["purl"]: part for part in document["components"]}
    lock = read_lock((ROOT / "requirements" / f"{image}.txt").read_text(encoding="utf-8"))
    missing = {f"pkg:pypi/{name}@{each.version}" for name, found in lock.items() for each in found} - parts.keys()
    # But those for other systems and Pythons.
    assert all(re.match(r"pkg:pypi/(tzdata|httpx2-jsfetch)@", each) for each in missing), missing
    for name, found in lock.items():
        for each in found:
            if (part := parts.get(f"pkg:pypi/{name}@{each.version}")) is None:
                continue
            hashes = {one["content"] for reference in part["externalReferences"] for one in reference["hashes"]}
            assert hashes == set(each.hashes), name
            assert part["licenses"], name
    debian = {part["name"] for purl, part in parts.items() if purl.startswith("pkg:deb/")}
    assert {"libc6", "ca-certificates"} <= debian
    root = document["metadata"]["component"]
    assert root["purl"].startswith(f"pkg:oci/{image}@{find_built(image).stored.manifest_digest()}")
    assert describe(image) == describe(image)
