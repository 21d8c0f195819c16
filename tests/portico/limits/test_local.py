"""One worker's part of the limits, against the oracle, at times the test chooses."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as some

from portico.limits.bucket import MICROSECONDS, Bucket, Outage, Per, Unit, gcra, month, window
from portico.limits.demand import Demand
from portico.limits.local import LocalLimits
from portico.limits.share import Memory
from tests.portico.limits.model import Log, TokenBucket, most_within

PLAIN: dict[str, Any] = {"per": Per.CLIENT, "unit": Unit.REQUESTS, "outage": Outage.LOCAL}
NOW = 5_000_000
WALL = int(datetime(2028, 2, 29, 23, tzinfo=UTC).timestamp()) * MICROSECONDS


class Alone:
    """A worker whose clock stands still until it is moved."""

    def __init__(self, workers: int = 1) -> None:
        self.now = NOW
        memory = Memory(
            workers=workers,
            capacity=100,
            running=lambda _: 0,
            clock_us=lambda: self.now,
            wall_us=lambda: WALL,
        )
        self.limits = LocalLimits(memory, max_owed=100)

    def ask(self, *buckets: Bucket, cost: int = 1) -> list[int]:
        keys = tuple(bucket.name.encode() for bucket in buckets)
        costs = tuple(cost for _ in buckets)
        return self.limits.decide(Demand(buckets, keys, costs, b""))


steps = some.lists(
    some.tuples(some.integers(0, 200 * MICROSECONDS), some.integers(1, 6)),
    min_size=1,
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(
    amount=some.integers(1, 60),
    seconds=some.integers(1, 86_400),
    burst=some.integers(1, 80),
    steps=steps,
)
def test_a_process_alone_decides_and_tells_exactly_what_a_token_bucket_in_fractions_does(
    amount: int, seconds: int, burst: int, steps: list[tuple[int, int]]
) -> None:
    alone, bucket = Alone(), gcra("x", amount, seconds, burst, **PLAIN)
    model = TokenBucket(amount, seconds * MICROSECONDS, burst)
    model.at = NOW
    for pause, cost in steps:
        alone.now += pause
        refused, _, state, remaining, wait, more, everything = alone.ask(bucket, cost=cost)
        before = model.available(alone.now)
        assert (refused == 0) == model.take(alone.now, cost)
        tokens = model.available(alone.now)
        assert remaining == math.floor(tokens)
        assert everything == math.ceil((burst - tokens) / model.per_us)
        if tokens < burst:
            assert more == math.ceil((math.floor(tokens) + 1 - tokens) / model.per_us)
        if state == 1:
            assert wait == math.ceil((cost - before) / model.per_us)


@given(
    amount=some.integers(1, 200),
    workers=some.integers(1, 8),
    pauses=some.lists(
        some.one_of(some.integers(0, 99_999), some.integers(0, 3 * MICROSECONDS)),
        min_size=1,
        max_size=200,
    ),
)
def test_rl_12_a_workers_part_of_a_window_is_never_exceeded_within_any_span(
    amount: int, workers: int, pauses: list[int]
) -> None:
    alone, bucket = Alone(workers), window("x", amount, 10, **PLAIN)
    admitted = []
    for pause in pauses:
        alone.now += pause
        if alone.ask(bucket)[0] == 0:
            admitted.append((alone.now, 1))
    # Never less than one request, or callers would be shut out by the number of workers.
    assert most_within(admitted, 10 * MICROSECONDS) <= max(1, amount // workers)


def test_a_log_of_slots_expires_late_and_never_early() -> None:
    """A hundred in ten seconds are kept in slots of a third of a second."""
    alone, bucket = Alone(), window("x", 100, 10, **PLAIN)
    alone.now = 10 * MICROSECONDS
    assert alone.ask(bucket, cost=50)[0] == 0
    alone.now += 300_000
    assert alone.ask(bucket, cost=50)[0] == 0
    alone.now = 20 * MICROSECONDS
    assert alone.ask(bucket)[0] == 1
    alone.now += 300_000
    assert alone.ask(bucket, cost=100)[0] == 0


@given(amount=some.integers(1, 32), seconds=some.integers(1, 600), steps=steps)
def test_a_process_alone_decides_exactly_what_a_log_of_every_request_does(
    amount: int, seconds: int, steps: list[tuple[int, int]]
) -> None:
    alone, bucket = Alone(), window("x", amount, seconds, **PLAIN)
    model = Log(amount, seconds * MICROSECONDS)
    for pause, cost in steps:
        alone.now += pause
        refused, _, state, remaining, wait, more, _ = alone.ask(bucket, cost=cost)
        assert (refused == 0) == model.take(alone.now, cost)
        used = model.used(alone.now)
        assert remaining == amount - used
        if state == 1:
            assert model.used(alone.now + wait) + cost <= amount
            assert model.used(alone.now + wait - 1) + cost > amount
        if used:
            assert model.used(alone.now + more) < used == model.used(alone.now + more - 1)


@given(
    amount=some.integers(1, 200),
    workers=some.integers(1, 8),
    pauses=some.lists(some.integers(0, MICROSECONDS), min_size=1, max_size=200),
)
def test_rl_12_the_workers_together_never_admit_more_than_burst_and_refill(
    amount: int, workers: int, pauses: list[int]
) -> None:
    alone, bucket = Alone(workers), gcra("x", amount, 10, amount, **PLAIN)
    admitted = 0
    for pause in pauses:
        alone.now += pause
        admitted += alone.ask(bucket)[0] == 0
    refilled = (alone.now - NOW) * amount / (10 * MICROSECONDS)
    assert admitted <= max(1, amount // workers) + refilled / workers


def test_what_costs_more_than_a_workers_part_is_possible_where_nothing_else_was() -> None:
    alone, bucket = Alone(workers=8), gcra("x", 16, 3600, 16, **PLAIN)
    assert alone.ask(bucket, cost=10)[0] == 0
    assert alone.ask(bucket, cost=1)[0] == 1
    assert Alone(workers=8).ask(bucket, cost=17)[0] == 2


def test_a_month_ends_with_the_calendar_month() -> None:
    alone, bucket = Alone(), month("x", 1, **PLAIN)
    assert alone.ask(bucket)[0] == 0
    assert alone.ask(bucket)[4] == 3600 * MICROSECONDS


def test_rl_09_all_are_checked_before_any_is_consumed_here_too() -> None:
    alone = Alone()
    many, few = gcra("many", 9, 3600, 9, **PLAIN), gcra("few", 2, 3600, 2, **PLAIN)
    assert [alone.ask(many, few)[0] for _ in range(4)] == [0, 0, 1, 1]
    assert alone.ask(many)[3] == 6
