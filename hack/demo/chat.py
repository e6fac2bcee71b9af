"""``make demo-chat``: three turns of a conversation that sleeps without a pod; a second person approves an order.

Everything is done by kubectl, as the people ann and bob, by impersonation. The last turn recalls what the first said.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hack.cluster.errors import ClusterError
from hack.demo.approval import describe as describe_question
from hack.demo.approval import show_no_pods
from hack.demo.example import FINAL, NAMESPACE, Clock, Terminal, describe, prepare
from hack.kubectl import ROOT, Kubectl, KubectlError

API_VERSION: Final = "agentic-operator.dev/v1alpha1"
CREATOR: Final = "ann@example.org"
APPROVER: Final = "bob@example.org"
ROLES: Final = ("agentic-edit", "agentic-view")
ENDED: Final = frozenset({"Completed", "Failed", "Canceled", "Refused"})
EXAMPLE: Final = ROOT / "examples" / "chat"
REMEMBERED: Final = "I like green tea"
TURN_SECONDS: Final = 180


class DemoError(Exception):
    """Something went otherwise than the demo says; the text is for people."""


@dataclass(frozen=True)
class Conversation:
    """One conversation of the example, as kubectl shows and changes it."""

    kubectl: Kubectl
    terminal: Terminal
    namespace: str
    name: str

    def read(self) -> dict[str, Any]:
        """Return the session; empty if it is not there."""
        return self.kubectl.get("-n", self.namespace, "agenticsession", self.name) or {}

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.read().get("status") or {}
        return status

    def find_turn(self, name: str) -> dict[str, Any]:
        """Return what the status says of a turn; empty if it says nothing yet."""
        return next((turn for turn in self.status().get("turns", ()) if turn["name"] == name), {})

    def apply(self, person: str, manager: str, spec: Mapping[str, Any]) -> None:
        """Apply a part of the spec as a person, under a field manager of its own, and show the command."""
        manifest = {
            "apiVersion": API_VERSION,
            "kind": "AgenticSession",
            "metadata": {"name": self.name},
            "spec": dict(spec),
        }
        text = json.dumps(manifest)
        self.terminal.line(f"kubectl --as {person} apply --server-side --field-manager={manager} -f - <<< '{text}'")
        self.kubectl.run(
            *("-n", self.namespace, "--as", person, "apply", "--server-side"),
            *(f"--field-manager={manager}", "-f", "-"),
            stdin=text,
        )

    def say(self, person: str, turn: str, text: str) -> None:
        """Append a turn."""
        message = {"messages": [{"role": "user", "content": text}]}
        self.apply(person, turn, {"turns": [{"name": turn, "by": person, "input": message}]})

    def respond(self, person: str, question: Mapping[str, Any], value: Any) -> None:
        """Answer a question."""
        answer = {"interruptId": question["id"], "by": person, "value": value}
        self.apply(person, f"{person}/{question['id']}", {"responses": [answer]})

    def watch(self, what: str, is_over: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """Tell every change of the session's phase until ``is_over`` of its status; return that."""
        began, last = time.monotonic(), ""
        while time.monotonic() - began < TURN_SECONDS:
            session = self.read()
            if (now := describe(session)) != last:
                self.terminal.line(f"{time.monotonic() - began:6.1f} s  {now}")
                last = now
            status: dict[str, Any] = session.get("status") or {}
            if is_over(status):
                return status
            if status.get("phase") in FINAL:
                break
            time.sleep(0.2)
        raise DemoError(f"{what}: not reached; the session was last: {last or 'not there'}")

    def watch_turn(self, turn: str) -> str:
        """Wait for the end of a turn and return its answer; raise DemoError if it did not complete."""

        def find_end(status: dict[str, Any]) -> dict[str, Any] | None:
            ended = (each for each in status.get("turns", ()) if each["name"] == turn and each["phase"] in ENDED)
            return next(ended, None) if status.get("phase") == "Idle" else None

        status = self.watch(f"the end of turn {turn}", find_end)
        found = find_end(status)
        if not found or found["phase"] != "Completed":
            raise DemoError(f"turn {turn} ended otherwise: {json.dumps(found)}")
        answer: str = status["result"]["answer"]
        self.terminal.line(self.terminal.paint(f"» {answer}", "1"))
        return answer

    def watch_question(self) -> dict[str, Any]:
        """Wait until the turn asks a person and the rule of its question is recorded; return the question."""

        def find(status: dict[str, Any]) -> dict[str, Any] | None:
            recorded = {each["interruptId"] for each in status.get("approvals", ())}
            asked = (each for each in status.get("interrupts", ()) if "answeredAt" not in each)
            return next((each for each in asked if each["id"] in recorded), None)

        status = self.watch("a question", lambda now: now.get("phase") == "WaitingForInput" and find(now))
        if (found := find(status)) is None:
            raise DemoError("the question is gone")
        return found


def converse(kubectl: Kubectl, terminal: Terminal, clock: Clock, *, namespace: str = NAMESPACE) -> None:
    """Hold the conversation from its first turn to its close; raise DemoError where anything goes otherwise."""
    grant(kubectl, namespace)
    talk = start(kubectl, terminal, clock, namespace)
    terminal.head(f"ann says: remember that {REMEMBERED}")
    with clock.part("turn 1"):
        talk.say(CREATOR, "t0001", f"Remember that {REMEMBERED}.")
        talk.watch_turn("t0001")
    show_no_pods(kubectl, terminal, talk.name, namespace=namespace)
    terminal.head("ann orders something: this has to be approved, and not by her")
    with clock.part("question"):
        talk.say(CREATOR, "t0002", "Please order 2 lamps.")
        question = talk.watch_question()
    for line in describe_question(question):
        terminal.line(line)
    show_no_pods(kubectl, terminal, talk.name, namespace=namespace)
    approve(talk, question)
    with clock.part("approved"):
        if talk.watch_turn("t0002") != "Ordered 2 x lamp for 78.00.":
            raise DemoError("the order was approved and not placed")
    terminal.head("ann asks what it knows: that is in the long-term memory, which outlives this conversation")
    with clock.part("turn 3"):
        talk.say(CREATOR, "t0003", "What do you know about me?")
        if REMEMBERED not in talk.watch_turn("t0003"):
            raise DemoError("the last turn recalled nothing of the first")
    terminal.head("ann closes it")
    with clock.part("close"):
        talk.apply(CREATOR, "close", {"close": True})
        talk.watch("the end", lambda status: status.get("phase") == "Completed")


def grant(kubectl: Kubectl, namespace: str) -> None:
    """Let ann and bob edit sessions in a namespace."""
    kubectl.apply(
        *(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": f"demo-chat-{role}", "namespace": namespace},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [
                    {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": person}
                    for person in (CREATOR, APPROVER)
                ],
            }
            for role in ROLES
        )
    )


def start(kubectl: Kubectl, terminal: Terminal, clock: Clock, namespace: str) -> Conversation:
    """Make the definition and the conversation anew; wait until it is idle."""
    definition, session = (str(EXAMPLE / f"{name}.yaml") for name in ("definition", "session"))
    terminal.head("A conversation: kubectl apply -f examples/chat/definition.yaml -f examples/chat/session.yaml")
    with clock.part("start"):
        kubectl.run("-n", namespace, "delete", "-f", session, "--ignore-not-found")
        kubectl.run("-n", namespace, "apply", "-f", definition)
        kubectl.run("-n", namespace, "--as", CREATOR, "apply", "-f", session)
        name = kubectl.run("-n", namespace, "get", "-f", session, "-o", "jsonpath={.metadata.name}")
        talk = Conversation(kubectl, terminal, namespace, name)
        talk.watch("an idle conversation", lambda status: status.get("phase") == "Idle")
    return talk


def approve(talk: Conversation, question: Mapping[str, Any]) -> None:
    """Let ann try, who started it, and bob approve."""
    talk.terminal.head("ann approves her own order: the API server refuses that")
    value = {"decision": "approve"}
    try:
        talk.respond(CREATOR, question, value)
    except KubectlError as error:
        talk.terminal.line(str(error).rpartition("denied request: ")[2])
    else:
        raise DemoError("an answer of who started the conversation was taken")
    talk.terminal.head("bob approves it")
    talk.respond(APPROVER, question, value)


def report(kubectl: Kubectl, terminal: Terminal, clock: Clock, namespace: str = NAMESPACE) -> None:
    """Print the tables and how long each part took."""
    terminal.head("kubectl get agenticsessions")
    for line in kubectl.run("-n", namespace, "get", "agenticsessions").splitlines():
        terminal.line(line)
    terminal.head("Times")
    for part, seconds in clock.parts:
        terminal.line(f"{part:<10} {seconds:7.1f} s")
    terminal.head("Try next")
    terminal.line(f"export KUBECONFIG={kubectl.kubeconfig}")
    terminal.line("agentic chat chat                  # a conversation of your own, in this terminal")
    terminal.line("kubectl get agenticsession tea -o yaml")


def run(terminal: Terminal, clock: Clock) -> int:
    """Bring up what is missing, hold the conversation and report."""
    kubectl = prepare("chat", terminal, clock)
    converse(kubectl, terminal, clock)
    report(kubectl, terminal, clock)
    return 0


def main() -> int:
    """Run the demo; one line and status 1 where it cannot go on."""
    terminal = Terminal()
    try:
        return run(terminal, Clock())
    except (DemoError, KubectlError, ClusterError, subprocess.TimeoutExpired) as error:
        terminal.fail(str(error))
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
