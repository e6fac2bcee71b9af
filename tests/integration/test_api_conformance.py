"""A real API server keeps the rules that the one in memory plays."""

from collections.abc import AsyncIterator

import pytest

from agentic_operator.kube.client import open_kube
from agentic_operator.kube.connection import find_connection
from tests.support.api_conformance import ApiConformance, ApiServer
from tests.support.kube import Space


class TestRealApi(ApiConformance):
    @pytest.fixture
    async def server(self, space: Space) -> AsyncIterator[ApiServer]:
        async with open_kube(find_connection(space.plane.kubeconfig, {})) as kube:
            yield ApiServer(kube, space.name)
