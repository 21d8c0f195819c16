"""The reference: openapi-core itself, for APIs set to `strict` and for the differential tests."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote

from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError
from openapi_core.validation.request.exceptions import RequestBodyValidationError
from openapi_core.validation.response.exceptions import HeaderValidationError
from werkzeug.datastructures import Headers, ImmutableMultiDict

from portico.contract.media import essence, parameters
from portico.problems import INVALID_CONTENT, INVALID_PARAMETER, Problem

_HOST = "http://localhost"
_MAX_DETAIL = 240
# What it raises on strange input beside errors of its own, from the parsers it is made of.
_FAILURES = (
    OpenAPIError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    AssertionError,
    SyntaxError,
    RecursionError,
    re.error,
)
# Delimiters of a path and of a URL, which stay encoded in its values.
_KEPT = re.compile(r"(%(?:2[Ff]|3[Ff]|23|25))")


class _Request:
    """A request in the shape of openapi-core's protocol."""

    def __init__(
        self, method: str, path: str, query: bytes, headers: Mapping[bytes, bytes], body: bytes
    ) -> None:
        fields = [
            (name.decode("latin-1"), text.decode("latin-1")) for name, text in headers.items()
        ]
        self.host_url = _HOST
        self.path = _decoded(path)
        self.method = method.lower()
        self.body = body or None
        self.content_type = _media_type(headers.get(b"content-type", b"").decode("latin-1"))
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
        cookies = headers.get(b"cookie", b"").decode("latin-1").split(";")
        self.parameters = RequestParameters(
            query=ImmutableMultiDict(pairs),
            header=Headers(fields),
            cookie=ImmutableMultiDict(
                [(name.strip(), value) for name, _, value in (c.partition("=") for c in cookies)]
            ),
        )


class _Response:
    def __init__(
        self, status: int, media_type: str, body: bytes, headers: Sequence[tuple[str, str]]
    ) -> None:
        self.status_code = status
        self.content_type = _media_type(media_type)
        self.data = body
        self.headers = Headers(list(headers))


class StrictValidator:
    """Checks requests and responses with openapi-core; a check takes milliseconds.

    Security and servers are left out: the gateway decided on both before. Paths are those of the
    document, without the base path.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        bare = {name: value for name, value in document.items() if name != "security"}
        bare["servers"] = [{"url": _HOST}]
        bare["paths"] = {path: _bare_item(item) for path, item in document.get("paths", {}).items()}
        self._openapi = OpenAPI.from_dict(bare, config=Config(spec_validator_cls=None))

    def check_request(
        self, method: str, path: str, query: bytes, headers: Mapping[bytes, bytes], body: bytes
    ) -> None:
        """Raise Problem, 400 or 422, for the first thing that is wrong with a request."""
        error = self.request_error(method, path, query, headers, body)
        if error is None:
            return
        kind = (
            INVALID_CONTENT if isinstance(error, RequestBodyValidationError) else INVALID_PARAMETER
        )
        raise Problem(kind, _reason(error))

    def request_error(
        self, method: str, path: str, query: bytes, headers: Mapping[bytes, bytes], body: bytes
    ) -> Exception | None:
        """Return what openapi-core says against a request, or None."""
        request = _Request(method, path, query, headers, body)
        with _quiet():
            try:
                self._openapi.validate_request(request)
            except _FAILURES as error:
                return error
        return None

    def check_response(
        self,
        method: str,
        path: str,
        status: int,
        media_type: str,
        body: bytes,
        headers: Sequence[tuple[str, str]] | None = None,
    ) -> list[dict[str, object]]:
        """Return what is wrong with a response; an empty list means nothing.

        Without `headers`, nothing is said about them.
        """
        request = _Request(method, path, b"", {}, b"")
        response = _Response(status, media_type, body, headers or ())
        with _quiet():
            try:
                found = list(self._openapi.iter_response_errors(request, response))
            except _FAILURES as error:
                found = [error]
        about_headers = HeaderValidationError if headers is None else ()
        return [
            {"detail": _reason(error)} for error in found if not isinstance(error, about_headers)
        ]


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # one for each deprecated member
        yield


def _decoded(path: str) -> str:
    """Return a path with its values decoded, which openapi-core leaves to its caller."""
    return "".join(part if _KEPT.fullmatch(part) else unquote(part) for part in _KEPT.split(path))


def _media_type(content_type: str) -> str:
    """Return a content type with the one parameter that reading needs: others it may not parse."""
    boundary = parameters(content_type).get("boundary")
    name = essence(content_type)
    return f"{name}; boundary={boundary}" if boundary and "=" not in boundary else name


def _bare_item(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    return {
        name: {key: value for key, value in member.items() if key not in {"security", "servers"}}
        if isinstance(member, dict)
        else member
        for name, member in item.items()
        if name != "servers"
    }


def _reason(error: Exception) -> str:
    cause = error.__cause__
    text = f"{error}: {cause}" if cause is not None else str(error)
    return (text.splitlines() or [type(error).__name__])[0][:_MAX_DETAIL]
