"""The client certificate of a connection that ended at a TLS terminator in front of us.

The terminator has verified the certificate and sends it in a header field. From anyone else such
a field is a forgery, so it counts from the trusted proxies only.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from gateway.upstream.origin import TrustedProxies

# A chain is not expected here, and a certificate with many names has a few KiB.
MAX_FIELD_BYTES = 16 * 1024
_PEM_BEGIN = b"-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """A certificate: `thumbprint` is what tokens are bound to (RFC 8705 section 3.1)."""

    thumbprint: str
    subject: str
    certificate: x509.Certificate


class CertificateError(ValueError):
    """A trusted proxy sent a field in which there is no certificate, or more than one field."""


class ClientCertificates:
    """Reads the field that the terminators of a deployment send.

    Three forms are known: the byte sequence of RFC 9440, PEM with percent-encoding (nginx's
    `$ssl_client_escaped_cert`), and base64 of DER (Traefik).
    """

    __slots__ = ("_trusted", "header")

    def __init__(self, header: str, trusted: TrustedProxies) -> None:
        self.header = header.lower().encode("ascii")
        self._trusted = trusted

    def is_forged(self, peer: str, headers: Container[bytes]) -> bool:
        """Tell whether a peer whose word does not count has sent the field all the same."""
        return bool(self.header) and self.header in headers and peer not in self._trusted

    def read(self, peer: str, fields: Iterable[tuple[bytes, bytes]]) -> ClientCertificate | None:
        """Return the certificate of a request that came from `peer`, None where there is none.

        Raises CertificateError.
        """
        if not self.header or peer not in self._trusted:
            return None
        values = [value for name, value in fields if name.lower() == self.header]
        if not values or values == [b""]:
            return None
        if len(values) > 1:
            raise CertificateError("there is more than one certificate field")
        return read_certificate(values[0])

    def __repr__(self) -> str:
        return f"<ClientCertificates in {self.header.decode() or 'no header'}>"


def read_certificate(value: bytes) -> ClientCertificate:
    """Return the certificate in a field value. Raises CertificateError."""
    if len(value) > MAX_FIELD_BYTES:
        raise CertificateError(f"the certificate is larger than {MAX_FIELD_BYTES} bytes")
    try:
        certificate = _parse(value.strip())
        subject = certificate.subject.rfc4514_string()
        der = certificate.public_bytes(Encoding.DER)
    except (ValueError, binascii.Error) as error:
        raise CertificateError("the certificate cannot be read") from error
    digest = urlsafe_b64encode(sha256(der).digest()).rstrip(b"=").decode()
    return ClientCertificate(thumbprint=digest, subject=subject, certificate=certificate)


def _parse(value: bytes) -> x509.Certificate:
    if value.startswith(b":") and value.endswith(b":") and len(value) > 1:
        return x509.load_der_x509_certificate(b64decode(value[1:-1], validate=True))
    if value.startswith(_PEM_BEGIN[:10]):
        # A plus is a plus here: percent-encoding is that of URIs, not that of forms.
        return x509.load_pem_x509_certificate(unquote_to_bytes(value))
    return x509.load_der_x509_certificate(b64decode(value, validate=True))
