"""The contract's constants are what its page documents."""

import re

from agentic_core.contract import ENV, LOCAL_ENV
from hack.kubectl import ROOT


def test_the_documented_variables_of_a_run_are_those_of_the_contract() -> None:
    page = (ROOT / "docs/runner-contract.md").read_text(encoding="utf-8")
    table = page.split("## Variables\n")[1].split("\nOptional,")[0]
    named = [
        name
        for row in table.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`([A-Z_]+)`", row.split(" | ")[0])
    ]
    assert sorted(named) == sorted({*ENV, *LOCAL_ENV})
