"""Certificates name what they must, and are made once."""

import subprocess
from pathlib import Path

import pytest

from hack.cluster.certificates import Authority, build_alternative_names, build_request
from hack.cluster.errors import ClusterError


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param(["127.0.0.1"], "IP:127.0.0.1", id="an address"),
        pytest.param(["::1", "localhost"], "IP:::1,DNS:localhost", id="a version 6 address and a name"),
        pytest.param(["kubernetes.default.svc"], "DNS:kubernetes.default.svc", id="a service"),
    ],
)
def test_names_and_addresses_are_told_apart(names: list[str], expected: str) -> None:
    assert build_alternative_names(names) == expected


@pytest.mark.parametrize("name", ["", "two\nlines", "$HOME", 'a"b', "a#b"])
def test_a_name_that_would_change_the_request_is_refused(name: str) -> None:
    with pytest.raises(ClusterError, match="cannot be the name of a certificate"):
        build_request(name)


def test_a_certificate_is_signed_for_its_names_and_kept(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.create()
    pair = authority.issue("server", "kube-apiserver", organizations=["a", "b"], names=["10.96.0.1", "kubernetes"])
    first = pair.certificate.read_bytes()
    shown = _openssl("x509", "-noout", "-subject", "-ext", "subjectAltName,extendedKeyUsage", "-in", pair.certificate)
    assert "O = a, O = b, CN = kube-apiserver" in shown
    assert "IP Address:10.96.0.1" in shown
    assert "DNS:kubernetes" in shown
    assert "OK" in _openssl("verify", "-CAfile", authority.pair.certificate, pair.certificate)
    assert pair.key.stat().st_mode & 0o077 == 0

    authority.create()
    authority.issue("server", "kube-apiserver", organizations=["a", "b"], names=["10.96.0.1", "kubernetes"])
    assert pair.certificate.read_bytes() == first


def test_a_certificate_is_made_anew_for_other_names(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.create()
    first = authority.issue("server", "one", names=["10.0.0.1"]).certificate.read_bytes()
    assert authority.issue("server", "one", names=["10.0.0.2"]).certificate.read_bytes() != first


def _openssl(*arguments: str | Path) -> str:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=True)
    return done.stdout
