"""TLS to the upstream: verified always, with the authority and the certificate of the options."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.upstream.failures import UpstreamProblem
from portico.problems import BAD_UPSTREAM
from tests.gateway.upstream.doubles import Wire, always, request, serving, upstream

pytestmark = pytest.mark.anyio

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


class Authority:
    """A certificate authority of our own."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = folder / f"{name}.pem"
        certificate = (
            self._builder(self._name, self._key, NOW + DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, host: str, *, expires: dt.datetime = NOW + DAY) -> Path:
        """Return a file with a certificate for `host` and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.DNSName(host)]
        if host == "127.0.0.1":
            names = [x509.IPAddress(ipaddress.ip_address(host))]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        certificate = (
            self._builder(subject, key, expires)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        file = self._folder / f"{host}-{expires:%Y%m%d}.pem"
        file.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return file

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, expires: dt.datetime
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - 2 * DAY)
            .not_valid_after(expires)
        )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


def server(certificate: Path, *, clients: Path | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def refusal(url: str, **options: Any) -> UpstreamProblem:
    async with upstream(url, **options) as billing:
        with pytest.raises(UpstreamProblem) as raised:
            await billing.forward(request("POST"))
    return raised.value


async def test_a_certificate_of_the_given_authority_is_accepted(authority: Authority) -> None:
    context = server(authority.issue("localhost"))
    async with serving(always(), tls=context) as double:
        async with upstream(double.url, ca_file=str(authority.file)) as billing:
            for _ in range(2):
                assert (await billing.forward(request())).body == b"ok"
        assert double.connections == 1


async def test_an_unknown_authority_is_refused_before_anything_is_sent(
    authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "other")
    async with serving(always(), tls=server(authority.issue("localhost"))) as double:
        for options in ({}, {"ca_file": str(other.file)}):
            problem = await refusal(double.url, **options)
            assert problem.kind is BAD_UPSTREAM
            assert not problem.sent
            assert problem.detail == "no secure connection to billing could be made"
        assert double.connections == 0


async def test_a_certificate_for_another_name_is_refused(authority: Authority) -> None:
    async with serving(always(), tls=server(authority.issue("other.example"))) as double:
        assert (await refusal(double.url, ca_file=str(authority.file))).kind is BAD_UPSTREAM


async def test_an_expired_certificate_is_refused(authority: Authority) -> None:
    certificate = authority.issue("localhost", expires=NOW - DAY)
    async with serving(always(), tls=server(certificate)) as double:
        assert (await refusal(double.url, ca_file=str(authority.file))).kind is BAD_UPSTREAM


async def test_the_host_that_is_preserved_is_not_the_name_that_is_verified(
    authority: Authority,
) -> None:
    async with serving(always(), tls=server(authority.issue("localhost"))) as double:
        options = {"ca_file": str(authority.file), "preserve_host": True}
        async with upstream(double.url, **options) as billing:
            assert (await billing.forward(request())).status == 200


async def test_the_certificate_of_the_client_is_shown(authority: Authority) -> None:
    context = server(authority.issue("localhost"), clients=authority.file)
    options = {
        "ca_file": str(authority.file),
        "client_certificate": str(authority.issue("gateway.example")),
    }
    async with serving(always(), tls=context) as double, upstream(double.url, **options) as billing:
        assert (await billing.forward(request())).body == b"ok"


async def test_plain_http_behind_https_is_refused() -> None:
    async def plain(wire: Wire) -> None:
        await wire.read(1)
        await wire.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    async with serving(plain) as double:
        problem = await refusal(double.url.replace("http:", "https:"))
    assert problem.kind is BAD_UPSTREAM
    assert not problem.sent


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_old_versions_are_refused(authority: Authority) -> None:
    context = server(authority.issue("localhost"))
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with serving(always(), tls=context) as double:
        assert not (await refusal(double.url, ca_file=str(authority.file))).sent
