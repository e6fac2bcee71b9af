"""ID tokens and log-ins: what is believed, and every way to be fooled."""

import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from agentic_gateway.auth.oidc.flow import build_authorization_url, read_flow, read_return_path
from agentic_gateway.auth.oidc.id_token import Expected, UnknownKey, WrongToken, read_id_token
from agentic_gateway.auth.sealing import make_secret

NOW = 1_800_000_000
RSA = RSAKey.generate_key(2048, {"kid": "r1", "use": "sig", "alg": "RS256"})
EC = ECKey.generate_key("P-256", {"kid": "e1", "use": "sig"})
OTHER = RSAKey.generate_key(2048, {"kid": "r1", "use": "sig"})
KEYS: list[Any] = [RSA.as_dict(private=False), EC.as_dict(private=False)]
EXPECTED = Expected("https://id.example", "gateway", nonce="n1")
CLAIMS: dict[str, Any] = {
    "iss": "https://id.example",
    "aud": "gateway",
    "sub": "alice",
    "iat": NOW - 5,
    "exp": NOW + 300,
    "nonce": "n1",
}


def sign(claims: dict[str, Any], key: Any = RSA, **header: Any) -> str:
    made = {"alg": "RS256", "kid": "r1", **header}
    return jwt.encode(made, claims, key, algorithms=[made["alg"]])


def test_a_token_of_the_provider_is_believed() -> None:
    found = read_id_token(sign(CLAIMS), KEYS, EXPECTED, NOW)
    assert (found.subject, found.expires_at) == ("alice", NOW + 300)
    assert read_id_token(sign(CLAIMS, EC, alg="ES256", kid="e1"), KEYS, EXPECTED, NOW).subject == "alice"
    several = {**CLAIMS, "aud": ["kubernetes", "gateway"], "azp": "gateway"}
    assert read_id_token(sign(several), KEYS, EXPECTED, NOW).subject == "alice"
    renewed = {key: value for key, value in CLAIMS.items() if key != "nonce"}
    again = Expected("https://id.example", "gateway", subject="alice")
    assert read_id_token(sign(renewed), KEYS, again, NOW).subject == "alice"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"iss": "https://evil.example"}, "issuer"),
        ({"iss": "https://id.example/"}, "issuer"),
        ({"aud": "another"}, "audience"),
        ({"aud": []}, "audience"),
        ({"aud": ["gateway", "another"]}, "audiences"),
        ({"azp": "another"}, "another client"),
        ({"nonce": "n2"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"exp": NOW - 31}, "expired"),
        ({"exp": None}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": "9999999999"}, "exp"),
        ({"iat": NOW + 300}, "future"),
        ({"nbf": NOW + 300}, "future"),
        ({"sub": ""}, "subject"),
        ({"sub": None}, "subject"),
    ],
)
def test_a_token_that_says_something_else_is_not(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(WrongToken, match=why):
        read_id_token(sign({**CLAIMS, **changes}), KEYS, EXPECTED, NOW)


def test_a_refresh_brings_a_token_of_the_same_person() -> None:
    with pytest.raises(WrongToken, match="subject"):
        read_id_token(sign(CLAIMS), KEYS, Expected("https://id.example", "gateway", subject="bob"), NOW)


def encode(part: object) -> str:
    text = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def test_nobody_else_signs() -> None:
    public = RSA.as_pem(private=False)
    unsigned = f"{encode({'alg': 'none'})}.{encode(CLAIMS)}."
    stripped = sign(CLAIMS).rpartition(".")[0] + "."
    # The public key, taken for a shared secret.
    signed = f"{encode({'alg': 'HS256', 'kid': 'r1'})}.{encode(CLAIMS)}"
    confused = f"{signed}.{encode(hmac.digest(public, signed.encode(), 'sha256'))}"
    embedded = jwt.encode({"alg": "RS256", "jwk": OTHER.as_dict(private=False)}, CLAIMS, OTHER, algorithms=["RS256"])
    changed = ".".join((sign(CLAIMS).split(".")[0], encode({**CLAIMS, "sub": "root"}), sign(CLAIMS).split(".")[2]))
    for token in (
        unsigned,
        unsigned.replace(encode({"alg": "none"}), encode({"alg": "NoNe", "kid": "r1"})),
        stripped,
        confused,
        embedded,
        changed,
        sign(CLAIMS, OTHER),
        sign(CLAIMS, EC, alg="ES256", kid="r1"),
        "",
        "a.b.c",
        "..",
        sign(CLAIMS) + ".x",
        "é.é.é",
    ):
        with pytest.raises(WrongToken):
            read_id_token(token, KEYS, EXPECTED, NOW)


def test_a_key_that_is_not_listed_is_reason_to_look_again() -> None:
    with pytest.raises(UnknownKey):
        read_id_token(sign(CLAIMS, OTHER, kid="r2"), KEYS, EXPECTED, NOW)


def test_keys_for_other_uses_and_secrets_sign_nothing() -> None:
    secret = OctKey.generate_key(256, {"kid": "o1"})
    token = jwt.encode({"alg": "HS256", "kid": "o1"}, CLAIMS, secret, algorithms=["HS256"])
    with pytest.raises(WrongToken):
        read_id_token(token, [secret.as_dict(private=True)], EXPECTED, NOW)
    for_encryption = {**RSA.as_dict(private=False), "use": "enc"}
    with pytest.raises(WrongToken):
        read_id_token(sign(CLAIMS), [for_encryption], EXPECTED, NOW)


@given(st.text() | st.binary().map(lambda raw: f"{encode(raw)}.{encode(raw)}.{encode(raw)}"))
def test_whatever_is_sent_is_refused_and_nothing_else(token: str) -> None:
    with pytest.raises(WrongToken):
        read_id_token(token, KEYS, EXPECTED, NOW)


@pytest.mark.parametrize("path", ["/", "/sessions/a?x=1#y", "/a//b", "/%2F%2Fevil.example", "/a:b@c"])
def test_a_log_in_leads_back_to_a_page_of_the_gateway(path: str) -> None:
    assert read_return_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "sessions",
        "https://evil.example",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        " //evil.example",
        "/ /evil.example",
        "javascript:alert(1)",
        "/a\r\nSet-Cookie: x=1",
        "/ä",
        "/" + "a" * 1000,
    ],
)
def test_and_never_elsewhere(path: str) -> None:
    assert read_return_path(path) == "/"


@given(st.text())
def test_no_text_leads_to_another_site(path: str) -> None:
    found = urlsplit(read_return_path(path))
    assert (found.scheme, found.netloc) == ("", "")


def test_a_log_in_is_all_that_its_secret_gives() -> None:
    secret = make_secret()
    flow = read_flow(secret)
    assert flow == read_flow(secret)
    assert flow is not None
    assert flow != read_flow(make_secret())
    assert len({secret, flow.state, flow.nonce, flow.verifier}) == 4
    # RFC 7636, 4.1 and 4.2.
    assert 43 <= len(flow.verifier) <= 128
    assert flow.challenge == encode(hashlib.sha256(flow.verifier.encode()).digest())
    assert read_flow("short") is None


def test_the_browser_is_sent_with_challenge_state_and_nonce_and_without_the_verifier() -> None:
    flow = read_flow(make_secret())
    assert flow is not None
    url = build_authorization_url(
        "https://id.example/auth?tenant=1",
        flow,
        client_id="gateway",
        redirect_uri="https://a.example/auth/callback",
        scopes="openid",
        is_consent_asked=False,
    )
    query = parse_qs(urlsplit(url).query)
    assert query["tenant"] == ["1"]
    assert (query["state"], query["nonce"]) == ([flow.state], [flow.nonce])
    assert (query["code_challenge"], query["code_challenge_method"]) == ([flow.challenge], ["S256"])
    assert flow.verifier not in url
