"""Every right of every service account of an installation that serves all namespaces."""

from tests.support.kube import SYSTEM, Space
from tests.support.waiting import wait_for
from tests.trust.roles import an_account
from tests.trust.snapshot import compare, list_rights

INSPECTIONS = "agentic-inspections"


def test_every_right_of_the_service_accounts_is_on_the_list(space: Space) -> None:
    other = f"{space.name}-other"
    space.plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": other}})
    space.operator()
    # The operator makes the accounts of runners and inspections where it needs them.
    space.define()
    space.start("s")
    space.wait_job("s-r1")
    space.define("new", is_ready=False)
    accounts = f"/api/v1/namespaces/{space.name}/serviceaccounts"
    wait_for(
        lambda: {each["metadata"]["name"] for each in space.plane.request("GET", accounts)["items"]},
        lambda made: made >= {"agentic-runner", "agentic-inspector"},
        what="the accounts",
    )
    operator = an_account(space.plane, SYSTEM, "agentic-operator")
    runner = an_account(space.plane, space.name, "agentic-runner")
    inspector = an_account(space.plane, space.name, "agentic-inspector")
    gateway = an_account(space.plane, SYSTEM, "agentic-gateway")
    compare(
        {
            "cluster: the operator in its own namespace": list_rights(operator, SYSTEM),
            "cluster: the operator in any other": list_rights(operator, space.name),
            "cluster: the gateway in its own namespace": list_rights(gateway, SYSTEM),
            "cluster: the gateway in any other": list_rights(gateway, space.name),
            "cluster: a runner in its namespace": list_rights(runner, space.name),
            "cluster: a runner in another": list_rights(runner, other),
            "cluster: a runner in the operator's": list_rights(runner, SYSTEM),
            "cluster: an inspection in its namespace": list_rights(inspector, space.name),
            "cluster: an inspection in the one for inspections": list_rights(inspector, INSPECTIONS),
        }
    )
