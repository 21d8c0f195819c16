"""Quoting: what a caller sends is a value of a query and never a part of it."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from simple_salesforce import format_soql

from system_apis.salesforce.sandbox.query import like
from system_apis.salesforce.sandbox.soql import Comparison, parse
from system_apis.salesforce.soql import Query, containing, equal, instant, one_of, quoted

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(TEXTS)
def test_a_text_is_quoted_as_the_vendors_client_does(text: str) -> None:
    assert quoted(text) == format_soql("{}", text)


@given(TEXTS)
def test_a_quoted_text_is_read_as_that_text(text: str) -> None:
    where = parse(f"SELECT Id FROM Account WHERE {equal('Name', text)}").where

    assert isinstance(where, Comparison)
    assert [literal.value for literal in where.literals] == [text]


@given(TEXTS, TEXTS)
def test_a_pattern_finds_the_text_itself_and_nothing_wild(text: str, other: str) -> None:
    where = parse(f"SELECT Id FROM Account WHERE {containing(text, 'Name')}").where

    assert isinstance(where, Comparison)
    pattern = str(where.literals[0].value)
    assert like(f"{other}{text}{other}", pattern)
    if text in ("%", "_"):
        assert not like("abc", pattern)


def test_several_texts_are_quoted_each() -> None:
    assert one_of("Name", ["a", "b'c"]) == "Name IN ('a','b\\'c')"


def test_a_moment_is_written_in_utc_without_quotes() -> None:
    moment = datetime.fromisoformat("2026-11-02T10:30:00.5+01:00")

    assert instant(moment) == instant(datetime(2026, 11, 2, 9, 30, tzinfo=UTC))
    assert instant(moment) == "2026-11-02T09:30:00Z"


def test_a_query_is_one_inside_another() -> None:
    inner = Query(source="Contacts", fields=["Id"], order="Id", limit=2)
    outer = Query(source="Account", fields=["Id", inner.nested()], conditions=["A = 1", "B = 2"])

    assert str(outer) == (
        "SELECT Id, (SELECT Id FROM Contacts ORDER BY Id LIMIT 2) FROM Account "
        "WHERE A = 1 AND B = 2"
    )
