"""Reading a token request: its form, and how the client says who it is (RFC 6749 section 2.3)."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote_plus

from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BASIC = "client_secret_basic"
POST = "client_secret_post"

MAX_PARAMETERS = 32
_MAX_HEADER_BYTES = 4 * 1024
# The only parameter that may be there more than once (RFC 8707 section 2).
_REPEATABLE = frozenset({"resource"})
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What the client presented: not checked yet."""

    method: str
    client_id: str
    secret: str = field(repr=False)


def read_form(content_type: str, body: bytes) -> dict[str, list[str]]:
    """Return the parameters of a form by name; those without a value count as absent.

    Raises InvalidRequestError for another media type, broken encoding and repetitions.
    """
    if content_type.partition(";")[0].strip().lower() != _FORM:
        raise InvalidRequestError(f"the body must be a form of type {_FORM}")
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_PARAMETERS,
        )
    except ValueError as error:
        raise InvalidRequestError("the form cannot be decoded or is too long") from error
    form: dict[str, list[str]] = {}
    for name, value in pairs:
        form.setdefault(name, []).append(value)
    if any(len(values) > 1 for name, values in form.items() if name not in _REPEATABLE):
        raise InvalidRequestError("a parameter is there more than once")
    return {name: values for name, values in form.items() if any(values)}


def read_credentials(authorization: Sequence[bytes], form: Mapping[str, list[str]]) -> Credentials:
    """Return the client's credentials from the Authorization header or from the form.

    Raises InvalidRequestError when more than one method is used and InvalidClientError when
    none is, or one that is not offered.
    """
    if len(authorization) > 1:
        raise InvalidRequestError("the request has more than one Authorization header")
    presented = bool(authorization) + ("client_secret" in form) + ("client_assertion" in form)
    if presented > 1:
        raise InvalidRequestError("the client uses more than one authentication method")
    if authorization:
        return _same_client(_read_basic(authorization[0]), form)
    if "client_secret" not in form or "client_id" not in form:
        raise rejected_client()
    return Credentials(method=POST, client_id=form["client_id"][0], secret=form["client_secret"][0])


def rejected_client() -> InvalidClientError:
    """Return the one answer to an unknown client, a wrong secret and unusable credentials."""
    return InvalidClientError("the client could not be authenticated", status_code=401)


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
    return Credentials(method=BASIC, client_id=client_id, secret=secret)


def _same_client(credentials: Credentials, form: Mapping[str, list[str]]) -> Credentials:
    if form.get("client_id", [credentials.client_id]) != [credentials.client_id]:
        raise InvalidRequestError("client_id differs from the one in the Authorization header")
    return credentials
