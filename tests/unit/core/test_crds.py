"""The conversion of models to structural schemas: complete, described, bounded, and loud about what it cannot do."""

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, create_model

from agentic_core.contract import RESERVED_ENV, RESERVED_ENV_PREFIXES
from agentic_core.crds import UnknownKeyword, build_crds, structural
from agentic_core.lifecycle import Phase


def walk(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from walk(field, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from walk(schema[key], f"{path}[]")


def schemas() -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{plural}{path}", field)
        for plural, crd in build_crds().items()
        for path, field in walk(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
        if path.startswith((".spec", ".status"))
    ]


def test_every_field_is_described() -> None:
    assert [path for path, field in schemas() if not path.endswith("[]") and not field.get("description")] == []


def test_every_list_string_and_map_has_a_limit() -> None:
    limit = {"array": "maxItems", "string": "maxLength"}
    unbounded = [
        path
        for path, field in schemas()
        if (key := limit.get(field.get("type", ""))) and key not in field
        and "enum" not in field and field.get("format") != "date-time"
    ]  # fmt: skip
    maps = [path for path, field in schemas() if "additionalProperties" in field and "maxProperties" not in field]
    assert (unbounded, maps) == ([], [])


def test_the_phases_of_the_crd_are_those_of_the_lifecycle() -> None:
    phase = dict(schemas())["agenticsessions.status.phase"]
    assert phase["enum"] == [phase.value for phase in Phase]


def test_reserved_variables_are_refused_by_the_crd() -> None:
    rules = dict(schemas())["agenticsessions.spec.env[]"]["x-kubernetes-validations"]
    assert all(repr(name) in rules[0]["rule"] for name in (*RESERVED_ENV, *RESERVED_ENV_PREFIXES))


def test_a_nested_model_is_put_in_place_with_its_own_description() -> None:
    class Inner(BaseModel):
        """Inside."""

        size: Annotated[int, Field(ge=1)]

    class Outer(BaseModel):
        inner: Annotated[Inner | None, Field(description="What is inside.")] = None

    assert structural(Outer.model_json_schema())["properties"]["inner"] == {
        "type": "object",
        "description": "What is inside.",
        "required": ["size"],
        "properties": {"size": {"type": "integer", "minimum": 1}},
    }


@pytest.mark.parametrize(
    ("annotation", "keyword"),
    [
        (int | str, "a choice of 2 types"),
        (Annotated[int, Field(gt=1)], "exclusiveMinimum"),
        (tuple[int, str], "prefixItems"),
    ],
)
def test_what_has_no_structural_form_is_an_error(annotation: Any, keyword: str) -> None:
    model = create_model("Model", field=annotation)
    with pytest.raises(UnknownKeyword, match=keyword):
        structural(model.model_json_schema())
