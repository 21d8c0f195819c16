"""inventory.v1: many products, several systems' answers, some of them missing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.problems import FORBIDDEN, SYSTEM_UNAVAILABLE, TOO_MANY_REQUESTS, Problem
from process_apis.inventory import domain, handlers
from process_apis.inventory.app import Settings
from process_apis.inventory.calls.tryton import InventoryLevel
from process_apis.inventory.models import AvailabilityReport
from tests.support.tiers import API, Made

SOURCES = Settings().sources
Stocking = Callable[..., Awaitable[API]]
NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
DOWN = Problem(SYSTEM_UNAVAILABLE, "tryton does not answer", extensions={"system": "tryton"})


def level(
    sku: str, available: str, location: str = "WH", as_of: str = "2026-11-02T09:30:00Z"
) -> InventoryLevel:
    return {
        "sku": sku,
        "locationId": location,
        "onHand": {"value": available, "uom": "C62"},
        "reserved": {"value": "0", "uom": "C62"},
        "available": {"value": available, "uom": "C62"},
        "asOf": as_of,
    }


def reported(
    skus: list[str], readings: list[domain.Reading], known: domain.Known | None = None
) -> AvailabilityReport:
    """Return the report of what the ERP was asked just now."""
    before = known or domain.Known()
    lost = domain.unread(before, readings, live=True)
    return domain.report(skus, domain.with_readings(before, readings, NOW), lost, SOURCES, NOW)


def test_levels_of_all_locations_are_summed_without_losing_a_digit() -> None:
    reading = domain.Reading(skus=["A"], levels=[level("A", "0.1"), level("A", "0.2", "STORE")])

    (item,) = reported(["A"], [reading])["items"]

    assert item["available"] == {"value": "0.3", "uom": "C62"}
    assert [place["locationId"] for place in item["locations"]] == ["WH", "STORE"]


@pytest.mark.parametrize(
    ("values", "total"), [(("1.50", "0.50"), "2"), (("250", "250"), "500"), (("1", "-1.0"), "0")]
)
def test_totals_are_written_plainly(values: tuple[str, str], total: str) -> None:
    reading = domain.Reading(
        skus=["A"], levels=[level("A", value, f"WH-{n}") for n, value in enumerate(values)]
    )

    (item,) = reported(["A"], [reading])["items"]

    assert item["available"]["value"] == total


@pytest.mark.parametrize(
    ("levels", "status"),
    [
        ([level("A", "0.5")], "in_stock"),
        ([level("A", "0")], "out_of_stock"),
        ([level("A", "-3")], "out_of_stock"),
        ([level("A", "5"), level("A", "-5", "STORE")], "out_of_stock"),
        ([], "not_stocked"),
    ],
)
def test_status_follows_from_what_can_be_promised(
    levels: list[InventoryLevel], status: str
) -> None:
    (item,) = reported(["A"], [domain.Reading(skus=["A"], levels=levels)])["items"]

    assert item["status"] == status


def test_the_report_is_as_old_as_its_oldest_level() -> None:
    # As text the first would be the older one.
    levels = [
        level("A", "1", as_of="2026-11-02T10:30:00+02:00"),
        level("A", "1", "STORE", as_of="2026-11-02T09:00:00Z"),
    ]

    report = reported(["A"], [domain.Reading(skus=["A"], levels=levels)])

    assert report["asOf"] == "2026-11-02T10:30:00+02:00"


def test_products_that_could_not_be_read_are_unknown_and_not_out_of_stock() -> None:
    readings = [
        domain.Reading(skus=["A"], levels=[level("A", "1")]),
        domain.Reading(skus=["B"], problem=DOWN),
    ]

    report = reported(["B", "A"], readings)

    assert report["complete"] is False
    assert [(item["sku"], item["status"]) for item in report["items"]] == [
        ("B", "unknown"),
        ("A", "in_stock"),
    ]


def test_nothing_read_is_the_problem_of_the_system() -> None:
    with pytest.raises(Problem) as raised:
        reported(["A"], [domain.Reading(skus=["A"], problem=DOWN)])

    assert raised.value is DOWN


def test_a_problem_that_will_not_pass_is_raised_even_if_others_could_be_read() -> None:
    refused = Problem(FORBIDDEN, "the token lacks a scope")
    readings = [
        domain.Reading(skus=["A"], levels=[level("A", "1")]),
        domain.Reading(skus=["B"], problem=refused),
    ]

    with pytest.raises(Problem) as raised:
        reported(["A", "B"], readings)

    assert raised.value is refused


def test_a_throttled_system_counts_as_one_that_did_not_answer() -> None:
    readings = [
        domain.Reading(skus=["A"], levels=[level("A", "1")]),
        domain.Reading(skus=["B"], problem=Problem(TOO_MANY_REQUESTS)),
    ]

    assert reported(["A", "B"], readings)["complete"] is False


@given(st.lists(st.text(min_size=1, max_size=3), max_size=120), st.integers(1, 50))
def test_groups_hold_every_product_once_in_order(skus: list[str], size: int) -> None:
    groups = domain.groups(skus, size)

    assert [sku for group in groups for sku in group] == skus
    assert all(1 <= len(group) <= size for group in groups)


@pytest.mark.anyio
async def test_the_examples_of_the_erp_become_the_availability_of_its_products(
    stocking: Stocking,
) -> None:
    api = await stocking()

    reply = await api.call("getAvailability", skus=["FILTER-V60-100", "GRINDER-M1", "NO-SUCH-SKU"])

    report: Any = reply.body
    assert report["complete"] is True
    assert [(item["sku"], item["status"]) for item in report["items"]] == [
        ("FILTER-V60-100", "in_stock"),
        ("GRINDER-M1", "in_stock"),
        ("NO-SUCH-SKU", "not_stocked"),
    ]


@pytest.mark.anyio
async def test_many_products_are_read_in_groups_that_together_name_each_once(
    stocking: Stocking,
) -> None:
    api = await stocking(listStockLevels={"items": []})
    skus = [f"SKU-{number}" for number in range(100)]

    await api.call("getAvailability", skus=skus)

    asked = [made.arguments["skus"] for made in api.canned.made]
    assert sorted(sku for group in asked for sku in group) == sorted(skus)
    assert len(asked) == 100 // handlers.SKUS_PER_CALL


@pytest.mark.anyio
async def test_a_failing_group_leaves_the_others_their_answer(stocking: Stocking) -> None:
    def answer(made: Made) -> Any:
        if "SKU-0" in made.arguments["skus"]:
            return DOWN
        return {"items": [level(sku, "1") for sku in made.arguments["skus"]]}

    api = await stocking(listStockLevels=answer)

    reply = await api.call("getAvailability", skus=[f"SKU-{number}" for number in range(40)])

    report: Any = reply.body
    statuses = [item["status"] for item in report["items"]]
    assert report["complete"] is False
    assert statuses == ["unknown"] * handlers.SKUS_PER_CALL + ["in_stock"] * 20


@pytest.mark.anyio
async def test_a_system_that_is_down_is_named_in_the_problem(stocking: Stocking) -> None:
    api = await stocking(listStockLevels=DOWN)

    with pytest.raises(Problem) as raised:
        await api.call("getAvailability", skus=["GRINDER-M1"])

    assert raised.value.status == 503
    assert raised.value.extensions["system"] == "tryton"


@pytest.mark.anyio
async def test_no_more_calls_are_under_way_at_once_than_declared(stocking: Stocking) -> None:
    under_way = most = 0

    async def answer(_: Made) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        return {"items": []}

    api = await stocking(listStockLevels=answer)

    await api.call("getAvailability", skus=[f"SKU-{number}" for number in range(100)])

    assert most == handlers.CALLS_AT_ONCE
