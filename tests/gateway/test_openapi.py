"""The OpenAPI document: what the gateway serves, and what a client is generated from."""

import json
import subprocess
import sys
from pathlib import Path

from tests.support.commands import ROOT, clean_environment
from tests.support.gateway import Gateway
from tests.support.openapi_tools import find_tool

DOCUMENT = ROOT / "docs" / "openapi.json"


def test_the_document_is_what_the_gateway_serves(gateway: Gateway) -> None:
    assert gateway.call("GET", "/openapi.json").body == json.loads(DOCUMENT.read_text(encoding="utf-8"))


def test_a_client_is_generated_from_the_document_and_compiles(tmp_path: Path) -> None:
    config = tmp_path / "config.yml"
    config.write_text("content_type_overrides:\n  application/jsonl: text/plain\npost_hooks: []\n", encoding="utf-8")
    made = subprocess.run(
        [
            find_tool("openapi-python-client"),
            *("generate", "--path", DOCUMENT, "--meta", "none", "--config", config),
            *("--output-path", tmp_path / "client", "--fail-on-warning"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=clean_environment(),
    )
    assert made.returncode == 0, made.stdout + made.stderr
    subprocess.run([sys.executable, "-m", "compileall", "-q", tmp_path / "client"], check=True)
    functions = {file.stem for file in (tmp_path / "client" / "api").rglob("*.py")}
    operations = {
        each["operationId"]
        for path in json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"].values()
        for each in path.values()
    }
    assert operations <= functions
