"""API keys in a real Redis: shown once, kept as a hash, found by their secret only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.identity.api_keys import MAX_LIFETIME_SECONDS, ApiKeys
from portico.redis.errors import RedisUnavailable
from tests.gateway.identity.forging import Clock

if TYPE_CHECKING:
    from portico.redis.client import RedisClient
    from tests.portico.redis.servers import Server

pytestmark = pytest.mark.anyio


@pytest.fixture
def keys(redis: RedisClient, clock: Clock) -> ApiKeys:
    return ApiKeys(redis, clock=clock)


async def test_a_key_is_found_by_what_was_shown_once(keys: ApiKeys, clock: Clock) -> None:
    issued = await keys.issue("acme", ["orders:read"], 3600, plan="gold")

    found = await keys.find(issued.presented)

    assert found == issued.record
    assert found is not None
    assert (found.client_id, found.subject, found.plan) == ("acme", "acme", "gold")
    assert found.scopes == {"orders:read"}
    assert found.expires_at == int(clock()) + 3600


async def test_redis_holds_no_secret(keys: ApiKeys, redis_server: Server) -> None:
    issued = await keys.issue("acme", [], 3600)

    secret = issued.presented.partition(".")[2]
    names = redis_server.ask("KEYS", "portico:api-key*")
    assert isinstance(names, list)
    dumped = b"".join(redis_server.ask("DUMP", name) for name in names)  # type: ignore[misc]
    assert len(names) == 2
    assert secret.encode() not in dumped
    assert secret not in repr(issued)
    assert issued.record.secret_hash not in repr(issued)


async def test_another_secret_and_other_spellings_are_not_accepted(keys: ApiKeys) -> None:
    presented = (await keys.issue("acme", [], 3600)).presented
    prefix, _, secret = presented.partition(".")
    other = (await keys.issue("acme", [], 3600)).presented.partition(".")[2]

    for wrong in (
        "",
        ".",
        prefix,
        f"{prefix}.{other}",
        f"{prefix}.{secret}=",
        f"{prefix}.{secret[:-1]}",
        f"{presented}\n",
        presented.upper(),
        f"portico_{'0' * 16}.{secret}",
        f"*.{secret}",
        "é" * 60,
        presented * 10_000,
    ):
        assert await keys.find(wrong) is None


async def test_a_revoked_key_is_gone_at_once(keys: ApiKeys) -> None:
    issued = await keys.issue("acme", [], 3600)
    other = await keys.issue("acme", [], 3600)

    assert await keys.revoke(issued.record.prefix)

    assert await keys.find(issued.presented) is None
    assert await keys.list() == [other.record]
    assert not await keys.revoke(issued.record.prefix)


async def test_an_expired_key_is_not_accepted_nor_listed(keys: ApiKeys, clock: Clock) -> None:
    issued = await keys.issue("acme", [], 3600)
    clock.advance(3600)

    assert await keys.find(issued.presented) is None
    assert await keys.list() == []


@pytest.mark.parametrize("seconds", [0, -1, MAX_LIFETIME_SECONDS + 1])
async def test_every_key_ends_within_a_year(keys: ApiKeys, seconds: int) -> None:
    with pytest.raises(ValueError, match="lifetime"):
        await keys.issue("acme", [], seconds)


async def test_a_key_cannot_be_told_while_redis_is_away(
    keys: ApiKeys, redis_server: Server
) -> None:
    presented = (await keys.issue("acme", [], 3600)).presented
    redis_server.kill()
    try:
        with pytest.raises(RedisUnavailable):
            await keys.find(presented)
    finally:
        redis_server.start()
