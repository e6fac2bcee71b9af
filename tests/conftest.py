"""Plugins of the whole suite: each starts its servers only for the tests that ask for them."""

import signal

import pytest

pytest.register_assert_rewrite("tests.support")

# What a shell starts in the background ignores Ctrl-C, and so would every process that tests start and then interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins: list[str] = [
    "tests.support.postgres",
    "tests.support.runner",
    "tests.support.kube",
    "tests.support.objects",
]
