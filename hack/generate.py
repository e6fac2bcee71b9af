"""Write what is generated from models, settings, ``migrations/`` and ``manifests/``: ``hack/generate.py [--check]``."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import yaml

from agentic_core.crds import build_crds
from agentic_gateway.app import build_app
from agentic_gateway.feeds.frame_schema import build_schema
from agentic_operator.variables import build_table
from hack.chart.places import CHART, build_scripts, build_templates, read

ROOT = Path(__file__).resolve().parent.parent
MIGRATIONS = ROOT / "migrations"
OPENAPI = ROOT / "docs" / "openapi.json"
FRAMES = ROOT / "docs" / "frames.schema.json"
SETTINGS_GUIDE = ROOT / "docs" / "operator.md"
TABLE_BEGINS = "<!-- The settings, generated from operator/agentic_operator/variables.py by `make generate`. -->"
TABLE_ENDS = "<!-- The settings end. -->"
HEADER = "# Generated from agentic_core.resources by `make generate`; edit the models instead.\n"


MIGRATIONS_HEADER = """\
# Generated from migrations/ by `make generate`; edit the files there instead. The migration Job reads them from here.
"""


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


class _Readable(_Plain):
    """Writes files within a file as people do, line by line."""


_Readable.add_representer(str, _represent_text)


def build_migrations() -> dict[str, object]:
    """Return the ConfigMap of the SQL files and the scripts beside them."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "agentic-migrations",
            "namespace": "agentic-system",
            "labels": {
                "app.kubernetes.io/part-of": "agentic-operator",
                "app.kubernetes.io/component": "migrate",
            },
        },
        "data": {
            path.name: path.read_text(encoding="utf-8")
            for path in sorted(MIGRATIONS.iterdir())
            if path.suffix in (".sql", ".sh")
        },
    }


def build_openapi() -> str:
    """Return the description of the gateway's HTTP surface."""
    return json.dumps(build_app(_serve_nothing).openapi(), indent=1, ensure_ascii=False) + "\n"


def _serve_nothing() -> NoReturn:
    raise RuntimeError("this application is described, not run")


def render() -> dict[Path, str]:
    """Return the text of every generated file by its path."""
    made = {
        ROOT / "crds" / f"{plural}.yaml": HEADER + yaml.dump(crd, Dumper=_Plain, sort_keys=False, width=120)
        for plural, crd in build_crds().items()
    } | {
        ROOT / "manifests" / "migrate" / "migrations.yaml": MIGRATIONS_HEADER
        + yaml.dump(build_migrations(), Dumper=_Readable, sort_keys=False, width=1000),
        OPENAPI: build_openapi(),
        FRAMES: json.dumps(build_schema(), indent=1, ensure_ascii=False) + "\n",
        SETTINGS_GUIDE: replace_table(SETTINGS_GUIDE.read_text(encoding="utf-8"), build_table()),
    }
    return made | render_chart(made)


def replace_table(page: str, table: str) -> str:
    """Return a page with its table of settings replaced, which stands between two comments."""
    before, begin, rest = page.partition(TABLE_BEGINS)
    _, end, after = rest.partition(TABLE_ENDS)
    if not begin or not end:
        raise ValueError(f"{SETTINGS_GUIDE.name} lacks the comments around its table of settings")
    return f"{before}{begin}\n\n{table}\n\n{end}{after}"


def render_chart(made: Mapping[Path, str]) -> dict[Path, str]:
    """Return the chart's templates by their paths; ``made`` is what of their sources is generated, too."""
    scripts = yaml.dump(build_scripts(), Dumper=_Readable, sort_keys=False, width=1000)
    texts = {**made, ROOT / "manifests/backup/scripts.yaml": scripts}
    return {
        CHART / "templates" / template.target: template.render(
            texts.get(ROOT / template.source) or read(template.source)
        )
        for template in build_templates()
    }


def main() -> int:
    """Write the files, or with ``--check`` only say which would change."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file would change")
    check = parser.parse_args().check
    stale = [
        (path, text) for path, text in render().items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path, text in stale:
        print(f"{'stale' if check else 'wrote'} {path.relative_to(ROOT)}")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if stale and check:
        print("generated files differ: run `make generate` and commit the result", file=sys.stderr)
    return 1 if stale and check else 0


if __name__ == "__main__":
    sys.exit(main())
