"""The profile of a customer, from a real ERP and three sandboxes, one of which goes down."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from portico.sandbox.faults import Faults
from portico.sandbox.running import Running
from tests.e2e.conftest import CARE, CLIENT, Network

CUSTOMER = "C-1005"
INVOICE = {
    "currency": "EUR",
    "lines": [
        {
            "sku": "TRAINING-2H",
            "quantity": {"value": "1"},
            "unitPrice": {"amount": "180.00", "currency": "EUR"},
        }
    ],
}
RECOVERY_SECONDS = 10


def _profile(network: Network, client: str = CLIENT, customer_id: str = CUSTOMER) -> httpx.Response:
    return network.http.get(
        f"{network.url}/process/customer-360/v1/customers/{customer_id}",
        headers={"authorization": f"Bearer {network.token(client)}"},
    )


def _put(network: Network, path: str, body: Any) -> Any:
    answer = network.http.put(
        f"{network.url}/system/quickbooks/v1/{path}",
        json=body,
        headers={"authorization": f"Bearer {network.token()}"},
    )
    assert answer.is_success, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def billed(network: Network) -> None:
    """Put the customer under its code into the books, with an invoice."""
    customer = _put(network, f"customers/by-key/{CUSTOMER}", {"name": "Night Ferry Lounge"})
    _put(network, "invoices/by-key/INV-360", {**INVOICE, "customerId": customer["id"]})


@pytest.fixture
def outage(books: Running) -> Iterator[Running]:
    yield books
    books.faulty.set(Faults())


@pytest.mark.usefixtures("billed")
def test_the_profile_comes_from_four_systems(network: Network) -> None:
    found = _profile(network).json()

    assert found["missing"] == []
    assert found["complete"] is True
    assert {each["system"] for each in found["customer"]["externalIds"]} == {
        *("tryton", "salesforce", "quickbooks", "stripe"),
    }
    assert found["customer"]["name"] == "Night Ferry Lounge"
    assert [each["email"] for each in found["people"]] == ["bar@night-ferry.example"]
    assert [each["number"] for each in found["invoices"]] == ["INV-360"]
    assert found["balances"] == [{"amount": "180.00", "currency": "EUR"}]
    assert (found["opportunities"], found["subscriptions"], found["payments"]) == ([], [], [])


@pytest.mark.usefixtures("billed")
def test_while_the_books_are_closed_each_caller_has_what_it_was_told_before(
    network: Network, outage: Running
) -> None:
    told = _profile(network).json()
    outage.faulty.set(Faults(unavailable_seconds=300))

    found = _profile(network).json()
    other = _profile(network, CARE).json()

    (books,) = (each for each in found["sources"] if each["source"] == "accounting")
    assert books["ageSeconds"] >= 1
    assert found["invoices"] == told["invoices"]
    assert found["complete"] is False
    assert other["missing"] == [{"source": "accounting", "reason": "unavailable"}]
    assert "invoices" not in other
    assert other["customer"]["name"] == "Night Ferry Lounge"

    outage.faulty.set(Faults())

    assert _is_whole_again(network)


@pytest.mark.usefixtures("billed")
def test_slow_books_are_not_waited_for_longer_than_their_budget(
    network: Network, outage: Running
) -> None:
    outage.faulty.set(Faults(latency_seconds=10))
    began = time.monotonic()

    found = _profile(network, CARE).json()

    assert found["missing"] == [{"source": "accounting", "reason": "deadline"}]
    assert time.monotonic() - began < 8
    outage.faulty.set(Faults())
    assert _is_whole_again(network)


def test_a_customer_whom_only_some_systems_know_is_named_where_it_is_missing(
    network: Network,
) -> None:
    found = _profile(network, customer_id="C-1004").json()

    assert found["missing"] == [{"source": "accounting", "reason": "not_found"}]


def test_a_customer_whom_the_erp_does_not_know_is_not_found(network: Network) -> None:
    answer = _profile(network, customer_id="C-9999")

    assert answer.status_code == 404
    assert answer.json()["detail"] == "there is no customer C-9999"


def test_a_client_without_the_scope_sees_no_profile(network: Network) -> None:
    assert _profile(network, "web-shop").status_code == 403


def _is_whole_again(network: Network) -> bool:
    until = time.monotonic() + RECOVERY_SECONDS
    while time.monotonic() < until:
        if _profile(network).json()["complete"]:
            return True
        time.sleep(0.2)
    return False
