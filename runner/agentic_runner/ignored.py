"""Settings of ``langgraph.json`` that have no effect here: the inspection names them, so none is ignored in silence."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Ignored:
    """A setting that has no effect: a JSON pointer into ``langgraph.json``, and the remedy."""

    setting: str
    message: str
