"""What the gateway refuses of config and context before a session is made is what the operator refuses of it then."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from agentic_core.input_rules import GRAPH_ACCEPTS
from agentic_gateway.api.inputs import find_settings_refusals
from agentic_operator.manifests.jobs import Definition
from agentic_operator.sessions.admission import Refused, check_settings
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
