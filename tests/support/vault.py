"""A real Vault on this machine, with storage on disk: it can be sealed, killed and started again.

Two listeners: a plain one, and one with a certificate of an authority that nobody trusts yet.
"""

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from hack.cluster import binaries
from hack.cluster.certificates import Authority
from hack.cluster.controlplane import ControlPlane
from hack.cluster.endpoints import find_free_ports
from tests.support.commands import clean_environment
from tests.support.waiting import PATIENCE_SECONDS, wait_for

Json = dict[str, Any]

_CONFIGURATION = """\
storage "file" {{ path = "{folder}/data" }}
listener "tcp" {{
  address = "{host}:{port}"
  tls_disable = true
}}
listener "tcp" {{
  address = "{host}:{tls_port}"
  tls_cert_file = "{certificate}"
  tls_key_file = "{key}"
}}
disable_mlock = true
api_addr = "http://{host}:{port}"
"""


class VaultServer:
    """One server, unsealed when the block begins."""

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        self.host = host
        self.program = binaries.ensure(["vault"])["vault"]
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self.tls_port = find_free_ports(2, address=host)
        self._authority = Authority(folder / "pki")
        self._process: subprocess.Popen[bytes] | None = None
        self.root_token = ""
        self._key = ""

    @property
    def address(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def tls_address(self) -> str:
        return f"https://{self.host}:{self.tls_port}"

    def __enter__(self) -> Self:
        self._authority.create()
        pair = self._authority.issue("vault", "vault", names=[self.host])
        (self.folder / "vault.hcl").write_text(
            _CONFIGURATION.format(
                folder=self.folder,
                host=self.host,
                port=self.port,
                tls_port=self.tls_port,
                certificate=pair.certificate,
                key=pair.key,
            )
        )
        self.start()
        made = self.request("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
        self.root_token, self._key = made["root_token"], made["keys"][0]
        self.unseal()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def authorities(self) -> str:
        """The certificate that the encrypted listener's is signed with."""
        return self._authority.pair.certificate.read_text()

    @property
    def log(self) -> str:
        return (self.folder / "vault.log").read_text(errors="replace")

    # Its states

    def start(self) -> None:
        """Start the process; after a kill it is sealed."""
        with (self.folder / "vault.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.program, "server", f"-config={self.folder}/vault.hcl"],
                env=clean_environment(HOME=str(self.folder)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_for(self._health, lambda code: code is not None, what="Vault's answer", every=0.05)

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(PATIENCE_SECONDS)

    def seal(self) -> None:
        self.request("PUT", "sys/seal", {})
        wait_for(self._health, lambda code: code == 503, what="Vault sealed", every=0.05)

    def unseal(self) -> None:
        self.request("PUT", "sys/unseal", {"key": self._key})
        wait_for(self._health, lambda code: code == 200, what="Vault unsealed", every=0.05)

    def _health(self) -> int | None:
        try:
            with urllib.request.urlopen(f"{self.address}/v1/sys/health", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return None

    # What tests ask and change

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Json:
        """Send one request as root and return the answer, empty where it has none."""
        request = urllib.request.Request(
            f"{self.address}/v1/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-Vault-Token": self.root_token} if self.root_token else {},
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from error
        found: Json = json.loads(text) if text else {}
        return found

    def trust(self, plane: ControlPlane) -> None:
        """Set up what the guide does by its commands, for runners of any namespace: kv, the auth method, one role."""
        accounts = "/api/v1/namespaces/agentic-system/serviceaccounts"
        plane.request("POST", accounts, {"metadata": {"name": "vault-reviewer"}})
        plane.request(
            "POST",
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            {
                "metadata": {"name": "vault-reviewer"},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "ClusterRole",
                    "name": "system:auth-delegator",
                },
                "subjects": [{"kind": "ServiceAccount", "name": "vault-reviewer", "namespace": "agentic-system"}],
            },
        )
        self.request("POST", "sys/mounts/kv", {"type": "kv", "options": {"version": "2"}})
        self.request("POST", "sys/auth/kubernetes", {"type": "kubernetes"})
        config = {
            "kubernetes_host": plane.server,
            "kubernetes_ca_cert": plane.ca_file.read_text(),
            "token_reviewer_jwt": plane.service_account_token("agentic-system", "vault-reviewer"),
        }
        self.request("POST", "auth/kubernetes/config", config)
        policy = 'path "kv/data/agentic/runners/*" { capabilities = ["read"] }'
        self.request("PUT", "sys/policies/acl/agentic-runner", {"policy": policy})
        role = {
            "bound_service_account_names": ["agentic-runner"],
            "bound_service_account_namespaces": ["*"],
            "audience": "vault",
            "token_policies": ["agentic-runner"],
            "token_ttl": "5m",
        }
        self.request("POST", "auth/kubernetes/role/agentic-runner", role)

    def put(self, path: str, **fields: object) -> None:
        """Write a secret into the engine's second version, mounted as ``kv``."""
        self.request("PUT", f"kv/data/{path}", {"data": fields})

    def tokens(self) -> int:
        """Count the tokens that exist, root's included."""
        return len(self.request("LIST", "auth/token/accessors")["data"]["keys"])

    def environment(self) -> dict[str, str]:
        """Return what `vault` and a shell need to be root here."""
        return clean_environment(
            VAULT_ADDR=self.address,
            VAULT_TOKEN=self.root_token,
            HOME=str(self.folder),
            PATH=f"{self.program.parent}:{os.environ['PATH']}",
        )
