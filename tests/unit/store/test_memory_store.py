"""The store in memory keeps the contract of the database."""

import pytest

from tests.support.memory_store import MemoryStore
from tests.support.store_conformance import StoreConformance


class TestMemoryStore(StoreConformance):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()
