"""Owns the certificates of a cluster: one authority of its own, made by openssl, and what it signs.

Every function is repeatable: a certificate whose request did not change is kept, so a second start
changes nothing and costs no process.
"""

import secrets
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from hack.cluster.errors import ClusterError, MissingTool

_DAYS = "3650"
_FORBIDDEN = set("\n\r$#\\\"'")


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key, as files."""

    certificate: Path
    key: Path


def build_alternative_names(names: Sequence[str]) -> str:
    """Write host names and addresses as openssl's subjectAltName wants them."""
    return ",".join(f"IP:{name}" if _is_address(name) else f"DNS:{name}" for name in names)


def build_request(
    common_name: str, organizations: Sequence[str] = (), names: Sequence[str] = (), *, authority: bool = False
) -> str:
    """Write the openssl configuration of one certificate: subject and extensions.

    Raises ClusterError for a name that would change the meaning of the file.
    """
    for text in (common_name, *organizations, *names):
        if not text or _FORBIDDEN & set(text):
            raise ClusterError(f"{text!r} cannot be the name of a certificate: use letters, digits and :.-_@")
    subject = [f"{index}.O = {organization}" for index, organization in enumerate(organizations)]
    lines = ["[req]", "prompt = no", "distinguished_name = subject", "[subject]", *subject, f"CN = {common_name}"]
    lines += ["[extensions]", f"basicConstraints = critical,CA:{str(authority).upper()}"]
    if authority:
        lines += ["keyUsage = critical,keyCertSign,cRLSign", "subjectKeyIdentifier = hash"]
    else:
        lines += ["keyUsage = critical,digitalSignature", "extendedKeyUsage = clientAuth,serverAuth"]
    if names:
        lines.append(f"subjectAltName = {build_alternative_names(names)}")
    return "\n".join(lines) + "\n"


class Authority:
    """A certificate authority that lives in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.pair = KeyPair(folder / "ca.crt", folder / "ca.key")

    def create(self) -> None:
        """Make the authority, unless it is there."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.pair.certificate.exists():
            return
        request = self._folder / "ca.cnf"
        request.write_text(build_request("agentic-operator local cluster", authority=True))
        unfinished = self._folder / "ca.crt.new"
        _openssl("req", "-new", "-x509", "-config", str(request), "-extensions", "extensions", "-days", _DAYS,
                 *_new_key(self.pair.key), "-out", str(unfinished))  # fmt: skip
        unfinished.rename(self.pair.certificate)

    def issue(
        self, file: str, common_name: str, *, organizations: Sequence[str] = (), names: Sequence[str] = ()
    ) -> KeyPair:
        """Sign a certificate for clients and servers, or return the one that was signed for the same request."""
        pair = KeyPair(self._folder / f"{file}.crt", self._folder / f"{file}.key")
        request = self._folder / f"{file}.cnf"
        wanted = build_request(common_name, organizations, names)
        if pair.certificate.exists() and request.exists() and request.read_text() == wanted:
            return pair
        pair.certificate.unlink(missing_ok=True)
        request.write_text(wanted)
        signing, unfinished = self._folder / f"{file}.csr", self._folder / f"{file}.crt.new"
        _openssl("req", "-new", "-config", str(request), *_new_key(pair.key), "-out", str(signing))
        _openssl("x509", "-req", "-in", str(signing), "-CA", str(self.pair.certificate), "-CAkey", str(self.pair.key),
                 "-set_serial", str(secrets.randbits(120)), "-days", _DAYS, "-extfile", str(request),
                 "-extensions", "extensions", "-out", str(unfinished))  # fmt: skip
        signing.unlink()
        unfinished.rename(pair.certificate)
        return pair

    def signing_key(self, file: str) -> KeyPair:
        """Make the key pair that signs service account tokens; the "certificate" is the bare public key."""
        pair = KeyPair(self._folder / f"{file}.pub", self._folder / f"{file}.key")
        if not pair.certificate.exists():
            _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(pair.key))
            unfinished = self._folder / f"{file}.pub.new"
            _openssl("ec", "-in", str(pair.key), "-pubout", "-out", str(unfinished))
            unfinished.rename(pair.certificate)
        return pair


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _new_key(path: Path) -> list[str]:
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(path)]


def _openssl(*arguments: str) -> None:
    try:
        done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise MissingTool("openssl is missing: install the package `openssl`") from error
    if done.returncode != 0:
        raise ClusterError(f"openssl {arguments[0]} failed: {done.stderr.strip()}")
