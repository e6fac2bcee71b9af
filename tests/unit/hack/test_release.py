"""The decisions of a release: its version, its notes, its checksums, and what is refused."""

import hashlib
import subprocess
from pathlib import Path

import pytest
import yaml

from hack.release import (
    NotReleasable,
    choose_version,
    find_notes,
    find_tag,
    format_checksums,
    read_stated,
    read_version,
    require_version,
)
from hack.sbom import IMAGES
from tests.unit.test_layout import ROOT

CHANGELOG = """\
# Changelog

## Unreleased

### Added

- Something new ([how](docs/new.md#how)).

## 1.2.3 - 2026-01-02

### Fixed

- Something old.

## 1.2.30

- Another.
"""


@pytest.mark.parametrize(("tag", "version"), [("v1.2.3", "1.2.3"), ("v10.0.0-rc.1", "10.0.0-rc.1")])
def test_the_version_is_the_tags(tag: str, version: str) -> None:
    assert read_version(tag) == version


@pytest.mark.parametrize("tag", ["", "1.2.3", "v1.2", "v1.2.3.4", "version", "v1.2.3;x"])
def test_a_tag_without_a_version_is_refused(tag: str) -> None:
    with pytest.raises(NotReleasable, match="names no version"):
        read_version(tag)


def test_a_commit_without_a_tag_can_be_tried_and_a_tag_is_not_overruled() -> None:
    assert choose_version("", "1.2.3") == choose_version("v1.2.3", "") == choose_version("v1.2.3", "1.2.3") == "1.2.3"
    for tag, tried in (("", ""), ("v1.2.3", "1.2.4")):
        with pytest.raises(NotReleasable, match="the commit"):
            choose_version(tag, tried)


def test_all_places_of_this_checkout_state_one_version() -> None:
    stated = read_stated()
    assert len(stated) == 4
    require_version(stated["pyproject.toml"], stated)
    with pytest.raises(NotReleasable, match=r"the version is 99\.0\.0, but pyproject\.toml states"):
        require_version("99.0.0", stated)


def test_notes_are_the_versions_own_part() -> None:
    assert find_notes(CHANGELOG, "1.2.3", is_tagged=True) == "# 1.2.3\n\n### Fixed\n\n- Something old.\n"


def test_before_the_tag_notes_are_what_is_not_released_and_their_links_lead_to_the_tag() -> None:
    notes = find_notes(CHANGELOG, "2.0.0", is_tagged=False)
    assert notes.startswith("# 2.0.0 (not tagged yet)\n\n### Added")
    assert "[how](../../blob/v2.0.0/docs/new.md#how)" in notes


def test_a_tag_without_a_heading_in_the_changelog_is_refused() -> None:
    with pytest.raises(NotReleasable, match=r"no heading for 2\.0\.0"):
        find_notes(CHANGELOG, "2.0.0", is_tagged=True)


def test_checksums_are_read_by_sha256sum(tmp_path: Path) -> None:
    hashes = {}
    for name in ("b.txt", "a.tgz"):
        (tmp_path / name).write_text(name)
        hashes[name] = hashlib.sha256(name.encode()).hexdigest()
    (tmp_path / "SHA256SUMS").write_text(format_checksums(hashes))
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "a.tgz: OK\nb.txt: OK\n"


def test_the_tag_is_that_of_the_commit_alone(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "one")
    assert find_tag(tmp_path) == ""
    git("tag", "v1.2.3")
    assert find_tag(tmp_path) == "v1.2.3"
    git("commit", "-q", "--allow-empty", "-m", "two")
    assert find_tag(tmp_path) == ""


def test_the_workflow_of_the_forge_releases_every_image() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/release.yaml").read_text(encoding="utf-8"))
    assert set(workflow["jobs"]["images"]["strategy"]["matrix"]["image"]) == set(IMAGES)
