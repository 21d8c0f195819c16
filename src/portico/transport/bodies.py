"""Bodies on their way: the upload of a request and the stream of a response."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import aiohttp
import httpx
from aiohttp.http import HttpProcessingError, StreamWriter

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from aiohttp.client_proto import ResponseHandler
    from aiohttp.http import RawResponseMessage

    from portico.transport.exchange import Exchange


def translated(exc: BaseException) -> httpx.TransportError | None:
    """Return the httpx exception for one of aiohttp's, None for those of anyone else."""
    if isinstance(exc, HttpProcessingError):
        # Its text quotes the bytes of the upstream.
        return httpx.RemoteProtocolError("the answer is not valid HTTP")
    if isinstance(exc, aiohttp.ClientError | aiohttp.EofStream | ConnectionError):
        return httpx.ReadError("the connection was closed before the answer was complete")
    return None


def time_out(reader: ResponseHandler | aiohttp.StreamReader) -> None:
    """Let the read that waits for the upstream fail."""
    reader.set_exception(httpx.ReadTimeout("the upstream did not answer in time"))


class Upload:
    """Sends a streamed request body while the answer may already be arriving.

    Its failure reaches the reader of the answer as the exception that ends the waiting.
    """

    __slots__ = ("_exchange", "_length", "_protocol", "_stream", "_task", "_timer")

    def __init__(
        self,
        exchange: Exchange,
        protocol: ResponseHandler,
        stream: AsyncIterable[bytes],
        length: int | None,
    ) -> None:
        self._exchange = exchange
        self._protocol = protocol
        self._stream = stream
        self._length = length
        self._timer: asyncio.TimerHandle | None = None
        self._task = asyncio.get_running_loop().create_task(self._run())

    def done(self) -> bool:
        return self._task.done()

    def cancel(self) -> None:
        self._task.cancel()
        self.answered()

    def answered(self) -> None:
        """Note that the head of the answer has come."""
        if self._timer is not None:
            self._timer.cancel()

    async def _run(self) -> None:
        try:
            await self._send()
        except TimeoutError:
            self._protocol.set_exception(httpx.WriteTimeout("the upstream did not read in time"))
        except Exception as exc:  # noqa: BLE001  # raised where the answer is awaited, not here
            self._protocol.set_exception(exc)
        else:
            seconds = self._exchange.seconds("read")
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(seconds, time_out, self._protocol)

    async def _send(self) -> None:
        writer = StreamWriter(self._protocol, asyncio.get_running_loop())
        if self._length is None:
            writer.enable_chunking()
        left = self._length
        async for chunk in self._stream:
            if left is not None:
                left -= len(chunk)
                if left < 0:
                    break
            async with asyncio.timeout(self._exchange.seconds("write")):
                await writer.write(chunk)
        if left:
            raise httpx.LocalProtocolError("the body is not as long as its Content-Length says")
        async with asyncio.timeout(self._exchange.seconds("write")):
            await writer.write_eof()


class ResponseBody(httpx.AsyncByteStream):
    """A body as it arrives. Reading is paused while nobody asks for the next part."""

    __slots__ = ("_exchange", "_message", "_payload", "_protocol")

    def __init__(
        self,
        exchange: Exchange,
        protocol: ResponseHandler,
        message: RawResponseMessage,
        payload: aiohttp.StreamReader,
    ) -> None:
        self._exchange = exchange
        self._protocol = protocol
        self._message = message
        self._payload = payload

    def __aiter__(self) -> ResponseBody:
        return self

    async def __anext__(self) -> bytes:
        if self._exchange.ended:
            raise StopAsyncIteration
        try:
            part = await self._read()
            if not part:
                check_end(self._protocol, self._message)
        except BaseException as exc:
            self._exchange.end(complete=False)
            if (known := translated(exc)) is None:
                raise
            raise known from exc
        if part:
            return part
        self._exchange.end(complete=True)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._exchange.end(complete=False)

    def __del__(self) -> None:
        # Whoever forgets to close must not cost the pool a place for ever.
        with contextlib.suppress(RuntimeError):  # the event loop may be gone
            self._exchange.end(complete=False)

    async def _read(self) -> bytes:
        seconds = self._exchange.seconds("read")
        if seconds <= 0:
            raise httpx.ReadTimeout("the time for the whole exchange is over")
        part = self._payload.read_nowait()
        if part or self._payload.is_eof():
            return part
        timer = asyncio.get_running_loop().call_later(seconds, time_out, self._payload)
        try:
            return await self._payload.readany()
        finally:
            timer.cancel()


def check_end(protocol: ResponseHandler, message: RawResponseMessage) -> None:
    """Raise ReadError if a body that ends with its connection ended by a reset."""
    failure = protocol.exception()
    if failure is None or isinstance(failure, aiohttp.ServerDisconnectedError):
        return
    if not message.chunked and "Content-Length" not in message.headers:
        raise httpx.ReadError("the connection was reset before the end of the answer")
