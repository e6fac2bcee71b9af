"""Lets Ctrl-C end the reading of a line at whatever moment it is pressed."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

# Ignored by default and used by nobody here: it only has the system's call return, so that Python sees to Ctrl-C.
_NUDGE: Final = signal.SIGURG
_NUDGE_SECONDS: Final = 0.05


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise ``KeyboardInterrupt`` for each Ctrl-C within the block, which reads from the terminal in the main thread.

    Python notes a signal and handles it before its next instruction, or when the system's call returns early. A
    Ctrl-C between that last instruction and the call is noted and the call then waits for the next key, for as long
    as it takes: on a busy machine that is one in thirty that follow a prompt at once. Python also writes each signal
    to the wakeup descriptor, so a thread reads it there and nudges the main thread until the block is left.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    noted, noting = os.pipe()
    os.set_blocking(noting, False)
    left = threading.Event()
    before = signal.signal(_NUDGE, lambda *_: None)
    previous = signal.set_wakeup_fd(noting, warn_on_full_buffer=False)
    watcher = threading.Thread(target=_nudge, args=(noted, left), daemon=True)
    try:
        watcher.start()
        yield
    finally:
        signal.set_wakeup_fd(previous)
        left.set()
        os.close(noting)
        # Ctrl-C may have come while the thread began: then it ends by itself.
        with suppress(RuntimeError):
            watcher.join()
        signal.signal(_NUDGE, before)


def _nudge(noted: int, left: threading.Event) -> None:
    with open(noted, "rb", buffering=0) as numbers:
        while number := numbers.read(1):
            while number[0] == signal.SIGINT and not left.is_set():
                signal.pthread_kill(threading.main_thread().ident or 0, _NUDGE)
                left.wait(_NUDGE_SECONDS)
