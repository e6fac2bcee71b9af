"""The process of an inspection: the project is loaded in a child, and only what the child reports goes on.

Whatever the project does while it loads stays in the child: what it prints, threads and programs that it leaves behind,
``os._exit``, a crash. The report comes through a pipe of its own, and is written when the child is gone and nothing
can be written between. This module imports nothing but the standard library before it forks.
"""

import contextlib
import json
import os
import selectors
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final

from agentic_core.contract import EXPECTED_WORKING_DIR, ExitCode
from agentic_core.inspection import ReportTooLarge, frame_report
from agentic_runner.floors import find_outdated
from agentic_runner.output.masked_output import MaskedOutput
from agentic_runner.output.redaction import Redactor
from agentic_runner.output.secret_env import find_secret_values
from agentic_runner.output.termination import write_termination

MAX_OUTPUT_BYTES: Final = 1024 * 1024
"""How much of what the project prints is passed on."""
_LOOK_SECONDS: Final = 0.05
# What is left out of a report that is too large, the least important first.
_SPARE: Final = ("mermaid", "outputSchema", "edges", "nodes", "notes", "inputSchema")


def run_inspection(environ: Mapping[str, str]) -> int:
    """Print the report of the project's graph; on a fault write one sentence and return its exit code."""
    if (fault := find_outdated() or _explain_working_dir(environ)) is not None:
        return _report_fault(environ, fault)
    report_out, report_in = os.pipe()
    output_out, output_in = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(report_out)
        os.close(output_out)
        _run_child(environ, report_in, output_in)
    os.close(report_in)
    os.close(output_in)

    def leave(*_: object) -> None:
        _end_group(child)
        os._exit(ExitCode.DRAINED)

    signal.signal(signal.SIGTERM, leave)
    redactor = Redactor()
    redactor.add(*find_secret_values(environ))
    try:
        report, status = _watch(child, report_out, output_out, redactor)
    finally:
        _end_group(child)
    return _conclude(environ, report, os.waitstatus_to_exitcode(status), redactor)


def _explain_working_dir(environ: Mapping[str, str]) -> str | None:
    """Return why writable paths would not be where the project looks for them; None if they are."""
    expected, found = environ.get(EXPECTED_WORKING_DIR, ""), os.getcwd()  # noqa: PTH109  (pathlib is not imported yet)
    if not expected or os.path.realpath(expected) == found:
        return None
    return (
        f"podTemplate.writablePaths are mounted below {expected!r}, and the image's working directory is {found!r}: "
        f"write it in podTemplate.workingDir"
    )


def _run_child(environ: Mapping[str, str], report_in: int, output_in: int) -> None:
    """Load the project and report, in a session of its own and with its output in one pipe; never return."""
    code = int(ExitCode.RETRIABLE)
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (output_in, 1), (output_in, 2)):
            os.dup2(source, target)
        os.close(output_in)
        _send(report_in, _load(environ))
        code = int(ExitCode.DONE)
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        # At once: neither remaining threads nor the project's exit handlers can delay it.
        os._exit(code)


def _load(environ: Mapping[str, str]) -> dict[str, Any]:
    from agentic_core.errors import GraphLoadError
    from agentic_runner.output.redaction import describe

    try:
        from agentic_runner.inspection import inspect_project

        return {"report": inspect_project(environ)}
    except GraphLoadError as error:
        return {"error": str(error)}
    except ImportError as error:
        return {"error": f"what the runner needs cannot be imported: {describe(error)}: build the image anew"}
    except Exception as error:  # noqa: BLE001  (whatever it is, its traceback goes to the log and its words to the status)
        traceback.print_exc()
        return {"error": f"the graph cannot be inspected: {describe(error)}", "code": int(ExitCode.RETRIABLE)}


def _send(descriptor: int, message: dict[str, Any]) -> None:
    with os.fdopen(descriptor, "wb") as pipe:
        pipe.write(json.dumps(message, default=str).encode("utf-8", errors="surrogatepass"))


def _watch(child: int, report_out: int, output_out: int, redactor: Redactor) -> tuple[bytes, int]:
    """Pass on the child's output until it has ended; return its report and its exit status."""
    report, passed, dropped = bytearray(), 0, 0
    masked = MaskedOutput(os.fdopen(2, "wb", closefd=False), redactor)

    def take_report(data: bytes) -> None:
        report.extend(data)

    def take_output(data: bytes) -> None:
        nonlocal passed, dropped
        kept = data[: max(0, MAX_OUTPUT_BYTES - passed)]
        passed += len(kept)
        dropped += len(data) - len(kept)
        if kept:
            masked.write(kept)

    with selectors.DefaultSelector() as selector:
        for descriptor, take in ((report_out, take_report), (output_out, take_output)):
            os.set_blocking(descriptor, False)
            selector.register(descriptor, selectors.EVENT_READ, take)
        ended, status = 0, 0
        while not ended:
            # Not until the pipes end: a program that the project started may hold them open.
            ended, status = os.waitpid(child, os.WNOHANG)
            _read_ready(selector, 0 if ended else _LOOK_SECONDS)
        while _read_ready(selector, 0):
            pass
    masked.close()
    if dropped:
        os.write(2, f"\nagentic-runner: {dropped} more bytes that the project printed are not shown\n".encode())
    return bytes(report), status


def _read_ready(selector: selectors.BaseSelector, timeout_seconds: float) -> bool:
    """Read once from every pipe that has something; return whether any had."""
    had = False
    for key, _ in selector.select(timeout_seconds):
        take: Callable[[bytes], None] = key.data
        try:
            data = os.read(key.fd, 65536)
        except BlockingIOError:
            continue
        if data:
            had = True
            take(data)
        else:
            selector.unregister(key.fileobj)
    return had


def _end_group(child: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(child, signal.SIGKILL)


def _conclude(environ: Mapping[str, str], raw: bytes, code: int, redactor: Redactor) -> int:
    try:
        reported = json.loads(raw.decode("utf-8", errors="surrogatepass")) if raw else {}
    except ValueError:
        reported = {}
    reported = redactor.redact_all(reported)
    if "report" in reported and code == ExitCode.DONE:
        sys.stdout.write(_frame(reported["report"]))
        sys.stdout.flush()
        return ExitCode.DONE
    if "error" in reported:
        return _report_fault(environ, reported["error"], reported.get("code", ExitCode.GRAPH_NOT_LOADED))
    if code < 0:
        name = signal.Signals(-code).name
        message = f"loading the project was ended by {name}: does it need more memory, or crash in compiled code?"
        return _report_fault(environ, message, 128 - code)
    return _report_fault(environ, f"the project ended the process with os._exit({code}) while it was loaded")


def _frame(report: dict[str, Any]) -> str:
    """Return the report in frames, without what makes it too large."""
    for spare in (None, *_SPARE):
        if spare is not None and report.get(spare):
            report = {**report, spare: None, "notes": {**(report.get("notes") or {}), spare: "it is too large"}}
        try:
            return frame_report(report)
        except ReportTooLarge:
            continue
    return frame_report({"langgraphVersion": report.get("langgraphVersion")})


def _report_fault(environ: Mapping[str, str], message: str, code: int = ExitCode.GRAPH_NOT_LOADED) -> int:
    os.write(2, f"agentic-runner: {message}\n".encode(errors="backslashreplace"))
    write_termination(environ, message)
    return code
