"""DS-01 to DS-03, OA-15: what a deprecated operation tells its callers."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from tests.portico.contract.documents import operation, with_parameters


def told(**members: Any) -> dict[str, str]:
    return dict(operation({"deprecated": True, **members}).notices)


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("2023-06-30T23:59:59Z", "@1688169599"),
        ("2023-06-30T23:59:59+00:00", "@1688169599"),
        ("2023-07-01T01:59:59+02:00", "@1688169599"),
        ("2026-01-01", "@1767225600"),
        ("2999-01-01", "@32472144000"),
    ],
)
def test_ds_01_deprecation_is_a_structured_date(since: str, expected: str) -> None:
    assert told(**{"x-deprecated-at": since}) == {"Deprecation": expected}


def test_ds_02_sunset_is_an_http_date() -> None:
    sunset = told(**{"x-sunset-at": "2026-12-31T23:59:59Z"})["Sunset"]

    assert sunset == "Thu, 31 Dec 2026 23:59:59 GMT"
    assert parsedate_to_datetime(sunset).timestamp() == 1798761599


def test_ds_03_a_successor_is_a_link() -> None:
    link = told(**{"x-successor": "/process/orders/v2/orders"})["Link"]

    assert link == '</process/orders/v2/orders>; rel="successor-version"'


@pytest.mark.parametrize(
    "successor", ["/v2\r\nX-Evil: 1", "/v2>; rel=x, <", "", "/a b", 5, None, "/é", "/%"]
)
def test_ds_03_nothing_but_a_reference_gets_into_the_link(successor: Any) -> None:
    assert told(**{"x-successor": successor}) == {}


@pytest.mark.parametrize(
    "value", ["", "soon", "2026-13-01", 20260101, None, "0001-01-01T00:00:00+14:00"]
)
def test_a_date_that_is_none_is_not_told(value: Any) -> None:
    assert told(**{"x-deprecated-at": value, "x-sunset-at": value}) == {}


def test_all_three_are_told_together() -> None:
    headers = told(
        **{"x-deprecated-at": "2026-01-01", "x-sunset-at": "2027-01-01", "x-successor": "/v2"}
    )

    assert list(headers) == ["Deprecation", "Sunset", "Link"]
    assert all(re.fullmatch(r"[ -~]+", value) for value in headers.values())


def test_what_is_not_deprecated_tells_nothing() -> None:
    dates = {"x-deprecated-at": "2026-01-01", "x-sunset-at": "2027-01-01", "x-successor": "/v2"}

    assert operation(dates).notices == ()
    assert operation({**dates, "deprecated": False}).notices == ()


def test_oa_15_deprecated_operations_and_parameters_are_known() -> None:
    asked = with_parameters({"name": "n", "in": "query", "deprecated": True, "schema": {}})

    assert operation({"deprecated": True}).deprecated
    assert not asked.deprecated
    assert [parameter.deprecated for parameter in asked.parameters] == [True]
