"""Reading what OAuth sends: parameters, each there once, of a bounded form or a query."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749.errors import InvalidRequestError

if TYPE_CHECKING:
    from starlette.requests import Request

Form = Mapping[str, list[str]]

MAX_PARAMETERS = 32
# Room for an assertion or two tokens, each of which may have 8 KiB.
MAX_BODY_BYTES = 24 * 1024
BODY_TIMEOUT_SECONDS = 10.0
# The only parameters that may be there more than once (RFC 8707 section 2, RFC 8693 section 2.1).
_REPEATABLE = frozenset({"resource", "audience"})
FORM_TYPE = "application/x-www-form-urlencoded"


def read_form(content_type: str, body: bytes) -> dict[str, list[str]]:
    """Return the parameters of a form by name; those without a value count as absent.

    Raises InvalidRequestError for another media type, broken encoding and repetitions.
    """
    if content_type.partition(";")[0].strip().lower() != FORM_TYPE:
        raise InvalidRequestError(f"the body must be a form of type {FORM_TYPE}")
    return read_parameters(body)


def read_parameters(encoded: bytes) -> dict[str, list[str]]:
    """Return the parameters of a query or a form. Raises InvalidRequestError."""
    try:
        pairs = parse_qsl(
            encoded.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_PARAMETERS,
        )
    except ValueError as error:
        raise InvalidRequestError("the parameters cannot be decoded or are too many") from error
    form: dict[str, list[str]] = {}
    for name, value in pairs:
        form.setdefault(name, []).append(value)
    if any(len(values) > 1 for name, values in form.items() if name not in _REPEATABLE):
        raise InvalidRequestError("a parameter is there more than once")
    return {name: values for name, values in form.items() if any(values)}


def first(form: Form, name: str) -> str:
    """Return the value of a parameter, empty where it is absent."""
    return form.get(name, [""])[0]


async def read_body(
    request: Request,
    *,
    max_bytes: int = MAX_BODY_BYTES,
    timeout_seconds: float = BODY_TIMEOUT_SECONDS,
) -> bytes:
    """Return the body. Raises InvalidRequestError with 413 or 408 for one too large or too slow."""
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > max_bytes:
                    raise InvalidRequestError(
                        f"the body is larger than {max_bytes} bytes", status_code=413
                    )
    except TimeoutError as error:
        raise InvalidRequestError("the body arrived too slowly", status_code=408) from error
    return bytes(body)
