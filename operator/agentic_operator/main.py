"""The operator process: settings, leader election, watches and controllers, until SIGTERM."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, NoReturn, Self

from agentic_core.errors import PermanentError
from agentic_core.schema.sandbox import SchemaChecker
from agentic_core.tracing import open_tracer, read_sampler
from agentic_operator.cache.priming import prime
from agentic_operator.cache.watch import watch_cluster
from agentic_operator.config import InvalidSetting, Settings, read_settings
from agentic_operator.controllers.start_spans import StartSpans
from agentic_operator.http_server import serve_health
from agentic_operator.kube.client import Kube, open_kube
from agentic_operator.kube.connection import Connection, NoConnection, find_connection
from agentic_operator.kube.leader_election import Election, LeaseLost
from agentic_operator.kube.own_image import complete_vault
from agentic_operator.kube.rights import Rights
from agentic_operator.logs import set_up_logs
from agentic_operator.metrics import Metrics
from agentic_operator.parts import Parts
from agentic_store.database import Database, open_database
from agentic_store.dsn import read_dsn

# The API server takes objects nested 10,000 deep, and the parser of a watch counts its depth against this limit: with
# Python's 1,000, one such session anywhere would end the operator for all.
RECURSION_LIMIT: Final = 50_000
# What spans may still take of the end of the process.
SPANS_SECONDS: Final = 2.0

logger: Final = logging.getLogger("agentic_operator")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the operator; return the exit code: 0 after SIGTERM, 1 to be started anew, 2 for settings to be corrected."""
    try:
        settings = read_settings(sys.argv[1:] if arguments is None else arguments, os.environ)
        connection = find_connection(settings.kubeconfig, os.environ)
    except (InvalidSetting, NoConnection) as error:
        print(f"agentic_operator: {error}", file=sys.stderr)
        return 2
    set_up_logs(settings.log_format, settings.log_level)
    settings, start_spans = _open_start_spans(settings)
    sys.setrecursionlimit(RECURSION_LIMIT)
    # What was imported lasts as long as the process: a burst must not have it walked again and again.
    gc.collect()
    gc.freeze()
    try:
        asyncio.run(_run(settings, connection, start_spans))
    except asyncio.CancelledError:
        return 0
    except (PermanentError, InvalidSetting) as error:
        logger.error("%s", error)  # noqa: TRY400
        return 2
    finally:
        if start_spans is not None:
            start_spans.close(SPANS_SECONDS)
    return 0


def _open_start_spans(settings: Settings) -> tuple[Settings, StartSpans | None]:
    """Return what makes the operator's spans, None where none are sent, and settings by which runs are part of them."""
    tracer = open_tracer(os.environ, "agentic-operator")
    if tracer is None:
        return settings, None
    sampler = read_sampler(os.environ)
    return replace(settings, jobs=replace(settings.jobs, sampler=sampler)), StartSpans(tracer, sampler)


async def _run(settings: Settings, connection: Connection, start_spans: StartSpans | None) -> None:
    metrics = Metrics()
    async with (
        open_kube(connection, metrics) as kube,
        serve_health(settings.liveness_port, lambda: True, metrics.render),
    ):
        election = Election(kube, settings.namespace, settings.identity, lease_seconds=settings.lease_seconds)
        # Until Kopf watches, which then has a way of its own, a signal ends this task and gives the lease back.
        with _ending_on_signals():
            if settings.leader_election:
                await election.acquire()
            try:
                settings = await complete_vault(settings, kube)
                metrics.sources.is_leader = True
                async with _open_rows(settings, metrics) as database:
                    await _lead(settings, connection, kube, election, database, metrics, start_spans)
            finally:
                if settings.leader_election:
                    await election.release()


async def _lead(
    settings: Settings,
    connection: Connection,
    kube: Kube,
    election: Election,
    database: Database | None,
    metrics: Metrics,
    start_spans: StartSpans | None,
) -> None:
    """Do the leader's work until a part of it ends: by a signal, or by an error, which is raised."""
    rights = Rights(kube, settings)
    settings = await rights.choose_served()
    served, inspections = settings.watch_namespaces, settings.inspection_namespace
    async with SchemaChecker() as checker, _Background() as background:
        parts = Parts(settings, kube, database, metrics, checker, start_spans)
        for name, run in parts.list_loops():
            background.start(name, run())
        if settings.leader_election:
            background.start("lease", _hold(election))
        await prime(kube, parts.index, parts.queue, served, inspections, metrics.sources.faults)
        background.start("workers", parts.run_workers())
        background.start("kopf", _watch(parts, settings, connection))
        if served:
            background.start("rights", rights.watch(served))
        await background.wait()
        logger.info("stopping")


async def _watch(parts: Parts, settings: Settings, connection: Connection) -> None:
    await watch_cluster(
        parts.make_handlers(),
        connection,
        settings.observed_namespaces,
        asyncio.Event(),
        has_cluster_definitions=parts.has_cluster_definitions,
    )


class _Background:
    """Tasks that run for as long as the process leads; all end with the first of them."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[object]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def start(self, name: str, work: Coroutine[Any, Any, object]) -> None:
        self._tasks.append(asyncio.create_task(work, name=name))

    async def wait(self) -> None:
        """Wait until one of them ends; raise its error."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()


async def _hold(election: Election) -> NoReturn:
    try:
        await election.hold()
    except LeaseLost as error:
        logger.error("stopping at once: %s", error)  # noqa: TRY400
        sys.stderr.flush()
        # Not a clean end: anything that still waits for an answer must not act on it any more.
        os._exit(1)
    raise AssertionError("a lease is held until it is lost")


@contextlib.asynccontextmanager
async def _open_rows(settings: Settings, metrics: Metrics) -> AsyncIterator[Database | None]:
    if settings.postgres_file is None:
        logger.warning("POSTGRES_CONNECTION_STRING_FILE is not set: sessions get no rows in workflow_sessions")
        yield None
        return
    dsn = read_dsn({}, file=settings.postgres_file)
    async with open_database(
        dsn,
        application_name="agentic-operator",
        max_size=3,
        wait=False,
        on_error=metrics.observe_database_error,
    ) as database:
        yield database


@contextlib.contextmanager
def _ending_on_signals() -> Iterator[None]:
    """Cancel the current task on SIGTERM and SIGINT, until somebody else handles them."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    if task is None:
        raise RuntimeError("signals end a task, and none is running")
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
