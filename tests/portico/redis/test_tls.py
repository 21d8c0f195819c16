"""TLS is verified: a certificate of another authority, or for another name, is refused."""

from __future__ import annotations

import asyncio
import datetime as dt
import gc
import ipaddress
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from portico.redis.errors import Reason
from tests.portico.redis.servers import QUICK, Server, free_port, opened

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

# A handshake on a busy machine takes its time.
PATIENT = replace(QUICK, connect_seconds=5)
LOOPBACK = x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))


def issue(folder: Path, name: str, alternative: x509.GeneralName) -> Path:
    """Write a self-signed certificate with its key; return the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.crt"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    path.with_suffix(".key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


class TLSServer(Server):
    """A server that speaks TLS on its port and plain text on its socket."""

    def __init__(self, program: Path, folder: Path, certificate: Path, port: int) -> None:
        files = ["--tls-cert-file", str(certificate), "--tls-ca-cert-file", str(certificate)]
        key = ["--tls-key-file", str(certificate.with_suffix(".key"))]
        port_only = ["--tls-port", str(port), "--tls-auth-clients", "no"]
        super().__init__(program, folder, *files, *key, *port_only)
        self.tls_url = f"rediss://127.0.0.1:{port}"


@pytest.fixture
def tls(redis_server: Path, folder: Path, certificate: Path) -> Iterator[TLSServer]:
    with TLSServer(redis_server, folder / "redis", certificate, free_port()) as server:
        yield server


@pytest.fixture
def certificate(folder: Path) -> Path:
    return issue(folder, "right", LOOPBACK)


async def test_a_verified_server_is_used(tls: TLSServer, certificate: Path) -> None:
    async with opened(tls.tls_url, replace(PATIENT, ca_file=certificate)) as client:
        assert await client.execute("PING") == b"PONG"


def test_a_closed_client_leaves_no_connection_to_its_loop(
    tls: TLSServer, certificate: Path
) -> None:
    async def use() -> None:
        async with opened(tls.tls_url, replace(PATIENT, ca_file=certificate)) as client:
            await client.execute("PING")
            # TLS says goodbye both ways, and this server takes its time.
            tls.signal(signal.SIGSTOP)
            asyncio.get_running_loop().call_later(0.2, tls.signal, signal.SIGCONT)

    # A transport that is left warns, and a warning fails the test.
    asyncio.run(use())
    gc.collect()


async def test_a_server_of_an_unknown_authority_is_refused(tls: TLSServer) -> None:
    async with opened(tls.tls_url, PATIENT) as client:
        assert not client.available
        assert "CERTIFICATE_VERIFY_FAILED" in str(client.state().trouble)


async def test_a_certificate_for_another_name_is_refused(redis_server: Path, folder: Path) -> None:
    other = issue(folder, "other", x509.DNSName("elsewhere.example"))
    with TLSServer(redis_server, folder / "redis", other, free_port()) as server:
        async with opened(server.tls_url, replace(PATIENT, ca_file=other)) as client:
            assert not client.available
            assert "CERTIFICATE_VERIFY_FAILED" in str(client.state().trouble)


async def test_a_missing_authority_file_is_told(tls: TLSServer, folder: Path) -> None:
    options = replace(PATIENT, ca_file=folder / "missing.crt")
    async with opened(tls.tls_url, options) as client:
        assert not client.available
        assert client.state().lanes[0].trouble
        with pytest.raises(Exception, match=str(Reason.CONNECTION)):
            await client.execute("PING")
