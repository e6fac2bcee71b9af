"""Workflow definitions, of a namespace and of the cluster: registered, read, changed, and asked what they take.

Both kinds have the same routes; a function of each kind finds the path of its objects on the API server.
"""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, Response

from agentic_core.input_rules import read_rules
from agentic_core.names import API_VERSION
from agentic_gateway.api.inputs import find_input_problems
from agentic_gateway.api.models import (
    DefinitionList,
    DefinitionObject,
    DefinitionSchemas,
    Graph,
    Inputs,
    NewDefinition,
    Verdict,
)
from agentic_gateway.api.objects import change_object, delete_object, read_object, replace_object
from agentic_gateway.api.once import OnceRoute
from agentic_gateway.api.paths import Continue, Limit, Name, Namespace, Selector
from agentic_gateway.api.representation import IfMatch, IfNoneMatch, answer_object
from agentic_gateway.context import WithCaller, WithContext
from agentic_gateway.kube.client import Json, object_path
from agentic_gateway.kube.paths import CLUSTER_DEFINITIONS, DEFINITIONS
from agentic_gateway.problems import Refused

router = APIRouter(prefix="/api/v1", tags=["workflows"], route_class=OnceRoute)

DryRun = Annotated[bool, Query(alias="dryRun", description="Have it checked as if, but write nothing.")]


def _find_all(namespace: Namespace) -> str:
    return object_path(DEFINITIONS, namespace)


def _find_one(namespace: Namespace, name: Name) -> str:
    return object_path(DEFINITIONS, namespace, name)


def _find_all_of_cluster() -> str:
    return object_path(CLUSTER_DEFINITIONS, "")


def _find_one_of_cluster(name: Name) -> str:
    return object_path(CLUSTER_DEFINITIONS, "", name)


def build_schemas(definition: Json) -> DefinitionSchemas:
    """Return the schemas of a definition: its author's, else those that the inspection derived from the graph."""
    spec, status = definition.get("spec") or {}, definition.get("status") or {}
    rules = read_rules(spec.get("inputSchema"), status.get("inputSchema"))
    return DefinitionSchemas(
        input=rules.form,
        input_is_declared=rules.is_declared,
        output=spec.get("outputSchema"),
        config=status.get("configSchema"),
        context=status.get("contextSchema"),
        ui=spec.get("uiSchema"),
    )


def build_graph(definition: Json) -> Graph:
    """Return the graph that the inspection drew; raises ``Refused`` (409) if there is none yet."""
    status = definition.get("status") or {}
    drawn = status.get("graph")
    if not drawn:
        conditions = {each.get("type"): each for each in status.get("conditions") or ()}
        why = (conditions.get("Inspected") or {}).get("message") or "the operator has not inspected it yet"
        raise Refused("conflict", f"the graph is not known: {why}")
    return Graph(
        nodes=tuple(drawn.get("nodes") or ()), edges=tuple(drawn.get("edges") or ()), mermaid=drawn.get("mermaid")
    )


def _add_routes(
    all_: str, kind: str, find_all: Callable[..., str], find_one: Callable[..., str], word: str, noun: str
) -> None:
    """Add the routes of one kind below the path ``all_``."""
    one, where = f"{all_}/{{name}}", f"a definition of the {word}"
    AllPath, OnePath = Annotated[str, Depends(find_all)], Annotated[str, Depends(find_one)]  # noqa: N806  (types)

    @router.get(
        all_, name=f"list_{noun}s", summary=f"List the definitions of the {word}", response_model=DefinitionList
    )
    async def list_definitions(
        path: AllPath,  # type: ignore[valid-type]  # a type that is made here
        context: WithContext,
        caller: WithCaller,
        limit: Limit = 100,
        continue_: Continue = "",
        label_selector: Selector = "",
    ) -> Response:
        """Return a page of definitions as the API server has them; ``metadata.continue`` leads to the next one."""
        query = [("limit", str(limit)), ("continue", continue_), ("labelSelector", label_selector)]
        return answer_object(await context.kube.exchange("GET", path, token=caller.token, query=query))

    @router.post(
        all_, status_code=201, name=f"create_{noun}", summary=f"Register {where}", response_model=DefinitionObject
    )
    async def create_definition(
        path: AllPath,  # type: ignore[valid-type]
        body: NewDefinition,
        context: WithContext,
        caller: WithCaller,
        dry_run: DryRun = False,
    ) -> Response:
        """Create the definition in the caller's name; once its image is inspected, its status says what came of it."""
        made = await context.kube.exchange(
            "POST",
            path,
            token=caller.token,
            query=[("fieldValidation", "Strict"), ("dryRun", "All" if dry_run else "")],
            body={"apiVersion": API_VERSION, "kind": kind, "metadata": body.metadata.to_wire(), "spec": body.spec},
        )
        return answer_object(made, status=201)

    @router.get(one, name=f"get_{noun}", summary=f"Get {where}", response_model=DefinitionObject)
    async def get_definition(
        path: OnePath,  # type: ignore[valid-type]
        context: WithContext,
        caller: WithCaller,
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        """Return the definition with its status: readiness, schemas and graph."""
        return await read_object(context, caller, path, if_none_match)

    @router.put(one, name=f"replace_{noun}", summary=f"Replace {where}", response_model=DefinitionObject)
    async def replace_definition(
        path: OnePath,  # type: ignore[valid-type]
        body: NewDefinition,
        context: WithContext,
        caller: WithCaller,
        if_match: IfMatch = None,
    ) -> Response:
        """Replace spec, labels and annotations; a name in the body is ignored. Sessions that run keep what they had."""
        return await replace_object(context, caller, path, body.metadata.to_wire(), body.spec, if_match)

    @router.patch(one, name=f"patch_{noun}", summary=f"Change {where}", response_model=DefinitionObject)
    async def patch_definition(
        path: OnePath,  # type: ignore[valid-type]
        context: WithContext,
        caller: WithCaller,
        body: Annotated[Json, Body(description="A JSON merge patch; `status` in it is ignored.")],
        if_match: IfMatch = None,
    ) -> Response:
        """Apply a JSON merge patch in the caller's name."""
        return await change_object(context, caller, path, body, if_match)

    @router.delete(
        one, status_code=202, name=f"delete_{noun}", summary=f"Delete {where}", response_model=dict[str, Any]
    )
    async def delete_definition(
        path: OnePath,  # type: ignore[valid-type]
        context: WithContext,
        caller: WithCaller,
        if_match: IfMatch = None,
    ) -> Response:
        """Delete the definition; its sessions stay."""
        return await delete_object(context, caller, path, if_match)

    @router.get(f"{one}/schemas", name=f"get_{noun}_schemas", summary=f"Get the schemas of {where}")
    async def get_schemas(
        path: OnePath,  # type: ignore[valid-type]
        context: WithContext,
        caller: WithCaller,
    ) -> DefinitionSchemas:
        """Return the JSON Schemas of inputs, result, config and context, as far as they are known."""
        return build_schemas(await context.kube.request("GET", path, token=caller.token))

    @router.get(f"{one}/graph", name=f"get_{noun}_graph", summary=f"Get the graph of {where}")
    async def get_graph(
        path: OnePath,  # type: ignore[valid-type]
        context: WithContext,
        caller: WithCaller,
    ) -> Graph:
        """Return nodes, edges and a drawing; 409 before the inspection."""
        return build_graph(await context.kube.request("GET", path, token=caller.token))

    @router.post(f"{one}/check", name=f"check_{noun}_inputs", summary=f"Check inputs for {where}")
    async def check_inputs(
        path: OnePath,  # type: ignore[valid-type]
        body: Inputs,
        context: WithContext,
        caller: WithCaller,
    ) -> Verdict:
        """Judge inputs as the operator would, without creating anything."""
        definition = await context.kube.request("GET", path, token=caller.token)
        problems = await find_input_problems(context.checker, definition, body.inputs, at="/inputs")
        return Verdict(valid=not problems, errors=problems)


_add_routes("/workflow-definitions/{namespace}", "WorkflowDefinition", _find_all, _find_one, "namespace", "definition")
_add_routes(
    "/cluster-workflow-definitions",
    "ClusterWorkflowDefinition",
    _find_all_of_cluster,
    _find_one_of_cluster,
    "cluster",
    "cluster_definition",
)
