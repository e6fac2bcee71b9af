"""Sessions with a Secret that somebody else keeps, such as External Secrets: used as it is, and rotated."""

from typing import Any

from agentic_core.lifecycle import Phase
from tests.faults.bed import Bed
from tests.support.apiclient import core_path

LOGIN = "kept_elsewhere"


def set_password(bed: Bed, password: str) -> dict[str, Any]:
    """Give the login a password; return what the Secret holds then."""
    bed.database.execute(
        f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{LOGIN}')"
        f" THEN CREATE ROLE {LOGIN} LOGIN IN ROLE agentic_runner; END IF; END $$"
    )
    bed.database.execute(f"ALTER ROLE {LOGIN} PASSWORD '{password}'")
    return {"dsn": bed.database.server.dsn(bed.database.name, user=LOGIN, password=password)}


async def test_a_secret_made_by_anybody_is_used_left_alone_and_may_be_rotated(bed: Bed) -> None:
    secrets = core_path(bed.namespace, "secrets")
    labels = {"reconcile.external-secrets.io/managed": "true"}
    metadata = {"name": "agentic-postgres", "labels": labels}
    await bed.client.create(secrets, {"metadata": metadata, "stringData": set_password(bed, "one")})
    await bed.operator()
    await bed.define("quick")
    await bed.start("quick", "first", inputs={})
    await bed.wait_phase("first", Phase.COMPLETED)
    rotated = await bed.client.patch(f"{secrets}/agentic-postgres", {"stringData": set_password(bed, "two")})
    await bed.start("quick", "second", inputs={})
    await bed.wait_phase("second", Phase.COMPLETED)
    kept = await bed.client.get(f"{secrets}/agentic-postgres")
    assert kept["metadata"]["resourceVersion"] == rotated["metadata"]["resourceVersion"]
    assert [item["metadata"]["name"] for item in await bed.client.list(secrets)] == ["agentic-postgres"]
