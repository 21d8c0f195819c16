"""How a client says and proves who it is (RFC 6749 section 2.3, RFC 7523, RFC 8705)."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidRequestError

from gateway.identity.certificate import CertificateError, ClientCertificate, ClientCertificates
from gateway.identity.clients import (
    BASIC,
    POST,
    PRIVATE_KEY_JWT,
    PUBLIC,
    SELF_SIGNED_TLS,
    TLS_CLIENT_AUTH,
    ClientRecord,
    ClientSource,
    secret_matches,
)
from gateway.identity.server.assertions import ASSERTION_TYPE, AssertionVerifier
from gateway.identity.server.errors import rejected_client, too_many_attempts
from gateway.identity.server.forms import Form, first

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request

    from gateway.identity.brute_force import BruteForceGuard

# The name under which the pipeline tells who is at the other end of the connection.
PEER = "portico.peer"

_MAX_HEADER_BYTES = 4 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a client presented: not checked yet. Without a method it gave no more than its name."""

    method: str
    client_id: str
    proof: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticatedClient:
    """A client and the method by which it proved itself; `none` proves nothing.

    `certificate` is the one of the connection, to which tokens can be bound.
    """

    record: ClientRecord
    method: str
    certificate: ClientCertificate | None = None


class ClientAuthenticator:
    """Finds out which client a request is from, and counts failures."""

    __slots__ = ("_assertions", "_certificates", "_clients", "_clock", "_guard")

    def __init__(
        self,
        clients: ClientSource,
        assertions: AssertionVerifier,
        certificates: ClientCertificates,
        guard: BruteForceGuard,
        clock: Callable[[], float],
    ) -> None:
        self._clients = clients
        self._assertions = assertions
        self._certificates = certificates
        self._guard = guard
        self._clock = clock

    def hold_off(self, address: str) -> None:
        """Raise OAuth2Error with 429 for an address that failed too often."""
        wait_seconds = self._guard.address_wait_seconds(address)
        if wait_seconds:
            raise too_many_attempts(wait_seconds)

    async def authenticate(self, request: Request, form: Form, address: str) -> AuthenticatedClient:
        """Return the client. Raises OAuth2Error, RedisFailure where the store has to be asked."""
        # Again, as many requests may have waited for their bodies at the same time.
        self.hold_off(address)
        client_id = ""
        try:
            credentials = self._read(_authorization(request), form)
            client_id = credentials.client_id
            wait_seconds = self._guard.client_wait_seconds(client_id, address)
            if wait_seconds:
                raise too_many_attempts(wait_seconds)
            record = await self._clients.find(client_id)
            certificate = self._certificate(request)
            method = await self._prove(record, credentials, certificate)
        except InvalidClientError:
            self._guard.failed(client_id, address)
            raise
        if record is None:
            raise rejected_client()
        if method != PUBLIC:
            self._guard.succeeded(client_id, address)
        return AuthenticatedClient(record=record, method=method, certificate=certificate)

    def _read(self, authorization: Sequence[bytes], form: Form) -> Credentials:
        """Return what is presented; raises OAuth2Error for two methods and for unusable ones."""
        if len(authorization) > 1:
            raise InvalidRequestError("the request has more than one Authorization header")
        presented = bool(authorization) + ("client_secret" in form) + ("client_assertion" in form)
        if presented > 1:
            raise InvalidRequestError("the client uses more than one authentication method")
        if authorization:
            return _same_client(_read_basic(authorization[0]), form)
        if "client_assertion" in form:
            return self._read_assertion(form)
        if "client_id" not in form:
            raise rejected_client()
        method = POST if "client_secret" in form else ""
        return Credentials(
            method=method, client_id=first(form, "client_id"), proof=first(form, "client_secret")
        )

    def _read_assertion(self, form: Form) -> Credentials:
        if first(form, "client_assertion_type") != ASSERTION_TYPE:
            raise rejected_client()
        assertion = first(form, "client_assertion")
        credentials = Credentials(
            method=PRIVATE_KEY_JWT,
            client_id=self._assertions.client_id(assertion),
            proof=assertion,
        )
        return _same_client(credentials, form)

    async def _prove(
        self,
        record: ClientRecord | None,
        credentials: Credentials,
        certificate: ClientCertificate | None,
    ) -> str:
        """Return the method that proved the client; there is one answer if nothing did."""
        if credentials.method in {BASIC, POST}:
            # Compared for unknown clients too, so that they cost as much.
            matches = secret_matches(record, credentials.proof)
            if record is None or not matches or self._is_out_of_date(record):
                raise rejected_client()
        if record is None:
            raise rejected_client()
        method = credentials.method or _without_secret(record, certificate)
        if method not in record.auth_methods:
            raise rejected_client()
        if method == PRIVATE_KEY_JWT:
            await self._assertions.verify(record, credentials.proof)
        return method

    def _certificate(self, request: Request) -> ClientCertificate | None:
        peer = str(request.scope.get(PEER, ""))
        try:
            return self._certificates.read(peer, request.headers.raw)
        except CertificateError:
            raise rejected_client() from None

    def _is_out_of_date(self, record: ClientRecord) -> bool:
        return 0 < record.secret_expires_at <= self._clock()


def _without_secret(record: ClientRecord, certificate: ClientCertificate | None) -> str:
    """Return how a client that only gave its name is proven by its connection, or not at all."""
    if PUBLIC in record.auth_methods:
        return PUBLIC
    if certificate is None:
        raise rejected_client()
    if TLS_CLIENT_AUTH in record.auth_methods and certificate.subject == record.tls_subject:
        return TLS_CLIENT_AUTH
    if certificate.thumbprint in record.keys.thumbprints:
        return SELF_SIGNED_TLS
    raise rejected_client()


def _authorization(request: Request) -> list[bytes]:
    return [value for name, value in request.headers.raw if name == b"authorization"]


def _read_basic(value: bytes) -> Credentials:
    scheme, _, encoded = value.partition(b" ")
    if scheme.lower() != b"basic" or len(encoded) > _MAX_HEADER_BYTES:
        raise rejected_client()
    try:
        pair = b64decode(encoded.strip(b" "), validate=True).decode("utf-8")
        # Both parts are form-encoded first, so a plus is a blank (RFC 6749 section 2.3.1).
        client_id, secret = (unquote_plus(part, errors="strict") for part in pair.split(":", 1))
    except ValueError as error:
        raise rejected_client() from error
    return Credentials(method=BASIC, client_id=client_id, proof=secret)


def _same_client(credentials: Credentials, form: Form) -> Credentials:
    if form.get("client_id", [credentials.client_id]) != [credentials.client_id]:
        raise InvalidRequestError("client_id differs from the one that is authenticated")
    return credentials
