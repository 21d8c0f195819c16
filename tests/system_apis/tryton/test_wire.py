"""Tryton's typed JSON."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from system_apis.tryton.wire import Float, Record, WireError, decode, encode, encode_argument

MOMENT = datetime(2026, 11, 2, 9, 30, 15, 250, tzinfo=UTC)
FINITE = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12)
PLAIN = st.none() | st.booleans() | st.integers() | st.text()
DATES = st.dates() | st.datetimes(timezones=st.just(UTC))
VALUES = st.recursive(
    PLAIN | FINITE | DATES,
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text().filter(lambda k: k != "__class__"), inner)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_encoded_decodes_to_the_same(value: object) -> None:
    assert decode(encode(value).encode()) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("9.50"), '{"__class__":"Decimal","decimal":"9.50"}'),
        (Decimal("1E+3"), '{"__class__":"Decimal","decimal":"1000"}'),
        (date(2026, 11, 2), '{"__class__":"date","year":2026,"month":11,"day":2}'),
        (
            [["create", [{"quantity": Float(Decimal("2.50"))}]]],
            '[["create",[{"quantity":2.50}]]]',
        ),
    ],
)
def test_values_are_written_as_tryton_reads_them(value: object, text: str) -> None:
    assert encode(value) == text


def test_a_moment_of_another_zone_is_written_in_utc() -> None:
    elsewhere = MOMENT.astimezone(timezone(timedelta(hours=9)))

    assert decode(encode(elsewhere).encode()) == MOMENT


def test_numbers_never_become_floats() -> None:
    assert decode(b'{"quantity": 0.1}') == {"quantity": Decimal("0.1")}


def test_a_float_is_not_encoded() -> None:
    with pytest.raises(WireError):
        encode(0.1)


def test_an_argument_is_safe_in_a_url() -> None:
    text = encode_argument([["name", "=", "a?b/c>d~é"]])

    assert not set(text) & set("+/&?# ")
    assert decode(urlsafe_b64decode(text)) == [["name", "=", "a?b/c>d~é"]]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<!doctype html>",
        b"[1, NaN]",
        b"[Infinity]",
        b"\xff\xfe",
        b'{"__class__": "bytes", "base64": "AA=="}',
        b'{"__class__": "Decimal", "decimal": "nine"}',
        b'{"__class__": "Decimal"}',
        b'{"__class__": "date", "year": 2026, "month": 13, "day": 1}',
        b'{"__class__": "datetime", "year": "2026"}',
        b"[" * 100_000,
    ],
)
def test_what_is_not_trytons_json_is_refused(text: bytes) -> None:
    with pytest.raises(WireError):
        decode(text)


def test_a_field_without_a_value_is_empty() -> None:
    record = Record({"id": 1, "name": None})

    assert record.text("name") == ""
    assert record.number("price") == 0
    assert record.optional_number("price") is None
    assert record.one("party") is None
    assert record.many("lines") == []
    assert record.day("sale_date") is None
    assert not record.flag("active")


def test_yes_and_no_are_numbers_on_sqlite() -> None:
    assert Record({"active": 1}).flag("active")
    assert Record({"active": True}).flag("active")


@pytest.mark.parametrize(
    "read", [lambda r: r.text("x"), lambda r: r.one("x"), lambda r: r.day("x")]
)
def test_a_field_of_another_type_is_refused(read: object) -> None:
    with pytest.raises(WireError):
        read(Record({"x": 5}))  # type: ignore[operator]  # parametrized functions have no type


def test_a_record_shows_its_fields_and_never_their_values() -> None:
    assert repr(Record({"name": "Harbour Street Coffee", "id": 1})) == "<Record id, name>"
