"""The listening socket: typed errors, what a start leaves behind, and open files."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import resource
import signal
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gateway.protocol.limits import ProtocolLimits
from gateway.protocol.listening import (
    AddressUnavailableError,
    PortForbiddenError,
    PortTakenError,
    bind,
    fit_open_files,
    listen_error,
)
from gateway.protocol.serve import ServeEvents, serve
from tests.gateway.protocol.wire import App

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.anyio


@pytest.fixture
def open_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_a_taken_port_is_an_error_that_says_what_to_do() -> None:
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(PortTakenError) as caught:
            await serve(App(), host="127.0.0.1", port=port)

    assert caught.value.cause == "the port is taken by another process"
    assert f"PORT={port + 1} make run" in caught.value.hint
    assert str(port) in str(caught.value)


async def test_a_port_taken_between_binding_and_listening_is_the_same_error() -> None:
    with bind("127.0.0.1", 0) as rival:
        events = ServeEvents(bound=lambda *_: rival.listen())

        with pytest.raises(PortTakenError):
            await serve(App(), host="127.0.0.1", port=rival.getsockname()[1], events=events)


@pytest.mark.parametrize(
    ("host", "port"),
    [("203.0.113.1", 0), ("no such host", 0), ("127.0.0.1", 70_000), ("a" * 99, 1)],
)
async def test_an_address_that_is_not_ours_is_an_error(host: str, port: int) -> None:
    with pytest.raises(AddressUnavailableError) as caught:
        bind(host, port)

    assert caught.value.hint.startswith("use ")


async def test_a_port_without_the_privilege_is_an_error() -> None:
    error = listen_error("127.0.0.1", 80, OSError(errno.EACCES, "denied"))

    assert isinstance(error, PortForbiddenError)


async def test_serving_restores_what_it_changed() -> None:
    before = (gc.get_threshold(), gc.get_freeze_count(), signal.getsignal(signal.SIGTERM))
    during = []

    def ready() -> None:
        during.append((gc.get_threshold(), gc.get_freeze_count()))
        os.kill(os.getpid(), signal.SIGTERM)

    assert await serve(App(), host="127.0.0.1", port=0, events=ServeEvents(ready=ready)) == 0
    assert during[0][0] == (50_000, 50, 1_000)
    assert during[0][1] > 10_000
    assert (gc.get_threshold(), gc.get_freeze_count(), signal.getsignal(signal.SIGTERM)) == before


async def test_an_error_at_the_start_reaches_the_caller_and_frees_the_port() -> None:
    ports: list[int] = []

    @contextlib.asynccontextmanager
    async def failing() -> AsyncIterator[None]:
        if ports:
            raise LookupError("no such system")
        yield

    events = ServeEvents(bound=lambda _, port: ports.append(port))
    with pytest.raises(LookupError, match="no such system"):
        await serve(App(), host="127.0.0.1", port=0, lifespan=failing, events=events)

    with bind("127.0.0.1", ports[0]) as again:
        again.listen()


@pytest.mark.usefixtures("open_files")
async def test_the_limit_of_open_files_is_raised_to_what_is_needed() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    limits = ProtocolLimits(max_connections=1_000)

    assert fit_open_files(limits) == limits
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 1_000 + 256 + 256


@pytest.mark.usefixtures("open_files")
async def test_connections_are_fewer_where_files_are_fewer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limits = ProtocolLimits(max_connections=hard)

    assert fit_open_files(limits) == replace(limits, max_connections=hard - 512)
    assert "max_connections lowered" in caplog.text


async def test_ipv6_addresses_are_bound_too() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with bind("::1", 0) as sock:
        assert sock.family == socket.AF_INET6


async def test_a_port_can_be_used_again_at_once() -> None:
    """The side that closes first keeps the port in TIME_WAIT, and that is mostly the server."""
    with bind("127.0.0.1", 0) as first:
        first.listen()
        address = first.getsockname()
        with socket.create_connection(address) as client:
            accepted, _ = first.accept()
            accepted.close()
            assert client.recv(1) == b""

    bind(*address).close()
