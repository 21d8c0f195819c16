"""Which records are one customer, and who masters what."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from portico.problems import Problem
from process_apis.customer_sync.app import Settings
from process_apis.customer_sync.conflicts import check_resolution
from process_apis.customer_sync.fields import body_of, merged_into, values_of
from process_apis.customer_sync.matching import (
    Candidate,
    Likeness,
    Match,
    choose,
    identity_of,
    likeness,
)


def record(system: str, **more: Any) -> dict[str, Any]:
    source = {"system": system, "instance": "one"}
    return {"id": "7", "source": source, "name": "Quay Nine", "status": "active", **more}


KEYED = {"externalIds": [{"id": "C-1001", "role": "external-key"}]}
TAXED = {"taxIds": [{"scheme": "eu_vat", "value": "NL 0012.34567.B01"}]}
MAIL = {"contacts": [{"kind": "email", "value": "Office@quay.example"}]}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (record("salesforce", **KEYED, name="A"), record("tryton", id="c-1001", name="B"), "same"),
        (record("salesforce", **KEYED), record("quickbooks", id="C-1001", name="B"), "other"),
        (
            record("quickbooks", name="A", taxIds=[{"value": "001234567B01", "country": "NL"}]),
            record("tryton", id="8", name="B", **TAXED),
            "same",
        ),
        (record("salesforce", **MAIL), record("quickbooks", email="office@quay.example"), "same"),
        (record("salesforce", **MAIL), record("quickbooks", email="x@quay.example"), "perhaps"),
        (record("salesforce"), record("quickbooks", name="QUAY  nine."), "perhaps"),
        (record("salesforce", name="--"), record("quickbooks", name="!"), "other"),
        (record("salesforce", **MAIL), record("quickbooks", name="B", **MAIL), "other"),
    ],
)
def test_records_are_alike_by_key_tax_id_or_name_with_mail(
    one: Any, other: Any, expected: Likeness
) -> None:
    assert likeness(identity_of(one), identity_of(other)) == expected
    assert likeness(identity_of(other), identity_of(one)) == expected


def test_like_records_have_a_token_in_common() -> None:
    one, other = identity_of(record("salesforce", **KEYED)), identity_of(record("tryton", **TAXED))

    assert set(one.tokens) & set(other.tokens) == {"name quay nine"}


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        ([], Match()),
        ([Candidate(customer_id="A", likeness="other")], Match()),
        ([Candidate(customer_id="A", likeness="same")], Match(customer_id="A")),
        ([Candidate(customer_id="A", likeness="perhaps")], Match(unclear=["A"])),
        ([Candidate(customer_id="A", likeness="same", taken=True)], Match(unclear=["A"])),
        (
            [
                Candidate(customer_id="B", likeness="same"),
                Candidate(customer_id="A", likeness="same"),
            ],
            Match(unclear=["A", "B"]),
        ),
        (
            [
                Candidate(customer_id="A", likeness="same"),
                Candidate(customer_id="B", likeness="perhaps"),
            ],
            Match(customer_id="A"),
        ),
    ],
)
def test_what_is_unclear_is_not_chosen(candidates: list[Candidate], expected: Match) -> None:
    assert choose(candidates) == expected


def test_a_record_is_read_as_far_as_its_system_holds_a_field() -> None:
    place = {"role": "billing", "line1": "9 Quay", "region": "ZH", "city": ""}
    found = record("salesforce", email="A@b.example", addresses=[place], **TAXED)

    assert values_of(found) == {"name": "Quay Nine", "billingAddress": {"line1": "9 Quay"}}
    assert values_of({**found, "source": {"system": "tryton"}}) == {
        "name": "Quay Nine",
        "email": "a@b.example",
        "billingAddress": {"line1": "9 Quay"},
        "taxId": "NL001234567B01",
    }


def test_what_is_written_is_in_the_words_of_the_contracts() -> None:
    values = {"name": "A", "taxId": "NL1", "billingAddress": {"city": "Delft"}}

    assert body_of(values) == {"name": "A", "addresses": [{"role": "billing", "city": "Delft"}]}


@pytest.mark.parametrize(
    ("system", "own", "expected"),
    [
        ("salesforce", {"masterRecordId": "001"}, "001"),
        ("tryton", {"replacedBy": "C-2"}, "C-2"),
        ("quickbooks", {"balance": "0"}, ""),
    ],
)
def test_a_record_says_what_it_was_merged_into(system: str, own: Any, expected: str) -> None:
    assert merged_into(record(system, extensions={system: own})) == expected


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"owners": {"colour": "tryton"}}, "there is no field colour"),
        ({"owners": {"email": "salesforce"}}, "salesforce does not hold email"),
        ({"owners": {"name": "sap"}}, "salesforce"),
        ({"instances": {"sap": "1"}}, "there is no system sap"),
        ({"create_in": ["sap"]}, "salesforce"),
    ],
)
def test_settings_that_cannot_be_are_refused_at_start(settings: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Settings(references_url="sqlite:///x", **settings)


def test_fields_that_are_not_set_keep_their_owners_and_nobody_is_no_owner() -> None:
    settings = Settings(references_url="sqlite:///x", owners={"phone": "nobody"})

    assert settings.owner_by_field == {
        "name": "salesforce",
        "email": "quickbooks",
        "taxId": "tryton",
    }


FIELD = {"kind": "field", "subject": "phone", "detail": {"said": {"tryton": "1"}}}
ADDRESS = {**FIELD, "subject": "billingAddress"}
MATCHING = {"kind": "match", "detail": {"candidates": ["CU-1"]}}
REFUSAL = {"kind": "refusal", "detail": {"cause": "no"}}


@pytest.mark.parametrize(
    ("conflict", "resolution"),
    [
        (FIELD, {"system": "salesforce"}),
        (FIELD, {"action": "new"}),
        (FIELD, {"value": {"city": "Delft"}}),
        (ADDRESS, {"value": "Delft"}),
        (MATCHING, {"customerId": "CU-2"}),
        (MATCHING, {"action": "retry"}),
        (MATCHING, {"value": "1"}),
        (REFUSAL, {"action": "new"}),
        (REFUSAL, {"system": "tryton"}),
    ],
)
def test_a_resolution_that_answers_another_question_is_refused(
    conflict: Any, resolution: Any
) -> None:
    with pytest.raises(Problem) as refused:
        check_resolution(conflict, resolution)

    assert refused.value.status == 422


@pytest.mark.parametrize(
    ("conflict", "resolution"),
    [
        (FIELD, {"system": "tryton"}),
        (FIELD, {"value": "2"}),
        (ADDRESS, {"value": {"city": "Delft"}}),
        (MATCHING, {"customerId": "CU-1"}),
        (MATCHING, {"action": "new"}),
        (REFUSAL, {"action": "leave"}),
    ],
)
def test_a_resolution_that_answers_is_taken(conflict: Any, resolution: Any) -> None:
    check_resolution(conflict, resolution)
