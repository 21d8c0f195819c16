"""The record of what one authorization led to: its scripts, run again as a lost reply has them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from gateway.identity.server.families import Families, Family, Outcome, Stage, Use
from gateway.identity.server.handles import Handles
from gateway.identity.server.revocations import Revocations
from gateway.identity.server.scripts import MAX_LIVE_TOKENS

if TYPE_CHECKING:
    from portico.redis.client import RedisClient

pytestmark = pytest.mark.anyio
LATER = int(time.time()) + 86_400


@pytest.fixture
def revocations(redis: RedisClient) -> Revocations:
    return Revocations(redis)


@pytest.fixture
def families(redis: RedisClient, revocations: Revocations) -> Families:
    return Families(redis, revocations, grace_seconds=10)


def family(**changes: object) -> Family:
    members = {
        "client_id": "shop",
        "subject": "u-1",
        "scopes": ("orders:read",),
        "resources": ("portico",),
        "redirect_uri": "https://shop.example/cb?a=b\nc d",
        "code_challenge": "x" * 43,
        "authenticated_at": 1,
        "expires_at": LATER,
        "refreshes": True,
        **changes,
    }
    return Family(**members)  # type: ignore[arg-type]


def use(number: int, expires_at: int = LATER) -> Use:
    return Use(token_id=f"token-{number}", expires_at=expires_at)


async def test_what_is_kept_is_what_is_found(families: Families) -> None:
    kept = family(user="ada", user_stamp="0f")
    await families.begin("f", kept)

    assert await families.look("f") == kept
    assert await families.look("another") is None


async def test_a_record_that_cannot_be_read_is_as_good_as_none(
    families: Families, redis: RedisClient
) -> None:
    for record in ("C 0 0 0 -\n\n{}", "C 0 0 0 -\n\n{", "", 'Z 0 0 0 -\n\n{"client_id": 1}'):
        await redis.execute("SET", "portico:family:{f}", record)
        assert await families.look("f") is None


async def test_a_script_whose_reply_was_lost_is_run_again_to_the_same_end(
    families: Families,
) -> None:
    await families.begin("f", family())

    for _ in range(3):
        assert await families.redeem("f", use(1), 60, bound_to="key") is Outcome.USED
    for _ in range(3):
        assert await families.rotate("f", 0, use(2)) is Outcome.USED
    found = await families.look("f")

    assert found is not None
    assert (found.stage, found.generation, found.bound_to) == (Stage.ACTIVE, 1, "key")
    for _ in range(2):
        assert await families.redeem("f", use(3), 60) is Outcome.REUSED


async def test_a_token_of_a_code_that_is_not_redeemed_is_none(families: Families) -> None:
    await families.begin("f", family())

    assert await families.rotate("f", 0, use(1)) is Outcome.GONE
    assert await families.rotate("nothing", 0, use(1)) is Outcome.GONE
    assert await families.redeem("nothing", use(1), 60) is Outcome.GONE


async def test_a_generation_that_is_yet_to_come_ends_the_family(families: Families) -> None:
    """Only we make handles: one from the future means that the secret is known to somebody."""
    await families.begin("f", family())
    await families.redeem("f", use(1), 60)

    assert await families.rotate("f", 5, use(2)) is Outcome.REUSED
    assert await families.rotate("f", 0, use(3)) is Outcome.GONE


async def test_the_end_reaches_the_tokens_that_may_be_alive_and_is_bounded(
    families: Families, revocations: Revocations
) -> None:
    await families.begin("f", family())
    await families.redeem("f", use(0, expires_at=int(time.time()) - 1), 60)
    for number in range(MAX_LIVE_TOKENS + 3):
        await families.rotate("f", number, use(number + 1))

    await families.end("f")

    ended = [await revocations.is_revoked(f"token-{n}") for n in range(MAX_LIVE_TOKENS + 4)]
    assert ended == [False] * 4 + [True] * MAX_LIVE_TOKENS


async def test_a_family_ends_with_its_time(families: Families, redis: RedisClient) -> None:
    await families.begin("f", family())
    await families.redeem("f", use(1), 100)
    await families.rotate("f", 0, use(2))
    await families.end("f")

    left_ms = await redis.execute("PTTL", "portico:family:{f}")

    assert isinstance(left_ms, int)
    assert 90_000 < left_ms <= 100_000


def test_handles_of_another_secret_are_nothing() -> None:
    ours, theirs = Handles(b"a" * 16), Handles(b"b" * 16)
    name = ours.new_family()

    assert ours.read_code(ours.code(name)) is not None
    assert ours.read_code(theirs.code(name)) is None
    assert ours.read_refresh_token(theirs.refresh_token(name, 0)) is None
    with pytest.raises(ValueError, match="fewer than"):
        Handles(b"short")
