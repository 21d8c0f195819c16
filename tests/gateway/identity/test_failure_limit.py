from __future__ import annotations

import threading

import pytest

from gateway.identity.brute_force import BruteForceGuard
from gateway.identity.failure_limit import BoundedCounters, FailureLimit, network_of
from tests.gateway.identity.forging import NOW, Clock


def limit(rule: str, clock: Clock, capacity: int = 100) -> FailureLimit:
    return FailureLimit(rule, scope="test", key_function=str, capacity=capacity, clock=clock)


def fail(failures: FailureLimit, subject: str, times: int) -> None:
    for _ in range(times):
        failures.record(subject)


def test_a_subject_waits_after_too_many_failures_until_the_window_ends(clock: Clock) -> None:
    failures = limit("3/minute", clock)
    fail(failures, "a", 2)
    assert failures.wait_seconds("a") == 0

    clock.advance(20)
    fail(failures, "a", 1)

    assert failures.wait_seconds("a") == 40
    assert failures.wait_seconds("b") == 0
    clock.advance(39.5)
    assert failures.wait_seconds("a") == 1
    clock.advance(1)
    assert failures.wait_seconds("a") == 0


def test_of_several_rules_the_longest_wait_counts(clock: Clock) -> None:
    failures = limit("2/minute;4/hour", clock)

    fail(failures, "a", 2)
    assert failures.wait_seconds("a") == 60
    clock.advance(61)
    fail(failures, "a", 2)
    assert failures.wait_seconds("a") == 3539


def test_a_rule_that_cannot_be_read_is_refused(clock: Clock) -> None:
    with pytest.raises(ValueError, match="often"):
        limit("often", clock)


def test_the_counters_are_bounded_and_the_busiest_stay(clock: Clock) -> None:
    failures = limit("5/minute", clock, capacity=50)
    fail(failures, "attacked", 5)
    for number in range(1000):
        fail(failures, f"made-up-{number}", 1)

    assert failures.wait_seconds("attacked") == 60
    assert int(repr(failures).split("<BoundedCounters ")[1].split()[0]) <= 50


def test_expired_counters_go_first(clock: Clock) -> None:
    counters = BoundedCounters(4, clock)
    for key in "abcd":
        counters.incr(key, 10, 5)
    clock.advance(11)
    counters.incr("e", 10)

    assert repr(counters) == "<BoundedCounters 1 of 4>"


def test_counters_can_be_cleared_and_read_like_any_storage(clock: Clock) -> None:
    counters = BoundedCounters(4, clock)
    counters.incr("a", 10)
    counters.incr("b", 10)

    assert counters.check()
    assert counters.get_expiry("a") == NOW + 10
    assert counters.get_expiry("unknown") == NOW
    counters.clear("a")
    assert counters.get("a") == 0
    assert counters.reset() == 1


def test_counting_starts_no_thread(clock: Clock) -> None:
    before = threading.active_count()

    fail(limit("3/minute", clock), "a", 100)

    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("", "unknown"),
        ("/run/socket", "unknown"),
        ("x" * 10_000, "unknown"),
    ],
)
def test_an_address_stands_for_the_network_one_host_has(address: str, network: str) -> None:
    assert network_of(address) == network


def test_a_client_under_attack_stays_usable_where_it_succeeded_before(clock: Clock) -> None:
    guard = BruteForceGuard(per_address="100/minute", per_client="5/minute", clock=clock)
    guard.succeeded("shop", "192.0.2.1")
    for number in range(5):
        guard.failed("shop", f"198.51.100.{number}")

    assert guard.client_wait_seconds("shop", "198.51.100.9") == 60
    assert guard.client_wait_seconds("shop", "192.0.2.1") == 0
    assert guard.client_wait_seconds("warehouse", "198.51.100.9") == 0


def test_a_proven_network_still_has_its_own_limit(clock: Clock) -> None:
    guard = BruteForceGuard(per_address="5/minute", per_client="100/minute", clock=clock)
    guard.succeeded("shop", "192.0.2.1")
    for _ in range(5):
        guard.failed("shop", "192.0.2.1")

    assert guard.address_wait_seconds("192.0.2.1") == 60


def test_what_is_remembered_about_successes_is_bounded(clock: Clock) -> None:
    guard = BruteForceGuard(per_client="1/minute", clock=clock)
    guard.succeeded("first", "192.0.2.1")
    for number in range(5000):
        guard.succeeded(f"client-{number}", "192.0.2.1")
    guard.failed("first", "192.0.2.9")

    assert guard.client_wait_seconds("first", "192.0.2.1") == 60
