"""Requests and responses of httpx that keep header fields as they are on the wire.

httpx parses, copies and copies again what a proxy only passes on; that takes longer than sending
it. These two do without, and become complete objects of httpx when anything else is asked of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Field = tuple[bytes, bytes]


class Outgoing(httpx.Request):
    """A request made of header fields and a body of bytes or a stream."""

    def __init__(
        self,
        method: str,
        url: httpx.URL,
        fields: Sequence[Field],
        body: bytes | httpx.AsyncByteStream,
        extensions: dict[str, Any],
    ) -> None:
        self.method = method
        self.url = url
        self.fields = fields
        self.body = body
        self.extensions = extensions

    def __getattr__(self, name: str) -> Any:
        if "headers" in self.__dict__ or "body" not in self.__dict__:
            raise AttributeError(name)
        stream = httpx.ByteStream(self.body) if isinstance(self.body, bytes) else self.body
        super().__init__(
            self.method,
            self.url,
            headers=self.fields,
            stream=stream,
            extensions=self.extensions,
        )
        return getattr(self, name)

    @classmethod
    def of(cls, request: httpx.Request) -> Outgoing:
        """Return one of these for any request of httpx."""
        body = _body(request.stream)
        return cls(request.method, request.url, request.headers.raw, body, request.extensions)


class Incoming(httpx.Response):
    """A response made of header fields and a body of bytes or a stream."""

    def __init__(
        self,
        status_code: int,
        fields: Sequence[Field],
        body: bytes | httpx.AsyncByteStream,
        extensions: Mapping[str, Any],
    ) -> None:
        self.status_code = status_code
        self.fields = fields
        self.body = body
        self.extensions = extensions  # type: ignore[assignment]  # shared until it is completed

    def __getattr__(self, name: str) -> Any:
        if "headers" in self.__dict__ or "body" not in self.__dict__:
            raise AttributeError(name)
        stream = httpx.ByteStream(self.body) if isinstance(self.body, bytes) else self.body
        super().__init__(
            self.status_code,
            headers=self.fields,
            stream=stream,
            extensions=dict(self.extensions),
        )
        return getattr(self, name)

    @classmethod
    def of(cls, response: httpx.Response) -> Incoming:
        """Return one of these for any response of httpx."""
        body = _body(response.stream)
        return cls(response.status_code, response.headers.raw, body, response.extensions)


def _body(stream: httpx.SyncByteStream | httpx.AsyncByteStream) -> bytes | httpx.AsyncByteStream:
    if isinstance(stream, httpx.ByteStream):
        return b"".join(stream)
    if isinstance(stream, httpx.AsyncByteStream):
        return stream
    raise TypeError("a body must be bytes or an asynchronous stream")
