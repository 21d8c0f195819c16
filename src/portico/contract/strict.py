"""The reference: openapi-core itself, for APIs set to `strict` and for the differential tests."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError
from openapi_core.validation.request.exceptions import RequestBodyValidationError
from werkzeug.datastructures import Headers, ImmutableMultiDict

from portico.contract.media import essence
from portico.problems import INVALID_CONTENT, INVALID_PARAMETER, Problem

_HOST = "http://localhost"
_MAX_DETAIL = 240


class _Request:
    """A request in the shape of openapi-core's protocol."""

    def __init__(
        self, method: str, path: str, query: bytes, headers: Mapping[bytes, bytes], body: bytes
    ) -> None:
        fields = [
            (name.decode("latin-1"), text.decode("latin-1")) for name, text in headers.items()
        ]
        self.host_url = _HOST
        self.path = path
        self.method = method.lower()
        self.body = body or None
        self.content_type = essence(headers.get(b"content-type", b"").decode("latin-1"))
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
    def __init__(self, status: int, media_type: str, body: bytes) -> None:
        self.status_code = status
        self.content_type = essence(media_type)
        self.data = body
        self.headers: Mapping[str, Any] = {}


class StrictValidator:
    """Checks requests and responses with openapi-core; a check takes milliseconds.

    Security and servers are left out: the gateway decided on both before. Paths are those of the
    document, without the base path.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        bare = {name: value for name, value in document.items() if name != "security"}
        bare["servers"] = [{"url": _HOST}]
        bare["paths"] = {path: _bare_item(item) for path, item in document["paths"].items()}
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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # one for each deprecated member
            try:
                self._openapi.validate_request(request)
            except (OpenAPIError, ValueError) as error:  # it raises some unwrapped
                return error
        return None

    def check_response(
        self, method: str, path: str, status: int, media_type: str, body: bytes
    ) -> list[dict[str, object]]:
        """Return what is wrong with a response; an empty list means nothing."""
        request = _Request(method, path, b"", {}, b"")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                self._openapi.validate_response(request, _Response(status, media_type, body))
            except (OpenAPIError, ValueError) as error:
                return [{"detail": _reason(error)}]
        return []


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
    return text.splitlines()[0][:_MAX_DETAIL]
