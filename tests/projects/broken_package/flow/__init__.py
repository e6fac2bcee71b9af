import nowhere_at_all  # noqa: F401
