"""``make demo-approval``: a session asks a person, waits without a pod, and goes on with the answer.

On a terminal the answer is typed; elsewhere a default one is given, and said so.
"""

import json
import subprocess
import sys
from typing import Any, Final

from hack.cluster.errors import ClusterError
from hack.cluster.waiting import wait_until
from hack.demo.example import FINAL, NAMESPACE, Clock, Terminal, prepare, report, start, watch
from hack.kubectl import Kubectl, KubectlError

SESSION_LABEL: Final = "agentic-operator.dev/session"
DEFAULT: Final = {"decision": "approve", "reason": "nobody was at the terminal"}


def run(terminal: Terminal, clock: Clock) -> int:
    """Start the session, show its question, answer, and show the result."""
    kubectl = prepare("outliers", terminal, clock)
    with clock.part("question"):
        name = start(kubectl, terminal, "examples/outliers/definition.yaml", "examples/outliers/asking/session.yaml")
        session = watch(lambda: fetch(kubectl, name), terminal.line, timeout_seconds=300)
    if session["status"]["phase"] != "WaitingForInput":
        report(kubectl, terminal, clock, name, session)
        return 1
    (question,) = (each for each in session["status"]["interrupts"] if "answeredAt" not in each)
    terminal.head(f"The question: kubectl get agenticsession {name} -o jsonpath='{{.status.interrupts}}'")
    for line in describe(question):
        terminal.line(line)
    show_no_pods(kubectl, terminal, name)
    answer = ask(terminal, question)
    with clock.part("answer"):
        patch = json.dumps({"spec": {"responses": [{"interruptId": question["id"], "value": answer}]}})
        terminal.head(f"The answer: kubectl patch agenticsession {name} --type=merge -p '{patch}'")
        kubectl.run("-n", NAMESPACE, "patch", "agenticsession", name, "--type=merge", "-p", patch)
        session = watch(lambda: fetch(kubectl, name), terminal.line, timeout_seconds=300, until=FINAL)
    report(kubectl, terminal, clock, name, session)
    return 0 if session["status"]["phase"] == "Completed" else 1


def fetch(kubectl: Kubectl, name: str) -> dict[str, Any] | None:
    return kubectl.get("-n", NAMESPACE, "agenticsession", name)


def describe(question: dict[str, Any]) -> list[str]:
    """Return the lines of a question: its words, what it says beside them, its options."""
    value = question.get("value")
    facts = {key: each for key, each in value.items() if isinstance(each, int)} if isinstance(value, dict) else {}
    lines = [question["prompt"]]
    if facts:
        lines.append(", ".join(f"{key}: {each}" for key, each in facts.items()))
    lines += [f"{number}. {each['label']}" for number, each in enumerate(question.get("options", ()), start=1)]
    return lines


def show_no_pods(kubectl: Kubectl, terminal: Terminal, name: str, *, namespace: str = NAMESPACE) -> None:
    """Wait for the pod's end, which follows the question at once, and show that none is left."""
    arguments = ("get", "pods", "-l", f"{SESSION_LABEL}={name}")
    wait_until(
        lambda: not kubectl.run("-n", namespace, *arguments, "-o", "name"), what="the pod's end", seconds=60, poll=0.5
    )
    terminal.head(f"No pod while it waits: kubectl -n {namespace} {' '.join(arguments)}")
    terminal.line(kubectl.run("-n", namespace, *arguments).strip() or f"No resources found in {namespace} namespace.")


def ask(terminal: Terminal, question: dict[str, Any]) -> Any:
    """Return the answer that somebody types, or the default where nobody can."""
    if not sys.stdin.isatty():
        terminal.head(f"No terminal to ask at: answering {json.dumps(DEFAULT)}")
        return DEFAULT
    options = question["options"]
    while True:
        typed = input(f"    Which one (1 to {len(options)})? ").strip()
        chosen = next(
            (each for number, each in enumerate(options, start=1) if typed in (str(number), each["label"])), None
        )
        if chosen is not None:
            reason = input("    Why (may be empty)? ").strip()
            return {**chosen["value"], **({"reason": reason} if reason else {})}
        terminal.line(f"{typed!r} is none of them")


def main() -> int:
    """Run the demo; one line and status 1 where it cannot go on."""
    terminal = Terminal()
    try:
        return run(terminal, Clock())
    except (KubectlError, ClusterError, subprocess.TimeoutExpired) as error:
        terminal.fail(str(error))
        return 1
    except (KeyboardInterrupt, EOFError):
        return 130


if __name__ == "__main__":
    sys.exit(main())
