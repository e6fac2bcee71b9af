"""The API server in memory keeps the rules that a real one keeps."""

import pytest

from agentic_operator.kube.client import NAMESPACES
from tests.support.api_conformance import ApiConformance, ApiServer
from tests.support.fake_api import FakeApi, Wire, connect


class TestFakeApi(ApiConformance):
    @pytest.fixture
    def server(self) -> ApiServer:
        api = FakeApi()
        api.send("POST", NAMESPACES, "", body={"metadata": {"name": "team"}})
        return ApiServer(connect(Wire(api)), "team", api.collect_garbage)
