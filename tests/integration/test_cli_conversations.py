"""Conversations from the command line on a real API server; operator and runner are played."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_cli_following import behind_a_proxy
from tests.support.faultproxy import Cut
from tests.support.kube import Json, Space
from tests.support.person import Person
from tests.support.played_operator import PlayedOperator, play_operator
from tests.support.waiting import PATIENCE_SECONDS, wait_for
from tests.trust.roles import a_user

MESSAGES: dict[str, Any] = {
    "type": "object",
    "required": ["messages"],
    "properties": {"messages": {"type": "array"}, "user_id": {"type": "string"}},
}
TWO_FIELDS: dict[str, Any] = {
    "type": "object",
    "required": ["question", "count"],
    "properties": {"question": {"type": "string"}, "count": {"type": "integer"}},
}


def user_of(space: Space) -> str:
    return f"admin-of-{space.name}"


def turns_of(space: Space, session: str = "c") -> list[Json]:
    turns: list[Json] = space.session(session)["spec"].get("turns") or []
    return turns


def words_of(turns: list[Json]) -> list[str]:
    return [turn["input"]["messages"][0]["content"] for turn in turns]


@pytest.fixture
def person(space: Space) -> Person:
    """An administrator whose context names the test's namespace."""
    return Person.using(
        space.plane.kubeconfig_for_user(user_of(space), groups=["system:masters"], namespace=space.name)
    )


@pytest.fixture
def support(space: Space) -> str:
    """A workflow of messages."""
    space.define("support", inputSchema=MESSAGES)
    return "support"


@pytest.fixture
def played(space: Space) -> Iterator[PlayedOperator]:
    """Operator and runner."""
    with play_operator(space) as made:
        yield made


@pytest.fixture
def conversation(space: Space, support: str) -> str:
    """A conversation in which nothing was said yet."""
    space.start("c", support, mode="Conversation")
    return "c"


# -- a pipe


def test_each_line_of_a_pipe_is_a_turn_of_one_session(
    space: Space, person: Person, support: str, played: PlayedOperator
) -> None:
    done = person.run("chat", support, "--name", "c", "-p", "user_id=ann", stdin="hi\n\nand now\tin French\n")
    assert (done.returncode, done.stdout) == (0, "you said hi\nyou said and now\tin French\n")
    assert done.stderr == "session/c created\n"
    spec = space.session("c")["spec"]
    assert (spec["mode"], spec["createdBy"]) == ("Conversation", user_of(space))
    assert [(turn["name"], turn["by"]) for turn in spec["turns"]] == [
        ("t0001", user_of(space)),
        ("t0002", user_of(space)),
    ]
    assert spec["turns"][0]["input"] == {"messages": [{"role": "user", "content": "hi"}], "user_id": "ann"}


def test_a_session_is_gone_on_with_by_its_name(person: Person, conversation: str, played: PlayedOperator) -> None:
    assert person.out("chat", conversation, stdin="hi") == "you said hi\n"
    assert person.out("chat", f"session/{conversation}", stdin="more") == "you said more\n"
    assert person.out("chat", f"agenticsession/{conversation}", stdin="still more") == "you said still more\n"


def test_a_failed_turn_is_told_and_the_status_is_that_of_the_last(
    person: Person, conversation: str, played: PlayedOperator
) -> None:
    done = person.run("chat", conversation, stdin="fail now\nhi\n")
    assert (done.returncode, done.stdout) == (0, "you said hi\n")
    assert done.stderr == "t0001 Failed: ValueError: fail now\n"
    assert person.run("chat", conversation, stdin="hi\nfail\n").returncode == 1


def test_a_question_in_a_pipe_ends_it_with_a_status_of_its_own(
    space: Space, person: Person, conversation: str, played: PlayedOperator
) -> None:
    done = person.run("chat", conversation, stdin="ask me\nhi\n")
    assert (done.returncode, done.stdout) == (4, "")
    assert "question q1: Really? [yes/no]" in done.stderr
    assert f"t0001 waits for an answer: agentic respond c -n {space.name}" in done.stderr
    assert words_of(turns_of(space)) == ["ask me"]


def test_lines_for_a_workflow_of_several_inputs_are_objects(space: Space, person: Person) -> None:
    space.define("counts", inputSchema=TWO_FIELDS)
    done = person.run("chat", "counts", "--name", "c", stdin="hello\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert 'the input: "hello" is not an object; write it as JSON' in done.stderr
    assert "line 1 was not sent" in done.stderr
    assert space.find("c") is None
    with play_operator(space):
        person.out("chat", "counts", "--name", "c", stdin='{"question": "why?", "count": 2}\n')
        person.out("chat", "c", "--field", "question", "-p", "count=3", stdin="how?\n")
    assert [turn["input"] for turn in turns_of(space)] == [
        {"question": "why?", "count": 2},
        {"question": "how?", "count": 3},
    ]


def test_what_the_schema_refuses_is_not_sent(space: Space, person: Person) -> None:
    space.define("counts", inputSchema=TWO_FIELDS)
    done = person.run("chat", "counts", "--name", "c", stdin='{"question": "why?", "count": "x"}\n')
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == 'error: /count: "x" is not of type "integer"'
    assert space.find("c") is None


def test_a_name_that_is_both_has_to_be_said(space: Space, person: Person, support: str) -> None:
    space.start("support", "support", mode="Conversation")
    done = person.run("chat", "support", stdin="hi\n")
    assert (done.returncode, done.stderr) == (
        1,
        "error: 'support' is a session and a workflow: write session/support or workflow/support\n",
    )
    with play_operator(space):
        assert person.out("chat", "session/support", stdin="hi\n") == "you said hi\n"
        assert person.out("chat", "workflow/support", "--name", "c", stdin="hi\n") == "you said hi\n"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("nothing", "no workflow and no session 'nothing' in namespace"),
        ("No", "'No' is no name"),
        ("one-shot", "session 'one-shot' is no conversation (spec.mode): `agentic fork one-shot --conversation`"),
        ("stopped", "the conversation 'stopped' is Stopped"),
    ],
)
def test_what_cannot_be_talked_to_is_one_line(space: Space, person: Person, name: str, complaint: str) -> None:
    space.start("one-shot")
    space.start("stopped", mode="Conversation")
    space.report("stopped", phase="Stopped")
    done = person.run("chat", name, stdin="hi\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == 1


# -- one turn


def test_a_turn_says_all_that_a_turn_can_say(space: Space, person: Person, conversation: str) -> None:
    space.report("c", history=[{"id": "1ef-long"}])
    out = person.out(
        "turn",
        conversation,
        *("-m", "hi", "-p", "user_id=ann", "--from-checkpoint", "1ef", "--preempt", "rollback"),
        *("-c", "model=large", "--recursion-limit", "9", "--graph-context", "tone=kind", "-o", "name"),
    )
    assert out == "t0001\n"
    assert person.out("turn", conversation, "--goto", "review", "--update", "ok=true") == (
        "agenticsession/c turn t0002 added\n"
    )
    person.out("turn", conversation, "--goto", "a", "--goto", "b")
    person.out("turn", conversation, "--no-input")
    person.out("turn", conversation, "-f", "-", stdin='{"messages": ["from a file"]}')
    by = {"by": user_of(space)}
    assert turns_of(space) == [
        {
            "name": "t0001",
            "input": {"messages": [{"role": "user", "content": "hi"}], "user_id": "ann"},
            "fromCheckpoint": "1ef-long",
            "preempt": "Rollback",
            "config": {"configurable": {"model": "large"}, "recursion_limit": 9},
            "context": {"tone": "kind"},
            **by,
        },
        {"name": "t0002", "command": {"goto": "review", "update": {"ok": True}}, **by},
        {"name": "t0003", "command": {"goto": ["a", "b"]}, **by},
        {"name": "t0004", **by},
        {"name": "t0005", "input": {"messages": ["from a file"]}, **by},
    ]


@pytest.mark.parametrize(
    "arguments", [(), ("-m", "hi", "--goto", "x"), ("--no-input", "-m", "hi"), ("--goto", "x", "--no-input")]
)
def test_a_turn_is_one_thing(person: Person, conversation: str, arguments: tuple[str, ...]) -> None:
    done = person.run("turn", conversation, *arguments)
    assert done.returncode == 2
    assert "give inputs (--message, --file, -p), or a command (--goto, --update), or --no-input" in done.stderr


def test_an_input_that_is_too_large_names_the_place(space: Space, person: Person, conversation: str) -> None:
    done = person.run("turn", conversation, "-f", "-", stdin=json.dumps({"messages": ["x" * 33_000]}))
    assert done.returncode == 1
    assert done.stderr.startswith("error: /input")
    assert len(done.stderr.splitlines()) == 1
    assert turns_of(space) == []


@pytest.mark.parametrize(
    ("words", "status", "out", "err"),
    [
        ("hi", 0, "you said hi\n", ""),
        ("fail", 1, "", "t0001 Failed: ValueError: fail\n"),
        ("ask", 4, "", "c waits: question q1: Really? [yes/no]\n"),
    ],
)
def test_a_turn_can_be_waited_for(
    person: Person, conversation: str, played: PlayedOperator, words: str, status: int, out: str, err: str
) -> None:
    done = person.run("turn", conversation, "-m", words, "--wait", "--no-answer")
    assert (done.returncode, done.stdout, done.stderr) == (status, out, err)


def test_waiting_has_an_end_and_the_turn_goes_on(
    space: Space, person: Person, conversation: str, played: PlayedOperator
) -> None:
    assert person.run("turn", conversation, "-m", "slow", "--wait", "--timeout", "1").returncode == 124
    assert "cancel" not in turns_of(space)[0]


def test_turns_of_many_clients_at_once_are_all_there(space: Space, person: Person, conversation: str) -> None:
    def say(number: int) -> subprocess.CompletedProcess[str]:
        # The same words of the same person, too.
        return person.run("turn", conversation, "-m", f"words {number % 4}", "-o", "name")

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(say, range(12)))
    assert [each.stderr for each in done] == [""] * 12
    names = [each.stdout.strip() for each in done]
    assert sorted(names) == [f"t{number:04}" for number in range(1, 13)]
    turns = turns_of(space)
    assert sorted(words_of(turns)) == sorted(f"words {number % 4}" for number in range(12))
    by_name = {turn["name"]: words for turn, words in zip(turns, words_of(turns), strict=True)}
    assert [by_name[name] for name in names] == [f"words {number % 4}" for number in range(12)]


def test_who_may_answer_may_talk_and_nobody_talks_in_anothers_name(
    space: Space, conversation: str, played: PlayedOperator
) -> None:
    a_user(space.plane, space.name, "agentic-edit", "agentic-view", name="ann")
    ann = Person.using(space.plane.kubeconfig_for_user("ann", namespace=space.name))
    assert ann.out("chat", conversation, stdin="hi\n") == "you said hi\n"
    assert turns_of(space)[0]["by"] == "ann"
    ann.out("turn", conversation, "-m", "slow")
    ann.out("cancel", conversation, "t0002")
    assert turns_of(space)[1]["cancelledBy"] == "ann"
    a_user(space.plane, space.name, "agentic-view", name="eve")
    viewer = Person.using(space.plane.kubeconfig_for_user("eve", namespace=space.name))
    done = viewer.run("chat", conversation, stdin="hi\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert "not allowed: needs the right 'patch' on agenticsessions" in done.stderr


@pytest.mark.parametrize("is_applied", [True, False], ids=["the answer is lost", "the request is lost"])
async def test_a_turn_is_there_once_where_the_connection_breaks(
    space: Space, conversation: str, tmp_path: Path, is_applied: bool
) -> None:
    async with behind_a_proxy(space, tmp_path) as (proxy, person):
        cuts = iter([Cut(is_applied=is_applied)] * 2)
        proxy.choose = lambda method, _path: next(cuts, None) if method == "PATCH" else None
        done = await asyncio.to_thread(person.run, "turn", conversation, "-m", "hi", "-o", "name")
    assert (done.returncode, done.stdout) == (0, "t0001\n")
    assert words_of(turns_of(space)) == ["hi"]


@pytest.mark.parametrize(("is_applied", "status"), [(True, 0), (False, 21)])
async def test_a_conversation_is_made_once_where_the_connection_breaks(
    space: Space, support: str, played: PlayedOperator, tmp_path: Path, is_applied: bool, status: int
) -> None:
    async with behind_a_proxy(space, tmp_path) as (proxy, person):
        cuts = iter([Cut(is_applied=is_applied)])

        def choose(method: str, path: str) -> Cut | None:
            return next(cuts, None) if method == "POST" and "agenticsessions" in path else None

        proxy.choose = choose
        done = await asyncio.to_thread(person.run, "chat", support, stdin="hi\n")
    assert (done.returncode, done.stdout) == (status, "you said hi\n" if is_applied else "")
    assert len(space.sessions()) == is_applied


# -- cancel, close, history, result


def test_the_turn_that_is_on_is_canceled_and_signed(
    space: Space, person: Person, conversation: str, played: PlayedOperator
) -> None:
    refused = person.run("cancel", conversation)
    assert refused.returncode == 1
    assert "no turn of session 'c' is on" in refused.stderr
    person.out("turn", conversation, "-m", "slow")
    space.wait_status("c", "Running")
    assert person.out("cancel", conversation) == "agenticsession/c turn t0001 canceling\n"
    turn = turns_of(space)[0]
    assert (turn["cancel"], turn["cancelledBy"]) == (True, user_of(space))
    space.wait_status("c", "Idle")
    assert person.out("cancel", conversation, "t0001") == "agenticsession/c turn t0001 Canceled already\n"
    assert person.run("cancel", conversation, "t0009").stderr == (
        "error: session 'c' has no turn 't0009'; its turns: t0001\n"
    )


def test_a_conversation_is_closed_once_its_turns_are_done(
    space: Space, person: Person, conversation: str, played: PlayedOperator
) -> None:
    person.out("turn", conversation, "-m", "hi")
    assert person.out("close", conversation) == "agenticsession/c closing\n"
    space.wait_status("c", "Completed")
    assert [each["phase"] for each in space.status("c")["turns"]] == ["Completed"]
    assert person.out("close", conversation) == "agenticsession/c was told so already\n"
    assert "is Completed" in person.run("turn", conversation, "-m", "hi").stderr
    space.start("one-shot")
    assert "is no conversation" in person.run("close", "one-shot").stderr


def test_history_and_results_are_by_turn(
    space: Space, person: Person, conversation: str, played: PlayedOperator
) -> None:
    assert person.run("history", conversation).stderr.startswith("nothing was said in 'c' yet")
    assert person.run("result", conversation).stderr.endswith("none of its turns has ended\n")
    person.out("chat", conversation, stdin="hi\nmore\n")
    assert person.out("history", conversation) == "> hi\nyou said hi\n> more\nyou said more\n"
    table = person.out("history", conversation, "-o", "table").splitlines()
    assert [line.split()[:4] for line in table] == [
        ["TURN", "NUMBER", "PHASE", "BY"],
        ["t0001", "1", "Completed", user_of(space)],
        ["t0002", "2", "Completed", user_of(space)],
    ]
    listed = json.loads(person.out("history", conversation, "-o", "json"))
    assert [(each["name"], each["phase"], "result" in each) for each in listed] == [
        ("t0001", "Completed", False),
        ("t0002", "Completed", True),
    ]
    assert json.loads(person.out("result", conversation))["messages"][-1]["content"] == "you said more"
    assert person.out("result", conversation, "--turn", "t0002") == person.out("result", conversation)
    gone = person.run("result", conversation, "--turn", "t0001")
    assert gone.returncode == 1
    assert "that of 't0001' is in the database" in gone.stderr
    assert person.out("turn", conversation, "-m", "fail", "-o", "name") == "t0003\n"
    failed = person.run("result", conversation, "--turn", "t0003", "--wait")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == "error: turn 't0003' of session 'c' has no result, it is Failed: ValueError: fail\n"


def test_get_list_and_watch_know_conversations(
    space: Space, person: Person, conversation: str, played: PlayedOperator
) -> None:
    space.wait_status("c", "Idle")
    assert person.out("list", "--phase", "Idle", "-o", "name").endswith("/c\n")
    person.out("turn", conversation, "-m", "hi")
    watched = person.run("watch", conversation)
    assert watched.returncode == 0
    assert watched.stdout.splitlines()[-1].startswith("Idle")
    text = person.out("get", conversation)
    assert "Mode:        Conversation, 1 turn" in text
    assert "  TURN   NUMBER  PHASE" in text
    person.out("turn", conversation, "-m", "fail")
    assert person.run("watch", conversation).returncode == 1


# -- run and fork


def test_run_begins_a_conversation_with_its_inputs_or_with_nothing(space: Space, person: Person, support: str) -> None:
    person.out("run", support, "--conversation", "-m", "hi", "--idle-deadline", "30d", "--name", "c")
    spec = space.session("c")["spec"]
    assert (spec["mode"], spec["idleDeadlineSeconds"]) == ("Conversation", 2_592_000)
    assert spec["turns"] == [
        {"name": "t0001", "input": {"messages": [{"role": "user", "content": "hi"}]}, "by": user_of(space)}
    ]
    assert "inputs" not in spec
    person.out("run", support, "--conversation", "--name", "empty")
    assert turns_of(space, "empty") == []
    assert person.run("run", support, "-m", "hi", "--idle-deadline", "1d").returncode == 2
    person.out("run", support, "-m", "hi", "--name", "once")
    assert space.session("once")["spec"]["inputs"] == {"messages": [{"role": "user", "content": "hi"}]}


def test_a_one_shot_session_is_gone_on_with_as_a_conversation(space: Space, person: Person, support: str) -> None:
    space.start("once", support)
    space.report("once", phase="Completed", startTime="2026-05-01T10:00:05Z")
    person.out("fork", "once", "--conversation", "--name", "c")
    spec = space.session("c")["spec"]
    assert (spec["mode"], spec["forkFrom"]) == ("Conversation", {"session": "once"})


def test_run_waits_for_the_first_turn(person: Person, support: str, played: PlayedOperator) -> None:
    assert person.run("run", support, "--conversation", "-m", "hi", "--wait").returncode == 0
    assert person.run("run", support, "--conversation", "-m", "fail", "--wait").returncode == 1


# -- completion


def test_turns_and_checkpoints_are_completed(space: Space, person: Person, conversation: str) -> None:
    person.out("turn", conversation, "-m", "hi")
    person.out("turn", conversation, "-m", "more")
    space.report("c", history=[{"id": "1ef-a", "node": "agent"}])

    def complete(*words: str) -> list[str]:
        line = " ".join(("agentic", *words))
        environment = {
            **person.environment,
            "_AGENTIC_COMPLETE": "bash_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words)),
        }
        done = subprocess.run(
            person.command(), env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
        )
        return [each.partition(",")[2] for each in done.stdout.split()]

    assert complete("cancel", "c", "t") == ["t0001", "t0002"]
    assert complete("result", "c", "--turn", "t0002") == ["t0002"]
    assert complete("turn", "c", "--from-checkpoint", "1") == ["1ef-a"]
    assert {"c", "support"} <= set(wait_for(lambda: complete("chat", ""), bool, what="names"))
