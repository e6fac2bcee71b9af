"""A runner and parallel subgraphs with types of their own: each node runs once, and nothing is said to be lost."""

from collections import Counter

from tests.support.runner import RunnerBench, Session

BRANCHES = 4
ROUNDS = 3
TYPED = f"""
from pydantic import BaseModel

class State(TypedDict, total=False):
    round: int
    said: Annotated[list[str], operator.add]
    found: Annotated[list[int], operator.add]

def build_branch(number):
    class Finding(BaseModel):
        number: int
        text: str

    Finding.__name__ = Finding.__qualname__ = f"Finding{{number}}"
    globals()[Finding.__name__] = Finding

    class Branch(TypedDict, total=False):
        round: int
        finding: Finding
        found: list[int]

    class Output(TypedDict, total=False):
        found: list[int]

    def find(state):
        note(f"find{{number}}")
        return {{"finding": Finding(number=number, text="x" * 100 * number)}}

    def check(state):
        note(f"check{{number}}")
        assert type(state["finding"]) is Finding, type(state["finding"])
        return {{"found": [state["finding"].number]}}

    return (
        StateGraph(Branch, output_schema=Output).add_node(find).add_node(check)
        .add_edge(START, "find").add_edge("find", "check").add_edge("check", END).compile()
    )

def ask(state):
    note("ask")
    return {{"said": [interrupt("on?")], "round": state.get("round", 0) + 1}}

builder = StateGraph(State).add_node(ask)
for number in range({BRANCHES}):
    builder.add_node(f"branch{{number}}", build_branch(number)).add_edge(START, f"branch{{number}}")
builder.add_edge([f"branch{{number}}" for number in range({BRANCHES})], "ask")
again = [f"branch{{number}}" for number in range({BRANCHES})]
builder.add_conditional_edges("ask", lambda state: again if state["round"] < {ROUNDS} else END, [*again, END])
graph = builder.compile()
"""


def wait_until_asked(session: Session, times: int) -> None:
    session.wait_for_status(
        lambda status: status.get("phase") == "WaitingForInput" and len(status.get("interrupts", ())) == times,
        what=f"question {times}",
    )


def test_parallel_subgraphs_with_types_of_their_own_run_once_in_several_warm_rounds(runners: RunnerBench) -> None:
    runners.database.execute("CREATE TABLE sent (task_id text, idx int)")
    runners.database.execute("GRANT ALL ON sent TO public")
    runners.database.execute(
        "CREATE FUNCTION note_sent() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO public.sent VALUES (NEW.task_id, NEW.idx); RETURN NEW; END'"
    )
    # Before a row: it fires also for one that is there already. What is special about a task, like its question, has
    # a negative index and may be written again.
    runners.database.execute(
        "CREATE TRIGGER note_sent BEFORE INSERT ON checkpoint_writes"
        " FOR EACH ROW WHEN (NEW.idx >= 0) EXECUTE FUNCTION note_sent()"
    )
    session = runners.session(TYPED, {}, KEEP_WARM_SECONDS="60")
    runner = session.start()
    for round_ in range(1, ROUNDS + 1):
        wait_until_asked(session, round_)
        session.answer(ask=f"go on {round_}")
    assert runner.wait() == 0, runner.output

    status = session.status
    assert status["phase"] == "Completed", status.get("message")
    assert sorted(status["result"]["found"]) == sorted([*range(BRANCHES)] * ROUNDS)
    ran = Counter(session.ran)
    assert ran == {
        **{f"{node}{number}": ROUNDS for node in ("find", "check") for number in range(BRANCHES)},
        "ask": 2 * ROUNDS,
    }
    assert "CheckpointsLost" not in {each["type"] for each in status["conditions"]}
    assert "checkpoints_lost" not in {type_ for type_, _ in runners.events(session)}
    assert runners.database.execute("SELECT * FROM sent GROUP BY 1, 2 HAVING count(*) > 1") == []
