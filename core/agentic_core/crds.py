"""CustomResourceDefinitions, built from the models.

pydantic writes JSON Schema; the API server takes structural schemas, a stricter form without ``$ref``, ``const`` or
``anyOf`` with null. The conversion is here, and raises on whatever it does not know (decision 6).
"""

from collections.abc import Sequence
from typing import Any, Final

from agentic_core.names import GROUP, SHORT_NAMES, VERSION
from agentic_core.resources.meta import Resource
from agentic_core.resources.session import SESSION_NAME_RULE, AgenticSession
from agentic_core.resources.workflow import DEFINITION_NAME_RULE, ClusterWorkflowDefinition, WorkflowDefinition

_PRESERVE: Final = "x-kubernetes-preserve-unknown-fields"
_COPIED: Final = frozenset(
    {
        "type", "description", "enum", "format", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems",
        "maxItems", "maxProperties", "minProperties", "required", "uniqueItems", _PRESERVE,
        "x-kubernetes-int-or-string", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type",
        "x-kubernetes-validations",
    }
)  # fmt: skip
_IGNORED: Final = frozenset({"title", "default", "$defs"})


class UnknownKeyword(ValueError):
    """The models use a part of JSON Schema that has no structural form here."""


def structural(schema: dict[str, Any], definitions: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the structural form of one of pydantic's schemas; raise :class:`UnknownKeyword` for the rest."""
    definitions = definitions if definitions is not None else schema.get("$defs", {})
    if "$ref" in schema:
        target = definitions[schema["$ref"].removeprefix("#/$defs/")]
        return structural({**target, **{k: v for k, v in schema.items() if k != "$ref"}}, definitions)
    out: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _COPIED:
            out[key] = " ".join(value.split()) if key == "description" else value
        elif key == "const":
            out["enum"] = [value]
        elif key == "default" and value not in (None, [], {}) and not isinstance(value, dict | list):
            out["default"] = value
        elif key == "properties":
            out[key] = {name: structural(field, definitions) for name, field in value.items()}
        elif key == "items":
            out[key] = structural(value, definitions)
        elif key == "additionalProperties":
            if value is not True:  # our maps always say what they hold
                out[key] = structural(value, definitions)
        elif key == "anyOf":
            out = _any_of(value, out, schema, definitions)
        elif key not in _IGNORED:
            raise UnknownKeyword(f"{key!r} in {schema.get('title', schema)!r} has no structural form here")
    if out.get("required") == []:
        del out["required"]
    return out


def _any_of(
    options: list[dict[str, Any]], out: dict[str, Any], schema: dict[str, Any], definitions: dict[str, Any]
) -> dict[str, Any]:
    if schema.get("x-kubernetes-int-or-string"):
        return {**out, "anyOf": options}
    present = [option for option in options if option.get("type") != "null"]
    if len(present) != 1:
        raise UnknownKeyword(f"a choice of {len(present)} types in {schema.get('title')!r} has no structural form here")
    return {**structural(present[0], definitions), **out}


def _as_map(schema: dict[str, Any]) -> dict[str, Any]:
    """Give every map its size limit under the name that maps have."""
    if schema.get("type") == "object" and "additionalProperties" in schema and "maxLength" in schema:
        schema = {**{k: v for k, v in schema.items() if k != "maxLength"}, "maxProperties": schema["maxLength"]}
    for key in ("properties",):
        if key in schema:
            schema = {**schema, key: {name: _as_map(field) for name, field in schema[key].items()}}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            schema = {**schema, key: _as_map(schema[key])}
    return schema


def _column(name: str, path: str, kind: str = "string", *, wide: bool = False, about: str = "") -> dict[str, Any]:
    column: dict[str, Any] = {"name": name, "type": kind, "jsonPath": path}
    if about:
        column["description"] = about
    if wide:
        column["priority"] = 1
    return column


_AGE: Final = _column("Age", ".metadata.creationTimestamp", "date")

_SESSION_COLUMNS: Final = [
    _column("Workflow", ".spec.workflowRef.name"),
    _column("Phase", ".status.phase"),
    _column("Reason", ".status.reason"),
    _column("Node", ".status.currentNode"),
    _column("Progress", ".status.progress"),
    _column("Question", ".status.question"),
    _column("Turn", ".status.turn.name", wide=True),
    _column("Turns", ".status.turnCount", "integer", wide=True),
    _column("Run", ".status.run", "integer", wide=True),
    _column("Steps", ".status.steps", "integer", wide=True),
    _column("Job", ".status.jobName", wide=True),
    _column("Message", ".status.message", wide=True),
    _AGE,
]
# What lists select by, on the server and in pages (`kubectl get --field-selector`).
_SESSION_SELECTORS: Final = (".status.phase", ".spec.workflowRef.name", ".spec.createdBy")
_DEFINITION_COLUMNS: Final = [
    _column("Ready", ".status.conditions[?(@.type=='Ready')].status"),
    _column("Reason", ".status.conditions[?(@.type=='Ready')].reason"),
    _column("Version", ".spec.version"),
    _column("Active", ".status.activeSessions", "integer"),
    _column("Image", ".spec.image", wide=True),
    _column("LangGraph", ".status.langgraphVersion", wide=True),
    _column("Message", ".status.conditions[?(@.type=='Ready')].message", wide=True),
    _AGE,
]


def build_crd(
    model: type[Resource],
    *,
    short: str,
    scope: str,
    columns: list[dict[str, Any]],
    rule: dict[str, str],
    selectors: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the CRD of one model."""
    schema = _as_map(structural(model.model_json_schema(by_alias=True)))
    fields = {name: schema["properties"][name] for name in ("spec", "status")}
    # Defaults of whole objects would write an empty status into every new object.
    fields["status"].pop("default", None)
    plural = model.plural
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}", "labels": {"app.kubernetes.io/part-of": "agentic-operator"}},
        "spec": {
            "group": GROUP,
            "scope": scope,
            "names": {
                "kind": model.kind_name,
                "listKind": f"{model.kind_name}List",
                "plural": plural,
                "singular": model.kind_name.lower(),
                "shortNames": [short],
                "categories": ["agentic"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": columns,
                    **({"selectableFields": [{"jsonPath": path} for path in selectors]} if selectors else {}),
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "description": schema["description"],
                            "required": ["spec"],
                            "properties": {
                                "apiVersion": {"type": "string"},
                                "kind": {"type": "string"},
                                "metadata": {"type": "object"},
                                **fields,
                            },
                            "x-kubernetes-validations": [rule],
                        }
                    },
                }
            ],
        },
    }


def build_crds() -> dict[str, dict[str, Any]]:
    """Return the three CRDs by plural name."""
    return {
        WorkflowDefinition.plural: build_crd(
            WorkflowDefinition,
            short=SHORT_NAMES["WorkflowDefinition"],
            scope="Namespaced",
            columns=_DEFINITION_COLUMNS,
            rule=DEFINITION_NAME_RULE,
        ),
        ClusterWorkflowDefinition.plural: build_crd(
            ClusterWorkflowDefinition,
            short=SHORT_NAMES["ClusterWorkflowDefinition"],
            scope="Cluster",
            columns=_DEFINITION_COLUMNS,
            rule=DEFINITION_NAME_RULE,
        ),
        AgenticSession.plural: build_crd(
            AgenticSession,
            short=SHORT_NAMES["AgenticSession"],
            scope="Namespaced",
            columns=_SESSION_COLUMNS,
            rule=SESSION_NAME_RULE,
            selectors=_SESSION_SELECTORS,
        ),
    }
