"""Settings: one way in, and no secret that is shown; requests as OData has them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from system_apis.sap.odata import Query, entity_path, equal, ticks
from system_apis.sap.s4 import PRODUCTS, SALES_ORDERS
from system_apis.sap.sandbox.filters import parse
from system_apis.sap.sandbox.model import entity_named
from system_apis.sap.sandbox.values import accept
from tests.support.sandbox import SECRET
from tests.system_apis.sap.conftest import settings_for

URL = "https://s4.quayside.example"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"password": None}, "give user and password"),
        ({"client_id": "c", "client_secret": "s", "token_url": URL}, "give user and password"),
        ({"client": "1"}, "should match pattern"),
        ({"colour": "blue"}, "Extra inputs are not permitted"),
    ],
)
def test_settings_that_are_wrong_are_explained(more: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        settings_for(URL, Path(), **more)


def test_a_client_of_a_system_is_an_instance_of_its_own() -> None:
    assert settings_for(URL, Path()).s4().instance == "s4.quayside.example"
    assert settings_for(URL, Path(), client="200").s4().instance == "s4.quayside.example/200"


def test_secrets_are_not_shown() -> None:
    assert SECRET not in repr(settings_for(URL, Path()))


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=35))
def test_a_text_in_a_filter_is_that_text_and_nothing_more(text: str) -> None:
    entity = entity_named("A_SalesOrder")
    test = parse(equal("PurchaseOrderByCustomer", text), entity)

    assert test({"PurchaseOrderByCustomer": text})
    assert not test({"PurchaseOrderByCustomer": f"{text}x"})


@given(st.dates(date(1900, 1, 1), date(2200, 1, 1)))
def test_a_date_comes_back_as_the_same_day(day: date) -> None:
    wanted = entity_named("A_SalesOrder").properties["RequestedDeliveryDate"]

    assert accept(wanted, ticks(day)) == day.isoformat()


def test_a_key_is_quoted_in_a_path() -> None:
    assert entity_path("Product", Product="O'Hara/1") == "Product('O''Hara%2F1')"
    assert entity_path("A", X="1", Y="2") == "A(X='1',Y='2')"


def test_a_query_asks_for_json_where_v2_would_answer_xml() -> None:
    query = Query(entity="A", conditions=["B eq 1", "C eq 2"], order="D", top=3, expand=("E",))
    asked = [("$filter", "B eq 1 and C eq 2"), ("$orderby", "D"), ("$top", "3"), ("$expand", "E")]

    assert query.pairs(SALES_ORDERS) == [*asked, ("$format", "json")]
    assert query.pairs(PRODUCTS) == asked
