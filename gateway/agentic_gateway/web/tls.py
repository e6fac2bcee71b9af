"""TLS with certificates that are replaced while the gateway serves, as cert-manager and the kubelet replace them.

The files are looked at again and again: a mounted Secret changes by links, which no notification of a file shows well.
New connections get the new certificate; open ones go on. Files that do not fit together leave the old one in use.
"""

import asyncio
import hashlib
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CertificateFiles:
    """Where certificate and key lie; with ``client_ca``, clients have to show a certificate of that authority."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def load(self) -> ssl.SSLContext:
        """Return a server's context; raises ``OSError`` (``SSLError`` too) if the files cannot be used."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificate, self.key)
        if self.client_ca is not None:
            context.load_verify_locations(self.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def compute_digest(self) -> bytes:
        """Return what changes whenever a file does; raises ``OSError`` if one is not there."""
        files = [self.certificate, self.key, *([self.client_ca] if self.client_ca is not None else [])]
        return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).digest()


class RotatingCertificates:
    """A server's context whose handshakes use whatever was loaded last."""

    def __init__(self, files: CertificateFiles) -> None:
        """Load the files; raises ``OSError`` if they cannot be used."""
        self._files = files
        self._digest = files.compute_digest()
        self._current = files.load()
        self.context = files.load()
        self.context.sni_callback = self._choose

    def _choose(self, connection: Any, _name: str | None, _context: ssl.SSLContext) -> None:
        """Hand a new connection over to the newest context: asked for each one, with a server's name or without."""
        connection.context = self._current

    def reload(self) -> bool:
        """Load the files if they have changed; return whether new ones are in use."""
        try:
            digest = self._files.compute_digest()
            if digest == self._digest:
                return False
            fresh = self._files.load()
            if self._files.compute_digest() != digest:
                # Half of the pair was old: the next look finds both.
                return False
        except OSError as error:
            log.warning("the TLS certificate cannot be read again, the old one stays: %s", type(error).__name__)
            return False
        self._digest, self._current = digest, fresh
        log.info("TLS certificate replaced")
        return True

    @asynccontextmanager
    async def watch(self, seconds: float) -> AsyncIterator[None]:
        """Look at the files each so many seconds inside the block."""
        task = asyncio.create_task(self._look(seconds), name="tls certificates")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _look(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            await asyncio.to_thread(self.reload)
