"""Spans of a run: where they hang, what they say of models and tools, and that they cost the run nothing."""

import json
import time
from collections.abc import Mapping

import pytest

from agentic_core.trace_context import derive_trace_id
from tests.support.collector import Collector, SeenSpan, running_collector
from tests.support.runner import NAMESPACE, RunnerBench, Session

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
LINE = f"00-{TRACE}-00f067aa0ba902b7-01"
PROMPT, ANSWER, TOKEN = "what-is-asked", "what-is-answered", "secret-of-the-collector"

AGENT = f"""
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.prebuilt import ToolNode

class Model(GenericFakeChatModel):
    def _get_ls_params(self, stop=None, **kwargs):
        return {{"ls_provider": "openai", "ls_model_name": "gpt-test", "ls_model_type": "chat", "ls_temperature": 0.5}}

USAGE = {{"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}}
CALL = AIMessage("", tool_calls=[{{"name": "look_up", "args": {{"q": "{PROMPT}"}}, "id": "call-1"}}])
ABOUT = {{"finish_reason": "stop", "model_name": "gpt-test-1"}}
SAYS = AIMessage("{ANSWER}", usage_metadata=USAGE, response_metadata=ABOUT)

@tool
def look_up(q: str) -> str:
    "Look it up."
    return "{ANSWER}"

class State(TypedDict):
    messages: Annotated[list[Any], operator.add]

def think(state):
    (HERE / "traceparent").write_text(os.environ.get("TRACEPARENT", ""))
    model = Model(messages=iter([SAYS]), disable_streaming=True)
    return {{"messages": [model.invoke([HumanMessage("{PROMPT}")]), CALL]}}

async def inner(state):
    return {{"messages": [await Model(messages=iter([SAYS]), disable_streaming=True).ainvoke("{PROMPT}")]}}

def ask(state):
    return {{"messages": [interrupt("{PROMPT}")]}}

sub = StateGraph(State).add_node("inner", inner).add_edge(START, "inner").add_edge("inner", END).compile()
graph = StateGraph(State).add_node("think", think).add_node("tools", ToolNode([look_up])).add_node("sub", sub)
graph = graph.add_node("ask", ask).add_edge(START, "think").add_edge("think", "tools").add_edge("tools", "sub")
graph = graph.add_edge("sub", "ask").add_edge("ask", END).compile()
"""
FAILING = f"""
def fails(state):
    raise ValueError("{PROMPT}")

graph = StateGraph(dict).add_node("fails", fails).add_edge(START, "fails").add_edge("fails", END).compile()
"""


def by_name(spans: list[SeenSpan]) -> dict[str, SeenSpan]:
    found = {span.name: span for span in spans}
    assert len(found) == len(spans), sorted(span.name for span in spans)
    return found


def run(session: Session, variables: Mapping[str, str], *, number: int = 1, code: int = 0) -> str:
    runner = session.start(number, **variables)
    assert runner.wait() == code, runner.output
    return runner.output


def test_a_run_has_spans_of_itself_its_nodes_its_models_and_tools(runners: RunnerBench, collector: Collector) -> None:
    session = runners.session(AGENT, {"messages": []})
    headers = {"OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{TOKEN}"}
    output = run(session, collector.variables(TRACEPARENT=LINE, GRAPH="main", **headers))
    spans = [span for span in collector.spans if span.name != "chat gpt-test"]
    models = [span for span in collector.spans if span.name == "chat gpt-test"]
    seen = by_name(spans)
    root = seen["invoke_workflow main"]
    assert set(seen) == {
        root.name,
        "node think",
        "node tools",
        "execute_tool look_up",
        "node sub",
        "node inner",
        "node ask",
    }
    assert {span.trace_id for span in collector.spans} == {TRACE}
    assert root.parent_id == "00f067aa0ba902b7"
    above = {name: span.parent_id for name, span in seen.items()}
    assert {above[name] for name in ("node think", "node tools", "node sub", "node ask")} == {root.span_id}
    assert above["execute_tool look_up"] == seen["node tools"].span_id
    assert above["node inner"] == seen["node sub"].span_id
    assert {model.parent_id for model in models} == {seen["node think"].span_id, seen["node inner"].span_id}
    assert {headers["authorization"] for headers in collector.headers} == {f"Bearer {TOKEN}"}
    assert not [span for span in collector.spans if span.is_error]

    assert root.service == "agentic-runner"
    assert root.attributes == {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": "main",
        "gen_ai.conversation.id": session.thread_id,
        "k8s.namespace.name": NAMESPACE,
        "k8s.job.name": f"{session.name}-r1",
        "agentic.session.name": session.name,
        "agentic.session.uid": session.uid,
        "agentic.run": 1,
        "process.exit.code": 0,
    }
    assert models[0].kind == 3
    assert models[0].attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-test",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.conversation.id": session.thread_id,
        "gen_ai.response.model": "gpt-test-1",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 7,
    }
    tool = seen["execute_tool look_up"].attributes
    assert (tool["gen_ai.operation.name"], tool["gen_ai.tool.name"]) == ("execute_tool", "look_up")
    assert seen["node think"].attributes == {"langgraph.node": "think", "langgraph.step": 1}
    assert seen["node ask"].attributes["langgraph.interrupted"] is True

    # An author's own instrumentation finds the run, and nothing that was said, or a secret, leaves in a span.
    assert (session.project / "traceparent").read_text() == f"00-{TRACE}-{root.span_id}-01"
    sent = b"".join(collector.bodies).decode()
    assert not [text for text in (PROMPT, ANSWER, TOKEN) if text in sent]
    assert TOKEN not in output


def test_runs_before_and_after_a_question_are_spans_of_one_trace(runners: RunnerBench, collector: Collector) -> None:
    session = runners.session(AGENT, {"messages": []})
    run(session, collector.variables())
    session.answer(run=2, ask="yes")
    run(session, collector.variables(), number=2)
    roots = [span for span in collector.spans if span.name == "invoke_workflow"]
    assert [(span.attributes["agentic.run"], span.parent_id) for span in roots] == [(1, ""), (2, "")]
    assert {span.trace_id for span in collector.spans} == {derive_trace_id(session.uid)}
    second = [span.name for span in collector.spans if span.parent_id == roots[1].span_id]
    assert second == ["node ask"]


def test_events_about_a_run_and_its_log_name_its_trace(runners: RunnerBench, collector: Collector) -> None:
    traced, plain = runners.session(AGENT, {"messages": []}), runners.session(AGENT, {"messages": []})
    run(traced, {"TRACEPARENT": LINE})
    output = run(plain, collector.variables())
    for session, trace in ((traced, TRACE), (plain, derive_trace_id(plain.uid))):
        named = {type_: data.get("trace_id") for type_, data in runners.events(session)}
        assert named["run_started"] == named["waiting_for_input"] == trace
        assert named["node_started"] is None
    assert {json.loads(line)["trace_id"] for line in output.splitlines() if line.startswith("{")} == {
        derive_trace_id(plain.uid)
    }


def test_a_failure_is_named_by_its_type_alone(runners: RunnerBench, collector: Collector) -> None:
    session = runners.session(FAILING)
    run(session, collector.variables(), code=3)
    seen = by_name(collector.spans)
    node, root = seen["node fails"], seen["invoke_workflow"]
    assert (node.is_error, node.attributes["error.type"]) == (True, "ValueError")
    assert (root.is_error, root.attributes["error.type"]) == (True, "graph_failed")
    assert PROMPT not in b"".join(collector.bodies).decode()


def test_what_the_parent_does_not_sample_is_not_sent(runners: RunnerBench, collector: Collector) -> None:
    run(runners.session(AGENT, {"messages": []}), collector.variables(TRACEPARENT=f"{LINE[:-2]}00"))
    assert collector.spans == []


def test_the_operator_s_address_holds_where_no_standard_variable_has_one(
    runners: RunnerBench, collector: Collector
) -> None:
    told = {"TRACES_ENDPOINT": collector.endpoint}
    run(runners.session(FAILING), told, code=3)
    assert {span.name for span in collector.spans} == {"invoke_workflow", "node fails"}
    with running_collector() as theirs:
        run(runners.session(FAILING), theirs.variables(**told), code=3)
        assert len(theirs.spans) == 2
    run(runners.session(FAILING), {**told, "OTEL_SDK_DISABLED": "true"}, code=3)
    assert len(collector.spans) == 2


@pytest.mark.parametrize("case", ["away", "slow", "refuses", "no address"])
def test_a_collector_that_takes_nothing_costs_a_run_one_line_of_its_log(runners: RunnerBench, case: str) -> None:
    with running_collector(answer=500, holds=case == "slow") as bad:
        endpoint = {"away": "http://127.0.0.1:9", "no address": "collector:4317"}.get(case, bad.endpoint)
        session = runners.session(AGENT, {"messages": []})
        started = time.monotonic()
        output = run(session, {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "10"})
        assert time.monotonic() - started < 60
    assert session.status["phase"] == "WaitingForInput"
    lines = [line for line in output.splitlines() if "spans" in line]
    assert len(lines) == 1, output
    assert "Traceback" not in output


def test_a_session_changes_neither_where_its_spans_go_nor_with_what(runners: RunnerBench, collector: Collector) -> None:
    """Even where an author lists the variables, and with the names that LangChain's own metadata has."""
    with running_collector() as theirs:
        given = {
            **theirs.variables(),
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{theirs.endpoint}/v1/traces",
            "OTEL_EXPORTER_OTLP_HEADERS": "x-mine=1",
            "OTEL_RESOURCE_ATTRIBUTES": "service.name=mine",
            "OTEL_TRACES_SAMPLER": "always_off",
            "OTEL_SDK_DISABLED": "true",
        }
        spec = {
            "env": [{"name": name, "value": value} for name, value in given.items()],
            "config": {"metadata": {"ls_max_tokens": {"a": 1}, "ls_temperature": "NaN", "ls_provider": "\x1b[2J"}},
        }
        session = runners.session(AGENT, {"messages": []}, spec=spec)
        headers = {"OTEL_EXPORTER_OTLP_HEADERS": f"x-token={TOKEN}"}
        told = {"TRACES_ENDPOINT": collector.endpoint, "SESSION_ENV": ",".join(set(given) - set(headers)), **headers}
        run(session, told)
        assert theirs.requests == 0
    assert {"invoke_workflow", "node think", "chat gpt-test", "execute_tool look_up"} <= {
        span.name for span in collector.spans
    }
    assert {span.service for span in collector.spans} == {"agentic-runner"}
    assert {(each.get("x-token"), each.get("x-mine")) for each in collector.headers} == {(TOKEN, None)}
    assert "\\u001b[2J" not in b"".join(collector.bodies).decode().replace("\\\\u001b", "")
