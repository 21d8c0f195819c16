"""A response body too large or too slow to keep, on its way to the first caller."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

from portico.idempotency.claim import Claim
from portico.idempotency.record import Field


class Relay:
    """Passes a stream on; its end completes the claim, anything else leaves it in doubt."""

    def __init__(
        self,
        claim: Claim,
        status: int,
        headers: tuple[Field, ...],
        read: list[bytes],
        rest: AsyncIterator[bytes],
        aclose: Callable[[], Awaitable[None]] | None,
    ) -> None:
        self._claim = claim
        self._status = status
        self._headers = headers
        self._read = deque(read)
        self._rest = rest
        self._aclose = aclose
        self._ended = False

    def __aiter__(self) -> Relay:
        return self

    async def __anext__(self) -> bytes:
        if self._read:
            return self._read.popleft()
        try:
            return await anext(self._rest)
        except StopAsyncIteration:
            self._ended = True
            await self._claim.tombstone(self._status, self._headers)
            raise
        except Exception:
            # Whatever broke the stream, the first caller sees it broken too.
            self._ended = True
            await self._claim.in_doubt()
            raise

    async def aclose(self) -> None:
        """End the stream, early or not."""
        if not self._ended:
            self._ended = True
            await asyncio.shield(self._claim.in_doubt())
        if self._aclose is not None:
            await self._aclose()
