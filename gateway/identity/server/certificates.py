"""The certificate that a client showed to the proxy that ends TLS (RFC 8705, RFC 9440).

The field counts only when the connection came from a trusted proxy, which has to remove whatever a
client wrote there itself.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.identity.client_keys import certificate_thumbprint

if TYPE_CHECKING:
    from starlette.types import Scope

    from gateway.upstream.origin import TrustedProxies

# The name under which the pipeline tells who is at the other end of the connection.
PEER = "portico.peer"

_MAX_FIELD_BYTES = 16 * 1024
_PEM_START = "-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """What is compared: the subject as RFC 4514 writes it, and the SHA-256 thumbprint."""

    subject: str
    thumbprint: str


class CertificateReader:
    """Reads certificates from one header field: of RFC 9440, or PEM in percent-encoding."""

    __slots__ = ("_field", "_trusted")

    def __init__(self, field: str, trusted: TrustedProxies) -> None:
        self._field = field.lower().encode("ascii")
        self._trusted = trusted

    def read(self, scope: Scope) -> ClientCertificate | None:
        """Return the certificate, None where there is none that may be believed."""
        if not self._field or scope.get(PEER, "") not in self._trusted:
            return None
        values = [value for name, value in scope["headers"] if name == self._field]
        if len(values) != 1 or len(values[0]) > _MAX_FIELD_BYTES:
            return None
        try:
            certificate = _parse(values[0].decode("ascii").strip())
        except (ValueError, binascii.Error):
            return None
        return certificate


def _parse(value: str) -> ClientCertificate:
    if value.startswith(":") and value.endswith(":") and len(value) > 2:
        certificate = x509.load_der_x509_certificate(b64decode(value[1:-1], validate=True))
    else:
        pem = unquote(value)
        if not pem.startswith(_PEM_START):
            raise ValueError("neither a byte sequence nor PEM")
        certificate = x509.load_pem_x509_certificate(pem.encode("ascii"))
    der = certificate.public_bytes(Encoding.DER)
    return ClientCertificate(
        subject=certificate.subject.rfc4514_string(), thumbprint=certificate_thumbprint(der)
    )
