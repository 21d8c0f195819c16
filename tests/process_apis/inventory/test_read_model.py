"""What is known of stock: from the ERP's changes, and from what others push, in any order."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from portico.problems import SYSTEM_UNAVAILABLE, Problem
from process_apis.inventory.workflows import OVERLAP
from tests.process_apis.inventory.conftest import Warehouse
from tests.support.tiers import Made
from tests.support.until import until

pytestmark = pytest.mark.anyio
Warehouses = Callable[..., Awaitable[Warehouse]]
DOWN = Problem(SYSTEM_UNAVAILABLE, "tryton does not answer", extensions={"system": "tryton"})
SKU = "GRINDER-M1"
_numbers = itertools.count(1)


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def amount(value: str, uom: str = "C62") -> dict[str, str]:
    return {"value": value, "uom": uom}


async def push(
    warehouse: Warehouse,
    value: str,
    as_of: str,
    *,
    source: str = "wms",
    place: str = "WH",
    event_id: str = "",
    **more: Any,
) -> Any:
    body = {"eventId": event_id or f"e-{next(_numbers)}", "onHand": amount(value), "asOf": as_of}
    return await warehouse.api.call(
        "putLevel", body={**body, **more}, source=source, locationId=place, sku=SKU
    )


async def report(warehouse: Warehouse, **more: Any) -> Any:
    return (await warehouse.api.call("getAvailability", skus=[SKU], **more)).body


async def shown(warehouse: Warehouse, value: str) -> Any:
    """Return the report once it has this much."""

    async def there() -> Any:
        found = await report(warehouse)
        return found if found["items"][0].get("available", {}).get("value") == value else None

    return await until(there)


def stocked(sku: str, value: str) -> Any:
    def answer(_: Made) -> Any:
        level = {"sku": sku, "locationId": "WH", "asOf": ago(0)}
        counts = {"onHand": amount(value), "reserved": amount("0"), "available": amount(value)}
        return {"items": [{**level, **counts}]}

    return answer


async def test_what_the_poll_found_is_answered_without_asking_the_erp(
    warehouses: Warehouses,
) -> None:
    warehouse = await warehouses()
    before = await report(warehouse)
    result = await warehouse.poll(ago(1))
    asked = len(warehouse.api.canned.made)

    after = await report(warehouse)

    assert result == {"seen": 2}
    assert before["items"][0]["available"] == after["items"][0]["available"] == amount("38")
    assert len(warehouse.api.canned.made) == asked
    assert [(one["source"], one["stale"]) for one in after["sources"]] == [("tryton", False)]
    assert after["asOf"] == after["sources"][0]["asOf"]
    assert after["complete"] is True


async def test_the_first_look_is_at_everything_and_the_next_from_a_while_before_it(
    warehouses: Warehouses,
) -> None:
    warehouse = await warehouses()
    first, second = ago(60), ago(1)

    await warehouse.poll(first)
    await warehouse.poll(second)

    operations = [name for name in warehouse.api.canned.operations() if name != "listStockLevels"]
    assert operations == ["listProducts", "listStockChanges"]
    since = datetime.fromisoformat(warehouse.api.canned.only("listStockChanges").arguments["since"])
    assert since == datetime.fromisoformat(first) - OVERLAP


async def test_a_look_that_fails_moves_no_mark(warehouses: Warehouses) -> None:
    warehouse = await warehouses(listProducts=DOWN)

    failed = await warehouse.poll(ago(60))
    warehouse.api.canned.answers.clear()
    await warehouse.poll(ago(1))

    assert failed == {"seen": 0, "cause": "tryton: tryton does not answer"}
    assert "listStockChanges" not in warehouse.api.canned.operations()


async def test_asked_for_it_the_erp_is_asked_now(warehouses: Warehouses) -> None:
    warehouse = await warehouses()
    await warehouse.poll(ago(1))
    warehouse.api.canned.answers["listStockLevels"] = stocked(SKU, "7")

    kept, live = await report(warehouse), await report(warehouse, live=True)

    assert kept["items"][0]["available"] == amount("38")
    assert live["items"][0]["available"] == amount("7")


async def test_an_erp_that_was_silent_too_long_is_asked_and_named_when_it_is_down(
    warehouses: Warehouses,
) -> None:
    warehouse = await warehouses()
    await warehouse.poll(ago(3600))
    asked = await report(warehouse)
    warehouse.api.canned.answers["listStockLevels"] = DOWN

    down = await report(warehouse)
    with pytest.raises(Problem) as raised:
        await report(warehouse, live=True)

    assert asked["complete"] is True
    assert down["complete"] is False
    assert down["items"][0]["available"] == amount("38")
    assert [(one["source"], one["stale"]) for one in down["sources"]] == [("tryton", True)]
    assert raised.value.status == 503


async def test_what_a_warehouse_pushes_counts_in_place_of_the_erp_s_own(
    warehouses: Warehouses,
) -> None:
    warehouse = await warehouses()
    await warehouse.poll(ago(1))

    reply = await push(warehouse, "30", ago(1), reserved=amount("4"))
    await push(warehouse, "3", ago(1), source="shop", place="SHOP-1")
    found = await shown(warehouse, "29")

    assert reply.status == 202
    assert reply.body["available"] == amount("26")
    places = {(one["source"], one["locationId"]): one for one in found["items"][0]["locations"]}
    assert {key: one["counted"] for key, one in places.items()} == {
        ("wms", "WH"): True,
        ("tryton", "WH"): False,
        ("shop", "SHOP-1"): True,
    }
    assert [one["source"] for one in found["sources"]] == ["wms", "shop", "tryton"]


async def test_a_source_that_fell_silent_steps_back(warehouses: Warehouses) -> None:
    warehouse = await warehouses()
    await warehouse.poll(ago(1))

    await push(warehouse, "30", ago(2 * 86_400))

    async def told() -> Any:
        found = await report(warehouse)
        return found if len(found["sources"]) == 2 else None

    found: Any = await until(told)
    assert found["items"][0]["available"] == amount("38")
    assert [one["stale"] for one in found["sources"]] == [True, False]
    assert found["complete"] is False


async def test_levels_that_come_late_or_twice_change_nothing(warehouses: Warehouses) -> None:
    """In each order of three messages, one of them twice, the same is known in the end."""
    warehouse = await warehouses()
    await warehouse.poll(ago(1))
    moments = [ago(300), ago(200), ago(100)]
    for number, order in enumerate(itertools.permutations(range(3))):
        place = f"WH-{number}"
        for index in (*order, order[0]):
            identity = f"{place}-{index}"
            await push(warehouse, str(index), moments[index], place=place, event_id=identity)

    async def all_there() -> Any:
        places = (await report(warehouse))["items"][0]["locations"]
        pushed = [one["available"]["value"] for one in places if one["source"] == "wms"]
        return pushed if len(pushed) == 6 and set(pushed) == {"2"} else None

    assert await until(all_there)
    await asyncio.sleep(0.3)
    assert await all_there()


async def test_another_unit_is_shown_and_not_counted(warehouses: Warehouses) -> None:
    warehouse = await warehouses()
    await warehouse.poll(ago(1))

    await push(warehouse, "9", ago(1), place="YARD", onHand=amount("9", "KGM"))

    async def told() -> Any:
        places = (await report(warehouse))["items"][0]["locations"]
        return places if len(places) == 2 else None

    places: Any = await until(told)
    assert {one["locationId"]: one["counted"] for one in places} == {"WH": True, "YARD": False}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"source": "tryton"}, 404),
        ({"source": "unheard-of"}, 404),
        ({"as_of": ago(-3600)}, 422),
        ({"reserved": amount("1", "KGM")}, 422),
    ],
)
async def test_a_level_that_cannot_be_is_refused(
    warehouses: Warehouses, changes: dict[str, Any], status: int
) -> None:
    warehouse = await warehouses()

    with pytest.raises(Problem) as raised:
        await push(warehouse, "9", **{"as_of": ago(1), **changes})

    assert raised.value.status == status


async def test_many_products_are_asked_for_in_one_request(warehouses: Warehouses) -> None:
    warehouse = await warehouses()
    await warehouse.poll(ago(1))
    skus = [SKU, *(f"SKU-{number}" for number in range(999))]

    reply = await warehouse.api.call("queryAvailability", body={"skus": skus})

    body: Any = reply.body
    assert [item["sku"] for item in body["items"]] == skus
    assert [item["status"] for item in body["items"][:2]] == ["in_stock", "not_stocked"]


async def test_a_product_that_cannot_be_asked_for_does_not_hold_up_the_others(
    warehouses: Warehouses,
) -> None:
    warehouse = await warehouses()
    await warehouse.poll(ago(60))
    warehouse.api.canned.answers["listStockChanges"] = {
        "items": [{"sku": "Grinder, used"}, {"sku": SKU}, {"sku": SKU}]
    }

    result = await warehouse.poll(ago(1))

    assert "cause" not in result
    assert warehouse.api.canned.made[-1].arguments["skus"] == [SKU]
