"""The store in memory keeps the contract of the database."""

import pytest

from tests.support.memory_retention import MemoryRetention
from tests.support.memory_store import MemoryStore
from tests.support.retention_conformance import RetentionConformance
from tests.support.store_conformance import StoreConformance


class TestMemoryStore(StoreConformance):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


class MemoryPlot:
    """A store in memory, in which threads are planted."""

    def __init__(self) -> None:
        self.retention: MemoryRetention = MemoryStore().retention
        self.plant, self.count = self.retention.plant, self.retention.count


class TestMemoryRetention(RetentionConformance):
    @pytest.fixture
    def plot(self) -> MemoryPlot:
        return MemoryPlot()
