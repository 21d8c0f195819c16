"""An org answers whatever it is asked: never with an exception."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.sandbox.company import read_company
from portico.sandbox.state import State
from system_apis.salesforce.sandbox.errors import RefusalError
from system_apis.salesforce.sandbox.ids import make, normal
from system_apis.salesforce.sandbox.org import DAY_SECONDS, Org
from system_apis.salesforce.sandbox.seed import seed
from system_apis.salesforce.sandbox.session import App
from system_apis.salesforce.sandbox.soql import parse

APP = App(client_id="c", client_secret="s", username="u")
WORDS = st.sampled_from(
    ["SELECT", "FROM", "WHERE", "AND", "OR", "NOT", "IN", "LIKE", "ORDER BY", "LIMIT", "Id", "Name"]
    + ["Account", "(", ")", ",", "=", "'x'", "'", "\\", "1", "NULL", "Contacts", "COUNT()", "%"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["Name", "LastName", "Email", "AccountId", "Account", "CloseDate", "Amount", "StageName"]
    + ["Ext_Id__c", "attributes", "records", "compositeRequest", "Quantity", "CurrencyIsoCode"]
)
PATHS = st.sampled_from(
    ["sobjects/Account", "sobjects/Contact", "sobjects/Opportunity", "sobjects/Order"]
    + ["sobjects/Account/Ext_Id__c/C-1001", "composite", "composite/tree/Account"]
    + ["composite/sobjects", "composite/sobjects/Account/Ext_Id__c", "query", "nothing"]
)


def an_org() -> tuple[Org, dict[str, str]]:
    """Return an org, and what a request of it carries."""
    org = Org(State(), APP)
    seed(org.data.store, read_company())
    form = b"grant_type=client_credentials&client_id=c&client_secret=s"
    granted: Any = org.handle("POST", "/services/oauth2/token", {}, form, "http://org").body
    return org, {"authorization": f"Bearer {granted['access_token']}"}


ORG, HEADERS = an_org()


@given(st.lists(WORDS, max_size=14).map(" ".join) | st.text(max_size=60))
def test_every_text_is_a_query_or_refused(text: str) -> None:
    try:
        parse(text)
    except RefusalError as error:
        assert error.status == 400


@given(PATHS, st.sampled_from(["GET", "POST", "PATCH", "DELETE"]), st.dictionaries(FIELDS, JSON))
def test_every_body_is_taken_or_refused(path: str, method: str, body: dict[str, Any]) -> None:
    target = f"/services/data/v68.0/{path}"
    answer = ORG.handle(method, target, HEADERS, json.dumps(body).encode(), "http://org")

    assert answer.status in (200, 201, 204, 400, 404, 405)
    json.dumps(answer.body, allow_nan=False)


@pytest.mark.parametrize("serial", [1, 61, 62, 3843, 999_999_999])
def test_an_id_has_a_short_and_a_long_form(serial: int) -> None:
    made = make("001", serial)

    assert len(made) == 18
    assert normal(made[:15]) == made
    assert normal(made) == made


def test_the_id_of_the_documentation_has_the_suffix_it_has_there() -> None:
    """From Salesforce's own example of the two forms."""
    assert normal("0013000000abcde")[:15] == "0013000000abcde"
    assert normal("001A0000006Vm9r") == "001A0000006Vm9rIAC"


def test_calls_come_back_after_a_day() -> None:
    org, headers = an_org()
    org.daily_calls = 1
    statuses = [
        org.handle("GET", "/services/data/v68.0/limits", headers, b"", "http://org").status
        for _ in range(2)
    ]
    org._day_began -= DAY_SECONDS
    later = org.handle("GET", "/services/data/v68.0/limits", headers, b"", "http://org")

    assert statuses == [200, 403]
    assert later.status == 200
