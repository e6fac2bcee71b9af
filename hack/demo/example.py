"""``make demo``: from nothing to the result of a real session, told as it happens.

Everything here can be done by hand with the commands that it prints; nothing is mocked and nothing is hidden.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hack.install import image_version, install
from hack.kubectl import ROOT, Kubectl, KubectlError, local_kubeconfig

NAMESPACE = "default"
FINAL = frozenset({"Completed", "Failed", "Stopped"})
ENDS_OR_WAITS = FINAL | {"WaitingForInput"}
EXAMPLES = ROOT / "examples"
PORT = 8443


class Terminal:
    """Lines for people: colours only where a terminal shows them and ``NO_COLOR`` is not set."""

    def __init__(self) -> None:
        self.colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def paint(self, text: str, code: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self.colour else text

    def head(self, text: str) -> None:
        print(self.paint(f"==> {text}", "1;36"), flush=True)

    def line(self, text: str) -> None:
        print(f"    {text}", flush=True)

    def fail(self, text: str) -> None:
        print(self.paint(f"error: {text}", "1;31"), file=sys.stderr, flush=True)


class Clock:
    """How long each part took."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, float]] = []

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.parts.append((name, time.monotonic() - started))


def call(module: str, *arguments: str) -> None:
    """Run one of the tools here with its output shown; raise where it fails."""
    done = subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT, check=False)
    if done.returncode:
        raise KubectlError(f"`python -m {module} {' '.join(arguments)}` failed with status {done.returncode}")


def describe(session: dict[str, Any]) -> str:
    """Return one line that says where a session stands."""
    status = session.get("status", {})
    words = [
        f"{status.get('phase', 'Pending'):<16}",
        f"{status.get('progress', ''):>5}",
        status.get("currentNode") or "",
    ]
    phase = status.get("phase")
    if status.get("message") and phase not in ("Running", "Completed"):
        words.append(f"({status['message']})")
    if status.get("steps"):
        words.append(f"[{status['steps']} super-steps]")
    return " ".join(word for word in words if word.strip()) if phase else "Pending"


def watch(
    read: Callable[[], dict[str, Any] | None],
    tell: Callable[[str], None],
    *,
    timeout_seconds: float,
    until: frozenset[str] = ENDS_OR_WAITS,
) -> dict[str, Any]:
    """Tell every change of a session until its phase is one of ``until``; return it."""
    started = time.monotonic()
    last = ""
    while time.monotonic() - started < timeout_seconds:
        session = read()
        if session is not None:
            now = describe(session)
            if now != last:
                tell(f"{time.monotonic() - started:6.1f} s  {now}")
                last = now
            if session.get("status", {}).get("phase") in until:
                return session
        time.sleep(0.25)
    raise KubectlError(f"the session did not end within {timeout_seconds:.0f} s; it was last: {last or 'not there'}")


def prepare(example: str, terminal: Terminal, clock: Clock) -> Kubectl:
    """Bring up what is missing: cluster, images, operator."""
    with clock.part("cluster"):
        terminal.head("A Kubernetes cluster")
        call("hack.cluster", "up")
        kubectl = Kubectl(local_kubeconfig())
    with clock.part("images"):
        terminal.head("Images: operator, gateway, runner, PostgreSQL and the example")
        call("hack.images", "build", "operator", "gateway", "runner", "postgres", f"example-{example}")
    with clock.part("operator"):
        terminal.head("The operator, the gateway, their database and the migration: kubectl apply -k manifests/demo")
        install(kubectl, version=image_version(), gateway_version=image_version("gateway"))
        for line in kubectl.run("-n", "agentic-system", "get", "pods").splitlines():
            terminal.line(line)
    return kubectl


def start(kubectl: Kubectl, terminal: Terminal, definition: str, session: str) -> str:
    """Apply a definition and a session, by their paths in this repository, made anew; return the session's name."""
    terminal.head(f"A workflow and a session: kubectl apply -f {definition} -f {session}")
    kubectl.run("-n", NAMESPACE, "delete", "-f", str(ROOT / session), "--ignore-not-found")
    kubectl.run("-n", NAMESPACE, "apply", "-f", str(ROOT / definition), "-f", str(ROOT / session))
    return kubectl.run("-n", NAMESPACE, "get", "-f", str(ROOT / session), "-o", "jsonpath={.metadata.name}")


def run(example: str, terminal: Terminal, clock: Clock) -> int:
    """Run one example to its end."""
    kubectl = prepare(example, terminal, clock)
    with clock.part("session"):
        folder = f"examples/{example}"
        name = start(kubectl, terminal, f"{folder}/definition.yaml", f"{folder}/session.yaml")
        session = watch(
            lambda: kubectl.get("-n", NAMESPACE, "agenticsession", name), terminal.line, timeout_seconds=300
        )
    report(kubectl, terminal, clock, name, session)
    return 0 if session["status"]["phase"] == "Completed" else 1


def gateway_commands(namespace: str = NAMESPACE, port: int = PORT) -> list[str]:
    """Return what to type for a first request to the gateway."""
    account = f"kubectl -n {namespace} create"
    authority = "secret agentic-gateway-tls -o 'jsonpath={.data.ca\\.crt}'"
    address = f"https://localhost:{port}/api/v1/agentic-sessions/{namespace}"
    return [
        f"kubectl -n agentic-system port-forward service/agentic-gateway {port}:443 > /dev/null &",
        f"kubectl -n agentic-system get {authority} | base64 -d > gateway-ca.crt",
        f"{account} serviceaccount demo",
        f"{account} rolebinding demo --clusterrole edit --serviceaccount {namespace}:demo",
        f"TOKEN=$(kubectl -n {namespace} create token demo)",
        f'curl --retry 9 --retry-connrefused --cacert gateway-ca.crt -H "Authorization: Bearer $TOKEN" {address}',
    ]


def report(kubectl: Kubectl, terminal: Terminal, clock: Clock, name: str, session: dict[str, Any]) -> None:
    """Print the table, the result, the times and what to try next."""
    terminal.head("kubectl get agenticsessions")
    for line in kubectl.run("-n", NAMESPACE, "get", "agenticsessions").splitlines():
        terminal.line(line)
    status = session["status"]
    if "result" in status:
        terminal.head(f"The result: kubectl get agenticsession {name} -o jsonpath='{{.status.result}}'")
        for line in json.dumps(status["result"], indent=2, ensure_ascii=False).splitlines():
            terminal.line(line)
    if status.get("error"):
        terminal.head("The error")
        terminal.line(json.dumps(status["error"], ensure_ascii=False))
    terminal.head("Times")
    for part, seconds in clock.parts:
        terminal.line(f"{part:<10} {seconds:7.1f} s")
    terminal.line(f"{'together':<10} {sum(seconds for _, seconds in clock.parts):7.1f} s")
    terminal.head(
        f"The gateway: https://localhost:{PORT} after these lines, with the token of an account that may edit"
    )
    for line in gateway_commands():
        terminal.line(line)
    terminal.head(f"The console: https://localhost:{PORT} in a browser, after the lines above")
    terminal.line("its certificate is of the demo's own authority (gateway-ca.crt): the browser asks whether to go on")
    terminal.line('echo "$TOKEN"    # sign in with this; the namespace is ' + NAMESPACE)
    terminal.head("Try next")
    terminal.line(f"export KUBECONFIG={kubectl.kubeconfig}")
    terminal.line(f"kubectl describe agenticsession {name}")
    terminal.line("kubectl get workflowdefinitions -o wide")
    terminal.line("make demo-approval      # the same with a question to you")
    terminal.line("make cluster-down")


def main() -> int:
    """Run the demo; one line and status 1 where it cannot go on."""
    parser = argparse.ArgumentParser(prog="python -m hack.demo", description=__doc__.splitlines()[0] if __doc__ else "")
    examples = sorted(path.parent.name for path in EXAMPLES.glob("*/session.yaml"))
    parser.add_argument("example", nargs="?", default="outliers", help=f"one of {', '.join(examples)}")
    example = parser.parse_args().example
    terminal = Terminal()
    if example not in examples:
        terminal.fail(f"unknown example {example!r}: expected one of {', '.join(examples)}")
        return 2
    try:
        return run(example, terminal, Clock())
    except (KubectlError, subprocess.TimeoutExpired) as error:
        terminal.fail(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
