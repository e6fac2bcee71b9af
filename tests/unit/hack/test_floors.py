"""The lowest versions are resolved for everything that we ship."""

import tomllib
from pathlib import Path

from hack.floors import build_compile_command
from hack.kubectl import ROOT


def test_every_extra_is_resolved_to_its_lowest_direct_versions() -> None:
    command = build_compile_command(Path("lowest.txt"))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert {command[index + 1] for index, word in enumerate(command) if word == "--extra"} == set(extras)
    assert command[command.index("--resolution") + 1] == "lowest-direct"
