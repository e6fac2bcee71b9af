"""Plugins of the whole suite: each starts its servers only for the tests that ask for them."""

pytest_plugins: list[str] = ["tests.support.postgres"]
