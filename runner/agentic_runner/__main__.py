"""``python -m agentic_runner``: run the session that the environment describes, or ``inspect`` the project's graph.

What comes first matters here. SIGTERM is handled before anything is imported. The garbage collector is off while
modules load, because it would walk their growing heap again and again (a fifth of the start-up), and what they leave is
then frozen out of its sight. Strict deserialization is set before LangGraph is imported, which reads it once
(decision 4).
"""

import gc
import os
import signal
import sys

_USAGE = """\
usage: python -m agentic_runner [inspect]

  (no argument)  run the session that the environment describes (docs/runner-contract.md)
  inspect        import and compile the project's graph and print its drawing and schemas, framed and compressed

The project is the langgraph.json in the working directory, or the one that LANGGRAPH_CONFIG names.
"""


def main(arguments: list[str]) -> int:
    """Run the command of the arguments and return the exit code."""
    if arguments and arguments[0] in ("-h", "--help"):
        sys.stdout.write(_USAGE)
        return 0
    if arguments not in ([], ["run"], ["inspect"]):
        sys.stderr.write(f"unknown arguments {' '.join(arguments)!r}\n{_USAGE}")
        return 2
    # A checkpoint is data: without this, one that names a function could have it called.
    os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"
    if arguments == ["inspect"]:
        from agentic_runner.inspector import run_inspection

        return run_inspection(os.environ)
    from agentic_runner.process import run_process

    return run_process(os.environ)


def _leave_working_directory() -> None:
    """Take the working directory from the import path: a file there named as a library must not take its place.

    The image's entry point starts the interpreter isolated (``-I``) and has nothing to take; this is for other starts.
    """
    if not sys.flags.safe_path and sys.path and sys.path[0] in ("", os.getcwd()):  # noqa: PTH109  (pathlib is not imported yet)
        del sys.path[0]


if __name__ == "__main__":
    # Nothing is begun that would have to be ended: leave at once.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    gc.disable()
    _leave_working_directory()
    sys.exit(main(sys.argv[1:]))
