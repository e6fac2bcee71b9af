"""Sessions of several tenants, and beside them, for minutes, everything that an attacker with a namespace can do.

The attacker has a namespace of its own, tokens of the runners in it, and whatever happens by accident besides: runners
of tenants are killed, their Jobs and pods lose labels, the database is stopped and the leader killed.
"""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.request import urlopen

from agentic_core.lifecycle import Phase
from hack.cluster.endpoints import find_free_ports
from tests.faults.bed import Bed, until
from tests.faults.counter import count_started, find_repeated, make_counter
from tests.faults.operators import Operator
from tests.support.apiclient import ApiClient, ApiError, Json, core_path, jobs_path, open_client, sessions_path
from tests.support.waiting import PATIENCE_SECONDS

RAIDER: Final = "raider"
LEASE: Final = "/apis/coordination.k8s.io/v1/namespaces/agentic-system/leases/agentic-operator"
STEPS: Final = 4
HUGE: Final = 9223372036854775807
FOREIGN_FINALIZER: Final = "raider.example.com/never"
# What a token may try on a session that it does not run, or on what is the operator's: never anything of it is taken.
FORGED: Final[tuple[Json, ...]] = (
    {"run": HUGE},
    {"phase": "Completed", "result": "forged"},
    {"answers": [{"interruptId": "q", "by": "cfo@example.org", "value": True}]},
    {"threadId": "project-other:session-other", "jobName": "other-r1"},
    {"podUids": ["1"]},
    {"withdrawnRun": 5},
    {"workflow": None},
)
# What it may write of its own.
OWN: Final[tuple[Json, ...]] = (
    {"reason": "Queued", "message": "\u001b[31m\u202e"},
    {
        "phase": "WaitingForInput",
        "reason": "Queued",
        "interrupts": [{"id": "q", "value": "?", "schema": {"$ref": "#"}}],
    },
    {"phase": "Running", "steps": 1, "currentNode": "x" * 250},
    {"result": "x" * 300_000},
    {"history": [{"id": str(n)} for n in range(50)]},
)


@dataclass
class Report:
    """What was tried and what came of it."""

    tenants: Counter[str] = field(default_factory=Counter)
    """Sessions of tenants by their phase at the end."""
    deeds: Counter[str] = field(default_factory=Counter)
    taken: list[str] = field(default_factory=list)
    """Forged writes that the API server took: none, ever."""
    wrong: list[str] = field(default_factory=list)
    """Counters that are not exact, and what was left behind."""
    seconds: float = 0

    def lines(self) -> list[str]:
        deeds = ", ".join(f"{count} {what}" for what, count in sorted(self.deeds.items()))
        return [
            f"{sum(self.tenants.values())} sessions of tenants, {self.seconds:.0f} s: {dict(self.tenants)}",
            f"done to them: {deeds}",
            f"forged writes that were taken: {len(self.taken)} {self.taken[:5]}",
            f"counters that are wrong, and what is left: {len(self.wrong)} {self.wrong[:5]}",
        ]


@dataclass
class Attack:
    """One run of it. ``tenants`` are beds of one namespace each, over the same servers."""

    bed: Bed
    dice: random.Random
    seconds: float
    tenants: list[Bed] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)
    report: Report = field(default_factory=Report)
    ends_at: float = 0
    wanted: int = 0

    @property
    def is_on(self) -> bool:
        return time.monotonic() < self.ends_at

    async def prepare(self, namespaces: int) -> None:
        """Start two operators of which one leads, and make the namespaces with their workflow."""
        await self.bed.client.delete(LEASE)
        for number in range(2):
            name, port = f"operator-{number}", find_free_ports(1)[0]
            await self.bed.operator(name, LEADER_ELECTION="true", LEASE_SECONDS="8", LIVENESS_PORT=str(port))
            self.ports[name] = port
        for number in range(1, namespaces):
            await self.bed.new_namespace(f"{self.bed.namespace}-{number}")
        await self.bed.new_namespace(RAIDER)
        make_counter(self.bed.database)
        env = [{"name": "COUNTER_DSN", "value": self.bed.database.dsn}]
        beds = [replace(self.bed, namespace=name) for name in self.bed.namespaces]
        await asyncio.gather(*(each.define("counted", env=env) for each in beds))
        self.tenants = beds[:-1]

    @property
    def raider(self) -> Bed:
        return replace(self.bed, namespace=RAIDER)

    # -- tenants

    async def live(self, tenant: Bed, name: str) -> None:
        """Start a session at some time, answer its question at some time, and see its end."""
        await asyncio.sleep(self.dice.uniform(0, 0.6) * self.seconds)
        await _insist(lambda: tenant.start("counted", name, inputs={"count": STEPS, "seconds": 0.1}, retries=20))
        patience = self.seconds + 400
        await until(lambda: tenant.phase(name) is Phase.WAITING_FOR_INPUT, what=f"{name} asks", seconds=patience)
        await asyncio.sleep(self.dice.uniform(0, 0.3) * self.seconds)
        (question,) = (await tenant.status(name))["interrupts"]
        answer = {"spec": {"responses": [{"interruptId": question["id"], "value": len(name)}]}}
        await _insist(lambda: tenant.client.patch(sessions_path(tenant.namespace, name), answer))
        status = await tenant.wait_phase(name, Phase.COMPLETED, Phase.FAILED, Phase.STOPPED, seconds=patience)
        self.report.tenants[str(status["phase"])] += 1
        half = STEPS // 2
        expected = [*map(str, range(1, half + 1)), f"answer {len(name)}", *map(str, range(half + 2, STEPS + 1))]
        if (status.get("result") or {}).get("done") != expected:
            self.report.wrong.append(f"{tenant.namespace}/{name}: {status.get('reason')} {status.get('message')}")

    async def tell(self) -> None:
        """Print now and then how the sessions stand."""
        while len(self.report.wrong) + sum(self.report.tenants.values()) < self.wanted:
            await asyncio.sleep(15)
            lives = [life for life in self.bed.history.lives.values() if not life.is_deleted]
            stand = Counter(f"{(life.namespace != RAIDER and 'tenant') or RAIDER} {life.last.phase}" for life in lives)
            print(
                f"{self.ends_at - time.monotonic():5.0f} s left, {dict(stand)}, {dict(self.report.deeds)}", flush=True
            )

    # -- accidents

    async def hurt(self) -> None:
        """Kill runners of tenants, delete their pods, and take labels off their Jobs and pods."""
        hurt: Counter[str] = Counter()
        while self.is_on:
            await asyncio.sleep(self.dice.uniform(0.2, 1.5))
            alive = [each for each in self.bed.kubelet.processes if each.is_alive and each.namespace != RAIDER]
            alive = [each for each in alive if each.session and hurt[f"{each.namespace}/{each.session}"] < 2]
            if not alive:
                continue
            process = self.dice.choice(alive)
            kind = self.dice.choice(("killed", "pod deleted", "pod's labels", "Job's labels"))
            if kind in ("killed", "pod deleted"):
                hurt[f"{process.namespace}/{process.session}"] += 1
            with suppress(ApiError):
                if kind == "killed":
                    process.send(signal.SIGKILL)
                elif kind == "pod deleted":
                    await self.bed.delete_pod(process)
                else:
                    labels = {f"agentic-operator.dev/{each}": None for each in ("session", "run")}
                    path = core_path(process.namespace, "pods", process.pod)
                    if kind == "Job's labels":
                        path = jobs_path(process.namespace, process.pod.rpartition("-")[0])
                    await self.bed.client.patch(path, {"metadata": {"labels": labels}})
                self.report.deeds[kind] += 1

    async def stop_database(self) -> None:
        """Stop PostgreSQL for a few seconds, twice."""
        for _ in range(2):
            await asyncio.sleep(self.seconds * self.dice.uniform(0.2, 0.35))
            await asyncio.to_thread(self.bed.database.server.kill)
            await asyncio.sleep(self.dice.uniform(2, 6))
            await asyncio.to_thread(self.bed.database.server.start)
            self.report.deeds["database stopped"] += 1

    async def kill_leaders(self) -> None:
        """Kill whoever leads, now and then."""
        while self.is_on:
            await asyncio.sleep(max(15, self.seconds / 12) * self.dice.uniform(0.6, 1.4))
            leader = await self.find_leader()
            if leader is not None and self.is_on:
                await leader.kill_and_wait()
                self.report.deeds["leader killed"] += 1

    async def change_leader(self) -> None:
        """End the leader; the next one sweeps a quarter of a minute after it leads."""
        if (leader := await self.find_leader()) is not None:
            await leader.kill_and_wait()

    async def keep_operators(self) -> None:
        """Start operators again that have ended, as their Deployment would: one that loses its lease ends itself."""
        while True:
            await asyncio.sleep(self.dice.uniform(1, 4))
            for operator in self.bed.operators:
                if not operator.is_alive:
                    operator.start()

    async def find_leader(self) -> Operator | None:
        found = await self.bed.client.find(LEASE)
        name = ((found or {}).get("spec") or {}).get("holderIdentity")
        return next((each for each in self.bed.operators if each.name == name and each.is_alive), None)

    # -- attacks

    async def raid(self, number: int) -> None:
        """Start own sessions, take their tokens, and forge with these what a token can reach; then delete them."""
        raider, count = self.raider, 0
        while self.is_on:
            count += 1
            name = f"raid-{number}-{count}"
            with suppress(ApiError):
                spec: Json = {"inputs": {"count": 30, "seconds": 0.2}, "keepWarmSeconds": 5}
                if self.dice.random() < 0.3:
                    spec["inputs"] = self.dice.choice(
                        [{"x": "\u0000\ud800"}, {"x": [[[[]]] * 50]}, "x" * 200_000, 1e300]
                    )
                await raider.start("counted", name, **spec)
                await self.use_token(name)
                await self.forge_children(name)
                if self.dice.random() < 0.5:
                    path = sessions_path(RAIDER, name)
                    await self.bed.client.patch(path, {"spec": {self.dice.choice(("stop", "suspend")): True}})
            with suppress(ApiError):
                await raider.delete(name)

    async def use_token(self, name: str) -> None:
        """Write with the token of a session's pod: to others' sessions, to what is the operator's, and its own."""
        found: list[Json] = []
        deadline = time.monotonic() + 5
        while not found and time.monotonic() < deadline:
            pods = await self.bed.client.list(core_path(RAIDER, "pods"))
            found = [each for each in pods if each["metadata"]["name"].startswith(f"{name}-r")]
            await asyncio.sleep(0.1)
        if not found:
            return
        meta = found[0]["metadata"]
        bound = {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]}
        try:
            token = await asyncio.to_thread(
                self.bed.plane.service_account_token, RAIDER, "agentic-runner", bound_to=bound
            )
        except Exception as error:  # noqa: BLE001  (the pod went meanwhile)
            self.report.deeds[f"no token ({type(error).__name__})"] += 1
            return
        async with open_client(self.bed.plane, token=token) as client:
            victims = [life for life in self.bed.history.lives.values() if not life.is_deleted and life.name != name]
            for victim in self.dice.sample(victims, min(4, len(victims))):
                await self.forge(client, victim.namespace, victim.name, self.dice.choice((*FORGED, *OWN)))
            for status in FORGED[:1] + FORGED[2:]:
                await self.forge(client, RAIDER, name, status)
            for status in OWN:
                with suppress(ApiError):
                    await client.patch(sessions_path(RAIDER, name, "status"), {"status": status})
                    self.report.deeds["own status"] += 1

    async def forge(self, client: ApiClient, namespace: str, name: str, status: Json) -> None:
        """Try a write that nobody may do."""
        self.report.deeds["forged status"] += 1
        try:
            await client.patch(sessions_path(namespace, name, "status"), {"status": status})
        except ApiError as error:
            if error.code not in (401, 403, 404, 409, 422):
                self.report.taken.append(f"{namespace}/{name} {status}: {error}")
        else:
            self.report.taken.append(f"{namespace}/{name} {status}")

    async def forge_children(self, name: str) -> None:
        """Put a Job in the way of the next run, and a finalizer on whatever there is."""
        security = {
            "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }  # fmt: skip
        template = {
            "restartPolicy": "Never",
            "containers": [{"name": "runner", "image": "x", "securityContext": security}],
        }
        labels = {
            "agentic-operator.dev/session": name, "agentic-operator.dev/run": "2",
            "app.kubernetes.io/managed-by": "agentic-operator",
        }  # fmt: skip
        job: Json = {
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": f"{name}-r2", "labels": labels},
            "spec": {"suspend": True, "template": {"spec": template}},
        }  # fmt: skip
        with suppress(ApiError):
            await self.bed.client.create(jobs_path(RAIDER), job)
            self.report.deeds["forged Job"] += 1
        paths = (sessions_path(RAIDER, name), jobs_path(RAIDER, f"{name}-r1"))
        for path in paths:
            with suppress(ApiError):
                found = await self.bed.client.find(path)
                if found is not None and self.dice.random() < 0.5:
                    finalizers = [*(found["metadata"].get("finalizers") or ()), FOREIGN_FINALIZER]
                    await self.bed.client.patch(path, {"metadata": {"finalizers": finalizers}})
                    self.report.deeds["finalizer"] += 1

    async def leave(self) -> None:
        """Take away what only the attacker can: finalizers and Jobs of its own."""

        async def is_empty() -> bool:
            left = 0
            for path in (sessions_path(RAIDER), jobs_path(RAIDER), core_path(RAIDER, "pods")):
                for item in await self.bed.client.list(path):
                    if item["metadata"]["name"].startswith("wfd-"):
                        continue
                    left += 1
                    meta, at = item["metadata"], f"{path}/{item['metadata']['name']}"
                    with suppress(ApiError):
                        if FOREIGN_FINALIZER in (meta.get("finalizers") or ()):
                            kept = [each for each in meta["finalizers"] if each != FOREIGN_FINALIZER]
                            await self.bed.client.patch(at, {"metadata": {"finalizers": kept}})
                        if "ownerReferences" not in meta and "deletionTimestamp" not in meta:
                            await self.bed.client.delete(at, propagationPolicy="Background")
            return not left

        await until(is_empty, what="nothing of the attacker's", seconds=180, every=0.5)

    # -- what came of it

    async def compare(self) -> None:
        """Compare counters, rows and results with the sessions that there are."""
        sessions = await self.bed.client.list("/apis/agentic-operator.dev/v1alpha1/agenticsessions")
        phases = Counter(each["status"]["phase"] for each in sessions)
        wrong: list[str] = []

        async def is_exact() -> bool:
            wrong.clear()
            leader = await self.find_leader()
            if leader is None:
                wrong.append("nobody leads")
                return False
            try:
                counted = await asyncio.to_thread(read_sessions_metric, self.ports[leader.name])
            except OSError as error:
                # Dead for a moment and still named in the lease.
                wrong.append(f"{leader.name}: {error}")
                return False
            if {phase: count for phase, count in counted.items() if count} != dict(phases):
                wrong.append(f"agentic_sessions {counted}, {dict(phases)} are there")
            rows = self.bed.database.execute("SELECT session_uid, status FROM workflow_sessions")
            there = {each["metadata"]["uid"]: each["status"]["phase"].lower() for each in sessions}
            if dict(rows) != there:
                wrong.append(f"rows {sorted(set(dict(rows).items()) ^ set(there.items()))[:5]}")
            return not wrong

        with suppress(AssertionError):
            await until(is_exact, what="exact counters", seconds=180, every=0.5)
        self.report.wrong += wrong
        self.report.wrong += [f"saved and done again: {each}" for each in find_repeated(self.bed.database)]
        prefixes = tuple(f"project-{tenant.namespace}:" for tenant in self.tenants)
        steps = Counter(thread for thread, _ in count_started(self.bed.database) if thread.startswith(prefixes))
        short = [f"{thread}: {count} steps" for thread, count in steps.items() if count < STEPS]
        self.report.wrong += short
        finals = (
            "SELECT session_uid, count(*) FROM test_ends WHERE status IN ('completed', 'failed', 'stopped') GROUP BY 1"
        )
        ends = dict(self.bed.database.execute(finals))
        self.report.wrong += [
            f"{each['metadata']['name']} ended {ends.get(each['metadata']['uid'], 0)} times"
            for each in sessions
            if ends.get(each["metadata"]["uid"], 0) != 1
        ]

    async def clear(self) -> None:
        """Delete every session; nothing of them is left."""
        for tenant in self.tenants:
            for each in await self.bed.client.list(sessions_path(tenant.namespace)):
                await tenant.delete(each["metadata"]["name"])
        left: list[str] = []

        async def is_clear() -> bool:
            left.clear()
            for namespace in self.bed.namespaces:
                for path in (sessions_path(namespace), jobs_path(namespace), core_path(namespace, "pods")):
                    names = [item["metadata"]["name"] for item in await self.bed.client.list(path)]
                    left.extend(f"{path}/{name}" for name in names if not name.startswith("wfd-"))
                secrets = await self.bed.client.list(core_path(namespace, "secrets"))
                left.extend(s["metadata"]["name"] for s in secrets if s["metadata"]["name"] != "agentic-postgres")
            if rows := self.bed.database.execute("SELECT session_name FROM workflow_sessions"):
                left.append(f"rows of {rows[:5]}")
            if count := self.bed.rows_of_threads():
                left.append(f"{count} rows of threads")
            return not left

        with suppress(AssertionError):
            await until(is_clear, what="nothing left", seconds=180, every=0.5)
        self.report.wrong += [f"left: {each}" for each in left]


async def attack(bed: Bed, dice: random.Random, *, seconds: float, sessions: int, namespaces: int) -> Report:
    """Attack for so many seconds beside so many sessions in so many namespaces; check everything that must hold."""
    made = Attack(bed, dice, seconds)
    began = time.monotonic()
    await made.prepare(namespaces)
    made.ends_at, made.wanted = time.monotonic() + seconds, sessions
    keeping = asyncio.create_task(made.keep_operators())
    try:
        return await _attack_and_check(made, bed, sessions, namespaces, began)
    finally:
        keeping.cancel()


async def _attack_and_check(made: Attack, bed: Bed, sessions: int, namespaces: int, began: float) -> Report:
    async with asyncio.TaskGroup() as tasks:
        for number in range(sessions):
            tasks.create_task(made.live(made.tenants[number % namespaces], f"s-{number}"))
        for work in (made.hurt, made.stop_database, made.kill_leaders, made.tell):
            tasks.create_task(work())
        for number in range(3):
            tasks.create_task(made.raid(number))
    await made.leave()
    await bed.wait_rest()
    bed.namespaces.remove(RAIDER)
    try:
        await bed.check()
    finally:
        bed.namespaces.append(RAIDER)
    # What a deletion left behind, because the database was away or the attacker took the finalizer off, the next resync
    # purges once nobody has touched it for five minutes: here at once.
    for statement in AGED:
        bed.database.execute(statement)
    await made.change_leader()
    await made.compare()
    await made.clear()
    made.report.seconds = time.monotonic() - began
    return made.report


# No trigger may refuse it or put the time of now.
AGED = tuple(
    "SET session_replication_role = replica;"
    f" UPDATE {table} SET {column} = {column} - interval '10 minutes'; RESET session_replication_role"
    for table, column in (("workflow_sessions", "updated_at"), ("thread_fences", "taken_at"))
)


def read_sessions_metric(port: int) -> dict[str, int]:
    """Return how many sessions a leader counts, by phase."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_SECONDS) as answer:
        lines = answer.read().decode().splitlines()
    found = [
        line.removeprefix('agentic_sessions{phase="').split('"} ')
        for line in lines
        if line.startswith("agentic_sessions{")
    ]
    return {phase: int(float(count)) for phase, count in found}


async def _insist(call: Callable[[], Awaitable[Any]]) -> None:
    """Write although others write, too."""
    for _ in range(50):
        try:
            await call()
        except ApiError as error:
            if error.code not in (409, 500) or "AlreadyExists" in str(error):
                raise
            await asyncio.sleep(0.1)
        else:
            return
    raise AssertionError("no write got through")
