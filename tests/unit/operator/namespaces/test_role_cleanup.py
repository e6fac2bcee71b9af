"""Which database roles of namespaces nobody needs any more."""

from datetime import UTC, datetime, timedelta

import pytest

from agentic_operator.namespaces.role_cleanup import decide_drops
from agentic_store.tenants import TenantRole

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HERE = {"team": {"a": "b"}}


def a_role(
    namespace: str = "team", *, retired: timedelta | None = None, seen: timedelta | None = None, is_valid: bool = True
) -> TenantRole:
    return TenantRole(
        "agentic_tenant_1",
        namespace,
        is_valid,
        None if retired is None else NOW - retired,
        None if seen is None else NOW - seen,
    )


@pytest.mark.parametrize(
    ("role", "is_dropped"),
    [
        pytest.param(a_role(), False, id="the current role of a namespace stays"),
        pytest.param(a_role("gone"), True, id="that of a namespace that is gone goes"),
        pytest.param(a_role("gone", retired=timedelta(0), seen=timedelta(0)), True, id="connected or not"),
        pytest.param(a_role(is_valid=False), True, id="a row whose role is not there goes"),
        pytest.param(a_role(retired=timedelta(days=9), seen=timedelta(minutes=59)), False, id="used within the hour"),
        pytest.param(a_role(retired=timedelta(days=9), seen=timedelta(minutes=61)), True, id="unused for an hour"),
        pytest.param(a_role(retired=timedelta(minutes=59)), False, id="retired and never seen, within the hour"),
        pytest.param(a_role(retired=timedelta(minutes=61)), True, id="retired and never seen, after it"),
    ],
)
def test_a_role_is_dropped_when_nobody_needs_it(role: TenantRole, *, is_dropped: bool) -> None:
    assert decide_drops([role], HERE, NOW) == ([role] if is_dropped else [])
