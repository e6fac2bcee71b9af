"""Conversations on the real cluster: the demo, and the commands of guide and example as a reader pastes them."""

import json
import re

import pytest

from hack.demo.chat import APPROVER, CREATOR, REMEMBERED, Conversation, converse, grant
from hack.demo.example import Clock, Terminal
from hack.kubectl import ROOT
from tests.e2e.conftest import Project, read_environment
from tests.support.cluster import SESSION
from tests.support.guide import read_consoles, reads_like, run_commands, split_command
from tests.support.waiting import wait_for

README = "../examples/chat/README.md"


@pytest.fixture
def people(project: Project) -> Project:
    """A namespace in which ann and bob may edit sessions."""
    grant(project.kubectl, project.name)
    return project


def run_block(project: Project, block: list[tuple[str, list[str]]], person: str) -> None:
    """Run the commands of a block as a person; where the page shows what they print, they print that."""
    act_as = f'kubectl() {{ command kubectl -n {project.name} --as {person} "$@"; }}\n'
    for first, rest in block:
        command, shown = split_command(first, rest)
        if re.match(r"[A-Z]+=", command):
            # A variable of the reader's shell, for the commands that follow.
            act_as += f"{command}\n"
            continue
        printed = run_commands(act_as + command, env=read_environment(project.kubectl), folder=ROOT)
        if shown:
            assert reads_like(printed, shown), f"$ {command}\n{printed}\nthe page shows:\n" + "\n".join(shown)


def test_the_demo_holds_its_conversation_and_a_later_one_recalls_it(people: Project) -> None:
    converse(people.kubectl, Terminal(), Clock(), namespace=people.name)
    ended = people.status("tea")
    assert [(turn["name"], turn["number"], turn["phase"]) for turn in ended["turns"]] == [
        ("t0001", 1, "Completed"),
        ("t0002", 2, "Completed"),
        ("t0003", 3, "Completed"),
    ]
    assert [turn["by"] for turn in ended["turns"]] == [CREATOR] * 3
    assert [answer["by"] for answer in ended["answers"]] == [APPROVER]
    assert people.condition(SESSION, "tea", "InputAccepted")["status"] == "True"
    people.start("chat", name="later", mode="Conversation", context={"user": "ann"})
    talk = Conversation(people.kubectl, Terminal(), people.name, "later")
    talk.say(CREATOR, "t1", "What did I say before?")
    assert talk.watch_turn("t1") == "This is the first thing that you say to me."
    talk.say(CREATOR, "t2", "What do you know about me?")
    assert REMEMBERED in talk.watch_turn("t2")


def test_the_commands_of_the_examples_readme_do_what_it_says(people: Project) -> None:
    start, ask, approve, go_on = read_consoles(README)[:4]
    run_block(people, start, CREATOR)
    run_block(people, ask, CREATOR)
    recorded = wait_for(lambda: people.status("tea").get("approvals") or [], bool, what="the rule of the question")
    assert recorded[0]["rule"]["notCreator"] is True
    run_block(people, approve, APPROVER)
    run_block(people, go_on, CREATOR)


def test_the_commands_of_the_guide_do_what_it_says(people: Project) -> None:
    for block in read_consoles("conversations.md"):
        run_block(people, block, CREATOR)
    status = people.status("tea")
    assert (status["phase"], status["turnCount"]) == ("Completed", 2), json.dumps(status)
