"""Where a request ends is said once."""

import pytest

from agentic_gateway.web.framing import has_two_ends


@pytest.mark.parametrize(
    ("headers", "version", "expected"),
    [
        ([(b"content-length", b"4")], "1.1", False),
        ([(b"transfer-encoding", b"chunked")], "1.1", False),
        ([(b"content-length", b"4"), (b"transfer-encoding", b"chunked")], "1.1", True),
        ([(b"transfer-encoding", b"chunked")], "1.0", True),
        ([], "1.0", False),
    ],
)
def test_a_request_has_one_end(headers: list[tuple[bytes, bytes]], version: str, expected: bool) -> None:
    assert has_two_ends(headers, version) is expected
