"""The scenario, on the sandboxes of three systems, with Stripe's webhooks as the trigger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from portico.sandbox.faults import Faults
from tests.process_apis.order_to_cash.conftest import BOOKS, RUNS
from tests.support.serving import eventually

if TYPE_CHECKING:
    from tests.process_apis.order_to_cash.conftest import Network

SECONDS = 20.0


def ended(network: Network, subscription_id: str, phase: str) -> dict[str, Any]:
    """Return the run of a subscription once it has this phase."""
    there = eventually(lambda: network.run(subscription_id).get("phase") == phase, SECONDS)
    run = network.run(subscription_id)
    assert there, run
    return run


def test_a_subscription_becomes_an_invoice_and_a_won_opportunity(network: Network) -> None:
    subscription_id = network.subscribe()

    run = ended(network, subscription_id, "done")

    (invoice,) = network.invoices()
    assert invoice["number"] == run["invoice"]["number"]
    assert invoice["totals"]["net"]["amount"] == "54.80", invoice
    assert network.stage() == "Closed Won"
    assert all(not step["failed"] and step["tries"] == 1 for step in run["steps"])
    assert [step["step"] for step in run["steps"]][-1] == "create the invoice"


def test_webhooks_that_come_twice_and_in_disorder_make_one_invoice_each(network: Network) -> None:
    network.running["stripe"].faulty.set(Faults(webhooks_twice=True, webhooks_out_of_order=True))

    subscriptions = [network.subscribe(), network.subscribe(1)]
    for subscription_id in subscriptions:
        ended(network, subscription_id, "done")

    assert len(network.invoices()) == 2


def test_a_lost_answer_after_the_commit_makes_one_invoice(network: Network) -> None:
    network.running["quickbooks"].faulty.set(Faults(lost_responses=2))

    ended(network, network.subscribe(), "done")

    assert len(network.invoices()) == 1


def test_a_short_outage_of_the_books_is_waited_out(network: Network) -> None:
    network.running["quickbooks"].faulty.set(Faults(unavailable_seconds=0.3))
    subscription_id = network.subscribe()

    moved = eventually(lambda: network.stage() == "Closed Won", SECONDS)
    run = ended(network, subscription_id, "done")

    assert moved
    assert len(network.invoices()) == 1
    assert max(step["tries"] for step in run["steps"]) >= 1


def test_books_that_stay_away_are_a_dead_letter_until_it_is_replayed(network: Network) -> None:
    """Told once, replayed when the books are back, and billed once."""
    network.running["quickbooks"].faulty.set(Faults(unavailable_seconds=3600))
    subscription_id = network.subscribe()

    run = ended(network, subscription_id, "dead")
    found = network.ask("GET", "/experience/operations/v1/dead-letters").json()["items"]
    (letter,) = [each for each in found if each["id"] == f"workflow:{run['id']}"]
    stage = network.stage()
    network.running["quickbooks"].faulty.set(Faults())
    # The connector goes by its last failure for a second, and the tries of a run are sooner over.
    assert eventually(lambda: network.ask("GET", BOOKS).is_success, SECONDS)
    path = f"/experience/operations/v1/dead-letters/{quote(letter['id'], safe='')}/replay"
    replayed = network.ask("POST", path)
    after = ended(network, subscription_id, "done")

    assert run["cause"].startswith("quickbooks: ")
    assert {step["step"]: step["tries"] for step in run["steps"]}[
        "enter the customer in the books"
    ] == 4, "once, and three times more"
    assert stage == "Closed Won", "the CRM did not wait for the books"
    assert letter["name"] == "order-to-cash.v1"
    assert replayed.status_code == 202
    assert len(network.invoices()) == 1
    assert after["invoice"]["id"] == network.invoices()[0]["id"]


def test_books_that_refuse_put_the_opportunity_back(network: Network) -> None:
    """Compensation: the books do not know the product."""
    stage = network.stage()
    items = network.running["quickbooks"].sandbox.state.table("Item")
    for record in items.values():
        record["Sku"] = f"{record['Sku']}-gone"
    try:
        run = ended(network, network.subscribe(), "refused")
    finally:
        for record in items.values():
            record["Sku"] = record["Sku"].removesuffix("-gone")

    assert "quickbooks" in run["cause"]
    assert network.stage() == stage
    assert network.invoices() == []
    assert run["steps"][-1]["step"] == "put the opportunity back"


def test_a_run_is_started_and_followed_over_the_api(network: Network) -> None:
    subscription_id = network.subscribe()
    ended(network, subscription_id, "done")
    key = str(uuid4())

    def start() -> Any:
        body = {"subscriptionId": subscription_id}
        return network.ask("POST", RUNS, json=body, headers={"idempotency-key": key})

    first, again = start(), start()
    path = f"/process/order-to-cash/v1/{first.headers['location'].rpartition('/v1/')[2]}"
    done = eventually(lambda: network.ask("GET", path).json()["phase"] == "done", SECONDS)
    unknown = network.ask("GET", f"{RUNS}/nothing")

    assert (first.status_code, again.status_code, unknown.status_code) == (202, 202, 404)
    assert first.json()["id"] == again.json()["id"]
    assert done
    assert len(network.invoices()) == 1, "the webhook had made it"


def test_a_subscription_that_is_not_there_is_a_dead_letter(network: Network) -> None:
    started = network.ask("POST", RUNS, json={"subscriptionId": "sub_none"})
    path = f"{RUNS}/{started.json()['id']}"

    assert eventually(lambda: network.ask("GET", path).json()["phase"] == "dead", SECONDS)
    assert "stripe" in network.ask("GET", path).json()["cause"]


@pytest.mark.parametrize("customer", [2])
def test_a_customer_without_an_open_opportunity_is_billed_all_the_same(
    network: Network, customer: int
) -> None:
    run = ended(network, network.subscribe(customer), "done")

    assert "opportunityId" not in run
    assert len(network.invoices()) == 1


def test_a_webhook_that_did_not_come_is_found_by_looking(network: Network) -> None:
    """And one that came starts nothing again."""
    stripe = network.running["stripe"].sandbox
    assert stripe.webhooks is not None
    came = network.subscribe(1)
    ended(network, came, "done")
    endpoints = list(stripe.webhooks.endpoints)
    stripe.webhooks.endpoints.clear()
    try:
        subscription_id = network.subscribe(2)
        run = ended(network, subscription_id, "done")
    finally:
        stripe.webhooks.endpoints.extend(endpoints)

    assert run["id"].startswith("webhook:stripe:evt_")
    assert len(network.invoices()) == 2
