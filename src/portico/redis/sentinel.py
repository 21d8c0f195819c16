"""Finds the primary of a service by asking the Sentinels, each time a connection is made."""

from __future__ import annotations

import asyncio

import redis.exceptions as theirs
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from portico.redis.address import Address, Host
from portico.redis.connect import ServerConnector, ask, part_from, tls_settings, to_host
from portico.redis.errors import Reason, RedisUnavailable
from portico.redis.options import RedisOptions

# One Sentinel that does not answer must not use up the time for all.
_SENTINEL_SECONDS = 0.5


class SentinelConnector:
    """Connects to whichever server is the primary now."""

    def __init__(self, address: Address, options: RedisOptions) -> None:
        self._wanted = address
        self._options = options
        self._primary: ServerConnector | None = None
        self._asking: asyncio.Future[tuple[bytes | str, int]] | None = None
        self._sentinel = Sentinel(  # type: ignore[no-untyped-call]  # redis-py declares none
            list(address.hosts), sentinel_kwargs=_sentinel_settings(address, options)
        )

    @property
    def address(self) -> str:
        """Return the service and the primary it had when we last asked."""
        primary = self._primary.address if self._primary else "an unknown primary"
        return f"{self._wanted.service} at {primary}"

    async def connect(self) -> AbstractConnection:
        """Return a connection to the server that both Sentinel and it itself call the primary."""
        connector = self._connector(await self._discover())
        connection = await connector.connect()
        try:
            await self._verify(connection, connector.address)
        except BaseException:
            await part_from(connection)
            raise
        return connection

    async def is_elsewhere(self) -> bool:
        """Return whether the Sentinels name another primary; the old one may not know it yet.

        What it still takes is lost when it learns.
        """
        try:
            name, port = await self._discover()
        except RedisUnavailable:
            return False
        return self._primary is not None and self._primary.address != f"{name}:{port}"

    async def _discover(self) -> Host:
        service = self._wanted.service
        found = await self._ask_sentinels()
        if found is None:
            detail = f"no sentinel knows a primary of {service}"
            raise RedisUnavailable(Reason.CONNECTION, detail, sent=False)
        name, port = found
        return name.decode() if isinstance(name, bytes) else str(name), int(port)

    async def _ask_sentinels(self) -> tuple[bytes | str, int] | None:
        # In a task of its own: up to Python 3.11 asyncio.wait_for, which redis-py uses for these,
        # may swallow a cancellation, and then ours would be lost.
        if self._asking is None or self._asking.done():
            discovery = self._sentinel.discover_master(self._wanted.service)
            self._asking = asyncio.ensure_future(discovery)
        await asyncio.wait([self._asking])
        try:
            return self._asking.result()
        except (theirs.RedisError, OSError, RuntimeError, asyncio.CancelledError):
            return None

    def _connector(self, host: Host) -> ServerConnector:
        connector = to_host(host, self._wanted, self._options)
        # The one we have keeps its TLS context, whose making takes milliseconds.
        if self._primary is None or self._primary.address != connector.address:
            self._primary = connector
        return self._primary

    async def _verify(self, connection: AbstractConnection, address: str) -> None:
        """Refuse a server that Sentinel has not demoted yet, or that it names too early."""
        try:
            async with asyncio.timeout(self._options.connect_seconds):
                role = await ask(connection, "ROLE")
        except theirs.ResponseError:
            return  # ROLE is not permitted; a replica will show itself by READONLY
        except (theirs.RedisError, OSError, TimeoutError) as error:
            raise RedisUnavailable(Reason.CONNECTION, str(error), sent=False) from error
        if isinstance(role, list) and role and role[0] != b"master":
            detail = f"{address} is not the primary yet"
            raise RedisUnavailable(Reason.READ_ONLY, detail, sent=False)

    async def close(self) -> None:
        """Let go of the Sentinels once they have answered, or have not in time."""
        if self._asking is not None:
            await asyncio.wait([self._asking])
        await self._sentinel.aclose()


def _sentinel_settings(address: Address, options: RedisOptions) -> dict[str, object]:
    settings: dict[str, object] = {
        "username": options.sentinel_username,
        "password": options.sentinel_password,
        "socket_timeout": _SENTINEL_SECONDS,
        "socket_connect_timeout": _SENTINEL_SECONDS,
        # Asking again is the lane's business; redis-py would ask a dead Sentinel ten times.
        "retry": Retry(NoBackoff(), 0),
    }
    if address.tls:
        settings |= {"ssl": True, **tls_settings(options)}
    return settings
