"""An S/4HANA answers whatever it is asked: never with an exception."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from portico.sandbox.company import read_company
from portico.sandbox.state import State
from system_apis.sap.sandbox.errors import RefusalError
from system_apis.sap.sandbox.filters import parse
from system_apis.sap.sandbox.model import entity_named
from system_apis.sap.sandbox.s4 import COOKIE, S4
from system_apis.sap.sandbox.seed import seed

WORDS = st.sampled_from(
    ["SalesOrder", "SoldToParty", "TotalNetAmount", "CreationDate", "eq", "ne", "gt", "and", "or"]
    + ["not", "(", ")", ",", "'1'", "'", "1.5M", "datetime'2026-01-01T00:00:00'", "null", "true"]
    + ["substringof", "startswith", "datetime'x'", "2026-01-01"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["SoldToParty", "to_Item", "RequestedDeliveryDate", "TotalNetAmount", "SalesOrder", "d"]
    + ["Material", "RequestedQuantity", "results"]
)
ROOT = "/sap/opu/odata/sap/API_SALES_ORDER_SRV"
PATHS = st.sampled_from(
    ["A_SalesOrder", "A_SalesOrder('1')", "A_SalesOrder('1')/to_Item", "A_SalesOrder(", "$batch"]
    + ["A_SalesOrderItem(SalesOrder='1',SalesOrderItem='10')", "A_SalesOrder/$count", "Nothing"]
    + ["A_SalesOrder?$expand=x", "A_SalesOrder?$top=-1", "A_SalesOrder?$orderby=SalesOrder up"]
)


def a_system() -> tuple[S4, dict[str, str]]:
    """Return a system, and what a request of it carries."""
    s4 = S4(State(), user="u", password="p")
    seed(s4.store, read_company())
    known = {"authorization": "Basic " + base64.b64encode(b"u:p").decode()}
    answer = s4.handle("GET", f"{ROOT}/", {**known, "x-csrf-token": "Fetch"}, b"", "http://s4")
    token = next(value for name, value in answer.headers if name == "x-csrf-token")
    cookie = next(value for _, value in answer.headers if value.startswith(COOKIE))
    return s4, {**known, "x-csrf-token": token, "cookie": cookie.partition(";")[0]}


S, HEADERS = a_system()


@given(st.lists(WORDS, max_size=10).map(" ".join) | st.text(max_size=60))
def test_every_text_is_a_filter_or_refused(text: str) -> None:
    try:
        parse(text, entity_named("A_SalesOrder"))
    except RefusalError as error:
        assert error.status == 400


@given(PATHS, st.sampled_from(["GET", "POST", "PATCH", "DELETE"]), st.dictionaries(FIELDS, JSON))
def test_every_body_is_taken_or_refused(path: str, method: str, body: dict[str, Any]) -> None:
    target = f"{ROOT}/{quote(path, safe='/?=$&(),')}"
    content = json.dumps(body).encode()
    answer = S.handle(method, target, {**HEADERS, "if-match": "*"}, content, "http://s4")

    assert answer.status in (200, 201, 202, 204, 400, 404, 405)


@given(st.binary(max_size=200), st.sampled_from(["b", "", '"b"']))
def test_every_batch_is_answered_or_refused(body: bytes, boundary: str) -> None:
    parts = b"--b\r\nContent-Type: application/http\r\n\r\n" + body + b"\r\n--b--\r\n"
    headers = {**HEADERS, "content-type": f"multipart/mixed; boundary={boundary}"}
    answer = S.handle("POST", f"{ROOT}/$batch", headers, parts, "http://s4")

    assert answer.status in (202, 400)
