"""An end by the kernel for a process that computes too long, also inside native code.

``setitimer(ITIMER_PROF)`` counts whole timer ticks and was seen to end a process 20 ms late; a POSIX timer on the
process's CPU clock counts nanoseconds and is at most one tick late, and Python has no call for it.
"""

import ctypes
import signal
import time
from typing import ClassVar

CLOCK_PROCESS_CPUTIME_ID = 2
CLOCK_MONOTONIC_COARSE = 6
SIGEV_SIGNAL = 0


class _SigEvent(ctypes.Structure):
    _fields_: ClassVar = [
        ("value", ctypes.c_void_p),
        ("signal_number", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("padding", ctypes.c_byte * 48),
    ]


class _TimeSpec(ctypes.Structure):
    _fields_: ClassVar = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _TimerSpec(ctypes.Structure):
    _fields_: ClassVar = [("interval", _TimeSpec), ("value", _TimeSpec)]


_libc = ctypes.CDLL(None, use_errno=True)


def measure_tick_seconds() -> float:
    """Return how late, at most, the kernel notices that a timer ran out."""
    return time.clock_getres(CLOCK_MONOTONIC_COARSE)


class CpuTimer:
    """Ends this process with SIGPROF when it has used a given CPU time; it belongs to the process that made it."""

    def __init__(self) -> None:
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        self._timer = ctypes.c_void_p()
        event = _SigEvent(signal_number=signal.SIGPROF, notify=SIGEV_SIGNAL)
        _check(_libc.timer_create(CLOCK_PROCESS_CPUTIME_ID, ctypes.byref(event), ctypes.byref(self._timer)))

    def start(self, seconds: float) -> None:
        """End the process after ``seconds`` more of CPU time."""
        whole, part = divmod(max(int(seconds * 1e9), 1), 1_000_000_000)
        self._set(_TimerSpec(value=_TimeSpec(whole, part)))

    def stop(self) -> float:
        """Call the end off; returns the seconds that were left."""
        old = self._set(_TimerSpec())
        return float(old.value.seconds + old.value.nanoseconds / 1e9)

    def _set(self, new: _TimerSpec) -> _TimerSpec:
        old = _TimerSpec()
        _check(_libc.timer_settime(self._timer, 0, ctypes.byref(new), ctypes.byref(old)))
        return old


def _check(result: int) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"the kernel refused a CPU timer (errno {error})")
