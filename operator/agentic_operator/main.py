"""The operator process: settings, leader election, watches and controllers, until SIGTERM."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final, NoReturn

from agentic_core.errors import PermanentError
from agentic_core.names import MANAGED_BY, MANAGED_BY_LABEL
from agentic_core.schema.sandbox import SchemaChecker
from agentic_operator.cache.index import Index
from agentic_operator.cache.reads import Reads
from agentic_operator.cache.resync import Resync, keep_results
from agentic_operator.cache.watch import Handlers, watch_cluster
from agentic_operator.cache.workqueue import WorkQueue
from agentic_operator.config import ClusterDefinitions, InvalidSetting, Settings, read_settings
from agentic_operator.controllers.definition import DefinitionReconciler
from agentic_operator.controllers.session import Dependencies, SessionReconciler
from agentic_operator.controllers.stuck_pods import StuckPods
from agentic_operator.controllers.workers import run_workers
from agentic_operator.database.result_links import ResultLinks, ResultRemover, Stores
from agentic_operator.database.retention import Retention
from agentic_operator.database.retention_policy import Keep
from agentic_operator.database.session_rows import Recorder
from agentic_operator.database.trail_rows import TrailKeeper
from agentic_operator.faults import Faults
from agentic_operator.http_server import serve_health
from agentic_operator.kube.client import JOBS, PODS, SESSIONS, Kube, open_kube
from agentic_operator.kube.connection import Connection, NoConnection, find_connection
from agentic_operator.kube.event_recorder import EventRecorder
from agentic_operator.kube.leader_election import Election, LeaseLost
from agentic_operator.kube.own_image import complete_vault
from agentic_operator.kube.rights import Rights
from agentic_operator.logs import set_up_logs
from agentic_operator.metrics import Metrics
from agentic_operator.namespaces.database_logins import DatabaseLogins
from agentic_operator.namespaces.prepare import Namespaces
from agentic_operator.namespaces.role_cleanup import RoleCleanup
from agentic_operator.namespaces.upkeep import Upkeep
from agentic_operator.sampler import sample_database
from agentic_operator.sessions.children import observe_job, observe_pod, owner_of
from agentic_operator.sessions.keys import Key, SessionKey
from agentic_operator.sessions.observation import Rules
from agentic_store.database import Database, open_database
from agentic_store.dsn import read_dsn

COUNT_SECONDS: Final = 5.0
# The API server takes objects nested 10,000 deep, and the parser of a watch counts its depth against this limit: with
# Python's 1,000, one such session anywhere would end the operator for all.
RECURSION_LIMIT: Final = 50_000

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
    sys.setrecursionlimit(RECURSION_LIMIT)
    # What was imported lasts as long as the process: a burst must not have it walked again and again.
    gc.collect()
    gc.freeze()
    try:
        asyncio.run(_run(settings, connection))
    except asyncio.CancelledError:
        return 0
    except (PermanentError, InvalidSetting) as error:
        logger.error("%s", error)  # noqa: TRY400
        return 2
    return 0


async def _run(settings: Settings, connection: Connection) -> None:
    metrics = Metrics()
    async with (
        open_kube(connection, metrics) as kube,
        serve_health(settings.liveness_port, lambda: True, metrics.render),
    ):
        election = Election(kube, settings.namespace, settings.identity, lease_seconds=settings.lease_seconds)
        if settings.leader_election:
            # Standing by: nothing is watched and nothing is held, and SIGTERM simply ends it.
            with _ending_on_signals():
                await election.acquire()
        try:
            settings = await complete_vault(settings, kube)
            metrics.sources.is_leader = True
            async with _open_rows(settings, metrics) as database:
                await _lead(settings, connection, kube, election, database, metrics)
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
) -> None:
    queue: WorkQueue[Key] = WorkQueue(time.monotonic)
    index = Index(
        wake=queue.add,
        wake_later=lambda key: queue.add_at(key, time.monotonic() + COUNT_SECONDS),
    )
    rights = Rights(kube, settings)
    settings = await rights.choose_served()
    has_cluster_definitions = settings.cluster_definitions is not ClusterDefinitions.OFF
    stores = Stores(kube, settings.namespace) if settings.jobs.has_result_store else None
    remove = ResultRemover(stores, database.sessions).remove if stores and database is not None else keep_results
    faults = metrics.sources.faults
    links = ResultLinks(kube, stores, faults=faults) if stores else None
    recorder = Recorder(database.sessions, remove, faults) if database is not None else None
    trails = TrailKeeper(database.trails, queue.add, faults) if database is not None else None
    logins = DatabaseLogins(kube, settings, database.tenants if database is not None else None)
    async with SchemaChecker() as checker:
        namespaces = Namespaces(kube, settings, logins)
        stalls = StuckPods(
            kube,
            index,
            queue,
            namespaces,
            inspection_namespace=settings.inspection_namespace,
            faults=faults,
        )
        parts = Dependencies(
            kube=kube,
            index=index,
            queue=queue,
            lookup=Reads(kube, index, faults, has_cluster_definitions=has_cluster_definitions),
            namespaces=namespaces,
            stalls=stalls,
            event_recorder=EventRecorder(kube, settings.identity, settings.namespace, faults=faults),
            checker=checker,
            faults=faults,
            rules=Rules(
                settings.jobs,
                settings.allowed_images,
                settings.allowed_pods,
                has_cluster_definitions,
                has_trail=trails is not None,
            ),
            recorder=recorder,
            trails=trails,
            fetch_vector_dims=database.fetch_vector_dims if database is not None else None,
        )
        rows = database.sessions if database is not None else None
        sweep = Resync(
            kube,
            index,
            queue,
            settings.watch_namespaces,
            rows,
            remove,
            faults,
            settings.inspection_namespace,
            observed=settings.observed_namespaces,
        )
        background = [
            asyncio.create_task(parts.event_recorder.run(), name="announcer"),
            asyncio.create_task(sweep.run(), name="sweep"),
            asyncio.create_task(stalls.run(), name="stalls"),
            asyncio.create_task(Upkeep(namespaces, index, faults).run(), name="upkeep"),
        ]
        metrics.sources.index, metrics.sources.queue_length = index, queue.__len__
        if database is not None:
            keep = Keep(settings.jobs.retention_days, settings.prune_days)
            retention = Retention(
                database.retention,
                kube,
                index,
                parts.event_recorder,
                settings.watch_namespaces,
                keep,
                faults=faults,
                trails=database.trails,
                trail_days=settings.audit_days,
            )
            metrics.sources.retention = retention.progress
            sampling = sample_database(database.fetch_statistics, metrics.sources)
            background += [
                asyncio.create_task(retention.run(), name="retention"),
                asyncio.create_task(retention.run_expiry(), name="expiry"),
                asyncio.create_task(sampling, name="sampler"),
            ]
        if trails is not None:
            background.append(asyncio.create_task(trails.run(), name="trails"))
        if recorder is not None:
            background.append(asyncio.create_task(recorder.run(), name="recorder"))
            if settings.jobs.vault is None:
                keeper = RoleCleanup(
                    kube,
                    logins,
                    settings.watch_namespaces,
                    purges_memory=settings.purges_removed_memory,
                    faults=faults,
                )
                background.append(asyncio.create_task(keeper.run(), name="tenants"))
        if links is not None:
            background.append(asyncio.create_task(links.run(), name="links"))
        if settings.leader_election:
            background.append(asyncio.create_task(_hold(election), name="lease"))
        try:
            with _ending_on_signals():
                await _prime(kube, index, queue, settings.watch_namespaces, settings.inspection_namespace, faults)
            workers = run_workers(
                settings.workers,
                queue,
                SessionReconciler(parts),
                DefinitionReconciler(
                    parts,
                    settings.inspection_namespace,
                    inspects_cluster=settings.cluster_definitions is ClusterDefinitions.INSPECT,
                ),
                metrics.observe_pass,
            )
            background.append(asyncio.create_task(workers, name="workers"))
            served = settings.watch_namespaces
            handlers = Handlers(
                index,
                queue,
                served,
                settings.inspection_namespace,
                on_unrun=recorder.forget if recorder else lambda _uid: None,
                on_change=links.see if links else lambda _raw: None,
                faults=faults,
            )
            watching = asyncio.create_task(
                watch_cluster(
                    handlers,
                    connection,
                    settings.observed_namespaces,
                    asyncio.Event(),
                    has_cluster_definitions=has_cluster_definitions,
                ),
                name="kopf",
            )
            if served:
                background.append(asyncio.create_task(rights.watch(served), name="rights"))
            background.append(watching)
            done, _ = await asyncio.wait(background, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            logger.info("stopping")
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)


async def _prime(
    kube: Kube,
    index: Index,
    queue: WorkQueue[Key],
    namespaces: tuple[str, ...],
    inspections: str,
    faults: Faults,
) -> None:
    """Know every session and its children before the first decision.

    How full a workflow is cannot be told from some of them, nor from no Job that has not been heard of yet that nothing
    of a session runs any more.
    """
    selector = f"{MANAGED_BY_LABEL}={MANAGED_BY}"
    for namespace in namespaces or ("",):
        for kind in (JOBS, PODS):
            async for page in kube.list_pages(kind, namespace, selector=selector):
                for raw in page:
                    with faults.apart("start", object=raw["metadata"]["name"]):
                        if (owner := owner_of(raw, inspections)) is None:
                            continue
                        if kind is JOBS:
                            index.see_job(owner, observe_job(raw))
                        else:
                            index.see_pod(owner, observe_pod(raw))
        async for page in kube.list_pages(SESSIONS, namespace):
            for raw in page:
                key = SessionKey(raw["metadata"]["namespace"], raw["metadata"]["name"])
                with faults.apart("start", namespace=key.namespace, session=key.name):
                    if index.see_session(raw, keep_body=True):
                        queue.add(key, urgent=not (raw.get("status") or {}).get("phase"))


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
    """Cancel the current task on SIGTERM and SIGINT; Kopf has its own way once it runs."""
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
