"""Opens connections with redis-py: logged in, answering, and to a primary where it matters."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import redis.exceptions as theirs
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)

from portico.redis.address import Address, Host, Kind
from portico.redis.errors import Reason, RedisUnavailable, failure_from
from portico.redis.options import RedisOptions
from portico.redis.replies import ReplyParser

_FAREWELL_SECONDS = 1.0


class ServerConnector:
    """Connects to one address."""

    def __init__(self, address: str, connection: AbstractConnection, seconds: float) -> None:
        self._address = address
        self._connection = connection
        self._seconds = seconds

    @property
    def address(self) -> str:
        return self._address

    async def connect(self) -> AbstractConnection:
        """Return the connection once the server has answered a PING on it."""
        connection = self._connection
        try:
            async with asyncio.timeout(self._seconds):
                await connection.connect()  # type: ignore[no-untyped-call]  # redis-py declares none
                await ask(connection, "PING")
        except BaseException as error:
            await connection.disconnect(nowait=True)
            # RuntimeError is what uvloop raises where the connection is closed already.
            if isinstance(error, (theirs.RedisError, OSError, TimeoutError, RuntimeError)):
                raise _unavailable(self._address, error) from error
            raise
        return connection

    async def is_elsewhere(self) -> bool:
        """Return False: an address is always right."""
        return False

    async def close(self) -> None:
        """Do nothing: whoever has the connection closes it."""


async def ask(connection: AbstractConnection, *command: str) -> object:
    """Return the reply to one command on a connection that nobody else uses yet."""
    await connection.send_command(*command, check_health=False)
    reply: object = await connection.read_response(disconnect_on_error=False)
    return reply


async def part_from(connection: AbstractConnection) -> None:
    """Close a working connection; over TLS that takes an answer, which is waited for a moment."""
    with suppress(theirs.RedisError, OSError, RuntimeError):
        async with asyncio.timeout(_FAREWELL_SECONDS):
            await connection.disconnect()


def to_server(address: Address, options: RedisOptions) -> ServerConnector:
    """Return what connects to the only server of an address."""
    if address.kind is not Kind.UNIX:
        return to_host(address.hosts[0], address, options)
    connection = UnixDomainSocketConnection(path=address.path, **_settings(address, options))
    return ServerConnector(address.path, connection, options.connect_seconds)


def to_host(host: Host, address: Address, options: RedisOptions) -> ServerConnector:
    """Return what connects to one host with the credentials of an address."""
    name, port = host
    settings = _settings(address, options)
    connection: AbstractConnection
    if address.tls:
        connection = SSLConnection(host=name, port=port, **tls_settings(options), **settings)
    else:
        connection = Connection(host=name, port=port, **settings)
    return ServerConnector(f"{name}:{port}", connection, options.connect_seconds)


def _settings(address: Address, options: RedisOptions) -> dict[str, Any]:
    return {
        "db": address.database,
        "username": options.username or address.username,
        "password": options.password or address.password,
        # The watchdog of the lane sees to time: a time-out for each reply costs more than a reply.
        "socket_timeout": None,
        "socket_connect_timeout": options.connect_seconds,
        "protocol": 3,
        "parser_class": ReplyParser,
        "client_name": options.client_name,
        "driver_info": None,
    }


def tls_settings(options: RedisOptions) -> dict[str, Any]:
    """Return how redis-py verifies the server and shows our own certificate, if there is one."""
    return {
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
        "ssl_ca_certs": options.ca_file and str(options.ca_file),
        "ssl_certfile": options.certificate_file and str(options.certificate_file),
        "ssl_keyfile": options.key_file and str(options.key_file),
    }


def _unavailable(address: str, error: BaseException) -> RedisUnavailable:
    if isinstance(error.__cause__, theirs.RedisError):
        error = error.__cause__  # redis-py hides a refused login behind a lost connection
    reason = Reason.TIMEOUT if isinstance(error, TimeoutError) else Reason.CONNECTION
    detail = str(error) or "no answer in time"
    if isinstance(error, theirs.AuthenticationError):
        reason = Reason.AUTHENTICATION
    elif isinstance(error, theirs.RedisError):
        failure = failure_from(error)
        if isinstance(failure, RedisUnavailable):
            reason, detail = failure.reason, failure.detail
    return RedisUnavailable(reason, f"{address}: {detail}", sent=False)
