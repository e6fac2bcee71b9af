"""LangGraph's config and context as a run passes them to the graph."""

import copy
import inspect
import json
import logging
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any

from agentic_core.contract import GRAPH_DEFAULTS
from agentic_core.errors import PermanentError
from agentic_core.resources.graph_config import GraphConfig
from agentic_core.run_settings import RunSettings, find_reserved, merge_settings
from agentic_runner.output.redaction import describe

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

log = logging.getLogger(__name__)


class SettingsRefused(PermanentError):
    """The session's config or context cannot be given to the graph."""


def build_config(
    thread_id: str, run: int, settings: RunSettings | None = None, *, turn: str | None = None, place: str = "/spec"
) -> "RunnableConfig":
    """Return LangGraph's config of a run, a copy of its own that no node's changes outlive.

    ``turn`` labels each checkpoint that is written with it (``turn_entry``). Raises :class:`SettingsRefused` where the
    settings, which stand at ``place``, name what is not theirs to set.
    """
    given = copy.deepcopy(settings or RunSettings())
    if problems := find_reserved(given):
        raise SettingsRefused("; ".join(f"{place}{problem}" for problem in problems))
    config: RunnableConfig = {
        "configurable": {**given.configurable, "thread_id": thread_id},
        "metadata": {**given.metadata, "agentic_run": run},
    }
    if turn is not None:
        config["metadata"]["agentic_turn"] = turn
    if given.tags:
        config["tags"] = list(given.tags)
    if given.recursion_limit is not None:
        config["recursion_limit"] = given.recursion_limit
    return config


def read_defaults(environ: Mapping[str, str]) -> RunSettings:
    """Return the definition's settings for all of its sessions, from the variables of an inspection."""
    given = json.loads(environ.get(GRAPH_DEFAULTS) or "{}")
    return merge_settings(GraphConfig.model_validate(given.get("config") or {}), given.get("context"))


def choose_limit(graph: Any, settings: RunSettings, default: int | None) -> int | None:
    """Return how many super-steps a run may take: by session or definition, by the graph's own config, by default."""
    own = (getattr(graph, "config", None) or {}).get("recursion_limit")
    return next((limit for limit in (settings.recursion_limit, own, default) if limit is not None), None)


def copy_context(settings: RunSettings) -> dict[str, Any] | None:
    """Return the context as session and definition give it, a copy; None if neither does."""
    return None if settings.context is None else copy.deepcopy(dict(settings.context))


def build_context(schema: Any, settings: RunSettings, *, place: str = "/spec") -> dict[str, Any] | None:
    """Return the context for LangGraph to make an instance of ``schema`` from; None for none.

    Where nobody gives one, LangGraph's context is None and so it stays if the schema cannot be made of nothing; if it
    can, its defaults are the context. Raises :class:`SettingsRefused` where the schema refuses what is given at
    ``place``.
    """
    given = copy_context(settings) or {}
    if not _is_called(schema):
        return given or None
    try:
        schema(**given)
    except Exception as error:
        if not given:
            log.info("no context given: %s needs values: %s", schema.__name__, describe(error))
            return None
        raise SettingsRefused(
            f"{place}/context: the graph's {schema.__name__} refuses it: {describe(error)}"
        ) from error
    return given


def _is_called(schema: Any) -> bool:
    from pydantic import BaseModel

    return inspect.isclass(schema) and (issubclass(schema, BaseModel) or is_dataclass(schema))
