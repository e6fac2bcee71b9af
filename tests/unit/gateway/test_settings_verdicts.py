"""What the gateway refuses of config and context before a session is made is what the operator refuses of it then."""

from typing import Any, cast

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from agentic_core.input_rules import GRAPH_ACCEPTS
from agentic_core.resources import WorkflowSnapshot
from agentic_core.schema.sandbox import SchemaChecker
from agentic_gateway.api.inputs import find_settings_refusals, find_turn_problems
from agentic_operator.manifests.jobs import Definition
from agentic_operator.sessions.admission import Refused, check_settings
from agentic_operator.sessions.turn_checks import check_turn
from tests.support.builders import READY, a_cluster_definition, a_definition, a_session

NAMES = ("user", "tenant", "thread_id", "agentic_x", "langgraph_step", "__pregel", "usr", "a/b~c", "")
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=4)
)
VALUES = st.recursive(
    SCALARS | st.just("\ud800") | st.just("\x00"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=2),
    max_leaves=4,
)
OBJECTS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4)
TAGS = st.lists(st.sampled_from(["a", "b", "langsmith:hidden"]), max_size=2, unique=True)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


CONFIGS = some(
    configurable=st.none() | OBJECTS,
    metadata=st.none() | OBJECTS,
    tags=TAGS,
    recursion_limit=st.integers(0, 20) | st.just("many"),
)
ACCEPTS = some(
    required=st.lists(st.sampled_from(NAMES) | st.integers(), max_size=2) | st.text(max_size=1),
    properties=st.dictionaries(st.sampled_from(NAMES), st.just({}), max_size=3) | st.just([]),
    additionalProperties=st.booleans() | st.just({}),
)
# Few names, so that what one of them gives another one's schema asks for.
CONTEXTS = st.dictionaries(st.sampled_from(NAMES[:2]), SCALARS, max_size=2)
STRICT_SCHEMAS = st.builds(
    lambda required, known: {
        GRAPH_ACCEPTS: {"required": required, "properties": {key: {} for key in known}, "additionalProperties": False}
    },
    st.lists(st.sampled_from(NAMES[:2]), max_size=2, unique=True),
    st.sets(st.sampled_from(NAMES[:2])),
)
SCHEMAS = some(**{GRAPH_ACCEPTS: ACCEPTS | st.integers(), "properties": st.just({"user": {}})})


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    session=some(config=st.none() | CONFIGS, context=st.none() | OBJECTS),
    defaults=some(config=some(configurable=OBJECTS, metadata=OBJECTS), context=OBJECTS),
    schema=st.none() | SCHEMAS,
    graphs=st.tuples(st.sampled_from([None, "main", "other"]), st.sampled_from([None, "main"])),
    is_ready=st.booleans(),
    is_cluster=st.booleans(),
    is_fork=st.booleans(),
)
def test_gateway_and_operator_refuse_the_same_config_and_context(
    session: dict[str, Any],
    defaults: dict[str, Any],
    schema: dict[str, Any] | None,
    graphs: tuple[str | None, str | None],
    is_ready: bool,
    is_cluster: bool,
    is_fork: bool,
) -> None:
    named, defined = graphs
    spec = {
        "workflowRef": {"name": "report", **({"graph": named} if named else {})},
        **session,
        **({"forkFrom": {"session": "other"}} if is_fork else {}),
    }
    about: dict[str, Any] = {"defaults": defaults, **({"graph": defined} if defined else {})}
    status = {} if schema is None else {"contextSchema": schema}
    kept: Definition = a_definition(conditions=READY if is_ready else (), status=status, **about)
    if is_cluster:
        kept = a_cluster_definition(**about).model_copy(update={"status": kept.status})
    seen = find_settings_refusals({"spec": about, "status": status}, spec, at="/spec")
    try:
        built = a_session().with_spec(**spec).build()
    except ValidationError:
        # The API server does not take it, and names the field.
        return
    refused = check_settings(built, kept)
    assert bool(seen) == isinstance(refused, Refused), (seen, refused)
    # The operator's message lists the first few in the same words.
    said = refused.message if refused is not None else ""
    assert not seen or any(each.pointer in said for each in seen), (seen, said)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    turn=some(context=st.none() | CONTEXTS) | some(config=CONFIGS, context=OBJECTS),
    session=some(config=some(configurable=CONTEXTS), context=CONTEXTS),
    defaults=some(config=some(configurable=CONTEXTS), context=CONTEXTS),
    pinned=st.none() | some(config=some(configurable=CONTEXTS), context=CONTEXTS),
    schema=st.none() | STRICT_SCHEMAS,
    graphs=st.sampled_from([(None, "main"), ("main", "main"), (None, None), ("other", "main")]),
    is_latest=st.booleans(),
)
async def test_gateway_and_operator_refuse_the_same_config_and_context_of_a_turn(
    turn: dict[str, Any],
    session: dict[str, Any],
    defaults: dict[str, Any],
    pinned: dict[str, Any] | None,
    schema: dict[str, Any] | None,
    graphs: tuple[str | None, str | None],
    is_latest: bool,
) -> None:
    named, defined = graphs
    asked = {"name": "a", "command": {"goto": "x"}, **turn}
    spec = {
        "workflowRef": {"name": "report", **({"graph": named} if named else {})},
        "mode": "Conversation",
        "revision": "Latest" if is_latest else "Pinned",
        "turns": [asked],
        **session,
    }
    about: dict[str, Any] = {"defaults": defaults, **({"graph": defined} if defined else {})}
    status = {} if schema is None else {"contextSchema": schema}
    try:
        built = a_session().with_spec(**spec).build()
    except ValidationError:
        return
    kept = a_definition(conditions=READY, status=status, **about)
    # The operator chooses the snapshot: the definition's own, or the pinned one once there is one.
    snapshot = WorkflowSnapshot(image="x", spec={"defaults": defaults})
    read: dict[str, Any] = {"spec": spec}
    if pinned is not None:
        read["status"] = {"workflow": {"image": "x", "spec": {"defaults": pinned}}}
        if not is_latest:
            snapshot = WorkflowSnapshot(image="x", spec={"defaults": pinned})
    # Without an input nothing is asked of the checker of schemas.
    seen = await find_turn_problems(cast("SchemaChecker", None), {"spec": about, "status": status}, read, asked)
    refused = check_turn(built, built.spec.turns[0], snapshot, kept)
    assert bool(seen) == isinstance(refused, Refused), (seen, refused)
    said = refused.message if refused is not None else ""
    assert not seen or any(f"/spec/turns/0{each.pointer}" in said for each in seen), (seen, said)
