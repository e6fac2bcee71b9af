"""A node agent for tests: runs the pods of one control plane as real processes of this machine, without containers.

It does what the kubelet does as far as a session can notice: binds pods, makes their files and their pod-bound tokens,
starts them, reports phases and exit codes, keeps deletion's grace, serves their logs. An image is a folder with a
LangGraph project, or with a program ``entrypoint`` of any kind. What it does not do is isolate: that is tested on the
real kubelet.
"""

import asyncio
import contextlib
import json
import os
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp
from aiohttp import web

from hack.cluster.controlplane import ControlPlane
from hack.cluster.endpoints import find_free_ports
from tests.support.apiclient import ApiClient, ApiError, Json, core_path, follow
from tests.support.process_kubelet_init import initialise
from tests.support.process_kubelet_sidecars import Sidecars, runner_of
from tests.support.process_kubelet_status import ended_status, started_status, times, unstarted_status, waiting_status
from tests.support.process_kubelet_volumes import NotReady, furnish

NODE = "process-node"
ROOT = Path(__file__).resolve().parents[2]


@dataclass(eq=False)
class PodProcess:
    """One process of one pod, and when it lived (monotonic seconds)."""

    namespace: str
    pod: str
    session: str
    session_uid: str
    run: int
    pid: int
    folder: Path
    started_at: float
    ended_at: float | None = None
    exit_code: int | None = None
    is_lost: bool = False
    """Whether its pod's object was taken away while it lives on."""
    oom: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_alive(self) -> bool:
        return self.ended_at is None

    @property
    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def send(self, number: signal.Signals) -> None:
        """Signal the process, unless it has ended."""
        if self.is_alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


@dataclass(eq=False)
class _Pod:
    raw: Json
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    is_gone: bool = False
    process: PodProcess | None = None
    sidecars: Sidecars = field(default_factory=Sidecars)
    uninitialised: Json | None = None
    """How it ended where an init container failed."""

    @property
    def grace(self) -> float | None:
        """Seconds of grace of a deletion; None while nobody deletes the pod."""
        meta = self.raw["metadata"]
        return float(meta.get("deletionGracePeriodSeconds") or 0) if "deletionTimestamp" in meta else None


class ProcessKubelet:
    """The only node. ``slots`` pods run at a time; further ones stay Pending."""

    def __init__(self, client: ApiClient, plane: ControlPlane, folder: Path, images: Mapping[str, Path]) -> None:
        self.processes: list[PodProcess] = []
        self.images = dict(images)
        self.environment: dict[str, str] = {}
        """Variables that all processes get beside their own."""
        self.grace_scale = 1.0
        """By what a pod's grace is multiplied, to see in seconds what takes half a minute."""
        self.starts_cold = False
        """Whether processes start from nothing, with all their imports, as a container's do."""
        self._client = client
        self._plane = plane
        self._folder = folder
        self._slots = asyncio.Semaphore(8)
        self._pods: dict[str, _Pod] = {}
        self._zygote: asyncio.subprocess.Process | None = None
        self._started: dict[str, asyncio.Future[int]] = {}
        self._by_id: dict[str, PodProcess] = {}
        self._ends: dict[str, int] = {}
        self._beside: list[Sidecars] = []

    # What tests ask and do

    def alive(self, session: str, namespace: str = "") -> list[PodProcess]:
        """Return the living processes of a session, the oldest first."""
        return [p for p in self.processes if p.session == session and p.is_alive and namespace in ("", p.namespace)]

    async def lose(self, process: PodProcess) -> None:
        """Give a pod up whose process lives on, as is done with those of a node that was cut off and removed."""
        process.is_lost = True
        path = core_path(process.namespace, "pods", process.pod)
        condition = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC", **times()}
        await self._client.patch(f"{path}/status", {"status": {"phase": "Failed", "conditions": [condition]}})
        await self._client.delete(path, gracePeriodSeconds=0)

    async def fall_silent(self, process: PodProcess) -> None:
        """Delete a pod whose node does not hear of it: the process lives on, the object stays and says so."""
        process.is_lost = True
        await self._client.delete(core_path(process.namespace, "pods", process.pod), gracePeriodSeconds=1)

    async def disrupt(self, process: PodProcess) -> None:
        """Let the node die: the process with it, and the pod given up."""
        process.is_lost = True
        process.send(signal.SIGKILL)
        await self.lose(process)

    def exhaust_memory(self, process: PodProcess) -> None:
        """Kill a process as the kernel does when its limit is reached."""
        process.oom = True
        process.send(signal.SIGKILL)

    # Life

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Self]:
        """Be a node until the end of the block; then every process is killed."""
        port = await self._open_logs()
        await self._register(port)
        await self._start_zygote()
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(self._read_zygote())
            watching = tasks.create_task(self._watch(tasks))
            try:
                yield self
            finally:
                watching.cancel()
                for pod in self._pods.values():
                    pod.is_gone = True
                    pod.changed.set()
                for process in self.processes:
                    process.send(signal.SIGKILL)
                for process in self.processes:
                    await process.ended.wait()
                for task in self._tasks:
                    task.cancel()
                for sidecars in self._beside:
                    await sidecars.end()
                zygote = self._zygote
                assert zygote is not None
                assert zygote.stdin is not None
                zygote.stdin.close()
                await zygote.wait()
                await reading
                await self._logs.cleanup()

    async def _start_zygote(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._zygote = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.support.process_kubelet_zygote",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
            env={**_BASE, "LANGGRAPH_STRICT_MSGPACK": "true"},
            start_new_session=True,
            limit=2**20,
        )
        assert self._zygote.stdout is not None
        await self._zygote.stdout.readline()

    async def _read_zygote(self) -> None:
        assert self._zygote is not None
        assert self._zygote.stdout is not None
        async for line in self._zygote.stdout:
            message = json.loads(line)
            name = message["id"]
            if "pid" in message:
                self._started.pop(name).set_result(message["pid"])
                continue
            process = self._by_id.get(name)
            if process is None:
                self._ends[name] = message["status"]
            else:
                _end(process, message["status"])

    async def _watch(self, tasks: asyncio.TaskGroup) -> None:
        listed: set[str] | None = None
        async for kind, raw in follow(self._client, "/api/v1/pods"):
            if kind == "RELIST":
                listed = set()
                continue
            if kind == "LISTED":
                for uid in set(self._pods) - (listed if listed is not None else set(self._pods)):
                    self._see("DELETED", self._pods[uid].raw, tasks)
                listed = None
                continue
            if listed is not None:
                listed.add(raw["metadata"]["uid"])
            self._see(kind, raw, tasks)

    def _see(self, kind: str, raw: Json, tasks: asyncio.TaskGroup) -> None:
        uid = raw["metadata"]["uid"]
        if kind == "DELETED":
            if (pod := self._pods.pop(uid, None)) is not None:
                pod.raw, pod.is_gone = raw, True
                pod.changed.set()
            return
        if (pod := self._pods.get(uid)) is not None:
            pod.raw = raw
            pod.changed.set()
        else:
            pod = self._pods[uid] = _Pod(raw)
            task = tasks.create_task(self._run(pod))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    # One pod

    async def _run(self, pod: _Pod) -> None:
        if (pod.raw.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return
        if pod.raw["spec"].get("nodeName"):
            # Of a node agent before this one: its process is gone.
            await self._finish(pod, 137, None)
            return
        async with self._slots:
            await self._bind(pod)
            process = await self._start(pod)
            if process is None:
                await self._finish(pod, None, None)
                return
            await self._patch(pod, {"phase": "Running", **started_status(pod.raw)})
            await self._supervise(pod, process)
            await self._outlast(pod, process)
        if not process.is_lost:
            await self._finish(pod, process.exit_code, process)

    async def _bind(self, pod: _Pod) -> None:
        meta = pod.raw["metadata"]
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": NODE},
        }
        path = core_path(meta["namespace"], "pods", meta["name"], "binding")
        await self._insist(pod, lambda: self._client.create(path, binding))

    async def _start(self, pod: _Pod) -> PodProcess | None:
        """Start the pod's process when everything that it refers to is there; None where it is deleted before."""
        meta = pod.raw["metadata"]
        folder = self._folder / meta["uid"]
        folder.mkdir(parents=True)
        said = ""
        while not pod.is_gone and pod.grace is None:
            try:
                image = runner_of(pod.raw)["image"]
                project = self._find_image(image)
                found = await furnish(self._client, pod.raw, folder, self._folder / "claims")
                pod.uninitialised = await initialise(
                    self._client, pod.raw, folder, self._folder / "claims", self.environment
                )
            except NotReady as missing:
                if missing.reason != said:
                    said = missing.reason
                    await self._patch(pod, waiting_status(pod.raw, missing.reason, str(missing)))
            except (aiohttp.ClientError, TimeoutError, ConnectionError, ApiError):
                pass
            else:
                if pod.uninitialised is not None:
                    return None
                self._beside.append(pod.sidecars)
                await pod.sidecars.start(pod.raw, folder)
                return await self._spawn(pod, folder, project, found.environment)
            await asyncio.sleep(0.1)
        return None

    def _find_image(self, name: str) -> Path:
        if name not in self.images:
            raise NotReady("ErrImagePull", f"no such image {name!r}")
        return self.images[name]

    async def _spawn(self, pod: _Pod, folder: Path, image: Path, variables: Mapping[str, str]) -> PodProcess:
        meta = pod.raw["metadata"]
        host, port = self._plane.server.removeprefix("https://").split(":")
        environment = {
            **_BASE,
            "KUBERNETES_SERVICE_HOST": host,
            "KUBERNETES_SERVICE_PORT": port,
            "HOSTNAME": meta["name"],
            "TERMINATION_LOG": str(folder / "termination"),
            **self.environment,
            **variables,
        }
        order = {
            "id": meta["uid"],
            "argv": [
                *([str(image / "entrypoint")] if (image / "entrypoint").exists() else ["agentic_runner"]),
                *(runner_of(pod.raw).get("args") or ()),
            ],
            "env": environment,
            "cwd": str(image),
            "log": str(folder / "log"),
            "cold": self.starts_cold,
        }
        self._started[meta["uid"]] = asyncio.get_running_loop().create_future()
        assert self._zygote is not None
        assert self._zygote.stdin is not None
        self._zygote.stdin.write(json.dumps(order).encode() + b"\n")
        pid = await self._started[meta["uid"]]
        labels = meta.get("labels") or {}
        process = PodProcess(
            namespace=meta["namespace"],
            pod=meta["name"],
            session=labels.get("agentic-operator.dev/session", ""),
            session_uid=variables.get("SESSION_UID", ""),
            run=int(variables.get("RUN") or 0),
            pid=pid,
            folder=folder,
            started_at=time.monotonic(),
        )
        self.processes.append(process)
        self._by_id[meta["uid"]] = process
        pod.process = process
        if meta["uid"] in self._ends:
            _end(process, self._ends.pop(meta["uid"]))
        return process

    async def _supervise(self, pod: _Pod, process: PodProcess) -> None:
        """Wait for the process's end, and bring it about where the pod is deleted."""
        kill_at: float | None = None
        while process.is_alive:
            if not process.is_lost:
                if pod.is_gone:
                    process.send(signal.SIGKILL)
                elif pod.grace is not None and kill_at is None:
                    process.send(signal.SIGTERM)
                    kill_at = time.monotonic() + pod.grace * self.grace_scale
                if kill_at is not None and time.monotonic() >= kill_at:
                    process.send(signal.SIGKILL)
            pod.changed.clear()
            left = None if kill_at is None else max(0.05, kill_at - time.monotonic())
            await _first(process.ended.wait(), pod.changed.wait(), seconds=left)

    async def _outlast(self, pod: _Pod, process: PodProcess) -> None:
        """Let what stands beside a runner that has ended go on, to its own end or the pod's."""
        is_told = process.is_lost
        while pod.sidecars.holds and not pod.is_gone and pod.grace is None and not self._is_closing():
            if not is_told:
                is_told = True
                await self._patch(pod, self._ended(pod, process.exit_code or 0, process, is_held=True))
            pod.changed.clear()
            await _first(pod.sidecars.wait(), pod.changed.wait(), seconds=None)
        await pod.sidecars.end()

    def _ended(self, pod: _Pod, exit_code: int, process: PodProcess, *, is_held: bool = False) -> Json:
        return ended_status(
            pod.raw,
            exit_code,
            log=process.log,
            spoken=process.folder / "termination",
            is_oom=process.oom,
            is_held=is_held,
            failed=pod.sidecars.has_failed,
        )

    async def _finish(self, pod: _Pod, exit_code: int | None, process: PodProcess | None) -> None:
        if exit_code is None:
            status = pod.uninitialised or unstarted_status()
        elif process is None:
            status = ended_status(pod.raw, exit_code, log="", spoken=None, is_oom=False)
        else:
            status = self._ended(pod, exit_code, process)
        await self._patch(pod, status)
        while not pod.is_gone and pod.grace is None and not self._is_closing():
            pod.changed.clear()
            await pod.changed.wait()
        if not pod.is_gone:
            meta = pod.raw["metadata"]
            path = core_path(meta["namespace"], "pods", meta["name"])
            options = {"gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}}
            await self._insist(pod, lambda: self._client.delete(path, **options))

    def _is_closing(self) -> bool:
        return self._zygote is None

    async def _patch(self, pod: _Pod, status: Mapping[str, Any]) -> None:
        meta = pod.raw["metadata"]
        path = core_path(meta["namespace"], "pods", meta["name"], "status")
        body = {"metadata": {"uid": meta["uid"]}, "status": pod.sidecars.complete(dict(status))}
        await self._insist(pod, lambda: self._client.patch(path, body))

    async def _insist(self, pod: _Pod, call: Callable[[], Awaitable[object]]) -> None:
        """Repeat a call while the API server is away; a pod that is gone or another one is no fault."""
        while not pod.is_gone:
            try:
                await call()
            except ApiError as error:
                if error.code < 500 and error.code != 429:
                    return
            except (aiohttp.ClientError, TimeoutError, ConnectionError):
                pass
            else:
                return
            await asyncio.sleep(0.1)

    # The node itself

    async def _register(self, port: int) -> None:
        with contextlib.suppress(ApiError):
            await self._client.create("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
        await self._client.patch(
            f"/api/v1/nodes/{NODE}/status",
            {
                "status": {
                    "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                    "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
                    "conditions": [{"type": "Ready", "status": "True", "reason": "ProcessNode", **times()}],
                }
            },
        )

    async def _open_logs(self) -> int:
        pair = await asyncio.to_thread(
            lambda: self._plane.authority.issue("process-node", f"system:node:{NODE}", names=["127.0.0.1"])
        )
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(pair.certificate, pair.key)
        self._logs = web.ServerRunner(web.Server(self._serve_log, access_log=None), shutdown_timeout=0.1)
        await self._logs.setup()
        (port,) = find_free_ports(1)
        await web.TCPSite(self._logs, "127.0.0.1", port, ssl_context=tls).start()
        return port

    async def _serve_log(self, request: web.BaseRequest) -> web.Response:
        parts = request.path.split("/")
        if len(parts) != 5 or parts[1] != "containerLogs":
            return web.Response(status=404)
        named = [p for p in self.processes if (p.namespace, p.pod) == (parts[2], parts[3])]
        if not named:
            return web.Response(status=404, text=f"pod {parts[3]!r} has not started")
        limit = int(request.query.get("limitBytes", "0")) or None
        lines = named[-1].log.splitlines(keepends=True)
        tail = int(request.query.get("tailLines", len(lines)))
        return web.Response(
            body="".join(lines[max(0, len(lines) - tail) :]).encode()[:limit], content_type="text/plain"
        )


_BASE = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}


def _end(process: PodProcess, status: int) -> None:
    process.exit_code = status if status >= 0 else 128 - status
    process.ended_at = time.monotonic()
    process.ended.set()


async def _first(*waits: Awaitable[object], seconds: float | None) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
