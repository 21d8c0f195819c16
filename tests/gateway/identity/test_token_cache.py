from __future__ import annotations

import tracemalloc

from gateway.identity.claims import TokenCaller
from gateway.identity.token_cache import TokenCache
from tests.gateway.identity.forging import NOW


def caller(number: int, expires_at: float = NOW + 600) -> TokenCaller:
    return TokenCaller(
        subject=f"subject-{number}",
        client_id="shop",
        issuer="https://gateway.example",
        audiences=frozenset({"https://gateway.example"}),
        token_id=f"token-{number}",
        expires_at=expires_at,
    )


def digest(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_the_cache_never_holds_more_than_two_generations() -> None:
    cache = TokenCache(capacity=10)
    for number in range(100):
        cache.put(digest(number), caller(number), NOW)

    assert repr(cache) == "<TokenCache 10 young, 10 old>"


def test_a_token_in_use_survives_a_flood_of_others() -> None:
    cache = TokenCache(capacity=10)
    cache.put(digest(0), caller(0), NOW)
    for number in range(1, 200):
        cache.put(digest(number), caller(number), NOW)
        assert cache.get(digest(0), NOW) is not None


def test_a_token_not_in_use_is_dropped() -> None:
    cache = TokenCache(capacity=10)
    for number in range(21):
        cache.put(digest(number), caller(number), NOW)

    assert cache.get(digest(0), NOW) is None


def test_entries_end_with_the_token_or_after_a_minute() -> None:
    cache = TokenCache()
    cache.put(digest(1), caller(1), NOW)
    cache.put(digest(2), caller(2, expires_at=NOW + 5), NOW)

    assert cache.get(digest(1), NOW + 59.9)
    assert cache.get(digest(1), NOW + 60) is None
    assert cache.get(digest(2), NOW + 4.9)
    assert cache.get(digest(2), NOW + 5) is None


def test_moving_to_the_young_generation_does_not_prolong_an_entry() -> None:
    cache = TokenCache(capacity=2)
    cache.put(digest(1), caller(1), NOW)
    for number in (2, 3):
        cache.put(digest(number), caller(number), NOW + 30)
    assert cache.get(digest(1), NOW + 59)

    assert cache.get(digest(1), NOW + 60) is None


def test_clearing_forgets_both_generations() -> None:
    cache = TokenCache(capacity=2)
    for number in range(4):
        cache.put(digest(number), caller(number), NOW)

    cache.clear()

    assert len(cache) == 0


def test_twenty_thousand_tokens_keep_memory_flat() -> None:
    cache = TokenCache(capacity=1000)
    tracemalloc.start()
    try:
        for number in range(4000):
            cache.put(digest(number), caller(number), NOW)
        settled, _ = tracemalloc.get_traced_memory()
        for number in range(4000, 24_000):
            cache.put(digest(number), caller(number), NOW)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert after < settled * 1.1
