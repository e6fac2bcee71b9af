"""Settings, from flags and the environment: checked before anything is sent, with errors that name the variable."""

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from agentic_core.contract import POSTGRES_DIR, POSTGRES_SECRET_KEY, VAULT_DIR
from agentic_vault.errors import ExitCode, Missing

MAX_WAIT_SECONDS: Final = 3600
MAX_REFRESH_SECONDS: Final = 86_400
_PATH: Final = re.compile(r"[^/\s?#]+(/[^/\s?#]+)+")


@dataclass(frozen=True)
class Settings:
    """Where Vault is, who we are there, what is read and where it goes."""

    address: str
    role: str
    path: str
    auth_mount: str = "kubernetes"
    namespace: str = ""
    ca_file: Path | None = None
    ca_text: str = ""
    jwt_file: Path = Path(VAULT_DIR) / "token"
    output: Path = Path(POSTGRES_DIR) / POSTGRES_SECRET_KEY
    wait_seconds: float = 60
    refresh_seconds: float = 0
    """How often the secret is fetched again; 0 for once."""

    @property
    def is_encrypted(self) -> bool:
        return self.address.startswith("https:")


@dataclass(frozen=True)
class _Option:
    variable: str
    flag: str
    default: str
    about: str


OPTIONS: Final = (
    _Option("VAULT_ADDR", "--address", "", "Vault's address, as in https://vault.example.com:8200"),
    _Option("VAULT_ROLE", "--role", "", "role of the Kubernetes auth method to log in as"),
    _Option("VAULT_PATH", "--path", "", "path of the secret as `vault kv get` takes it, as in kv/agentic/owner"),
    _Option("VAULT_AUTH_MOUNT", "--auth-mount", "kubernetes", "where the Kubernetes auth method is mounted"),
    _Option("VAULT_NAMESPACE", "--namespace", "", "namespace, in Vault Enterprise and HCP"),
    _Option("VAULT_CACERT", "--ca-file", "", "file with the authorities to trust instead of the usual ones"),
    _Option("VAULT_CACERT_BYTES", "--ca-text", "", "the same authorities as text in PEM; VAULT_CACERT goes before it"),
    _Option("VAULT_JWT_FILE", "--jwt-file", str(Settings.jwt_file), "the service account's projected token"),
    _Option("VAULT_OUTPUT", "--output", str(Settings.output), "file to write the connection string to"),
    _Option("VAULT_WAIT_SECONDS", "--wait", "60", "how long to try again while Vault is away or sealed"),
    _Option("VAULT_REFRESH_SECONDS", "--refresh", "0", "stay, and fetch again that often; 0 to end when it is written"),
)


def build_parser() -> argparse.ArgumentParser:
    """Return the command line: one flag for every variable."""
    parser = argparse.ArgumentParser(
        prog="python -m agentic_vault",
        description="Writes a PostgreSQL connection string from Vault to a file. "
        "Every flag can be given as a variable instead.",
    )
    for option in OPTIONS:
        default = f", default {option.default!r}" if option.default else ""
        parser.add_argument(
            option.flag, metavar="VALUE", dest=option.variable, help=f"{option.about} ({option.variable}{default})"
        )
    return parser


def read_settings(arguments: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Return the settings: a flag before its variable before the default; raise ``Missing`` that names the variable."""
    given = vars(build_parser().parse_args(arguments))
    values = {
        option.variable: (
            given[option.variable] if given[option.variable] is not None else environ.get(option.variable, "")
        ).strip()
        or option.default
        for option in OPTIONS
    }
    return Settings(
        address=_address(values["VAULT_ADDR"]),
        role=_required(values, "VAULT_ROLE", "the role of Vault's Kubernetes auth method, as in agentic-migrate"),
        path=_path(_required(values, "VAULT_PATH", "the path of the secret, as in kv/agentic/owner")),
        auth_mount=values["VAULT_AUTH_MOUNT"].strip("/"),
        namespace=values["VAULT_NAMESPACE"],
        ca_file=Path(values["VAULT_CACERT"]) if values["VAULT_CACERT"] else None,
        ca_text=values["VAULT_CACERT_BYTES"],
        jwt_file=Path(values["VAULT_JWT_FILE"]),
        output=Path(values["VAULT_OUTPUT"]),
        wait_seconds=_seconds(values, "VAULT_WAIT_SECONDS", MAX_WAIT_SECONDS),
        refresh_seconds=_seconds(values, "VAULT_REFRESH_SECONDS", MAX_REFRESH_SECONDS),
    )


def _required(values: Mapping[str, str], variable: str, example: str) -> str:
    if not values[variable]:
        raise Missing(ExitCode.CONFIGURATION, f"{variable} is not set: give {example}")
    return values[variable]


def _address(text: str) -> str:
    if not text:
        raise Missing(
            ExitCode.CONFIGURATION, "VAULT_ADDR is not set: give Vault's address, as in https://vault.example.com:8200"
        )
    try:
        parts = urlsplit(text)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    else:
        if parts.username or parts.password:
            # Not quoted: what stands before the @ may be a password.
            raise Missing(ExitCode.CONFIGURATION, "VAULT_ADDR holds credentials: give the address alone")
    if not is_usable:
        raise Missing(
            ExitCode.CONFIGURATION, f"VAULT_ADDR is {text!r}: write an address as in https://vault.example.com:8200"
        )
    return text.rstrip("/")


def _path(text: str) -> str:
    path = text.strip("/")
    if not _PATH.fullmatch(path) or ".." in path.split("/"):
        raise Missing(
            ExitCode.CONFIGURATION,
            f"VAULT_PATH is {text!r}: write the mount and the secret below it, as in kv/agentic/owner",
        )
    return path


def _seconds(values: Mapping[str, str], variable: str, most: int) -> float:
    text = values[variable]
    if not text.isdecimal() or int(text) > most:
        raise Missing(ExitCode.CONFIGURATION, f"{variable} is {text!r}: write a whole number of seconds up to {most}")
    return int(text)
