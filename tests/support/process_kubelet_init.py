"""Init containers of the node agent for tests: Python programs of this project, run to their end one after another."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.apiclient import ApiClient, Json
from tests.support.process_kubelet_status import uninitialised_status
from tests.support.process_kubelet_volumes import furnish


async def initialise(
    client: ApiClient, pod: Json, folder: Path, claims: Path, environment: Mapping[str, str]
) -> Json | None:
    """Run the pod's init containers; return the status of a pod where one failed, None where all went well.

    Raises :class:`NotReady` where one refers to something that is not there.
    """
    for container in pod["spec"].get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            continue
        found = await furnish(client, pod, folder, claims, container)
        log = folder / f"{container['name']}.log"
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *container["command"][1:],
                env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **environment, **found.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
            code = await process.wait()
        if code != 0:
            return uninitialised_status(pod, container["name"], code, log.read_text(encoding="utf-8"))
    return None
