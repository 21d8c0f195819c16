"""What may be written as a limit, and what it is compiled into."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portico.limits.bucket import MICROSECONDS, LimitError, Per, Rate, Unit
from portico.limits.limit import (
    ConcurrencyPolicy,
    QuotaPolicy,
    RatePolicy,
    Strategy,
    charges,
    parse_limits,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("5/second", [(5, 1)]),
        ("5/second;100000/day", [(5, 1), (100_000, 86_400)]),
        ("5 per second, 30/5minute", [(5, 1), (30, 300)]),
        ("10 per 2 hours", [(10, 7200)]),
        ("100/month", [(100, 30 * 86_400)]),
    ],
)
def test_limits_are_written_as_slowapi_reads_them(text: str, found: list[tuple[int, int]]) -> None:
    assert [(item.amount, item.get_expiry()) for item in parse_limits(text)] == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "five/second",
        "5",
        "5/fortnight",
        "-5/second",
        "5.5/second",
        "5/second;",
        "5/second;:10/minute",
        "0/second",
        "5/0second",
        f"{10**16}/day",
    ],
)
def test_what_is_no_limit_is_refused_and_quoted(text: str) -> None:
    with pytest.raises(LimitError, match="expected"):
        parse_limits(text)


def test_several_limits_of_a_policy_are_named_after_their_windows() -> None:
    policy = RatePolicy(name="default", limits="5/second;50/10second;100000/day")
    names = [bucket.name for bucket in policy.buckets()]
    assert names == ["default-second", "default-10-second", "default-day"]


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (RatePolicy(name="Bad Name", limits="5/second"), "small letters"),
        (RatePolicy(name='a";q=9', limits="5/second"), "small letters"),
        (RatePolicy(name="a", limits="5/second;6/second"), "same window"),
        (RatePolicy(name="a", limits="5/second", burst=0), "burst from 1"),
        (RatePolicy(name="a", limits="5/second;9/day", burst=9), "one limit"),
        (RatePolicy(name="a", limits="5/second", burst=9, strategy=Strategy.WINDOW), "gcra"),
        (RatePolicy(name="a", limits="1/year", burst=10**12), "cannot be counted"),
        (RatePolicy(name="a", limits="5/day", unit=Unit.CONCURRENT_REQUESTS), "at once"),
        (QuotaPolicy(name="a", per_month=0), "per_month from 1"),
        (ConcurrencyPolicy(name="a", at_once=0), "at_once from 1"),
        (ConcurrencyPolicy(name="a", at_once=1, lease_seconds=0.1), "lease_seconds from 1"),
    ],
)
def test_a_policy_that_cannot_be_enforced_is_refused_and_says_why(
    policy: RatePolicy | QuotaPolicy | ConcurrencyPolicy, message: str
) -> None:
    with pytest.raises(LimitError, match=message):
        policy.buckets()


@given(
    amount=some.integers(1, 10**15 - 1),
    seconds=some.integers(1, 360 * 86_400),
    burst=some.integers(1, 10**13),
)
def test_a_rate_is_never_faster_than_it_is_written(amount: int, seconds: int, burst: int) -> None:
    written = Fraction(amount, seconds * MICROSECONDS)
    try:
        rate = Rate.of(amount, seconds * MICROSECONDS, burst)
    except LimitError:
        assert burst * seconds / amount > 1e9
        return
    compiled = Fraction(rate.ticks, rate.interval)
    assert compiled <= written
    assert rate.full <= 2**50
    # What is given up is one part of the ticks of a microsecond.
    assert written * rate.ticks <= compiled * (rate.ticks + 1)


@given(amount=some.integers(1, 10**6), seconds=some.integers(1, 86_400))
def test_a_rate_of_human_size_is_exact(amount: int, seconds: int) -> None:
    rate = Rate.of(amount, seconds * MICROSECONDS, min(amount, 10**4))
    assert Fraction(rate.ticks, rate.interval) == Fraction(amount, seconds * MICROSECONDS)


def test_a_request_of_content_bytes_costs_its_length_and_at_least_one() -> None:
    policy = RatePolicy(name="upload", limits="1000000/day", unit=Unit.CONTENT_BYTES)
    (charge,) = charges(policy, "shop:write", policy.buckets())
    assert callable(charge.cost)


def test_a_cost_that_no_burst_can_pay_is_refused_when_it_is_written() -> None:
    policy = RatePolicy(name="default", limits="5/second", costs={"shop:export": 6})
    with pytest.raises(LimitError, match="shop:export costs 6 and the most there ever is are 5"):
        charges(policy, "shop:export", policy.buckets())


def test_burst_and_steady_refill_are_both_stated() -> None:
    (bucket,) = RatePolicy(name="default", limits="5/second", burst=20).buckets()
    assert bucket.item == '"default";q=5;w=1;portico-burst=20'
    (hard,) = RatePolicy(name="hard", limits="5/second", strategy=Strategy.WINDOW).buckets()
    assert hard.item == '"hard";q=5;w=1'
    (size,) = RatePolicy(
        name="size", limits="9/hour", unit=Unit.CONTENT_BYTES, per=Per.ADDRESS
    ).buckets()
    assert size.item == '"size";q=9;qu="content-bytes";w=3600;portico-burst=9'
    (places,) = ConcurrencyPolicy(name="at-once", at_once=3).buckets()
    assert places.item == '"at-once";q=3;qu="concurrent-requests"'
