"""The file: whole or absent, mode 0400, and known to be in memory."""

from pathlib import Path

import pytest

from agentic_vault import secretfile
from agentic_vault.errors import ExitCode, Missing

MOUNTS = """\
21 1 0:20 / / rw - overlay overlay rw
22 21 0:21 / /var/run/secrets/agentic/postgres rw - tmpfs tmpfs rw,size=1024k
23 21 0:22 / /var/run/secrets/agentic ro - ext4 /dev/vda rw
24 21 0:23 / /with\\040space rw - tmpfs tmpfs rw
"""


def test_an_earlier_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    file = tmp_path / "dsn"
    secretfile.write(file, "first")
    secretfile.write(file, "second")
    assert file.read_text() == "second"
    assert file.stat().st_mode & 0o777 == 0o400
    assert list(tmp_path.iterdir()) == [file]


def test_where_it_cannot_be_written_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "dsn").mkdir()
    (tmp_path / "dsn" / "in-the-way").touch()
    with pytest.raises(Missing, match="medium: Memory") as caught:
        secretfile.write(tmp_path / "dsn", "canary")
    assert caught.value.code == ExitCode.NOT_WRITTEN
    assert [path.name for path in tmp_path.iterdir()] == ["dsn"]
    with pytest.raises(Missing, match="No such file"):
        secretfile.write(tmp_path / "nowhere" / "dsn", "canary")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/run/secrets/agentic/postgres/dsn", ""),
        ("/var/run/secrets/agentic/other/dsn", "ext4"),
        ("/var/run/secrets/agentic/dsn", "ext4"),
        ("/with space/dsn", ""),
        ("/tmp/dsn", "overlay"),
    ],
)
def test_a_disk_is_told_from_memory(path: str, kind: str) -> None:
    assert secretfile.find_disk(Path(path), MOUNTS) == kind
