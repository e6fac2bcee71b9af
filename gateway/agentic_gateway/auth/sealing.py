"""Secrets that a person holds, and what is stored under them: never the secret, never what it opens in clear.

A ticket or a log-in's cookie is 32 random bytes. From them come, by HKDF, the name under which its row is found and the
key that its row is sealed with (AES-256-GCM). Whoever reads the database, a backup or its log finds neither; whoever
has the secret opens one row. The row's other columns go into the seal: a sealed value does not open in another row.
"""

import base64
import binascii
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SECRET_BYTES: Final = 32
_NONCE_BYTES: Final = 12


def make_secret() -> str:
    """Return 32 random bytes as a text for cookies and URLs."""
    return encode_secret(secrets.token_bytes(SECRET_BYTES))


def encode_secret(raw: bytes) -> str:
    """Return bytes in base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def read_secret(text: str) -> bytes | None:
    """Return the bytes of a secret; None for a text that is none."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if len(raw) == SECRET_BYTES else None


def derive(secret: bytes, purpose: str) -> bytes:
    """Return 32 bytes for one purpose, from which neither the secret nor those of another purpose can be found."""
    return HKDF(SHA256(), 32, salt=None, info=f"agentic-gateway {purpose}".encode()).derive(secret)


def seal(key: bytes, text: str, about: str) -> bytes:
    """Encrypt a text; ``about`` has to be the same to open it."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, text.encode(), about.encode())


def unseal(key: bytes, sealed: bytes, about: str) -> str | None:
    """Return the text; None if key, value or ``about`` is another one."""
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], about.encode()).decode()
    except (InvalidTag, ValueError):
        return None
