"""What each project is, what it is given, and what it gives: one table for every way of running them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
# On the project's PYTHONPATH: a module that holds a graph in the middle until a test lets it go on.
GATE = FOLDER / "gate"


@dataclass(frozen=True)
class Case:
    """One project: its folder, and the steps that its graph notes."""

    name: str
    steps: tuple[str, ...] = ("first", "second")
    folder: str = ""
    graph: str = ""
    inputs: Mapping[str, Any] = field(default_factory=lambda: {"text": "hello"})
    variables: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the session's spec."""
    answer: Any = None
    """What answers the question that the graph ends in; None where it asks nothing."""

    @property
    def root(self) -> Path:
        return FOLDER / (self.folder or self.name)

    def check(self, output: Any) -> None:
        """Compare what the graph gave with what it should."""
        found = output["steps"] if "steps" in output else _speech(output)
        assert tuple(found) == self.steps, found


def _speech(output: Any) -> list[str]:
    last = output["messages"][-1]
    return [last["content"] if isinstance(last, dict) else last.content]


CASES = (
    Case("flat"),
    Case("src_layout", ("first", "from src")),
    Case("relative", ("first", "relative")),
    Case("namespace", ("first", "namespace")),
    Case("monorepo", ("first", "from libs"), folder="monorepo/apps/agent"),
    Case("shadowing", ("first", "beside json")),
    Case("broken_package", ("first", "alone")),
    Case("env_file", ("first", "good  morning!")),
    Case("spaces", folder="names", graph="an agent: the first"),
    Case("other_scripts", folder="names", graph="日本語"),
    Case("noisy"),
    Case("built", variables={"LANGSERVE_GRAPHS": '{"agent": "./agent.py:graph"}'}),
    Case("factory_config"),
    Case("factory_runtime"),
    Case("factory_both"),
    Case("factory_context"),
    Case("states", ("first", "red 3")),
    Case("functional"),
    Case("fanout", ("part 0", "part 1", "part 2", "joined")),
    Case("subgraphs", ("one hello", "three hello", "two hello", "joined")),
    Case("context", ("hello Ann", "goodbye Ann"), settings={"context": {"name": "Ann"}}),
    Case("context_of_defaults", ("hello nobody", "goodbye nobody"), folder="context"),
    Case(
        "configurable",
        ("a large model", "a tag", "blue"),
        settings={
            "config": {"configurable": {"model": "a large model"}, "tags": ["a tag"], "metadata": {"team": "blue"}}
        },
    ),
    Case("asking", ("first", "second", "accept"), answer=[{"type": "accept", "args": None}]),
    Case("chat", ("it said found x",), inputs={"messages": [{"role": "user", "content": "look x up"}]}),
)
