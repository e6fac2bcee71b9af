"""Plugins of the whole suite: each starts its servers only for the tests that ask for them."""

import gc
import os
import signal
import sys

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, and nothing about the code.
# Examples share a test's database or folder on purpose. A test that suppressed more itself would lose both of these.
settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.load_profile("untimed")

pytest.register_assert_rewrite("tests.support")

# What a shell starts in the background ignores Ctrl-C, and so would every process that tests start and then interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins: list[str] = [
    "tests.support.postgres",
    "tests.support.runner",
    "tests.support.kube",
    "tests.support.log_kubelet",
    "tests.support.objects",
    "tests.support.gateway",
    "tests.support.collector",
]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Keep the garbage collector from walking what was collected again and again: a fifth of the time of many tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Say at once what failed and why: a run that is cut off never comes to its summary."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        why = str(getattr(report.longrepr, "reprcrash", None) or report.longreprtext)
        print(f"\nFAILED at once {report.nodeid} ({report.when}): {why[:2000]}", file=sys.__stdout__, flush=True)
