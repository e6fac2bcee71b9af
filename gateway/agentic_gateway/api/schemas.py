"""A check of a schema that is registered nowhere."""

from fastapi import APIRouter

from agentic_core.schema.problems import SchemaProblem
from agentic_gateway.api.models import SchemaToCheck, Verdict
from agentic_gateway.api.strict_route import StrictRoute
from agentic_gateway.context import WithCaller, WithContext
from agentic_gateway.problems import FieldProblem

router = APIRouter(prefix="/api/v1", tags=["workflows"], route_class=StrictRoute)


@router.post("/schemas/check", summary="Check a schema")
async def check_schema(body: SchemaToCheck, context: WithContext, caller: WithCaller) -> Verdict:  # noqa: ARG001  (known)
    """Say whether a definition could have this schema, and whether it takes an instance, if one is given.

    The same checks, with the same limits of time and size, that the operator makes. Anybody whom the cluster knows may
    ask.
    """
    problems = await context.checker.check_schema(body.schema_)
    if problems or "instance" not in body.model_fields_set:
        return _build_verdict(problems, "/schema")
    return _build_verdict(await context.checker.check_instance(body.schema_, body.instance), "/instance")


def _build_verdict(problems: tuple[SchemaProblem, ...], at: str) -> Verdict:
    errors = tuple(FieldProblem(pointer=at + p.pointer, message=p.message, keyword=p.keyword) for p in problems)
    return Verdict(valid=not errors, errors=errors)
