"""What the console's sources are held to; ``python -m hack.console check`` runs the compiler and the linter on them."""

import json
import re

from hack.console import _CHECKS, CONSOLE

SOURCES = [
    file
    for file in sorted((CONSOLE / "src").rglob("*.ts*"))
    # Generated from the gateway's OpenAPI document.
    if file.name != "schema.ts"
]
ESCAPES = re.compile(r"\bas any[;,)\]]|[:<|] any[;,)\]>]|any\[\]|@ts-(ignore|nocheck|expect-error)")


def test_types_are_strict_and_checked() -> None:
    options = json.loads((CONSOLE / "tsconfig.base.json").read_text(encoding="utf-8"))["compilerOptions"]
    assert options["strict"] is True
    assert options["noUncheckedIndexedAccess"] is True
    linter = (CONSOLE / "eslint.config.js").read_text(encoding="utf-8")
    assert "'@typescript-eslint/no-explicit-any': 'error'" in linter
    assert {"tsc", "lint", "test"} <= set(_CHECKS)


def test_no_source_goes_round_the_types() -> None:
    assert len(SOURCES) > 100
    found = [
        f"{file.relative_to(CONSOLE)}:{number}: {line.strip()}"
        for file in SOURCES
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1)
        if ESCAPES.search(line)
    ]
    assert found == []


def test_one_library_judges_forms() -> None:
    names = json.loads((CONSOLE / "package.json").read_text(encoding="utf-8"))["dependencies"]
    judges = {name for name in names if re.search(r"zod|ajv|yup|valibot|json-schema|hook-form", name)}
    assert judges == {"json-schema-library"}
