"""What stands beside the runner in a pod: plain containers, and init containers that are started and not waited for."""

import asyncio
import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from agentic_core.names import RUNNER_CONTAINER
from tests.support.apiclient import Json
from tests.support.process_kubelet_status import beside_status


def runner_of(pod: Json) -> Json:
    """Return the container that a session's or an inspection's pod is made for, wherever it stands in the list."""
    containers: list[Json] = pod["spec"]["containers"]
    return next((each for each in containers if each["name"] == RUNNER_CONTAINER), containers[0])


def is_native(container: Json) -> bool:
    """Say whether an init container is a sidecar that Kubernetes knows of: one that it ends with the pod."""
    return container.get("restartPolicy") == "Always"


@dataclass(eq=False)
class _Sidecar:
    container: Json
    process: asyncio.subprocess.Process
    is_native: bool

    @property
    def is_alive(self) -> bool:
        return self.process.returncode is None


class Sidecars:
    """The processes beside one pod's runner."""

    def __init__(self) -> None:
        self._running: list[_Sidecar] = []

    async def start(self, pod: Json, folder: Path) -> None:
        """Start them, each in a process of its own."""
        spec, runner = pod["spec"], runner_of(pod)
        natives = [each for each in spec.get("initContainers") or () if is_native(each)]
        plain = [each for each in spec["containers"] if each is not runner]
        for container in (*natives, *plain):
            log = folder / f"{container['name']}.log"
            with log.open("wb") as file:
                process = await asyncio.create_subprocess_exec(
                    *container["command"],
                    env={"PATH": os.environ["PATH"]},
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=file,
                    stderr=file,
                    start_new_session=True,
                )
            self._running.append(_Sidecar(container, process, container in natives))

    @property
    def holds(self) -> bool:
        """Whether one of them keeps the pod: a plain one that lives."""
        return any(each.is_alive and not each.is_native for each in self._running)

    @property
    def has_failed(self) -> bool:
        """Whether a plain one ended badly, which makes the pod's end one."""
        return any(not each.is_native and each.process.returncode for each in self._running)

    async def wait(self) -> None:
        """Wait until no plain one lives."""
        for each in self._running:
            if not each.is_native:
                await each.process.wait()

    async def end(self) -> None:
        """End those that live, as the kubelet does: SIGTERM first, SIGKILL a moment later."""
        for each in self._running:
            with contextlib.suppress(ProcessLookupError):
                each.process.terminate()
        for each in self._running:
            try:
                await asyncio.wait_for(each.process.wait(), 2)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    each.process.kill()
                await each.process.wait()

    def complete(self, status: Json) -> Json:
        """Return a pod's status with their containers in it; native ones end well whatever they say."""
        if not self._running or "containerStatuses" not in status:
            return status
        plain = [beside_status(each.container, _code(each)) for each in self._running if not each.is_native]
        native = [beside_status(each.container, _code(each)) for each in self._running if each.is_native]
        done = status.get("initContainerStatuses") or []
        return {
            **status,
            # As a mesh does that has to be up first: the runner's is not the first one.
            "containerStatuses": [*plain, *status["containerStatuses"]],
            **({"initContainerStatuses": [*done, *native]} if native or done else {}),
        }


def _code(sidecar: _Sidecar) -> int | None:
    code = sidecar.process.returncode
    return code if code is None or code >= 0 else 128 - code
