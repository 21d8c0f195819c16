"""Stock on the running network: what a warehouse pushes is counted, by way of outbox and bus."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from tests.e2e.conftest import Network
from tests.support.serving import eventually

INVENTORY = "/process/inventory/v1"
SECONDS = 20.0


def test_a_level_that_is_pushed_is_counted_a_moment_later(network: Network) -> None:
    headers = {"authorization": f"Bearer {network.token()}"}
    place = f"SHOP-{uuid4().hex[:8]}"
    counted = {
        "eventId": str(uuid4()),
        "onHand": {"value": "7", "uom": "C62"},
        "asOf": datetime.now(UTC).isoformat(),
    }

    def places() -> list[Any]:
        answer = network.http.get(
            f"{network.url}{INVENTORY}/availability?skus=GRINDER-M1", headers=headers
        )
        (item,) = answer.json()["items"]
        found: list[Any] = [each for each in item["locations"] if each["locationId"] == place]
        return found

    pushed = network.http.put(
        f"{network.url}{INVENTORY}/sources/shop/locations/{place}/levels/GRINDER-M1",
        json=counted,
        headers=headers,
    )

    assert pushed.status_code == 202, pushed.text
    assert eventually(places, SECONDS)
    assert [(each["source"], each["available"]["value"]) for each in places()] == [("shop", "7")]
    assert places()[0]["counted"] is True
