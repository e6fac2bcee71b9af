"""The reference as pages, from the code: commands, fields of the resources, settings, reasons, exit codes. Pure."""

import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

import click

from agentic_cli.main import COMMANDS, agentic
from agentic_cli.model.exit_status import ExitStatus
from agentic_core.conditions import Reason
from agentic_core.contract import ExitCode
from agentic_core.crds import build_crds
from agentic_gateway.config import Variables
from agentic_operator.variables import build_table


def build_reference() -> dict[str, str]:
    """Return the pages by their names."""
    return {
        "commands": build_commands(),
        "resources": build_resources(),
        "settings": build_settings(),
        "reasons": build_reasons(),
    }


def build_commands() -> str:
    """Return every command with its help."""
    parts = ["# Commands\n\nWhat `--help` prints, of each. [The command line](../cli.md) explains them.\n"]
    root = click.Context(agentic, info_name="agentic", max_content_width=100, terminal_width=100)
    for name in COMMANDS:
        command = agentic.get_command(root, name)
        if command is not None:
            parts += _describe(command, click.Context(command, info_name=name, parent=root, terminal_width=100))
    return "\n".join(parts)


def _describe(command: click.Command, ctx: click.Context) -> Iterator[str]:
    yield f"## {ctx.command_path}\n\n```text\n{command.get_help(ctx)}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            child = command.get_command(ctx, name)
            if child is not None:
                yield from _describe(child, click.Context(child, info_name=name, parent=ctx, terminal_width=100))


def build_resources() -> str:
    """Return every field of the resources with its type, default and description."""
    parts = [
        "# Fields of the resources\n\nAs the API server knows them. [The resources by example](../resources.md).\n"
    ]
    for crd in build_crds().values():
        spec: Any = crd["spec"]
        parts.append(f"## {spec['names']['kind']}\n")
        for version in spec["versions"]:
            schema = version["schema"]["openAPIV3Schema"]
            rows = [row for part in ("spec", "status") for row in list_fields(part, schema["properties"].get(part, {}))]
            parts.append(
                _table(
                    (
                        "field",
                        "type",
                        "default",
                        "",
                    ),
                    rows,
                )
            )
    return "\n".join(parts)


def list_fields(path: str, schema: Mapping[str, Any], *, required: bool = False) -> Iterator[tuple[str, ...]]:
    """Yield a row for a field and for each one below it: `a.b`, `a[].b` in lists, `a.*.b` in maps."""
    kind = str(schema.get("type") or "any")
    words = str(schema.get("description") or "")
    if choices := schema.get("enum"):
        words += f" One of {', '.join(f'`{each}`' for each in choices)}."
    default = f"`{json.dumps(schema['default'], ensure_ascii=False)}`" if "default" in schema else ""
    yield f"`{path}`", kind, "required" if required else default, words
    needed = set(schema.get("required") or ())
    for name, child in (schema.get("properties") or {}).items():
        yield from list_fields(f"{path}.{name}", child, required=name in needed)
    for below, child in (("[]", schema.get("items")), (".*", schema.get("additionalProperties"))):
        if not isinstance(child, Mapping):
            continue
        needed = set(child.get("required") or ())
        for name, field in (child.get("properties") or {}).items():
            yield from list_fields(f"{path}{below}.{name}", field, required=name in needed)


def build_settings() -> str:
    """Return the variables of operator and gateway."""
    rows = []
    for name, field in Variables.model_fields.items():
        default = "required" if field.is_required() else f"`{field.default}`" if field.default != "" else "none"
        rows.append((f"`{(field.alias or name).upper()}`", default, str(field.description or "")))
    gateway = _table(("variable", "default", ""), rows)
    # Its links are those of the page that has the table.
    table = re.sub(r"\]\(#", "](operator.md#", build_table())
    operator = re.sub(r"\]\(([\w-]+\.md)", r"](../\1", table)
    return f"# Settings\n\n## Operator\n\n{operator}\n\n## Gateway\n\n{gateway}"


def build_reasons() -> str:
    """Return reasons, exit codes of runners and exit statuses of the command line."""
    reasons = _table(("reason",), [(f"`{reason.value}`",) for reason in Reason])
    codes = _table(("code", "name", ""), _list_members(ExitCode))
    statuses = _table(("status", "name", ""), _list_members(ExitStatus))
    return "\n".join(
        (
            "# Reasons and exit codes\n\nWhat to do at each: [troubleshooting](../troubleshooting.md).\n",
            f"## Exit codes of a runner\n\n{codes}",
            f"## Exit status of `agentic`\n\n{statuses}",
            f"## Reasons of conditions and phases\n\n{reasons}",
        )
    )


def _list_members(enum: type[Enum]) -> list[tuple[str, ...]]:
    """Return the members with what is written below each in the source."""
    source = inspect.getsource(enum)
    return [
        (f"`{member.value}`", member.name, found[1] if (found := _find_words(source, member.name)) else "")
        for member in enum
    ]


def _find_words(source: str, name: str) -> re.Match[str] | None:
    return re.search(rf'^    {name} = .*\n    """(.+?)"""', source, re.MULTILINE)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(_cell(each) for each in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
