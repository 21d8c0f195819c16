"""What goes into the proxy hop and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

    from portico.deadline import Deadline
    from portico.trace import Trace

Field = tuple[bytes, bytes]


# One is made per request: a frozen dataclass takes three times as long to fill.
@dataclass(slots=True, kw_only=True)
class ForwardRequest:
    """A request to pass on, as it came from the client.

    `path` is raw, starts with a slash and is what follows `base_path`, the public base path of
    the API; `headers` have lower-case names. `peer` is the address at the other end of the
    connection, `scheme` and `host` are those of the connection. `own_headers` are the gateway's
    and replace the client's of the same name.
    """

    method: str
    path: bytes
    query: bytes
    headers: Iterable[Field]
    body: bytes | AsyncIterator[bytes]
    deadline: Deadline
    trace: Trace
    peer: str
    scheme: str
    host: bytes
    base_path: bytes = b""
    http_version: str = "1.1"
    own_headers: Sequence[Field] = ()


class ForwardedResponse:
    """An answer of the upstream, to be closed by whoever received it.

    `body` is the whole body, or an iterator that ends early with `UpstreamProblem`: then the
    response to the client must be cut off, because its end would look complete.
    """

    __slots__ = ("_close", "body", "headers", "status")

    def __init__(
        self,
        status: int,
        headers: list[Field],
        body: bytes | AsyncIterator[bytes],
        close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self._close = close

    async def aclose(self) -> None:
        """Give the connection back, or end it if the body was not read to its end."""
        if self._close is not None:
            await self._close()

    def __repr__(self) -> str:
        size = f"{len(self.body)} bytes" if isinstance(self.body, bytes) else "streaming"
        return f"<ForwardedResponse {self.status} {size}>"
