"""Money, times, JSON, retries, batches: what needs no network."""

from __future__ import annotations

import doctest
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from types import ModuleType
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.connectors import (
    batches,
    exact_json,
    messages,
    moments,
    money,
    pages,
    retries,
    versions,
)
from portico.connectors.budget import Budget, Rate
from portico.connectors.failures import (
    BrokenError,
    ConflictError,
    LockedError,
    ThrottledError,
    UnauthenticatedError,
    UnavailableError,
    UnreachableError,
)
from portico.connectors.messages import Answer, quoted, read, write
from portico.connectors.record import Record
from portico.deadline import Deadline
from portico.problems import Problem
from system_apis.quickbooks import queries
from system_apis.stripe import connector, forms
from system_apis.stripe.amounts import to_stripe
from system_apis.stripe.sandbox import parameters

READ, KEYED = read("get", "x"), write("post", "x", json={}, repeatable=True)
UNKEYED = write("post", "x", json={})


@pytest.mark.parametrize(
    "module",
    [batches, exact_json, messages, moments, money, pages, connector, forms, parameters, queries],
)
def test_examples_hold(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0


@given(st.text())
def test_a_text_is_quoted_as_the_standard_library_does(text: str) -> None:
    assert quoted(text) == quote(text, safe="")


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4))
def test_no_digit_of_an_amount_is_lost_in_json(amount: Decimal) -> None:
    assert exact_json.decode(exact_json.encode({"amount": amount})) == {"amount": amount}


@given(st.integers(-(10**15), 10**15), st.sampled_from([0, 2, 3]))
def test_minor_units_go_there_and_back(units: int, exponent: int) -> None:
    assert money.to_minor_units(money.from_minor_units(units, exponent), exponent) == units


@pytest.mark.parametrize("text", [b"NaN", b'{"a": Infinity}', b"{", b"[" * 100_000])
def test_what_is_not_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        exact_json.decode(text)


def test_a_float_has_no_place_in_what_is_sent() -> None:
    assert exact_json.encode({"a": Decimal("0.10")}) == b'{"a":0.10}'
    with pytest.raises(TypeError):
        exact_json.encode({"a": Decimal("NaN")})


@pytest.mark.parametrize(
    ("amount", "currency", "units"),
    [
        ("19.99", "EUR", 1999),
        ("500", "JPY", 500),
        ("500", "MGA", 500),
        ("5", "ISK", 500),
        ("1.230", "KWD", 1230),
    ],
)
def test_stripe_counts_each_currency_in_its_own_way(amount: str, currency: str, units: int) -> None:
    assert to_stripe(amount, currency) == units


@pytest.mark.parametrize(
    ("amount", "currency"), [("1.001", "EUR"), ("1.5", "JPY"), ("5.50", "ISK"), ("1.234", "KWD")]
)
def test_an_amount_that_is_too_fine_is_refused(amount: str, currency: str) -> None:
    with pytest.raises(Exception, match=currency):
        to_stripe(amount, currency)


def test_a_time_without_an_offset_is_none() -> None:
    with pytest.raises(ValueError, match="offset"):
        moments.from_text("2026-11-02T09:30:00")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("", None), ("soon", None), ("99999", 3600.0), ("-1", None)],
)
def test_how_long_to_wait_is_believed_within_bounds(value: str, seconds: float | None) -> None:
    answer = Answer(status=429, headers=httpx.Headers({"retry-after": value}), body=b"")

    assert answer.retry_after_seconds() == seconds


def test_a_date_to_come_back_at_is_understood() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    answer = Answer(status=503, headers=httpx.Headers({"retry-after": later}), body=b"")

    assert 25 < (answer.retry_after_seconds() or 0) <= 30


@pytest.mark.parametrize(
    ("error", "request_", "again"),
    [
        (LockedError("x"), UNKEYED, True),
        (ThrottledError("x"), UNKEYED, True),
        (ThrottledError("x", retry_after_seconds=60), READ, False),
        (UnreachableError("x"), UNKEYED, True),
        (UnavailableError("x", in_doubt=True), UNKEYED, False),
        (UnavailableError("x", in_doubt=True), KEYED, True),
        (UnavailableError("x"), READ, True),
        (BrokenError("x"), READ, False),
        (ConflictError("x"), KEYED, False),
    ],
)
def test_what_is_sent_again(error: Exception, request_: messages.Request, again: bool) -> None:
    found = retries.next_try(
        error,  # type: ignore[arg-type]  # all of them are ConnectorError
        request_,
        tries=1,
        renewed=False,
        remaining=10.0,
    )

    assert (found is not None) is again


def test_tries_waits_and_renewals_have_an_end() -> None:
    locked, stale = LockedError("x"), UnauthenticatedError("x")

    def plan(error: LockedError | UnauthenticatedError, **now: object) -> object:
        given_ = {"tries": 1, "renewed": False, "remaining": 10.0, **now}
        return retries.next_try(error, READ, **given_)  # type: ignore[arg-type]  # mixed values

    assert plan(locked, tries=retries.MAX_TRIES) is None
    assert plan(locked, remaining=0.01) is None
    assert plan(stale) == retries.Retry(renew=True)
    assert plan(stale, renewed=True) is None


def test_a_member_of_another_type_is_the_systems_mistake() -> None:
    record = Record({"text": 1, "number": "1", "list": "x", "flag": "true", "null": None})

    assert (record.text("null"), record.integer("none"), record.flag("flag")) == ("", 0, False)
    for ask in (
        lambda: record.text("text"),
        lambda: record.integer("number"),
        lambda: record.decimal("number"),
        lambda: record.records("list"),
        lambda: record.record("text"),
        lambda: Record([]),
    ):
        with pytest.raises(BrokenError):
            ask()
    assert "1" not in repr(record)


@pytest.mark.parametrize("cursor", ["a", "_w", "gA"])
def test_a_cursor_that_is_none_leads_nowhere(cursor: str) -> None:
    with pytest.raises(Problem) as raised:
        pages.from_cursor(cursor)

    assert raised.value.status == 404


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.anyio
async def test_no_window_ever_holds_more_than_the_rate() -> None:
    clock = Clock()
    rates = [Rate(count=3, seconds=1.0), Rate(count=5, seconds=10.0)]
    budget = Budget(system="x", concurrent=9, rates=rates, clock=clock)
    began = [clock.now + budget._take_turn(100.0) for _ in range(8)]

    assert began == [100, 100, 100, 101, 101, 110, 110, 110]
    with pytest.raises(ThrottledError) as raised:
        budget._take_turn(0.5)
    assert raised.value.retry_after_seconds == 11.0


@pytest.mark.anyio
async def test_a_pause_holds_everyone() -> None:
    clock = Clock()
    budget = Budget(system="x", concurrent=1, clock=clock)
    budget.pause(7)

    with pytest.raises(ThrottledError) as raised:
        async with budget.spend(Deadline.after(1)):
            pass
    assert raised.value.retry_after_seconds == 7


@pytest.mark.anyio
async def test_a_conflict_is_merged_once_and_then_told() -> None:
    reads = iter(["first", "second"])

    async def read_() -> str:
        return next(reads)

    async def write_(record: str) -> str:
        if record == "first":
            raise ConflictError("stale")
        return f"{record} merged"

    async def never(_record: str) -> str:
        raise ConflictError("stale")

    assert await versions.change(read_, write_) == "second merged"
    reads = iter(["first", "second"])
    with pytest.raises(ConflictError):
        await versions.change(read_, never)


@pytest.mark.anyio
async def test_results_of_batches_belong_to_their_items() -> None:
    sizes = []

    async def send(batch: object) -> list[str]:
        assert isinstance(batch, list)
        sizes.append(len(batch))
        return [item.upper() for item in batch]

    async def short(_batch: object) -> list[str]:
        return []

    found = [pair async for pair in batches.send_in_batches(list("abc"), 2, send)]
    assert found == [("a", "A"), ("b", "B"), ("c", "C")]
    assert sizes == [2, 1]
    with pytest.raises(BrokenError):
        [pair async for pair in batches.send_in_batches(["a"], 2, short)]
