"""Plugins of the whole suite: each starts its servers only for the tests that ask for them."""

import pytest

pytest.register_assert_rewrite("tests.support")

pytest_plugins: list[str] = [
    "tests.support.postgres",
    "tests.support.runner",
    "tests.support.kube",
    "tests.support.objects",
]
