"""What `make scan` looks at: a credential that is planted in any of it is found, and not shown."""

import io
import secrets
import subprocess
import tarfile
from pathlib import Path

import pytest

from hack.cluster.binaries import ensure
from hack.kubectl import ROOT
from hack.scan import STRICT_RULES, render_manifests, scan_folder, scan_history, unpack_files


@pytest.fixture(scope="module")
def programs() -> dict[str, Path]:
    return ensure(["gitleaks", "helm"])


@pytest.fixture
def token() -> str:
    return f"ghp_{secrets.token_hex(18)}"


def test_one_that_a_later_commit_removed_is_found(
    programs: dict[str, Path], token: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def git(*arguments: str) -> None:
        who = ("-c", "user.name=me", "-c", "user.email=me@example.com")
        subprocess.run(["git", "-C", str(tmp_path), *who, *arguments], check=True, capture_output=True)

    git("init")
    for text in ("harmless", f"token = {token}", "harmless again"):
        (tmp_path / "settings").write_text(text)
        git("add", "settings")
        git("commit", "-m", "a change")

    assert scan_history(programs["gitleaks"], tmp_path) == 1
    said = "".join(capfd.readouterr())
    assert "settings" in said
    assert token not in said


def test_the_history_of_this_checkout_holds_no_credential(programs: dict[str, Path]) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout: there is no history to look at")
    assert scan_history(programs["gitleaks"]) == 0


def test_every_folder_of_the_manifests_is_looked_at(
    programs: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rendered = tmp_path / "rendered"
    rendered.mkdir()
    render_manifests(programs, rendered)
    folders = [found.parent for found in (ROOT / "manifests").rglob("kustomization.yaml")]
    assert len(list(rendered.glob("*.yaml"))) == len(folders) + 1
    assert all("kind:" in file.read_text() for file in rendered.glob("*.yaml"))
    rules = ("--config", str(STRICT_RULES))
    assert scan_folder(programs["gitleaks"], "manifests", rendered, *rules) == 0

    password = secrets.token_hex(8)
    (rendered / "more.yaml").write_text(f"data: {{dsn: 'postgresql://me:{password}@db/agentic'}}")
    assert scan_folder(programs["gitleaks"], "manifests", rendered, *rules) == 1
    assert password not in "".join(capfd.readouterr())


def test_one_in_a_layer_of_an_image_is_found(programs: dict[str, Path], token: str, tmp_path: Path) -> None:
    layer, folder = tmp_path / "layer", tmp_path / "unpacked"
    with tarfile.open(layer, "w") as archive:
        for name, text in (("opt/agentic/code.py", "print()"), ("etc/settings", f"token = {token}")):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text), 0
            archive.addfile(entry, io.BytesIO(text.encode()))
        link = tarfile.TarInfo("etc/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/shadow"
        archive.addfile(link)
    folder.mkdir()
    unpack_files(layer, folder)

    assert not (folder / "etc/link").is_symlink()
    assert scan_folder(programs["gitleaks"], "layer", folder) == 1
    (folder / "etc/settings").unlink()
    assert scan_folder(programs["gitleaks"], "layer", folder) == 0
