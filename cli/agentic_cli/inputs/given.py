"""Config and context of a new session, from files and ``key=value``, checked before anything is sent.

``--context`` is the kubeconfig's, as everywhere in Kubernetes: the graph's is ``--graph-context``.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from agentic_cli.inputs.values import build_inputs
from agentic_core.errors import InvalidResource, PermanentError, Problem

F = TypeVar("F", bound=Callable[..., Any])


def given_options(command: F) -> F:
    """Give a command that creates a session the options for LangGraph's config and context."""
    for option in (
        click.option("--recursion-limit", type=click.IntRange(1), help="How many super-steps a run may take."),
        click.option(
            "--graph-context-file",
            "context_file",
            metavar="FILE",
            type=click.Path(),
            help="Context as JSON or YAML; - is stdin.",
        ),
        click.option("--graph-context", "contexts", metavar="KEY=VALUE", multiple=True, help="One key of the context."),
        click.option("--config-file", metavar="FILE", type=click.Path(), help="Config as JSON or YAML; - is stdin."),
        click.option("-c", "--config", "configs", metavar="KEY=VALUE", multiple=True, help="One key of configurable."),
    ):
        command = option(command)
    return command


def build_given(
    base: Mapping[str, Any],
    *,
    configs: tuple[str, ...],
    config_file: str | None,
    contexts: tuple[str, ...],
    context_file: str | None,
    recursion_limit: int | None,
    status: Mapping[str, Any],
) -> dict[str, Any]:
    """Return ``config`` and ``context`` of a session: those of ``base``, overridden by the options.

    ``status`` is the definition's; its schemas give the types of texts. Raises ``PermanentError``.
    """
    config = {**(base.get("config") or {}), **(_read(config_file) if config_file else {})}
    if configs:
        own = dict(config.get("configurable") or {})
        config["configurable"] = build_inputs(own, configs, status.get("configSchema"), is_strict=False)
    if recursion_limit is not None:
        config["recursion_limit"] = recursion_limit
    context = {**(base.get("context") or {}), **(_read(context_file) if context_file else {})}
    context = build_inputs(context, contexts, status.get("contextSchema"), is_strict=False)
    given = {"config": config, "context": context}
    kept = {key: value for key, value in given.items() if value or key in base}
    _require_settable(kept)
    return kept


def _read(source: str) -> dict[str, Any]:
    from agentic_cli.inputs.documents import read_document

    value = read_document(source)
    if not isinstance(value, dict):
        raise PermanentError(f"{source!r} holds no object")
    return value


def _require_settable(given: Mapping[str, Any]) -> None:
    if not given:
        return
    # Models take longer to load than a command without them may.
    from pydantic import ValidationError

    from agentic_core.resources.graph_config import GraphConfig
    from agentic_core.run_settings import find_settings_problems

    config = given.get("config") or {}
    if unknown := sorted(config.keys() - {"configurable", "recursion_limit", "tags", "metadata"}):
        raise InvalidResource([Problem(f"/spec/config/{name}", "is not a part of config") for name in unknown])
    try:
        parsed = GraphConfig.model_validate(config)
    except ValidationError as error:
        places = [("/".join(map(str, each["loc"])), each["msg"]) for each in error.errors()]
        raise InvalidResource([Problem(f"/spec/config/{place}", said) for place, said in places]) from None
    if problems := find_settings_problems(parsed, given.get("context"), "/spec"):
        raise InvalidResource(problems)
