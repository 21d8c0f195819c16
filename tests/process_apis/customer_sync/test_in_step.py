"""Customers kept in step between the sandboxes of CRM and accounting, and a real ERP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from portico.sandbox.faults import Faults
from system_apis.salesforce.sandbox.objects import OBJECTS
from tests.process_apis.customer_sync.conftest import (
    PATIENCE_SECONDS,
    SEEDED,
    SYNC,
    SYSTEMS,
    eventually,
)

if TYPE_CHECKING:
    from tests.process_apis.customer_sync.conftest import Network

BREDA = {"role": "billing", "line1": "1 Market", "city": "Breda", "country": "NL"}
GOUDA = {"role": "billing", "line1": "2 Cheese", "city": "Gouda", "country": "NL"}


def value(network: Network, system: str, record_id: str, name: str) -> Any:
    return network.get(f"/system/{system}/v1/customers/{record_id}").get(name)


def city(network: Network, system: str, record_id: str) -> str:
    places = value(network, system, record_id, "addresses")
    return next((str(each.get("city")) for each in places if each.get("role") == "billing"), "")


def test_what_was_there_before_is_one_customer_each(network: Network) -> None:
    name = "Harbour Street Coffee"
    _, records = network.in_step(name)

    assert set(records) == set(SYSTEMS)
    assert records["tryton"] == "C-1001"
    for system in SYSTEMS:
        assert len(network.named(system, name)) == 1
        assert len(network.records(system)) >= SEEDED


def test_a_customer_of_the_crm_appears_in_the_others_once(network: Network) -> None:
    name = f"Quay {uuid4().hex[:8]}"
    network.make_account(name, phone="+31 10 555 0909", addresses=[BREDA])

    customer_id, records = network.in_step(name)
    network.wait_for_looks(2)

    for system in SYSTEMS:
        (found,) = network.named(system, name)
        assert found["id"] == records[system]
        assert found["phone"].replace(" ", "") == "+31105550909"
        assert city(network, system, records[system]) == "Breda"
    assert records["tryton"] == customer_id


def test_a_customer_waits_for_a_system_that_is_down(network: Network) -> None:
    name = f"Quay {uuid4().hex[:8]}"
    books = network.running["quickbooks"].faulty
    books.set(Faults(unavailable_seconds=3600))
    network.make_account(name)

    def waits() -> bool:
        waiting = network.items(f"{SYNC}/customers?waiting=true")
        return [each["waitingFor"] for each in waiting if each.get("name") == name] == [
            "quickbooks"
        ]

    assert eventually(waits, PATIENCE_SECONDS), network.state()
    assert eventually(lambda: network.named("tryton", name), PATIENCE_SECONDS)
    books.set(Faults())

    network.in_step(name)
    assert len(network.named("quickbooks", name)) == 1


def test_an_answer_that_is_lost_makes_no_second_customer(network: Network) -> None:
    name = f"Quay {uuid4().hex[:8]}"
    network.running["quickbooks"].faulty.set(Faults(lost_responses=1))
    network.make_account(name)

    network.in_step(name)
    network.wait_for_looks(1)

    for system in SYSTEMS:
        assert len(network.named(system, name)) == 1


def test_a_prospect_is_nobodys_customer_yet(network: Network) -> None:
    name = f"Quay {uuid4().hex[:8]}"
    network.make_account(name, status="prospect")
    network.wait_for_looks(2)

    assert network.named("tryton", name) == []
    assert network.named("quickbooks", name) == []


def test_changes_of_different_fields_are_merged_by_their_owners(network: Network) -> None:
    _, records = network.new_customer()

    network.change("salesforce", records["salesforce"], phone="+31 10 555 0911")
    network.change("quickbooks", records["quickbooks"], email="books@quay.example")
    network.change("tryton", records["tryton"], addresses=[GOUDA])

    def merged() -> bool:
        phones = {str(value(network, s, records[s], "phone")).replace(" ", "") for s in SYSTEMS}
        return (
            phones == {"+31105550911"}
            and value(network, "tryton", records["tryton"], "email") == "books@quay.example"
            and all(city(network, system, records[system]) == "Gouda" for system in SYSTEMS)
        )

    assert eventually(merged, PATIENCE_SECONDS), network.state()


def test_what_another_than_the_owner_says_is_put_back_and_recorded(network: Network) -> None:
    customer_id, records = network.new_customer()

    network.change("tryton", records["tryton"], phone="+31 10 555 0666")

    def put_back() -> bool:
        history: list[Any] = network.get(f"{SYNC}/customers/{customer_id}")["history"]
        return [each["kind"] for each in history] == ["put-back"]

    assert eventually(put_back, PATIENCE_SECONDS), network.state()
    (entry,) = network.get(f"{SYNC}/customers/{customer_id}")["history"]
    assert (entry["detail"]["system"], entry["detail"]["field"]) == ("tryton", "phone")
    said = value(network, "tryton", records["tryton"], "phone")
    assert said.replace(" ", "") == "+31105550909"


def test_a_field_of_nobody_that_two_changed_waits_for_somebody(network: Network) -> None:
    customer_id, records = network.new_customer()
    network.move_at_once(records, in_crm="Breda", in_books="Gouda")
    assert eventually(lambda: network.conflicts(customer_id), PATIENCE_SECONDS), network.state()
    (conflict,) = network.conflicts(customer_id)
    assert conflict["subject"] == "billingAddress"
    assert conflict["said"]["quickbooks"]["city"] == "Gouda"
    path = f"{SYNC}/conflicts/{conflict['id']}/resolution"

    wrong = network.ask("PUT", path, json={"action": "retry"})
    first = network.ask("PUT", path, json={"system": "quickbooks"})
    again = network.ask("PUT", path, json={"system": "quickbooks"})
    other = network.ask("PUT", path, json={"system": "salesforce"})

    assert [each.status_code for each in (wrong, first, again, other)] == [422, 200, 200, 409]
    assert first.json()["resolvedBy"] == "ada"

    def everywhere() -> bool:
        return all(city(network, system, records[system]) == "Gouda" for system in SYSTEMS)

    assert eventually(everywhere, PATIENCE_SECONDS), network.state()
    assert eventually(lambda: network.conflicts(customer_id, "resolved"), PATIENCE_SECONDS)
    assert network.conflicts(customer_id) == []


def test_what_nobody_changes_is_not_written(network: Network) -> None:
    network.new_customer()
    network.wait_for_looks(2)

    def versions() -> dict[str, dict[str, int]]:
        return {
            system: {name: each["version"] for name, each in network.records(system).items()}
            for system in SYSTEMS
        }

    before = versions()
    network.wait_for_looks(3)

    assert versions() == before


def test_a_record_that_may_be_several_customers_is_asked_about(network: Network) -> None:
    customer_id, records = network.new_customer()
    name = value(network, "salesforce", records["salesforce"], "name")
    twin = network.make_account(name)

    def asked() -> list[Any]:
        found = network.items(f"{SYNC}/conflicts?kind=match&state=open")
        return [each for each in found if each["subject"].endswith(twin)]

    assert eventually(asked, PATIENCE_SECONDS), network.state()
    (conflict,) = asked()
    assert conflict["candidates"] == [customer_id]
    path = f"{SYNC}/conflicts/{conflict['id']}/resolution"
    taken = network.ask("PUT", path, json={"customerId": customer_id})
    assert taken.status_code == 409

    # Its name is taken in the books: they refuse it, and that is asked about as well.
    answer = network.ask("PUT", path, json={"action": "new"})
    assert answer.status_code == 200

    def linked() -> bool:
        found = network.get(f"{SYNC}/conflicts/{conflict['id']}")
        return bool(found["state"] == "resolved")

    assert eventually(linked, PATIENCE_SECONDS), network.state()
    assert len(network.named("quickbooks", name)) == 1


def test_what_is_deleted_in_one_system_stays_in_the_others(network: Network) -> None:
    customer_id, records = network.new_customer()
    crm: Any = network.running["salesforce"].sandbox
    crm.org.data.store.delete(OBJECTS["account"], records["salesforce"])

    def buried() -> bool:
        links = network.get(f"{SYNC}/customers/{customer_id}")["links"]
        states = {link["system"]: str(link["state"]) for link in links}
        return states["salesforce"] == "tombstone"

    assert eventually(buried, PATIENCE_SECONDS), network.state()
    network.wait_for_looks(2)
    for system in ("tryton", "quickbooks"):
        assert value(network, system, records[system], "status") == "active"
    history = network.get(f"{SYNC}/customers/{customer_id}")["history"]
    assert [each["kind"] for each in history] == ["deleted"]


def test_a_customer_that_was_merged_leads_to_the_other(network: Network) -> None:
    survivor, _ = network.new_customer()
    merged, records = network.new_customer()

    answer = network.ask("POST", f"{SYNC}/customers/{merged}/merge", json={"into": survivor})

    assert answer.status_code == 202
    path = f"{SYNC}/customers/{merged}"
    assert eventually(lambda: network.get(path)["id"] == survivor, PATIENCE_SECONDS)
    circle = network.ask("POST", f"{SYNC}/customers/{survivor}/merge", json={"into": merged})
    assert circle.status_code == 409
    network.wait_for_looks(2)
    for system, record_id in records.items():
        assert value(network, system, record_id, "status") == "active"


def test_a_sync_is_started_and_followed(network: Network) -> None:
    customer_id, _ = network.new_customer()
    headers = {"idempotency-key": str(uuid4())}
    path = f"{SYNC}/customers/{customer_id}/syncs"

    first = network.ask("POST", path, headers=headers)
    again = network.ask("POST", path, headers=headers)

    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    followed = first.headers["location"]
    assert eventually(lambda: network.get(followed)["phase"] == "done", PATIENCE_SECONDS)
    assert network.get(followed)["written"] == []


def test_the_last_look_at_each_system_is_shown(network: Network) -> None:
    for each in network.get(f"{SYNC}/systems")["items"]:
        assert each["complete"]
        assert each["watermark"] <= each["lookedAt"]
        assert "cause" not in each


def test_two_that_people_merged_in_the_crm_are_one_customer(network: Network) -> None:
    survivor, kept = network.new_customer()
    merged, records = network.new_customer()
    crm: Any = network.running["salesforce"].sandbox
    store, loser = crm.org.data.store, records["salesforce"]
    store.delete(OBJECTS["account"], loser)
    store.touch("Account", loser, {"MasterRecordId": kept["salesforce"]})

    path = f"{SYNC}/customers/{merged}"
    assert eventually(lambda: network.get(path)["id"] == survivor, PATIENCE_SECONDS)
    network.wait_for_looks(2)
    found = network.get(path)
    assert {link["system"]: link["id"] for link in found["links"]} == kept
    assert {link["state"] for link in found["links"]} == {"linked"}
    for system in ("tryton", "quickbooks"):
        assert value(network, system, records[system], "status") == "active"
