"""The command line with a real operator and real runners: the example to talk to, from the first message to the end."""

import asyncio
import json

from agentic_core.lifecycle import Phase
from tests.faults.bed import Bed
from tests.support.apiclient import definitions_path
from tests.support.commands import ROOT
from tests.support.person import Person

CHAT_IMAGE = "agentic-operator/example-chat:dev"


async def define_chat(bed: Bed) -> None:
    """Register the example to talk to, which the node runs from its folder."""
    bed.kubelet.images[CHAT_IMAGE] = ROOT / "examples/chat/app"
    await bed.client.create(
        definitions_path(bed.namespace),
        {
            "apiVersion": "agentic-operator.dev/v1alpha1",
            "kind": "WorkflowDefinition",
            "metadata": {"name": "chat"},
            "spec": {"image": CHAT_IMAGE, "graph": "chat"},
        },
    )


def person_named(bed: Bed, name: str) -> Person:
    """Return an administrator of this name."""
    return Person.using(bed.plane.kubeconfig_for_user(name, groups=["system:masters"], namespace=bed.namespace))


async def test_two_people_and_the_example_to_talk_to(bed: Bed) -> None:
    await bed.operator()
    await define_chat(bed)
    ann, bob = person_named(bed, "ann"), person_named(bed, "bob")

    def talk() -> None:
        done = ann.run(
            *("chat", "chat", "--name", "tea", "--graph-context", "user=ann"),
            stdin="Remember that I like green tea.\nWhat did I say before?\n",
        )
        assert (done.returncode, done.stdout) == (
            0,
            'I will remember: I like green tea.\nYou said: "Remember that I like green tea."\n',
        ), done.stderr
        with ann.terminal("chat", "tea") as terminal:
            terminal.expect("Remember that I like green tea.")
            terminal.expect("> ")
            terminal.type("Please order 2 lamps.")
            terminal.expect("Order 2 x lamp for 78.00?")
            terminal.expect("you cannot answer it; it needs an answer")
            bob.out("respond", "tea", "approve")
            terminal.expect("Ordered 2 x lamp for 78.00.")
            terminal.expect("> ")
            terminal.type("/history")
            terminal.expect("Ordered 2 x lamp for 78.00.")
            terminal.expect("> ")
            terminal.press("d")
            assert terminal.end() == 0
        assert ann.run("turn", "tea", "-m", "hello", "--wait").returncode == 0
        turns = json.loads(ann.out("history", "tea", "-o", "json"))
        assert [(each["name"], each["phase"], each["by"]) for each in turns] == [
            (f"t000{number}", "Completed", "ann") for number in (1, 2, 3, 4)
        ]
        ann.out("close", "tea")

    await asyncio.to_thread(talk)
    await bed.wait_phase("tea", Phase.COMPLETED)
    await bed.check()
