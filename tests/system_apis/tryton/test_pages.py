"""Cursors, filters and links of pages."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.problems import NOT_FOUND, Problem
from system_apis.tryton import pages
from system_apis.tryton.wire import Record


def test_the_last_page_has_no_next() -> None:
    reply = pages.reply(["a"], [Record({"id": 7})], 1, {})

    assert reply.body == {"items": ["a"]}
    assert list(reply.headers) == []


def test_a_full_page_leads_to_what_follows_its_last_record() -> None:
    found = [Record({"id": 7}), Record({"id": 9})]

    reply = pages.reply(["a"], found, 1, {"q": "é&b", "skus": None})

    assert isinstance(reply.body, dict)
    assert pages.after(reply.body["nextCursor"]) == [["id", ">", 7]]
    assert pages.before(reply.body["nextCursor"]) == [["id", "<", 7]]
    assert list(reply.headers) == [("Link", '<?q=%C3%A9%26b&limit=1&cursor=Nw>; rel="next"')]


@given(st.from_regex(r"[A-Za-z0-9_-]{1,256}", fullmatch=True))
def test_any_cursor_is_a_page_or_no_page(cursor: str) -> None:
    with contextlib.suppress(Problem):
        assert isinstance(pages.after(cursor), list)


@pytest.mark.parametrize("cursor", ["eHl6", "a", "____", "LTE", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"])
def test_a_cursor_of_somebody_else_leads_nowhere(cursor: str) -> None:
    with pytest.raises(Problem) as caught:
        pages.before(cursor)

    assert caught.value.kind is NOT_FOUND


@pytest.mark.parametrize(
    ("text", "pattern"), [("50%", r"%50\%%"), ("a_b", r"%a\_b%"), ("\\", r"%\\%")]
)
def test_wildcards_in_a_search_stand_for_themselves(text: str, pattern: str) -> None:
    assert pages.containing(text, "name") == ["OR", ["name", "ilike", pattern]]
