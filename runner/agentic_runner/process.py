"""The runner as a process: configuration in, exit code and termination message out."""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from agentic_core.contract import ExitCode
from agentic_core.errors import PermanentError
from agentic_core.tracing import list_header_values
from agentic_runner.config import ConfigurationError, RunConfig, read_config
from agentic_runner.drain import Drain
from agentic_runner.floors import find_outdated
from agentic_runner.output.logs import configure_logging, let_go_of_streams
from agentic_runner.output.masked_output import mask_output
from agentic_runner.output.redaction import Redactor, bounded, describe
from agentic_runner.output.secret_env import find_secret_values
from agentic_runner.output.termination import write_termination
from agentic_runner.project.source_location import find_source
from agentic_runner.tracing.run_trace import RunTrace, begin_run_trace

if TYPE_CHECKING:
    from agentic_store.dsn import Dsn

log = logging.getLogger(__name__)

_LEAVE_SECONDS = 5.0


def run_process(environ: Mapping[str, str]) -> int:
    """Run the session of this pod and return the exit code."""
    redactor = Redactor()
    try:
        config = read_config(environ)
        dsn = _read_dsn(environ)
    except ConfigurationError as error:
        for problem in error.problems:
            sys.stderr.write(f"agentic-runner: {problem}\n")
        write_termination(environ, str(error))
        return ExitCode.CONFIGURATION
    redactor.add(dsn.conninfo, config.token.value)
    redactor.add_filter(dsn.redact)
    if config.keyring is not None:
        redactor.add(*config.keyring.secrets)
    if config.result_store_dir is not None:
        from agentic_store.results.objects import read_object_store_folder

        redactor.add(read_object_store_folder(config.result_store_dir).secret_key)
    redactor.add(*find_secret_values(environ))
    redactor.add(*list_header_values(environ))
    mask_output(redactor)
    trace = begin_run_trace(environ, config, redact=redactor.redact)
    trace_id = trace.trace_id if trace is not None else config.trace_id
    configure_logging(
        redactor,
        level=environ.get("LOG_LEVEL", "INFO").upper(),
        session=f"{config.namespace}/{config.session_name}",
        run=str(config.run),
        **({"trace_id": trace_id} if trace_id else {}),
    )
    drain = Drain()
    drain.install()
    try:
        return asyncio.run(_run(config, dsn, redactor, drain, environ, trace))
    except SystemExit as error:
        # A node's; it ends the event loop, and its code, perhaps 0, says nothing about the session.
        said = redactor.redact(bounded(f"sys.exit({error.code!r})", 256))
        return _leave_graph(environ, f"the graph called {said} in a node", error, trace)
    except KeyboardInterrupt as error:
        return _leave_graph(environ, "the graph raised KeyboardInterrupt in a node", error, trace)
    except BaseException as error:
        log.exception("unexpected")
        if (fault := find_outdated()) is not None:
            return _fail(environ, fault, trace, ExitCode.GRAPH_NOT_LOADED)
        return _fail(environ, redactor.redact(describe(error)), trace)


def _leave_graph(environ: Mapping[str, str], what: str, error: BaseException, trace: RunTrace | None) -> int:
    """End a run whose graph ended the process, since a retry would do the same. A signal does not lead here."""
    place = find_source(error, Path.cwd())
    code = ExitCode.GRAPH_FAILED if place else ExitCode.RETRIABLE
    return _fail(environ, f"{what}{f' ({place})' if place else ''}: raise an exception instead", trace, code)


def _fail(environ: Mapping[str, str], message: str, trace: RunTrace | None, code: ExitCode = ExitCode.RETRIABLE) -> int:
    log.error("ends: %s", message, extra={"exit_code": int(code)})
    write_termination(environ, message)
    _leave_soon(code, trace)
    return code


def _read_dsn(environ: Mapping[str, str]) -> "Dsn":
    # Everything else is only imported for a run that has its variables: what is missing is said at once.
    from agentic_store.dsn import read_dsn

    try:
        return read_dsn(environ, is_isolated=True)
    except PermanentError as error:
        raise ConfigurationError([str(error)]) from error


async def _run(
    config: RunConfig,
    dsn: "Dsn",
    redactor: Redactor,
    drain: Drain,
    environ: Mapping[str, str],
    trace: RunTrace | None,
) -> ExitCode:
    from agentic_runner.run import run_session
    from agentic_runner.running.imports import import_langgraph

    # In a thread: meanwhile this loop talks with the API server and the database.
    importing = asyncio.create_task(asyncio.to_thread(import_langgraph), name="imports")
    ending = await run_session(config, dsn, redactor, drain, importing, trace)
    message = redactor.redact(ending.message)
    log.info("ends: %s", message, extra={"exit_code": int(ending.code)})
    if ending.code is not ExitCode.DONE:
        write_termination(environ, message)
    if not importing.done():
        # Nothing of the author's has run yet; the import alone would hold the process.
        if trace is not None:
            trace.finish(ending.code)
        let_go_of_streams()
        os._exit(ending.code)
    _leave_soon(ending.code, trace)
    return ending.code


def _leave_soon(code: ExitCode, trace: RunTrace | None) -> None:
    """End the process even where an author's thread never does; leaving waits for threads that run a node."""
    if trace is not None:
        # Everything of the run is reported. What its spans take of its time from here on is bounded.
        trace.finish(code)
    let_go_of_streams()
    timer = threading.Timer(_LEAVE_SECONDS, os._exit, (int(code),))
    timer.daemon = True
    timer.start()
