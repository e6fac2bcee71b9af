"""CR to Job: the operator beside a bare watch-and-create loop on the same API server, in the same run.

``python -m bench.operator_latency`` prints ratios: one by one, a burst of 1,000, writes per session (counted by the API
server's audit log, exact), memory. The operator runs in an environment with its own lock alone, as in its image: Kopf
imports the Kubernetes clients that it finds. ``--churn N`` adds N sessions created and deleted, to see whether memory
stays flat.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from agentic_core.conditions import Condition
from agentic_core.crds import build_crds
from agentic_operator.config import JobDefaults
from agentic_operator.manifests.jobs import build_job
from bench._environment import make_operator_environment
from hack.cluster.controlplane import ControlPlane

GROUP = "apis/agentic-operator.dev/v1alpha1"
AGENT = "agentic-operator"
WRITES = ("create", "update", "patch", "delete")
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "verbs": list(WRITES)}, {"level": "None"}],
}
CHURN_SECONDS = 900.0
SPEC = {"workflowRef": {"name": "report"}, "inputs": {"dataset": "weather", "threshold": 1.5}}


@dataclass
class Bench:
    """The API server, a client of the administrator, and when each Job was seen."""

    plane: ControlPlane
    http: aiohttp.ClientSession
    audit: Path
    seen: dict[str, float] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        data = None if body is None else json.dumps(body)
        async with self.http.request(
            method, f"{self.plane.server}/{path}", data=data, headers={"Content-Type": kind}
        ) as answer:
            parsed: dict[str, Any] = await answer.json()
            if answer.status >= 400 and answer.status != 404:
                raise RuntimeError(f"{method} {path}: {parsed}")
            return parsed

    async def watch_jobs(self) -> None:
        url = f"{self.plane.server}/apis/batch/v1/jobs?watch=1"
        while True:
            async with self.http.get(url, timeout=aiohttp.ClientTimeout(total=None)) as answer:
                async for line in answer.content:
                    event = json.loads(line)
                    if event["type"] == "ADDED":
                        meta = event["object"]["metadata"]
                        self.seen.setdefault(f"{meta['namespace']}/{meta['name']}", time.perf_counter())
                        self.changed.set()

    async def wait_jobs(self, names: list[str], seconds: float = 120) -> None:
        async with asyncio.timeout(seconds):
            while not all(name in self.seen for name in names):
                self.changed.clear()
                await self.changed.wait()

    async def create(self, namespace: str, name: str) -> None:
        body = {"apiVersion": GROUP[5:], "kind": "AgenticSession", "metadata": {"name": name}, "spec": SPEC}
        await self.call("POST", f"{GROUP}/namespaces/{namespace}/agenticsessions", body)

    async def one_by_one(self, namespace: str, count: int, prefix: str = "one") -> list[float]:
        """Return the seconds from the request that makes a session to the event of its Job."""
        found = []
        for number in range(count):
            name = f"{prefix}-{number}"
            began = time.perf_counter()
            await self.create(namespace, name)
            key = f"{namespace}/{name}-r1"
            await self.wait_jobs([key])
            found.append(self.seen[key] - began)
        return found

    async def burst(self, namespace: str, count: int, prefix: str = "burst", seconds: float = 120) -> float:
        """Return the Jobs a second of ``count`` sessions made as fast as one client can."""
        names = [f"{prefix}-{number}" for number in range(count)]
        pending = iter(names)

        async def make() -> None:
            for name in pending:
                await self.create(namespace, name)

        began = time.perf_counter()
        await asyncio.gather(*(make() for _ in range(32)))
        keys = [f"{namespace}/{name}-r1" for name in names]
        await self.wait_jobs(keys, seconds)
        return count / (max(self.seen[key] for key in keys) - began)

    async def prepare(self, namespace: str) -> None:
        await self.call("POST", "api/v1/namespaces", {"metadata": {"name": namespace}})
        definition = {
            "apiVersion": GROUP[5:],
            "kind": "WorkflowDefinition",
            "metadata": {"name": "report"},
            "spec": {"image": "registry.example.com/team/report:1", "inputSchema": SCHEMA},
        }
        path = f"{GROUP}/namespaces/{namespace}/workflowdefinitions"
        made = await self.call("POST", path, definition)
        conditions = [
            Condition.model_validate(
                {
                    "type": type_,
                    "status": "True",
                    "reason": "Bench",
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                    "observedGeneration": made["metadata"]["generation"],
                }
            ).to_wire()
            for type_ in ("SchemaValid", "ImageAllowed", "Inspected", "Ready")
        ]
        await self.call("PATCH", f"{path}/report/status", {"status": {"conditions": conditions}})

    async def finish(self, namespace: str, prefix: str) -> int:
        """Write the statuses that runners would, once the operator has told of their Jobs; return how many ended."""
        items = (await self.call("GET", f"{GROUP}/namespaces/{namespace}/agenticsessions"))["items"]
        names = iter([i["metadata"]["name"] for i in items if i["metadata"]["name"].startswith(prefix)])
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ended = 0

        async def end() -> None:
            nonlocal ended
            for name in names:
                path = f"{GROUP}/namespaces/{namespace}/agenticsessions/{name}/status"
                while (await self.call("GET", path)).get("status", {}).get("phase") != "Creating":  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
                for status in ({"phase": "Running"}, {"phase": "Completed", "completionTime": at}):
                    await self.call("PATCH", path, {"status": status})
                ended += 1

        await asyncio.gather(*(end() for _ in range(16)))
        return ended

    def count_writes(self, namespace: str, prefix: str) -> Counter[str]:
        """Return the operator's writes about sessions of this prefix, by verb and resource, from the audit log."""
        counts: Counter[str] = Counter()
        for line in self.audit.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            ref = entry.get("objectRef") or {}
            if not entry.get("userAgent", "").startswith(AGENT) or ref.get("namespace") != namespace:
                continue
            if ref.get("resource") == "events" or str(ref.get("name", "")).startswith(prefix):
                part = f"/{ref['subresource']}" if ref.get("subresource") else ""
                counts[f"{entry['verb']} {ref.get('resource')}{part}"] += 1
        return counts


SCHEMA = {
    "type": "object",
    "properties": {"dataset": {"type": "string"}, "threshold": {"type": "number"}},
    "required": ["dataset"],
}


def memory(pid: int, name: str = "VmRSS") -> float:
    """Return MiB."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(next(line for line in text.splitlines() if line.startswith(f"{name}:")).split()[1]) / 1024


def reset_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


@asynccontextmanager
async def started(
    plane: ControlPlane, arguments: list[str], folder: Path, *, python: str | Path = sys.executable, **env: str
) -> AsyncIterator[int]:
    """Run a process until the block ends; yields its id."""
    log = (folder / f"{arguments[-1].rpartition('/')[2]}.log").open("ab")
    variables = {
        "PATH": os.environ["PATH"],
        "KUBECONFIG": str(plane.kubeconfig),
        "LEADER_ELECTION": "false",
        "LIVENESS_PORT": "0",
        **env,
    }
    process = subprocess.Popen([python, *arguments], env=variables, stdout=log, stderr=log)  # noqa: ASYNC220
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        log.close()


async def bare_loop() -> None:
    """The floor: watch sessions, create a Job for each that appears; nothing else."""
    plane = json.loads(os.environ["BENCH_PLANE"])
    trust = ssl.create_default_context(cafile=plane["ca"])
    trust.load_cert_chain(plane["certificate"], plane["key"])
    from agentic_core.resources import AgenticSession, WorkflowSnapshot

    snapshot, defaults = WorkflowSnapshot(image="registry.example.com/team/report:1"), JobDefaults()
    gate = asyncio.Semaphore(64)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64, ssl=trust)) as http:

        async def create(body: dict[str, Any]) -> None:
            session = AgenticSession.model_validate(body)
            job = build_job(session, snapshot, None, 1, f"project-{session.namespace}:session-{session.name}", defaults)
            async with gate:
                url = f"{plane['server']}/apis/batch/v1/namespaces/{session.namespace}/jobs"
                data = json.dumps(job)
                async with http.post(url, data=data, headers={"Content-Type": "application/json"}) as answer:
                    await answer.read()

        tasks: set[asyncio.Task[None]] = set()
        known: set[str] = set()
        url = f"{plane['server']}/{GROUP}/agenticsessions?watch=1"
        while True:
            # The server ends or refuses watches, of young resources above all.
            await asyncio.sleep(0.1)
            async with http.get(url, timeout=aiohttp.ClientTimeout(total=None)) as answer:
                async for line in answer.content:
                    event = json.loads(line)
                    meta = event.get("object", {}).get("metadata", {})
                    is_ours = event.get("type") == "ADDED" and meta["namespace"] == "floor"
                    if is_ours and meta["uid"] not in known:
                        known.add(meta["uid"])
                        task = asyncio.ensure_future(create(event["object"]))
                        tasks.add(task)
                        task.add_done_callback(tasks.discard)


def p(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Bench]:
    policy, audit = folder / "audit.yaml", folder / "audit.log"
    policy.write_text(yaml.safe_dump(AUDIT_POLICY), encoding="utf-8")
    flags = (f"--audit-policy-file={policy}", f"--audit-log-path={audit}", "--audit-log-mode=batch")
    with ControlPlane(folder / "plane", apiserver_flags=flags) as plane:
        for crd in build_crds().values():
            plane.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
        plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": "agentic-system"}})
        secret = {"metadata": {"name": "agentic-postgres-runner"}, "stringData": {"dsn": "postgresql://x"}}
        plane.request("POST", "/api/v1/namespaces/agentic-system/secrets", secret)
        trust = ssl.create_default_context(cafile=str(plane.ca_file))
        trust.load_cert_chain(plane.admin.certificate, plane.admin.key)
        connector = aiohttp.TCPConnector(limit=0, ssl=trust)
        async with aiohttp.ClientSession(connector=connector, read_bufsize=2**22) as http:
            bench = Bench(plane, http, audit)
            watching = asyncio.ensure_future(bench.watch_jobs())
            await asyncio.sleep(2)
            yield bench
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching


async def run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-operator-", ignore_cleanup_errors=True) as folder:
        await measure(options, Path(folder))


async def measure(options: argparse.Namespace, folder: Path) -> None:
    async with opened(folder) as bench:
        plane = bench.plane
        described = {
            "server": plane.server,
            "ca": str(plane.ca_file),
            "certificate": str(plane.admin.certificate),
            "key": str(plane.admin.key),
        }
        for space in ("floor", "ours"):
            await bench.prepare(space)
        floor = started(plane, ["-m", "bench.operator_latency", "--floor"], folder, BENCH_PLANE=json.dumps(described))
        python = make_operator_environment()
        operator = started(plane, ["-m", "agentic_operator"], folder, python=python, WATCH_NAMESPACES="ours")
        async with floor, operator as pid:
            await asyncio.sleep(5)
            idle = memory(pid)
            for space in ("floor", "ours"):
                await bench.one_by_one(space, 20, "warm")
            await latency(bench, options.single)
            reset_peak(pid)
            rates: dict[str, list[float]] = {"floor": [], "ours": []}
            for round_ in range(options.rounds):
                for space, found in rates.items():
                    found.append(await bench.burst(space, options.burst, f"burst{round_}"))
                    await asyncio.sleep(5)
            print_rates(rates["floor"], rates["ours"])
            print_peak(idle, memory(pid, "VmHWM"))
            ended = await bench.finish("ours", "")
            await asyncio.sleep(5)
            counts = bench.count_writes("ours", "burst")
            if options.settled:
                before = memory(pid)
                await bench.burst("ours", options.settled, "more")
                await asyncio.sleep(5)
                ended += await bench.finish("ours", "more")
                await asyncio.sleep(5)
                grown = (memory(pid) - before) / options.settled * 1000
                print(f"memory of 1,000 further settled sessions: {grown:.1f} MiB (target 10; {ended:,} in all)")
            if options.churn:
                await churn(bench, "ours", pid, options.churn)
        print_writes(counts, options.rounds * options.burst)
        await print_restart(bench, folder)


async def latency(bench: Bench, count: int) -> None:
    """Measure both in turns, so that whatever else the machine does meets both alike; print the ratios."""
    found: dict[str, list[float]] = {"floor": [], "ours": []}
    for number in range(count):
        for space, seconds in found.items():
            seconds += await bench.one_by_one(space, 1, f"turn{number}")
            # What the operator tells about a session after its Job belongs to this turn.
            await asyncio.sleep(0.05)
    for share, name, target in ((0.5, "p50", 1.25), (0.99, "p99", 1.5)):
        floor, own = p(found["floor"], share), p(found["ours"], share)
        ratio = own / floor
        print(f"CR to Job {name}: bare loop {floor:6.2f} ms, operator {own:6.2f} ms: {ratio:.2f} (target {target})")


async def churn(bench: Bench, space: str, pid: int, count: int) -> None:
    """Create and delete sessions, and print the memory on the way; patient, because it measures no time."""
    for step in range(0, count, 1000):
        await bench.burst(space, 1000, f"churn{step}", CHURN_SECONDS)
        await asyncio.sleep(1)
        await bench.call("DELETE", f"{GROUP}/namespaces/{space}/agenticsessions?fieldSelector=")
        async with asyncio.timeout(CHURN_SECONDS):
            while (await bench.call("GET", f"{GROUP}/namespaces/{space}/agenticsessions?limit=1"))["items"]:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        await bench.call("DELETE", f"apis/batch/v1/namespaces/{space}/jobs")
        bench.seen.clear()
        print(f"  after {step + 1000:6,} created and deleted: {memory(pid):6.1f} MiB", flush=True)


def print_rates(floor: list[float], ours: list[float]) -> None:
    floor_rate, our_rate = statistics.median(floor), statistics.median(ours)
    ratio = our_rate / floor_rate
    print(f"burst: bare loop {floor_rate:.0f} Jobs a second, operator {our_rate:.0f}: {ratio:.2f} (target 0.8)")


def print_peak(idle: float, peak: float) -> None:
    print(f"memory: idle {idle:.1f} MiB, peak of the burst {peak:.1f} MiB (target {1.3 * idle + 50:.0f})", flush=True)


def print_writes(counts: Counter[str], total: int) -> None:
    sessions = sum(n for what, n in counts.items() if "events" not in what)
    print(f"writes per session: {sessions / total:.2f} (target 3) {dict(counts)}")


async def print_restart(bench: Bench, folder: Path) -> None:
    """Start an operator over the settled sessions and count what it writes."""
    before = bench.count_writes("ours", "")
    async with started(bench.plane, ["-m", "agentic_operator"], folder, python=make_operator_environment()):
        await asyncio.sleep(25)
    after = bench.count_writes("ours", "")
    new = {what: after[what] - before[what] for what in after if after[what] != before[what]}
    print(f"writes on a restart over these sessions: {sum(new.values())} (target 0) {new or ''}")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.operator_latency", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--single", type=int, default=150)
    parser.add_argument("--burst", type=int, default=1000)
    parser.add_argument("--settled", type=int, default=2000)
    parser.add_argument("--churn", type=int, default=0)
    parser.add_argument("--floor", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    asyncio.run(bare_loop() if options.floor else run(options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
