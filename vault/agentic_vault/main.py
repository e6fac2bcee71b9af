"""The program: one attempt after another until the file is written, a prerequisite is missing, or the time is over."""

import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from agentic_store.dsn import Dsn
from agentic_vault import secretfile
from agentic_vault.client import VaultClient, read_claims
from agentic_vault.credentials import build_dsn
from agentic_vault.errors import ExitCode, Missing, NotNow
from agentic_vault.settings import Settings, read_settings

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 8.0
_MOUNTS: Final = Path("/proc/self/mountinfo")

Say = Callable[[str], None]


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Run; return the exit code. What went wrong is the last line, which the kubelet keeps for the pod's status."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        settings = read_settings(sys.argv[1:] if arguments is None else arguments, environ)
        with trusted(settings) as ca_bundle:
            dsn = fetch(settings, ca_bundle, say)
            write(settings, dsn, say)
            while settings.refresh_seconds:
                time.sleep(settings.refresh_seconds)
                dsn = refresh(settings, ca_bundle, dsn)
    except (Missing, NotNow) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return error.code
    return ExitCode.DONE


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"==> vault-init: {text}", flush=True)


def fetch(settings: Settings, ca_bundle: str | bool, say: Say) -> Dsn:
    """Return the connection string; try again for ``wait_seconds`` while Vault is away, sealed or overloaded."""
    if not settings.is_encrypted:
        say(f"warning: {settings.address} is not encrypted: use https outside of a test")
    deadline = time.monotonic() + settings.wait_seconds
    pause, last = FIRST_PAUSE_SECONDS, ""
    while True:
        try:
            return attempt(settings, ca_bundle, say)
        except NotNow as error:
            # Spread: after an outage all pods of a cluster come at once.
            delay = pause * random.uniform(0.75, 1.25)  # noqa: S311
            if time.monotonic() + delay > deadline:
                raise NotNow(error.code, f"{error} (tried for {settings.wait_seconds:g} s)") from None
            if str(error) != last:
                say(f"waiting: {error}")
            last, pause = str(error), min(pause * 2, LONGEST_PAUSE_SECONDS)
        time.sleep(delay)


def refresh(settings: Settings, ca_bundle: str | bool, last: Dsn) -> Dsn:
    """Write the file again where the secret has changed; keep what is there where it cannot be had."""

    def say_warnings(text: str) -> None:
        if text.startswith("warning: the token"):
            say(text)

    try:
        found = fetch(settings, ca_bundle, say_warnings)
        if found != last:
            write(settings, found, say)
    except (Missing, NotNow) as error:
        say(f"warning: the connection string stays as it is: {error}")
        return last
    return found


def attempt(settings: Settings, ca_bundle: str | bool, say: Say) -> Dsn:
    """Log in, read and log out again, whatever happens in between."""
    jwt = read_token(settings.jwt_file, time.time())
    with VaultClient(settings, ca_bundle) as vault:
        say(f"logging in to {settings.address} as role {settings.role!r} of auth/{settings.auth_mount}")
        seconds = vault.login(jwt)
        try:
            secret = vault.read()
            at = f" version {secret.version}" if secret.version else ""
            say(f"read {settings.path!r}{at}")
            return build_dsn(secret.fields, settings.path)
        finally:
            if reason := vault.revoke():
                say(f"warning: the token could not be revoked: {reason}; it ends by itself within {seconds} s")
            else:
                say("revoked the token")


def read_token(file: Path, now: float) -> str:
    """Read the service account's token, anew for each attempt: the kubelet renews the file."""
    try:
        jwt = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a token"
        raise Missing(
            ExitCode.NO_TOKEN,
            f"cannot read the service account's token from {str(file)!r}: {reason}: project a serviceAccountToken "
            "with Vault's audience there",
        ) from error
    if not jwt:
        raise Missing(ExitCode.NO_TOKEN, f"the service account's token file {str(file)!r} is empty")
    expires_at = read_claims(jwt).expires_at
    if expires_at is not None and expires_at <= now:
        raise Missing(
            ExitCode.NO_TOKEN,
            f"the service account's token in {str(file)!r} expired {now - expires_at:.0f} s ago: the kubelet should "
            "have renewed it; check the node's clock",
        )
    return jwt


def write(settings: Settings, dsn: Dsn, say: Say) -> None:
    """Write the file, and say where it is on a disk."""
    with contextlib.suppress(OSError):
        # /var/run is a link in most images, and mounts are listed by where it leads.
        if disk := secretfile.find_disk(settings.output.resolve(), _MOUNTS.read_text(encoding="utf-8")):
            say(f"warning: {str(settings.output.parent)!r} is on a disk ({disk}): use an emptyDir with medium: Memory")
    secretfile.write(settings.output, dsn.conninfo)
    say(f"wrote the connection string of {dsn.describe()} to {str(settings.output)!r}, mode {secretfile.MODE:04o}")


@contextlib.contextmanager
def trusted(settings: Settings) -> Iterator[str | bool]:
    """Give the authorities in the form that hvac takes: a file, or True for the usual ones."""
    if settings.ca_file is not None:
        if not settings.ca_file.is_file():
            raise Missing(ExitCode.CONFIGURATION, f"VAULT_CACERT names {str(settings.ca_file)!r}, which is no file")
        yield str(settings.ca_file)
    elif settings.ca_text:
        with secretfile.beside(settings.output, settings.ca_text) as file:
            yield str(file)
    else:
        yield True


def _stop(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001  (what signal wants)
    """End by an exception, so that the token is revoked on the way out."""
    print("error: stopped by SIGTERM", file=sys.stderr, flush=True)
    sys.exit(ExitCode.STOPPED)
