"""The parts of the long tests name what exists."""

import importlib.util

import pytest

from hack.full import PARTS, build_steps
from hack.kubectl import ROOT


@pytest.mark.parametrize("name", PARTS)
def test_each_command_of_a_part_exists(name: str) -> None:
    for _, command in build_steps(PARTS[name]):
        assert command[1] == "-m"
        assert importlib.util.find_spec(command[2]) is not None
        for word in command[3:]:
            if word.startswith("tests/"):
                assert (ROOT / word).exists(), word
            if command[2] == "bench":
                assert (ROOT / "bench" / f"{word}.py").exists(), word


def test_parts_on_the_cluster_prepare_it_first() -> None:
    titles = [title for title, _ in build_steps(PARTS["vault"])]
    assert titles[:4] == ["local cluster", "programs that tests start", "images", "operator"]
    assert [title for title, _ in build_steps(PARTS["kills"])] == [
        "-m bench.kills --kills 200",
        "-m bench.conversation_kills --kills 200",
        "-m bench.turn_kills --kills 200",
    ]
