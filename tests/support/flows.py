"""Graphs for tests of the runner; each is appended to ``tests.support.runner.PRELUDE``."""

TWO_NODES = """
class State(TypedDict):
    x: int
    y: int

def a(state):
    note("a")
    get_stream_writer()({"progress": 0.5, "message": "half way"})
    return {"x": state["x"] + 1}

def b(state):
    note("b")
    return {"y": state["x"] * 2}

graph = (
    StateGraph(State).add_node(a).add_node(b)
    .add_edge(START, "a").add_edge("a", "b").add_edge("b", END).compile()
)
"""

# `first` is done when `second` waits for the test.
HELD = """
class State(TypedDict):
    x: int

def first(state):
    note("first")
    return {"x": state.get("x", 0) + 1}

def second(state):
    note("second")
    hold("second")
    return {"x": state["x"] + 10}

def third(state):
    note("third")
    return {"x": state["x"] + 100}

graph = (
    StateGraph(State).add_node(first).add_node(second).add_node(third)
    .add_edge(START, "first").add_edge("first", "second").add_edge("second", "third").add_edge("third", END).compile()
)
"""

# The first attempts raise, as many as `x` says.
RAISING = """
class State(TypedDict):
    x: int

def prepare(state):
    note("prepare")

def risky(state):
    note("risky")
    if (HERE / "ran").read_text().split().count("risky") <= state["x"]:
        raise ValueError("no luck with " + str(state["x"]))
    return {"x": -1}

graph = (
    StateGraph(State).add_node(prepare).add_node(risky)
    .add_edge(START, "prepare").add_edge("prepare", "risky").add_edge("risky", END).compile()
)
"""

PARALLEL = """
class State(TypedDict):
    done: Annotated[list, operator.add]

def good(state):
    note("good")
    return {"done": ["good"]}

def bad(state):
    note("bad")
    if (HERE / "ran").read_text().split().count("bad") == 1:
        hold("bad")
        raise RuntimeError("the first time")
    return {"done": ["bad"]}

graph = (
    StateGraph(State).add_node(good).add_node(bad)
    .add_edge(START, "good").add_edge(START, "bad").add_edge("good", END).add_edge("bad", END).compile()
)
"""

ASKING = """
class State(TypedDict):
    text: str
    approved: bool

def draft(state):
    note("draft")
    return {"text": "hello"}

def review(state):
    answer = interrupt({"question": "send it?", "text": state["text"], "nothing": None})
    note("review")
    return {"approved": answer["ok"]}

graph = (
    StateGraph(State).add_node(draft).add_node(review)
    .add_edge(START, "draft").add_edge("draft", "review").add_edge("review", END).compile()
)
"""
