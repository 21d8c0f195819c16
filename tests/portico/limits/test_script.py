"""The script against the oracle, at times the test chooses."""

from __future__ import annotations

import math
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from portico.limits.bucket import MICROSECONDS, Bucket, Outage, Per, Unit, gcra, month, window
from portico.limits.scripts import LIMIT_FUNCTIONS
from portico.redis.script import Script
from tests.portico.limits.model import Log, TokenBucket, most_within

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.portico.redis.servers import Server

# Keys live at least a second in real time, and no example takes that long.
AT = Script(
    "test",
    LIMIT_FUNCTIONS
    + """
local limits = limits_look(1, ARGV[1], tonumber(ARGV[2]))
if limits.refused == 0 and ARGV[3] == '1' then limits_commit(limits) end
return limits_tell(limits)
""",
)
NOW = 1_790_000_000 * MICROSECONDS
PLAIN: dict[str, Any] = {"per": Per.CLIENT, "unit": Unit.REQUESTS, "outage": Outage.LOCAL}
quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Asked:
    """One bucket under a name of its own, asked at times of the test's choice."""

    def __init__(self, connection: redis.Redis, *buckets: Bucket) -> None:
        self.connection = connection
        self.buckets = buckets
        name = uuid.uuid4().hex
        self.keys = [f"{name}:{index}" for index in range(len(buckets))]

    def ask(self, now: int, cost: int = 1, *, consume: bool = True) -> list[int]:
        words = b" ".join(b"%b %d" % (bucket.words, cost) for bucket in self.buckets)
        arguments: list[bytes | int] = [words, now, int(consume)]
        reply = self.connection.evalsha(AT.sha.decode(), len(self.keys), *self.keys, *arguments)
        assert isinstance(reply, list)
        return reply

    def take(self, now: int, cost: int = 1) -> bool:
        return self.ask(now, cost)[0] == 0


@pytest.fixture(scope="session")
def connection(shared_server: Server) -> Iterator[redis.Redis]:
    with redis.Redis(unix_socket_path=str(shared_server.socket)) as connection:
        connection.script_load(AT.text)
        yield connection


amounts = some.integers(1, 60)
seconds = some.sampled_from([60, 61, 97, 3600, 86_400])
bursts = some.integers(1, 80)
steps = some.lists(
    some.tuples(
        some.one_of(some.just(0), some.integers(1, 999), some.integers(0, 200 * MICROSECONDS)),
        some.integers(0, 6),
    ),
    min_size=1,
    max_size=25,
)


@quick
@given(amount=amounts, window_seconds=seconds, burst=bursts, steps=steps)
def test_rl_11_gcra_decides_and_tells_exactly_what_a_token_bucket_in_fractions_does(
    connection: redis.Redis,
    amount: int,
    window_seconds: int,
    burst: int,
    steps: list[tuple[int, int]],
) -> None:
    model = TokenBucket(amount, window_seconds * MICROSECONDS, burst)
    asked = Asked(connection, gcra("x", amount, window_seconds, burst, **PLAIN))
    now = model.at = NOW
    for pause, cost in steps:
        now += pause
        before = model.available(now)
        refused, told_at, state, remaining, wait, more, everything = asked.ask(now, cost)
        allowed = model.take(now, cost)
        tokens = model.available(now)
        assert (refused == 0, told_at) == (allowed, now)
        assert state == (2 if cost > burst else int(not allowed))
        assert remaining == math.floor(tokens)
        assert everything == math.ceil((burst - tokens) / model.per_us)
        if tokens < burst:
            assert more == math.ceil((math.floor(tokens) + 1 - tokens) / model.per_us)
        else:
            assert more == 0
        if state == 1:
            assert wait == math.ceil((cost - before) / model.per_us) > 0


@quick
@given(amount=amounts, window_seconds=seconds, burst=bursts, used=some.integers(0, 80))
def test_rl_11_what_is_told_is_what_is_admitted_next_to_the_microsecond(
    connection: redis.Redis, amount: int, window_seconds: int, burst: int, used: int
) -> None:
    asked = Asked(connection, gcra("x", amount, window_seconds, burst, **PLAIN))
    asked.ask(NOW, min(used, burst))
    told = asked.ask(NOW, 0, consume=False)
    remaining, more = told[3], told[5]
    assert asked.ask(NOW, remaining, consume=False)[0] == 0
    assert asked.ask(NOW, remaining + 1, consume=False)[0] > 0
    if more:
        assert asked.ask(NOW + more - 1, remaining + 1, consume=False)[0] == 1
        assert asked.ask(NOW + more, remaining + 1, consume=False)[0] == 0
    wait = asked.ask(NOW, burst, consume=False)[4]
    assert asked.ask(NOW + wait, burst, consume=False)[0] == 0
    if wait:
        assert asked.ask(NOW + wait - 1, burst, consume=False)[0] == 1


@quick
@given(amount=amounts, window_seconds=seconds, steps=steps)
def test_rl_11_a_window_decides_exactly_what_a_log_of_every_request_does(
    connection: redis.Redis, amount: int, window_seconds: int, steps: list[tuple[int, int]]
) -> None:
    width = window_seconds * MICROSECONDS
    model = Log(amount, width)
    asked = Asked(connection, window("x", amount, window_seconds, **PLAIN))
    now = NOW
    for pause, cost in steps:
        now += pause
        if not cost:
            continue
        refused, _, state, remaining, wait, more, _ = asked.ask(now, cost)
        assert (refused == 0) == model.take(now, cost)
        assert remaining == amount - model.used(now)
        if state == 1:
            model_later = Log(amount, width)
            model_later.entries = list(model.entries)
            assert model_later.used(now + wait) + cost <= amount
            assert model_later.used(now + wait - 1) + cost > amount
        if model.used(now):
            assert model.used(now + more) < model.used(now) == model.used(now + more - 1)
    assert most_within(model.entries, width) <= amount


@settings(quick, max_examples=15)
@given(pauses=some.lists(some.integers(0, 200_000), min_size=50, max_size=150))
def test_a_large_window_is_never_exceeded_and_at_most_a_thousandth_late(
    connection: redis.Redis, pauses: list[int]
) -> None:
    amount, width = 1200, 10 * MICROSECONDS
    asked = Asked(connection, window("x", amount, 10, **PLAIN))
    admitted: list[tuple[int, int]] = []
    now = NOW
    for pause in pauses:
        now += pause
        cost = 40
        allowed = asked.take(now, cost)
        slack = width + width // 1000
        if not allowed:
            assert sum(c for at, c in admitted if at > now - slack) + cost > amount
        else:
            admitted.append((now, cost))
    assert most_within(admitted, width) <= amount


def test_rl_11_a_window_does_not_allow_twice_its_amount_at_an_edge(
    connection: redis.Redis,
) -> None:
    """A counter that is new with each minute would allow 20 within two seconds here."""
    asked = Asked(connection, window("x", 10, 60, **PLAIN))
    edge = (NOW // (60 * MICROSECONDS) + 1) * 60 * MICROSECONDS
    before = sum(asked.take(edge - MICROSECONDS + n) for n in range(20))
    after = sum(asked.take(edge + MICROSECONDS + n) for n in range(20))
    assert (before, after) == (10, 0)
    assert asked.take(edge - MICROSECONDS + 60 * MICROSECONDS)


def test_rl_11_a_request_leaves_its_window_exactly_when_the_window_is_over(
    connection: redis.Redis,
) -> None:
    asked = Asked(connection, window("x", 2, 60, **PLAIN))
    assert asked.ask(NOW)[3] == 1
    assert asked.ask(NOW + 60 * MICROSECONDS - 1, consume=False)[3] == 1
    assert asked.ask(NOW + 60 * MICROSECONDS, consume=False)[3] == 2


def test_rl_11_a_window_of_any_amount_keeps_about_a_thousand_entries(
    connection: redis.Redis,
) -> None:
    asked = Asked(connection, window("x", 1_000_000, 60, **PLAIN))
    for turn in range(3000):
        asked.take(NOW + turn * 30_000)
    entries = connection.llen(asked.keys[0])
    assert isinstance(entries, int)
    assert 1000 < entries <= 2 * 1001 + 1


def test_rl_11_the_reset_of_a_window_is_when_its_oldest_request_expires(
    connection: redis.Redis,
) -> None:
    asked = Asked(connection, window("x", 3, 60, **PLAIN))
    asked.take(NOW)
    asked.take(NOW + 20 * MICROSECONDS)
    assert asked.ask(NOW + 30 * MICROSECONDS)[5:] == [30 * MICROSECONDS, 60 * MICROSECONDS]


def test_rl_11_no_number_is_ever_negative(connection: redis.Redis) -> None:
    """Also where the clock of the server is set back."""
    for bucket in (
        gcra("x", 3, 60, 5, **PLAIN),
        window("x", 3, 60, **PLAIN),
        month("x", 3, **PLAIN),
    ):
        asked = Asked(connection, bucket)
        for shift in (0, 1, -600, 600, -86_400, -40 * 86_400, 0):
            assert min(asked.ask(NOW + shift * MICROSECONDS)) >= 0


def test_a_clock_that_is_set_back_by_years_costs_a_caller_one_window_at_most(
    connection: redis.Redis,
) -> None:
    """The clock of the server, that is; those of other hosts have no effect at all."""
    past = NOW - 10**9 * MICROSECONDS
    steady = Asked(connection, gcra("x", 5, 60, 5, **PLAIN))
    assert sum(steady.take(NOW) for _ in range(9)) == 5
    wait = steady.ask(past)[4]
    assert wait == 12 * MICROSECONDS
    assert steady.take(past + wait)
    hard = Asked(connection, window("x", 5, 60, **PLAIN))
    assert sum(hard.take(NOW) for _ in range(9)) == 5
    wait = hard.ask(past)[4]
    assert wait == 60 * MICROSECONDS
    assert hard.take(past + wait)


@quick
@given(
    at=some.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)),  # noqa: DTZ001 made aware below
)
def test_a_month_is_that_of_the_calendar(connection: redis.Redis, at: datetime) -> None:
    at = at.replace(tzinfo=UTC, microsecond=0)
    now = int(at.timestamp()) * MICROSECONDS
    asked = Asked(connection, month("x", 2, **PLAIN))
    assert [asked.take(now) for _ in range(3)] == [True, True, False]
    first = (at.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0)
    ends = int(first.timestamp()) * MICROSECONDS
    refused = asked.ask(now)
    assert refused[4] == refused[5] == ends - now
    assert not asked.take(ends - 1)
    assert asked.take(ends)


def test_rl_09_all_are_checked_before_any_is_consumed(connection: redis.Redis) -> None:
    first, second = gcra("a", 9, 3600, 9, **PLAIN), window("b", 4, 3600, **PLAIN)
    third = month("c", 6, **PLAIN)
    asked = Asked(connection, first, second, third)
    assert [asked.take(NOW) for _ in range(7)] == [True] * 4 + [False] * 3
    told = asked.ask(NOW, consume=False)
    assert [told[at] for at in (2, 7, 12)] == [0, 1, 0]
    assert [told[at] for at in (3, 8, 13)] == [5, 0, 2]


def test_rl_11_every_key_expires_when_it_no_longer_matters(connection: redis.Redis) -> None:
    buckets = (gcra("a", 10, 100, 10, **PLAIN), window("b", 10, 100, **PLAIN))
    asked = Asked(connection, *buckets)
    asked.take(NOW, 4)
    left = [connection.pttl(key) for key in asked.keys]
    assert 39_000 < left[0] <= 40_001  # four tenths of a hundred seconds
    assert 99_000 < left[1] <= 100_001


def test_rl_11_what_costs_more_than_the_burst_is_never_allowed(connection: redis.Redis) -> None:
    asked = Asked(connection, gcra("a", 10, 60, 5, **PLAIN))
    assert asked.ask(NOW, 6)[:5] == [2, NOW, 2, 5, 0]


def test_limits_that_change_keep_the_debt_of_a_caller(connection: redis.Redis) -> None:
    """A larger plan is not a fresh burst, and a broken fraction of the old is not misread."""
    small = Asked(connection, gcra("x", 7, 60, 7, **PLAIN))
    for _ in range(7):
        small.take(NOW)
    large = Asked(connection, gcra("x", 700, 60, 700, **PLAIN))
    large.keys = small.keys
    assert not large.take(NOW)
    assert large.ask(NOW + 6 * MICROSECONDS, 0, consume=False)[3] == 70
