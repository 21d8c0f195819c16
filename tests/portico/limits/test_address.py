"""The limit of each address, before anything else is known."""

from __future__ import annotations

from timeit import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portico.limits.address import AddressLimit
from portico.limits.bucket import LimitError
from portico.limits.network import network_of
from portico.problems import Problem
from tests.portico.limits.model import TokenBucket

SECOND = 10**9


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = SECOND

    def __call__(self) -> int:
        return self.now


def test_rl_10_an_address_has_its_limit_before_anything_is_known_of_the_caller() -> None:
    clock = Clock()
    limit = AddressLimit("10/second", burst=3, clock_ns=clock)
    assert [limit.wait_ns("192.0.2.1") for _ in range(4)] == [0, 0, 0, SECOND // 10]
    assert limit.wait_ns("192.0.2.2") == 0
    clock.now += SECOND // 10
    assert limit.wait_ns("192.0.2.1") == 0
    assert limit.refused == 1


@given(
    amount=some.integers(1, 1000),
    burst=some.integers(1, 50),
    pauses=some.lists(some.integers(0, 2 * SECOND), min_size=1, max_size=60),
)
def test_it_never_admits_more_than_burst_and_refill(
    amount: int, burst: int, pauses: list[int]
) -> None:
    clock = Clock()
    limit = AddressLimit(f"{amount}/second", burst=burst, clock_ns=clock)
    model = TokenBucket(amount, SECOND, burst)
    model.at = clock.now
    for pause in pauses:
        clock.now += pause
        if limit.wait_ns("192.0.2.1") == 0:
            assert model.take(clock.now)


def test_the_host_parts_of_an_ipv6_network_share_one_limit() -> None:
    limit = AddressLimit("1/minute")
    assert limit.wait_ns("2001:db8:0:1::1") == 0
    assert limit.wait_ns("2001:db8:0:1:ffff::2") > 0
    assert limit.wait_ns("2001:db8:0:2::1") == 0


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:DB8:0:0:1::1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("unix", "unix"),
        ("not:an:address", "not:an:address"),
    ],
)
def test_an_address_is_known_by_its_network(address: str, network: str) -> None:
    assert network_of(address) == network


def test_a_flood_of_addresses_takes_bounded_memory_and_forgets_the_quiet_first() -> None:
    limit = AddressLimit("1/hour", capacity=100)
    for number in range(1000):
        limit.wait_ns(f"10.0.{number // 256}.{number % 256}")
        assert limit.wait_ns("192.0.2.1") == 0 if number == 0 else limit.wait_ns("192.0.2.1") > 0
    assert repr(limit) in {f"<AddressLimit {count} networks>" for count in range(100, 201)}


def test_rl_04_a_flood_is_refused_as_abnormal_usage_with_retry_after() -> None:
    limit = AddressLimit("1/minute", name="address", clock_ns=Clock())
    limit.check("192.0.2.1")
    with pytest.raises(Problem) as caught:
        limit.check("192.0.2.1")
    document = caught.value.document(type_base="/portal/problems/", request_id="")
    kind = "https://iana.org/assignments/http-problem-types#abnormal-usage-detected"
    assert (document["type"], document["status"]) == (kind, 429)
    assert document["violated-policies"] == ["address"]
    assert caught.value.headers == (("retry-after", "60"),)


def test_each_of_several_workers_grants_its_part() -> None:
    limit = AddressLimit("8/hour", workers=4)
    assert [limit.wait_ns("192.0.2.1") == 0 for _ in range(3)] == [True, True, False]


def test_an_address_has_one_limit() -> None:
    with pytest.raises(LimitError, match="one limit"):
        AddressLimit("1/second;5/minute")


def test_a_look_costs_about_a_microsecond() -> None:
    """The bound is generous, for the machine may be busy: cryptography costs 80 µs."""
    limit = AddressLimit("1000000/second")
    spent = min(timeit(lambda: limit.wait_ns("2001:db8::1"), number=2000) for _ in range(5))
    assert spent / 2000 < 10e-6
