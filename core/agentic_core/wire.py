"""The base of everything that travels: frozen models, camelCase outside, snake_case inside."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel


class ApiModel(BaseModel):
    """A frozen value with camelCase names on the wire; fields it does not know are ignored, as the API server does."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        use_enum_values=False,
        # Most are only parts of others: those that nobody validates alone are never built alone.
        defer_build=True,
    )

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form, without fields that hold nothing, however deep the values in it are nested."""
        try:
            return self.model_dump(mode="json", by_alias=True, exclude_none=True)
        except ValueError:
            # The library counts the depth; the API server takes more of it.
            return self._spell_fields()

    def _spell_fields(self) -> dict[str, Any]:
        """Return the JSON form field by field: those that are too deep are JSON already, or hold what has this form."""
        spelled: dict[str, Any] = {}
        for name, field in type(self).model_fields.items():
            try:
                spelled |= self.model_dump(mode="json", by_alias=True, exclude_none=True, include={name})
            except ValueError:
                spelled[field.serialization_alias or field.alias or name] = _spell(getattr(self, name))
        return spelled


def _spell(value: Any) -> Any:
    if isinstance(value, ApiModel):
        return value.to_wire()
    if isinstance(value, tuple):
        return [_spell(each) for each in value]
    return value


def format_time(at: datetime) -> str:
    """Return RFC 3339 in UTC with microseconds, as ``metav1.MicroTime`` has it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# Any JSON value. The API server keeps it as it is.
AnyJson = Annotated[Any, WithJsonSchema({"x-kubernetes-preserve-unknown-fields": True})]

JsonObject = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})]

# What an int32 column of the database holds.
MAX_COUNT: Final = 2_147_483_647
MAX_GENERATION: Final = 9_007_199_254_740_991
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Generation = Annotated[int, Field(ge=0, le=MAX_GENERATION)]

ShortText = Annotated[str, Field(max_length=256)]
LongText = Annotated[str, Field(max_length=4096)]

Quantity = Annotated[
    str,
    BeforeValidator(lambda value: str(value) if isinstance(value, int) else value),
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "pattern": r"^[0-9]+(\.[0-9]+)?([eE][0-9]+|m|[kKMGTPE]i?|u|n)?$",
            "anyOf": [{"type": "integer"}, {"type": "string"}],
        }
    ),
]
