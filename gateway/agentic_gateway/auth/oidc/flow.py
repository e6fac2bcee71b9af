"""One log-in between the two times that the browser is here: what it keeps, and what is derived from it.

The browser keeps one random secret in a cookie. State, nonce and PKCE verifier are derived from it, so no replica has
to remember a log-in that has only begun, and whoever lacks the cookie can end none (RFC 6749, 10.12; RFC 7636).
"""

import hashlib
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from agentic_gateway.auth.sealing import derive, encode_secret, read_secret

FLOW_SECONDS: Final = 600
MAX_RETURN_CHARACTERS: Final = 512


@dataclass(frozen=True)
class Flow:
    """What belongs to one log-in."""

    state: str
    nonce: str
    verifier: str

    @property
    def challenge(self) -> str:
        """PKCE's challenge for the verifier, by S256."""
        return encode_secret(hashlib.sha256(self.verifier.encode()).digest())


def read_flow(secret: str) -> Flow | None:
    """Return the log-in of a cookie's secret; None for what is no secret."""
    raw = read_secret(secret)
    if raw is None:
        return None
    state, nonce, verifier = (encode_secret(derive(raw, f"flow {each}")) for each in ("state", "nonce", "verifier"))
    return Flow(state, nonce, verifier)


def build_authorization_url(
    endpoint: str, flow: Flow, *, client_id: str, redirect_uri: str, scopes: str, is_consent_asked: bool
) -> str:
    """Return where the browser is sent to log in."""
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": scopes,
        "state": flow.state,
        "nonce": flow.nonce,
        "code_challenge": flow.challenge,
        "code_challenge_method": "S256",
        # OpenID Connect Core, 11: without it a provider may ignore offline_access.
        **({"prompt": "consent"} if is_consent_asked else {}),
    }
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"


def read_return_path(given: str) -> str:
    """Return the path on this gateway that a log-in leads back to; ``/`` for whatever could lead elsewhere.

    Browsers take ``//host``, ``/\\host`` and control characters in between for other sites.
    """
    is_path = given.startswith("/") and not given.startswith("//")
    is_plain = given.isascii() and given.isprintable() and "\\" not in given and " " not in given
    return given if is_path and is_plain and len(given) <= MAX_RETURN_CHARACTERS else "/"
