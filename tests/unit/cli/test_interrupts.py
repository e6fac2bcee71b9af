"""Ctrl-C at the worst moment: after Python's last look at its signals, before the system waits for a key."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agentic_cli.interaction.interrupts import interruptible


def interrupt_unseen(descriptor: int) -> None:
    """Have the signal noted while the main thread sleeps in a read that the signal does not end.

    A signal that is handled by another thread leaves the main thread where it is, as one does that comes just before.
    """
    call = Path(f"/proc/self/task/{threading.main_thread().native_id}/syscall")
    # The number of the call, then its arguments.
    while call.read_text(encoding="ascii").split()[1:2] != [hex(descriptor)]:
        os.sched_yield()
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)


def test_ctrl_c_that_the_waiting_call_does_not_see_ends_it() -> None:
    reading, writing = os.pipe()
    before = signal.getsignal(signal.SIGURG), signal.set_wakeup_fd(-1)
    presses = [threading.Thread(target=interrupt_unseen, args=(reading,), daemon=True) for _ in range(20)]
    try:
        for press in presses:
            with pytest.raises(KeyboardInterrupt), interruptible():  # noqa: PT012  (what begins must end in the block)
                press.start()
                while True:
                    os.read(reading, 1)
            press.join()
    finally:
        os.close(reading)
        os.close(writing)
    assert (signal.getsignal(signal.SIGURG), signal.set_wakeup_fd(-1)) == before


def test_what_is_typed_is_read_as_ever() -> None:
    reading, writing = os.pipe()
    threads = threading.active_count()
    with interruptible():
        os.write(writing, b"x")
        assert os.read(reading, 1) == b"x"
    assert threading.active_count() == threads
    os.close(reading)
    os.close(writing)


def test_other_threads_read_without_it() -> None:
    # Signals are the main thread's.
    def read() -> str:
        with interruptible():
            return "read"

    with ThreadPoolExecutor() as pool:
        assert pool.submit(read).result() == "read"
