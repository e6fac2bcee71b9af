"""What a graph is given beside its inputs: config and context, the session's own over the definition's defaults.

Merged key by key: a key of ``configurable``, ``metadata`` or ``context`` that the session names replaces the
definition's whole value of that key, ``null`` included; tags are united, the definition's first; the session's
``recursion_limit`` stands before the definition's (decision 20). What a turn of a conversation says stands before both,
by the same rules.

Some names are not for people to set: the thread and its checkpoints are the session's own, and what LangGraph or this
system records with each checkpoint must not be forged. ``manifests/operator/admission.yaml`` refuses the same names.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agentic_core.contract import MAX_CONFIG_BYTES, MAX_CONTEXT_BYTES
from agentic_core.errors import Problem
from agentic_core.input_rules import GRAPH_ACCEPTS
from agentic_core.resources.graph_config import GraphConfig
from agentic_core.resources.session import AgenticSession
from agentic_core.strict_json import JsonRefused, encode_json, json_pointer, parse_strict_json

_THREAD: Final = (
    "is set by the system: a session runs in a thread of its own; leave it out"
    " (spec.forkFrom starts from a checkpoint of another session)"
)
_RECORDED: Final = "is recorded with each checkpoint by the system itself; choose another name"
_INTERNAL: Final = "is a name for LangGraph's own use; choose one that does not begin with '__'"
_IDENTITY: Final = "says who is logged in, which nobody has checked here; choose another name, or use spec.userContext"

# They would name another thread or checkpoint, or end up among what a checkpoint's metadata says of itself.
RESERVED_CONFIGURABLE: Final[Mapping[str, str]] = {
    "thread_id": _THREAD,
    "checkpoint_ns": _THREAD,
    "checkpoint_id": _THREAD,
    "checkpoint_map": _THREAD,
    "run_id": _RECORDED,
    "counters_since_delta_snapshot": _RECORDED,
    "delta_writes_versioned": _RECORDED,
}
RESERVED_CONFIGURABLE_PREFIXES: Final[Mapping[str, str]] = {
    "__": _INTERNAL,
    "agentic_": _RECORDED,
    "langgraph_auth_": _IDENTITY,
}
RESERVED_METADATA: Final[Mapping[str, str]] = {
    **RESERVED_CONFIGURABLE,
    "source": _RECORDED,
    "step": _RECORDED,
    "parents": _RECORDED,
}
RESERVED_METADATA_PREFIXES: Final[Mapping[str, str]] = {
    "__": _INTERNAL,
    "agentic_": _RECORDED,
    "langgraph_": _RECORDED,
}
# It hides a node's task from whoever follows the graph, which is how a session's status knows where it is.
RESERVED_TAG: Final = "langsmith:hidden"


@dataclass(frozen=True)
class RunSettings:
    """Config and context of all runs of one session."""

    configurable: Mapping[str, Any] = field(default_factory=dict)
    recursion_limit: int | None = None
    """What session or definition say; None if neither does."""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] | None = None
    """None if neither session nor definition give one."""


def merge_settings(
    default: GraphConfig | None,
    default_context: Mapping[str, Any] | None,
    own: GraphConfig | None = None,
    own_context: Mapping[str, Any] | None = None,
) -> RunSettings:
    """Return the definition's config and context with the session's own over them."""
    return add_settings(add_settings(RunSettings(), default, default_context), own, own_context)


def add_settings(below: RunSettings, config: GraphConfig | None, context: Mapping[str, Any] | None) -> RunSettings:
    """Return ``below`` with another config and context over it."""
    config = config or GraphConfig()
    is_given = below.context is not None or context is not None
    return RunSettings(
        configurable={**below.configurable, **(config.configurable or {})},
        recursion_limit=below.recursion_limit if config.recursion_limit is None else config.recursion_limit,
        tags=tuple(dict.fromkeys((*below.tags, *config.tags))),
        metadata={**below.metadata, **(config.metadata or {})},
        context={**(below.context or {}), **(context or {})} if is_given else None,
    )


def read_settings(session: AgenticSession) -> RunSettings:
    """Return what a session's runs are given: its own over what it pinned of its definition."""
    pinned = session.status.workflow
    defaults = (pinned.spec or {}).get("defaults") or {} if pinned is not None else {}
    return merge_settings(
        GraphConfig.model_validate(defaults.get("config") or {}),
        defaults.get("context"),
        session.spec.config,
        session.spec.context,
    )


def find_settings_problems(
    config: GraphConfig | None, context: Mapping[str, Any] | None, place: str
) -> tuple[Problem, ...]:
    """Return why config and context are refused, whatever the graph; ``place`` is the pointer of what holds them."""
    found: list[Problem] = []
    if config is not None:
        given = {"configurable": config.configurable, "tags": config.tags, "metadata": config.metadata}
        found += _find_unstorable(given, f"{place}/config", MAX_CONFIG_BYTES)
        found += _find_reserved(config, f"{place}/config")
    if context is not None:
        found += _find_unstorable(context, f"{place}/context", MAX_CONTEXT_BYTES)
    return tuple(found)


def find_context_problems(schema: Mapping[str, Any] | None, settings: RunSettings) -> tuple[Problem, ...]:
    """Return why the graph whose context has this derived schema could not be given the context.

    A graph of the time before contexts declares what it reads in ``configurable``: there, what its schema requires may
    stand as well, where nobody gives a context.
    """
    # An inspection wrote it, which is code of the workflow's: what has not the shape of a schema says nothing.
    found_under = (schema or {}).get(GRAPH_ACCEPTS)
    accepted: Mapping[str, Any] = found_under if isinstance(found_under, Mapping) else {}
    required, properties = accepted.get("required"), accepted.get("properties")
    needed = [name for name in required if isinstance(name, str)] if isinstance(required, list) else []
    given = settings.context or {}
    missing = [name for name in needed if name not in given]
    if not given and all(name in settings.configurable for name in missing):
        return ()
    found = [
        Problem(
            f"/spec/context{json_pointer((name,))}",
            "is missing, and the graph's context cannot be made without it; give it here or in the definition's"
            " defaults.context",
        )
        for name in missing
    ]
    if accepted.get("additionalProperties") is False:
        known = tuple(properties) if isinstance(properties, Mapping) else ()
        found += [
            Problem(f"/spec/context{json_pointer((key,))}", _guess(key, known)) for key in given if key not in known
        ]
    return tuple(found)


def find_unknown_settings(
    config_schema: Mapping[str, Any] | None, context_schema: Mapping[str, Any] | None, settings: RunSettings
) -> tuple[Problem, ...]:
    """Return a warning for each key that looks like a mistyped one of those that the graph declares."""
    groups: tuple[tuple[str, Mapping[str, Any] | None, Mapping[str, Any]], ...] = (
        ("/spec/config/configurable", config_schema, settings.configurable),
        ("/spec/context", context_schema, settings.context or {}),
    )
    return tuple(
        Problem(f"{place}{json_pointer((key,))}", text)
        for place, schema, given in groups
        for key in given
        if (known := tuple((schema or {}).get("properties") or ())) and key not in known
        if "did you mean" in (text := _guess(key, tuple(name for name in known if name not in given)))
    )


def _guess(key: str, known: tuple[str, ...]) -> str:
    from difflib import get_close_matches

    similar = get_close_matches(key[:64], [name for name in known if len(name) <= 64], n=1, cutoff=0.7)
    said = "the graph's schema does not know it"
    return f"{said}; did you mean {similar[0]!r}?" if similar else f"{said}; it knows {', '.join(known[:10]) or 'none'}"


def find_reserved(settings: RunSettings) -> tuple[Problem, ...]:
    """Return the names in merged settings that are not for people to set."""
    config = GraphConfig(configurable=dict(settings.configurable), tags=settings.tags, metadata=dict(settings.metadata))
    return tuple(_find_reserved(config, "/config"))


def _find_unstorable(value: object, place: str, limit: int) -> Iterator[Problem]:
    try:
        parse_strict_json(encode_json(value), max_bytes=limit, unique_keys=False)
    except JsonRefused as refused:
        yield Problem(f"{place}{refused.pointer}", refused.message)


def _find_reserved(config: GraphConfig, place: str) -> Iterator[Problem]:
    groups: tuple[tuple[str, Iterable[str], Mapping[str, str], Mapping[str, str]], ...] = (
        ("configurable", config.configurable or {}, RESERVED_CONFIGURABLE, RESERVED_CONFIGURABLE_PREFIXES),
        ("metadata", config.metadata or {}, RESERVED_METADATA, RESERVED_METADATA_PREFIXES),
    )
    for group, keys, names, prefixes in groups:
        for key in keys:
            remedy = names.get(key) or next((text for start, text in prefixes.items() if key.startswith(start)), None)
            if remedy is not None:
                yield Problem(f"{place}{json_pointer((group, key))}", remedy)
    for index, tag in enumerate(config.tags):
        if tag == RESERVED_TAG:
            yield Problem(
                f"{place}/tags/{index}", f"{tag!r} would hide every node from the session's status; leave it out"
            )
