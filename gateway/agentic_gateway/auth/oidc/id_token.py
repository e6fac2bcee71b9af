"""Whether an ID token is what the provider said to us in this log-in (OpenID Connect Core, 3.1.3.7)."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

# Signatures by the provider's private key alone. With HS256 and the like, whoever has our secret, or takes a public key
# for one, could sign; `none` signs nothing.
ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
)
LEEWAY_SECONDS: Final = 30
_KEY_TYPES: Final = frozenset({"RSA", "EC", "OKP"})


class WrongToken(Exception):
    """An ID token that is not to be believed; the message names what is wrong with it, and no part of it."""


@dataclass(frozen=True)
class IdToken:
    """What an ID token says that matters here."""

    subject: str
    expires_at: int


@dataclass(frozen=True)
class Expected:
    """What an ID token has to say. No ``nonce`` for one that a refresh brought, but the same ``subject``."""

    issuer: str
    client_id: str
    nonce: str | None = None
    subject: str | None = None


class UnknownKey(WrongToken):
    """The key that signed is not in the set: the provider may have new ones."""


def read_id_token(token: str, keys: Sequence[Mapping[str, Any]], expected: Expected, now: float) -> IdToken:
    """Return what a token says; ``keys`` is the provider's set (the member ``keys`` of its JWKS).

    Raises :class:`WrongToken`; :class:`UnknownKey` if another set may hold the key.
    """
    claims = _verify(token, keys)
    if claims.get("iss") != expected.issuer:
        raise WrongToken("it is of another issuer")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if expected.client_id not in audiences:
        raise WrongToken("it is for another audience")
    if len(audiences) > 1 and claims.get("azp") != expected.client_id:
        raise WrongToken("it is for several audiences, and was not issued to this client")
    if claims.get("azp", expected.client_id) != expected.client_id:
        raise WrongToken("it was issued to another client")
    expires, issued, begins = (_read_time(claims, name) for name in ("exp", "iat", "nbf"))
    if now >= expires + LEEWAY_SECONDS:
        raise WrongToken("it has expired")
    if max(issued, begins) > now + LEEWAY_SECONDS:
        raise WrongToken("it is of the future: compare the clocks")
    if expected.nonce is not None and claims.get("nonce") != expected.nonce:
        raise WrongToken("its nonce is not that of this log-in")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise WrongToken("it has no subject")
    if expected.subject is not None and subject != expected.subject:
        raise WrongToken("it is of another subject")
    return IdToken(subject, int(expires))


def _read_time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name, 0 if name == "nbf" else None)
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise WrongToken(f"its claim {name} is no time")
    return value


def _verify(token: str, keys: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the claims of a token that one of the keys signed."""
    usable = [
        dict(key) for key in keys if key.get("kty") in _KEY_TYPES and key.get("use", "sig") == "sig" and "d" not in key
    ]
    try:
        header = jws.extract_compact(token.encode()).headers()
        if header.get("alg") not in ALGORITHMS:
            raise WrongToken("it is not signed, or by an algorithm that is not taken")
        wanted = header.get("kid")
        named = [key for key in usable if key.get("kid") == wanted] if wanted is not None else usable
        if not named or (wanted is None and len(named) > 1):
            raise UnknownKey("it is signed with a key that the provider does not list")
        found = jws.deserialize_compact(token.encode(), KeySet.import_key_set({"keys": named}), [str(header["alg"])])
        claims = json.loads(found.payload or b"")
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise WrongToken(f"its signature or form is wrong ({type(error).__name__})") from error
    if not isinstance(claims, dict):
        raise WrongToken("it holds no claims")
    return claims


def is_same_issuer(found: str, wanted: str) -> bool:
    """Return whether metadata is of the issuer that was asked for: equal to the last character (RFC 8414, 3.3)."""
    return found == wanted and urlsplit(found).scheme == "https"
