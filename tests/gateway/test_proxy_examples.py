"""The examples of proxies in the guide: they lead to the Service that is installed, by its name and port."""

import re
from typing import Any

import yaml

from tests.support.commands import ROOT
from tests.support.kube import Space

GUIDE = (ROOT / "docs/gateway.md").read_text(encoding="utf-8")
SERVICE = yaml.safe_load((ROOT / "manifests/gateway/service.yaml").read_text(encoding="utf-8"))
NAME = SERVICE["metadata"]["name"]
HOST = f"{NAME}.{SERVICE['metadata']['namespace']}.svc"


def read_examples() -> dict[str, Any]:
    """Return the guide's examples of proxies by their kinds."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
    found = [each for block in blocks if NAME in block for each in yaml.safe_load_all(block)]
    return {each["kind"]: each for each in found if each["kind"] in ("Ingress", "HTTPRoute", "BackendTLSPolicy")}


def test_the_api_server_takes_the_ingress_and_it_leads_to_the_service(space: Space) -> None:
    ingress = read_examples()["Ingress"]
    assert ingress["metadata"]["namespace"] == SERVICE["metadata"]["namespace"]
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert path["backend"]["service"]["name"] == NAME
    assert path["backend"]["service"]["port"]["name"] in [port["name"] for port in SERVICE["spec"]["ports"]]
    assert ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-ssl-name"] == HOST
    ingress["metadata"]["namespace"] = space.name
    where = f"/apis/networking.k8s.io/v1/namespaces/{space.name}/ingresses?dryRun=All&fieldValidation=Strict"
    assert space.plane.request("POST", where, ingress)["spec"]["rules"] == ingress["spec"]["rules"]


def test_the_route_of_the_gateway_api_leads_to_the_service_and_ends_no_stream() -> None:
    examples = read_examples()
    route, policy = examples["HTTPRoute"], examples["BackendTLSPolicy"]
    (rule,) = route["spec"]["rules"]
    assert rule["backendRefs"] == [{"name": NAME, "port": SERVICE["spec"]["ports"][0]["port"]}]
    assert rule["timeouts"] == {"request": "0s"}
    assert policy["spec"]["targetRefs"] == [{"group": "", "kind": "Service", "name": NAME}]
    assert policy["spec"]["validation"]["hostname"] == HOST
