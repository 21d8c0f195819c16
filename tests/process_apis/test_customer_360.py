"""customer-360.v1: four systems asked at once, some of which fail."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from gateway.identity.claims import TokenCaller
from portico.contract import ContractError, load
from portico.problems import (
    DEADLINE_EXCEEDED,
    FORBIDDEN,
    NOT_FOUND,
    SYSTEM_UNAVAILABLE,
    TOO_MANY_REQUESTS,
    Problem,
)
from portico.server.call import Caller
from process_apis.customer_360 import domain
from process_apis.customer_360.app import Settings, resources
from process_apis.customer_360.last_good import Key, LastGood
from process_apis.customer_360.models import Customer, Invoice
from process_apis.customer_360.pages import MAX_PAGES, read_pages
from process_apis.customer_360.pieces import READERS
from process_apis.customer_360.profiles import Profiles
from tests.support.tiers import API, ROOT, SHOP, contracts, example

NAME = "process/customer-360.v1"
FIRST = {
    "erp": "system/tryton.v1 getCustomer",
    "crm": "system/salesforce.v1 listCustomers",
    "accounting": "system/quickbooks.v1 listCustomers",
    "billing": "system/stripe.v1 listCustomers",
}
DOWN = Problem(SYSTEM_UNAVAILABLE, "it does not answer", headers=[("retry-after", "1")])
NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


@dataclass(slots=True)
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def only_page(api: str, operation_id: str) -> dict[str, Any]:
    """Return the example of a list as if it were the only page."""
    page = example(contracts()[api].operations[operation_id])
    return {"items": page["items"]}


def profiles(clock: Clock | None = None, **changed: Mapping[str, object]) -> Profiles:
    """Return the sources of the contract, some of them changed."""
    sources = {
        name: source.model_copy(update=dict(changed.get(name, {})))
        for name, source in contracts()[NAME].sources.items()
    }
    return Profiles(
        sources={name: sources[name] for name in READERS},
        last_good=LastGood(clock=clock or Clock()),
    )


def api(found: Profiles | None = None, /, **answers: Any) -> API:
    """Return the API above systems of which each has one customer."""
    pages = {
        f"{name} {operation_id}": only_page(name, operation_id)
        for name, operation_ids in contracts()[NAME].calls.items()
        for operation_id in operation_ids
        if operation_id.startswith("list")
    }
    named = {FIRST.get(name, name): answer for name, answer in answers.items()}
    return API(NAME, resources=found or profiles(), **{**pages, **named})


async def profile(tried: API, customer_id: str = "C-1001", caller: Caller = SHOP) -> Any:
    return (await tried.call("getCustomerProfile", caller=caller, customerId=customer_id)).body


async def refusal(tried: API) -> Problem:
    with pytest.raises(Problem) as raised:
        await profile(tried)
    return raised.value


def reasons(found: Any) -> dict[str, str]:
    return {each["source"]: each["reason"] for each in found["missing"]}


def customer(**fields: Any) -> Customer:
    record: Any = {"id": "7", "type": "customer", "externalIds": [], **fields}
    found: Customer = record
    return found


def test_a_field_is_what_its_master_says() -> None:
    merged = domain.merge(
        "C-1",
        {
            "erp": customer(kind="organization", name="Harbour St.", status="inactive"),
            "crm": customer(kind="person", name="Harbour Street Coffee", status="active"),
        },
    )

    assert merged["name"] == "Harbour Street Coffee"
    assert (merged["kind"], merged["status"]) == ("organization", "inactive")


def test_a_field_that_its_master_lacks_is_what_the_next_one_says() -> None:
    erp = customer(kind="organization", name="Harbour St.", status="active", email="", addresses=[])
    billing = customer(email="pay@harbour.example", addresses=[{"role": "billing"}])

    merged = domain.merge("C-1", {"billing": billing, "erp": erp})

    assert merged["name"] == "Harbour St."
    assert merged["email"] == "pay@harbour.example"
    assert merged["addresses"] == [{"role": "billing"}]
    assert "phone" not in merged


def test_every_field_of_a_customer_has_a_master_or_is_nobodys() -> None:
    about_the_record = {
        *("id", "type", "version", "externalIds", "createdAt", "updatedAt", "deleted", "source"),
        *("extensions", "parentId"),
    }

    assert Customer.__annotations__.keys() - domain.MASTERS.keys() == about_the_record


def test_a_customer_is_known_by_the_names_of_all_systems_up_to_the_bound_of_the_model() -> None:
    names: Any = [
        {"system": "stripe", "instance": "a", "entity": "customer", "id": str(number)}
        for number in range(15)
    ]
    both: dict[domain.Name, Customer] = {
        "erp": customer(externalIds=names),
        "crm": customer(externalIds=names),
    }

    assert len(domain.merge("C-1", {"erp": both["erp"]})["externalIds"]) == 15
    assert len(domain.merge("C-1", {**both})["externalIds"]) == domain.MAX_EXTERNAL_IDS


def test_balances_are_summed_by_currency_without_losing_a_digit() -> None:
    def invoice(amount: str, currency: str) -> Invoice:
        found: Any = {"totals": {"due": {"amount": amount, "currency": currency}}}
        due: Invoice = found
        return due

    invoices = [invoice("0.10", "EUR"), invoice("7", "JPY"), invoice("0.20", "EUR")]

    assert domain.balances(invoices) == [
        {"amount": "0.30", "currency": "EUR"},
        {"amount": "7", "currency": "JPY"},
    ]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (NOT_FOUND, "not_found"),
        (DEADLINE_EXCEEDED, "deadline"),
        (SYSTEM_UNAVAILABLE, "unavailable"),
        (TOO_MANY_REQUESTS, "unavailable"),
        (FORBIDDEN, None),
    ],
)
def test_the_reason_follows_from_the_problem(kind: Any, reason: str | None) -> None:
    assert domain.reason_of(Problem(kind)) == reason


@pytest.mark.anyio
async def test_lists_are_read_page_by_page_up_to_a_bound() -> None:
    async def read(cursor: str | None) -> Any:
        page = int(cursor or "0")
        return {"items": [page], "nextCursor": str(page + 1)} if page < last else {"items": [page]}

    last = 1
    assert await read_pages(read) == ([0, 1], True)
    last = 100
    assert await read_pages(read) == (list(range(MAX_PAGES)), False)


@pytest.mark.anyio
async def test_a_profile_has_a_piece_of_every_system() -> None:
    found = await profile(api())

    assert found["complete"] is True
    assert found["missing"] == []
    assert [each["source"] for each in found["sources"]] == list(READERS)
    assert {each["ageSeconds"] for each in found["sources"]} == {0}
    assert found["customer"]["id"] == "C-1001"
    assert found["customer"]["language"] == "en"
    assert [each["system"] for each in found["customer"]["externalIds"]] == [
        *("tryton", "salesforce", "salesforce", "quickbooks", "stripe"),
    ]
    assert [each["name"] for each in found["people"]] == ["Purchasing"]
    assert [each["id"] for each in found["opportunities"]] == ["006QyK000000001IBA"]
    assert [each["poNumber"] for each in found["orders"]] == ["PO-4711"]
    assert [each["number"] for each in found["invoices"]] == ["INV-1001"]
    assert found["balances"] == [{"amount": "298.00", "currency": "EUR"}]
    assert [each["id"] for each in found["subscriptions"]] == ["sub_1001"]
    assert [each["id"] for each in found["payments"]] == ["pi_1001"]


@pytest.mark.anyio
async def test_records_name_the_customer_by_its_code_and_nothing_that_only_systems_know() -> None:
    found = await profile(api())

    lists = ("opportunities", "orders", "invoices", "subscriptions", "payments")
    records = [record for name in lists for record in found[name]]
    assert {record["customerId"] for record in records} == {"C-1001"}
    assert found["people"][0]["parentId"] == "C-1001"
    assert not any("extensions" in each for each in [*records, *found["people"]])
    assert "extensions" not in found["customer"]


@pytest.mark.anyio
async def test_what_is_over_is_left_out() -> None:
    lists = {
        "listOpportunities": ("system/salesforce.v1", "won"),
        "listSales": ("system/tryton.v1", "completed"),
        "listInvoices": ("system/quickbooks.v1", "paid"),
        "listSubscriptions": ("system/stripe.v1", "ended"),
    }
    answers = {}
    for operation_id, (name, status) in lists.items():
        page = only_page(name, operation_id)
        page["items"][0]["status"] = status
        answers[f"{name} {operation_id}"] = page

    found = await profile(api(**answers))

    assert [
        found[name] for name in ("opportunities", "orders", "invoices", "subscriptions", "balances")
    ] == [[]] * 5
    assert found["complete"] is True


@pytest.mark.anyio
async def test_every_system_is_asked_for_the_customer_of_the_code() -> None:
    tried = api()

    await profile(tried, "C-1002")

    asked = [made.arguments for made in tried.canned.made if made.operation_id == "listCustomers"]
    assert [arguments["externalKey"] for arguments in asked] == ["C-1002"] * 3
    assert tried.canned.only("getCustomer").arguments == {"customerId": "C-1002"}
    assert tried.canned.only("listInvoices").arguments["customerId"] == "1"
    assert tried.canned.only("listPayments").arguments == {"customerId": "cus_1001", "limit": 10}


@pytest.mark.anyio
async def test_no_system_waits_for_another() -> None:
    everyone = asyncio.Barrier(len(FIRST))

    def meet(name: str) -> Any:
        # Each first call is answered only when all four have been made.
        api_name, _, operation_id = FIRST[name].partition(" ")
        answer = example(contracts()[api_name].operations[operation_id])

        async def answered(_: Any) -> Any:
            await everyone.wait()
            return {"items": answer["items"]} if "items" in answer else answer

        return answered

    tried = api(**{name: meet(name) for name in FIRST})

    assert (await asyncio.wait_for(profile(tried), 3))["complete"] is True


@pytest.mark.anyio
async def test_the_profile_is_there_ten_milliseconds_after_the_slowest_system() -> None:
    async def overhead() -> float:
        answered = 0.0

        async def slow(_: Any) -> Any:
            nonlocal answered
            await asyncio.sleep(0.03)
            answered = monotonic()
            return only_page("system/quickbooks.v1", "listInvoices")

        await profile(api(**{"system/quickbooks.v1 listInvoices": slow}))
        return monotonic() - answered

    # The best of some: what else this machine does is not the profile's.
    assert min([await overhead() for _ in range(5)]) < 0.010


@pytest.mark.anyio
async def test_an_optional_system_that_fails_is_named_and_the_rest_is_there() -> None:
    found = await profile(api(crm=DOWN))

    assert reasons(found) == {"crm": "unavailable"}
    assert found["complete"] is False
    assert "people" not in found
    assert "opportunities" not in found
    assert found["customer"]["name"] == "Harbour Street Coffee"
    assert found["payments"]


@pytest.mark.anyio
async def test_the_log_says_what_a_profile_went_without_and_for_nobody_in_particular(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await profile(api(crm=Problem(SYSTEM_UNAVAILABLE, "no answer about C-1001")))

    assert caplog.messages == [
        "a profile goes without system/salesforce.v1 now: problem=system-unavailable request=test"
    ]


@pytest.mark.anyio
async def test_a_system_that_fails_half_way_leaves_out_its_whole_piece() -> None:
    found = await profile(api(**{"system/stripe.v1 listPayments": DOWN}))

    assert reasons(found) == {"billing": "unavailable"}
    assert "subscriptions" not in found


@pytest.mark.anyio
@pytest.mark.parametrize("count", [0, 2])
async def test_a_system_that_knows_no_single_customer_of_the_code_is_named(count: int) -> None:
    accounts = only_page("system/salesforce.v1", "listCustomers")["items"] * count

    found = await profile(api(crm={"items": accounts}))

    assert reasons(found) == {"crm": "not_found"}


@pytest.mark.anyio
async def test_an_optional_system_is_cut_at_its_own_budget() -> None:
    async def hang(_: Any) -> Any:
        await asyncio.sleep(30)

    began = monotonic()
    found = await profile(api(profiles(crm={"budget_seconds": 0.05}), crm=hang))

    assert reasons(found) == {"crm": "deadline"}
    assert monotonic() - began < 1


@pytest.mark.anyio
async def test_a_budget_that_is_longer_than_the_time_of_the_caller_leaves_time_to_answer() -> None:
    async def hang(_: Any) -> Any:
        await asyncio.sleep(30)

    tried = api(profiles(crm={"budget_seconds": 60}), crm=hang)
    tried.seconds = 0.5

    assert reasons(await profile(tried)) == {"crm": "deadline"}


@pytest.mark.anyio
async def test_without_the_required_system_its_problem_is_the_answer() -> None:
    problem = await refusal(api(erp=DOWN))

    assert problem.status == 503
    assert problem.extensions["api"] == "system/tryton.v1"
    assert ("retry-after", "1") in problem.headers


@pytest.mark.anyio
async def test_nobody_waits_for_the_others_once_the_required_system_has_failed() -> None:
    async def hang(_: Any) -> Any:
        await asyncio.sleep(30)

    began = monotonic()
    await refusal(api(erp=DOWN, crm=hang))

    assert monotonic() - began < 1


@pytest.mark.anyio
async def test_a_customer_whom_the_erp_does_not_know_is_not_found() -> None:
    problem = await refusal(api(erp=Problem(NOT_FOUND, "no party")))

    assert (problem.status, problem.detail) == (404, "there is no customer C-1001")


@pytest.mark.anyio
async def test_a_problem_that_is_not_the_systems_is_the_answer_whoever_has_it() -> None:
    assert (await refusal(api(crm=Problem(FORBIDDEN)))).status == 403


@pytest.mark.anyio
async def test_a_fallback_is_the_last_good_piece_with_its_age() -> None:
    clock = Clock()
    tried = api(profiles(clock))
    fresh = await profile(tried)
    tried.canned.answers[FIRST["accounting"]] = DOWN
    clock.now += 600

    found = await profile(tried)

    assert found["invoices"] == fresh["invoices"]
    assert found["complete"] is False
    assert found["missing"] == []
    (was,) = (each for each in fresh["sources"] if each["source"] == "accounting")
    (used,) = (each for each in found["sources"] if each["source"] == "accounting")
    assert used == {"source": "accounting", "asOf": was["asOf"], "ageSeconds": 600}


@pytest.mark.anyio
@pytest.mark.parametrize(
    "caller",
    [
        Caller(subject="other", client_id="shop"),
        Caller(subject="shop", client_id="other"),
        Caller(subject="shop", client_id="shop", scopes=frozenset({"customer-360:read"})),
        Caller(subject="shop", client_id="shop", actors=("other",)),
    ],
)
async def test_a_fallback_is_for_nobody_else_than_the_caller_with_the_same_rights(
    caller: Caller,
) -> None:
    tried = api()
    await profile(tried)
    tried.canned.answers[FIRST["accounting"]] = DOWN

    assert reasons(await profile(tried, caller=caller)) == {"accounting": "unavailable"}
    assert reasons(await profile(tried, "C-1002")) == {"accounting": "unavailable"}
    assert reasons(await profile(tried)) == {}


@pytest.mark.anyio
async def test_a_caller_with_a_new_token_is_still_the_same() -> None:
    def proven(token_id: str) -> Caller:
        return TokenCaller(
            subject="shop",
            client_id="shop",
            issuer="https://issuer.example",
            audiences=frozenset(),
            token_id=token_id,
            expires_at=0.0,
            actor={"sub": "shop"},
        )

    tried = api()
    await profile(tried, caller=proven("first"))
    tried.canned.answers[FIRST["accounting"]] = DOWN

    assert reasons(await profile(tried, caller=proven("second"))) == {}


@pytest.mark.anyio
async def test_a_fallback_that_is_too_old_is_missing() -> None:
    clock = Clock()
    tried = api(profiles(clock))
    await profile(tried)
    tried.canned.answers[FIRST["accounting"]] = DOWN
    clock.now += contracts()[NAME].sources["accounting"].keep_seconds + 1

    assert reasons(await profile(tried)) == {"accounting": "unavailable"}


@pytest.mark.anyio
async def test_what_a_system_no_longer_knows_is_not_fallen_back_to() -> None:
    tried = api()
    await profile(tried)
    tried.canned.answers[FIRST["accounting"]] = {"items": []}
    gone = await profile(tried)
    tried.canned.answers[FIRST["accounting"]] = DOWN

    assert reasons(gone) == {"accounting": "not_found"}
    assert reasons(await profile(tried)) == {"accounting": "unavailable"}


@pytest.mark.anyio
async def test_whoever_changes_an_answer_changes_no_later_one() -> None:
    tried = api()
    (await profile(tried))["invoices"].clear()
    tried.canned.answers[FIRST["accounting"]] = DOWN
    (await profile(tried))["invoices"].clear()

    assert len((await profile(tried))["invoices"]) == 1


@pytest.mark.anyio
async def test_nothing_is_kept_of_an_optional_system() -> None:
    tried = api()
    await profile(tried)
    tried.canned.answers[FIRST["billing"]] = DOWN

    assert reasons(await profile(tried)) == {"billing": "unavailable"}


def test_the_pieces_kept_are_bounded_and_the_most_recent_ones() -> None:
    kept = LastGood(max_pieces=2, clock=Clock())
    reading = domain.Reading(piece=domain.Piece(customer=customer()), as_of=NOW)
    first, second, third = (Key.of(SHOP, "accounting", code) for code in ("1", "2", "3"))
    for key in (first, second, first, third):
        kept.keep(key, reading)

    assert repr(kept) == "<LastGood 2 of 2 pieces>"
    assert kept.find(second, 60) is None
    assert kept.find(first, 60) is not None


@pytest.mark.anyio
async def test_a_list_that_was_not_read_to_its_end_is_marked_and_has_no_balance() -> None:
    page = only_page("system/quickbooks.v1", "listInvoices")

    found = await profile(
        api(**{"system/quickbooks.v1 listInvoices": {**page, "nextCursor": "More"}})
    )

    (used,) = (each for each in found["sources"] if each["source"] == "accounting")
    assert used["truncated"] is True
    assert found["complete"] is False
    assert len(found["invoices"]) == MAX_PAGES
    assert "balances" not in found


@pytest.mark.anyio
async def test_the_sources_are_those_of_the_contract() -> None:
    async with resources(Settings(contract=contracts()[NAME])) as found:
        assert {name: source.on_failure for name, source in found.sources.items()} == {
            "erp": "required",
            "crm": "optional",
            "accounting": "fallback",
            "billing": "optional",
        }


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("written", "found"), [("warehouse", "ask 'warehouse'"), ("", "'crm' is not there")]
)
async def test_sources_that_nobody_can_ask_do_not_start(
    tmp_path: Path, written: str, found: str
) -> None:
    shutil.copytree(ROOT, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "process" / "customer-360.v1.yaml"
    lines = path.read_text().splitlines()
    number = next(index for index, line in enumerate(lines) if line.startswith("  crm:"))
    lines[number] = lines[number].replace("crm:", f"{written}:") if written else ""
    path.write_text("\n".join(lines))

    with pytest.raises(ContractError) as raised:
        async with resources(Settings(contract=load(path))):
            pass

    (finding,) = raised.value.findings
    assert finding.position.file == path
    assert finding.position.line == (number + 1 if written else number - 1)
    assert found in finding.message
