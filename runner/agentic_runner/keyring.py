"""The keys that checkpoints are encrypted with, and AES-GCM under them.

A key is known by a name made from the key itself, and what was encrypted says that name: a wrong key is found out
before anything is tried with it, and several keys live beside each other while they are rotated. Each process encrypts
under a key of its own, derived with a random salt, so that no number of messages brings a nonce twice.
"""

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentic_core.errors import PermanentError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CIPHER: Final = "agentic-"
# In place of the first key: new values are not encrypted, encrypted ones stay readable.
PLAIN: Final = "plain"
_KEY_BYTES: Final = 32
_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_REMEDY: Final = "write one key a line, the one to encrypt with first: `openssl rand -base64 32` makes one"


class CannotDecrypt(PermanentError):
    """A checkpoint is encrypted with a key that this process does not have, or was changed."""


@dataclass(frozen=True)
class Key:
    """A key and the name that it gives itself."""

    name: str
    secret: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "Key":
        """Return the key of a base64 text; raise ``ValueError`` if it is none."""
        try:
            secret = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("is not base64") from None
        if len(secret) != _KEY_BYTES:
            raise ValueError(f"has {len(secret)} bytes and not {_KEY_BYTES}")
        return cls(hmac.digest(secret, b"agentic key name", hashlib.sha256).hex()[:8], secret)


class Keyring:
    """The keys of this process; without a first one nothing is encrypted."""

    def __init__(self, keys: Sequence[Key] = (), *, is_encrypting: bool = True) -> None:
        self._keys = {key.name: key for key in keys}
        self._current = keys[0] if keys and is_encrypting else None
        self._salt = os.urandom(_SALT_BYTES)

    @property
    def is_encrypting(self) -> bool:
        return self._current is not None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._keys)

    @property
    def cipher(self) -> str:
        """What names the key that is encrypted with."""
        if self._current is None:
            raise ValueError("this keyring encrypts nothing")
        return f"{CIPHER}{self._current.name}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """The keys as they may appear in a text, to be masked."""
        return tuple(base64.b64encode(key.secret).decode() for key in self._keys.values())

    def encrypt(self, data: bytes, context: str) -> bytes:
        """Encrypt ``data``, to be opened in the same ``context`` only."""
        if self._current is None:
            raise ValueError("this keyring encrypts nothing")
        nonce = os.urandom(_NONCE_BYTES)
        sealed = _derive(self._current.secret, self._salt).encrypt(nonce, data, context.encode())
        return b"".join((self._salt, nonce, sealed))

    def decrypt(self, cipher: str, data: bytes, context: str) -> bytes:
        """Return the decrypted value; raise :class:`CannotDecrypt` with the name of the missing key."""
        name = cipher.removeprefix(CIPHER)
        key = self._keys.get(name)
        if key is None:
            known = f"has {', '.join(self.names)}" if self._keys else "has none"
            raise CannotDecrypt(
                f"a checkpoint is encrypted with key {name!r}, and this runner {known}: add that key to the Secret with"
                " the keys, after the first line; nothing is lost"
            )
        from cryptography.exceptions import InvalidTag

        salt, nonce = data[:_SALT_BYTES], data[_SALT_BYTES : _SALT_BYTES + _NONCE_BYTES]
        try:
            return _derive(key.secret, salt).decrypt(nonce, data[_SALT_BYTES + _NONCE_BYTES :], context.encode())
        except (InvalidTag, ValueError):
            raise CannotDecrypt(
                f"a checkpoint that names key {name!r} is not as it was written: it was changed, or is not whole"
            ) from None


@lru_cache(maxsize=1024)
def _derive(secret: bytes, salt: bytes) -> "AESGCM":
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return AESGCM(HKDF(SHA256(), _KEY_BYTES, salt, b"agentic checkpoints").derive(secret))


def parse_keyring(text: str) -> Keyring:
    """Return the keys of a text: one a line in base64, the current one first, ``#`` begins a comment.

    Raises ``ValueError`` with the line's number, but never its content.
    """
    keys: list[Key] = []
    is_encrypting = True
    for number, line in enumerate(text.splitlines(), 1):
        word = line.partition("#")[0].strip()
        if word == PLAIN and not keys:
            is_encrypting = False
        elif word:
            try:
                keys.append(Key.parse(word))
            except ValueError as error:
                raise ValueError(f"line {number} {error}; {_REMEDY}") from None
    if not keys:
        raise ValueError(f"there is no key; {_REMEDY}")
    return Keyring(keys, is_encrypting=is_encrypting)


def read_keyring(file: Path) -> Keyring:
    """Return the keys of a mounted file; raise ``PermanentError`` with the problem."""
    try:
        return parse_keyring(file.read_text(encoding="ascii"))
    except OSError as error:
        raise PermanentError(f"file {str(file)!r} with the encryption keys cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise PermanentError(f"file {str(file)!r} with the encryption keys is no text; {_REMEDY}") from None
    except ValueError as error:
        raise PermanentError(f"file {str(file)!r} with the encryption keys: {error}") from None
