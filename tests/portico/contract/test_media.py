"""OA-08, OA-09: which declared content a type means, and which content an Accept field takes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.contract.media import (
    MediaTable,
    acceptable,
    essence,
    is_json,
    is_text,
    parameters,
    specificity,
)
from portico.problems import Problem
from tests.portico.contract.documents import ask, refusal, with_answers, with_body

JSON = "application/json"


@pytest.mark.parametrize(
    ("declared", "actual", "found"),
    [
        ([JSON], JSON, JSON),
        ([JSON], "Application/JSON", JSON),
        ([JSON], "application/json; charset=utf-8", JSON),
        ([JSON], "application/json ; charset=utf-8", JSON),
        ([JSON], "application/json;foo", JSON),
        ([JSON], "application/json;", JSON),
        ([JSON], "application/jsonp", None),
        ([JSON], "application/problem+json", None),
        ([JSON], "text/plain", None),
        ([JSON], "", None),
        ([JSON], ";", None),
        (["*/*", "application/*", JSON], JSON, JSON),
        (["*/*", "application/*", JSON], "application/xml", "application/*"),
        (["*/*", "application/*", JSON], "text/html", "*/*"),
        (["text/*"], "text/html; charset=utf-8", "text/*"),
        (["text/*"], "texts/html", None),
        ([JSON, "application/json;v=2"], "application/json; v=2", "application/json;v=2"),
        ([JSON, "application/json;v=2"], 'application/json; V="2"', "application/json;v=2"),
        ([JSON, "application/json;v=2"], "application/json; v=3", JSON),
        (["application/json;v=2"], JSON, None),
        (['application/x;p="a;b"'], 'application/x; p="a;b"; q=1', 'application/x;p="a;b"'),
        (
            ["Application/Vnd.Thing+JSON"],
            "application/vnd.thing+json",
            "Application/Vnd.Thing+JSON",
        ),
    ],
)
def test_oa_08_the_most_specific_declaration_wins(
    declared: list[str], actual: str, found: str | None
) -> None:
    table = MediaTable([(name, name) for name in declared])

    assert table.find(actual) == found
    assert table.declares(actual) is (found is not None)


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [
        (JSON, True),
        ("application/problem+json", True),
        ("application/merge-patch+json; charset=utf-8", True),
        ("APPLICATION/VND.API+JSON", True),
        ("text/json", True),
        ("application/json-seq", False),
        ("application/jsonlines", False),
        ("text/plain", False),
        ("", False),
    ],
)
def test_oa_08_every_json_suffix_is_json(media_type: str, expected: bool) -> None:
    assert is_json(media_type) is expected


@pytest.mark.parametrize("media_type", ["application/problem+json", "application/vnd.acme.v1+json"])
def test_oa_08_a_body_with_a_json_suffix_is_read_and_checked(media_type: str) -> None:
    asked = with_body({"type": "object", "required": ["a"]}, media_type)

    assert ask(asked, body=b'{"a": 1}', content_type=media_type)["body"] == {"a": 1}
    assert refusal(asked, body=b"{}", content_type=media_type).status == 422


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/xml", "application", "", ";", "*/*"]
)
def test_oa_08_content_that_is_not_declared_is_415(content_type: str) -> None:
    problem = refusal(with_body({}), body=b"{}", content_type=content_type)

    assert problem.status == 415
    assert problem.headers == (("Accept-Post", JSON),)
    assert problem.extensions["reads"] == [JSON]


def test_oa_08_a_body_without_a_type_is_415() -> None:
    asked = with_body({})

    assert refusal(asked, body=b"{}", headers={"content-type": ""}).status == 415


@pytest.mark.parametrize(
    ("coding", "status"),
    [
        ("gzip", 415),
        ("br", 415),
        ("GZIP, identity", 415),
        ("identity", 0),
        ("Identity", 0),
        ("", 0),
    ],
)
def test_oa_08_a_content_coding_is_not_read(coding: str, status: int) -> None:
    asked, headers = with_body({}), {"content-encoding": coding, "content-type": JSON}

    if status:
        assert refusal(asked, body=b"{}", headers=headers).status == status
    else:
        assert ask(asked, body=b"{}", headers=headers)["body"] == {}


def test_parameters_are_read_with_quotes_and_escapes() -> None:
    found = parameters('multipart/form-data; Boundary="a;b\\"c"; x; y=1; y=2')

    assert found == {"boundary": 'a;b"c', "y": "1"}


@pytest.mark.parametrize(
    "name", ["text/html", "application/xml", "application/soap+xml", "application/yaml"]
)
def test_texts_are_told_by_their_type(name: str) -> None:
    assert is_text(name)
    assert not is_json(name)


@pytest.mark.parametrize(
    ("accept", "offered", "chosen"),
    [
        ("*/*", [JSON], JSON),
        ("application/*", [JSON], JSON),
        (JSON, [JSON], JSON),
        ("APPLICATION/JSON", [JSON], JSON),
        ("text/html", [JSON], None),
        ("text/*", [JSON], None),
        ("text/html, */*;q=0.1", [JSON], JSON),
        ("*/*;q=0", [JSON], None),
        ("application/json;q=0, */*", [JSON], None),
        ("application/json;q=0, */*", [JSON, "text/plain"], "text/plain"),
        ("application/json;q=0.5, text/plain", [JSON, "text/plain"], "text/plain"),
        ("application/json;q=0.5, text/plain;q=0.4", [JSON, "text/plain"], JSON),
        ("text/*;q=0.3, text/plain;q=0.9, */*;q=0.5", ["text/html", JSON], JSON),
        ("text/*;q=0.3, text/plain;q=0.9, */*;q=0.5", ["text/plain", JSON], "text/plain"),
        ("application/json; charset=utf-8", [JSON], JSON),
        ("application/json;v=2", [JSON], None),
        ("application/json;v=2", ["application/json;v=2"], "application/json;v=2"),
        (
            'application/x;p="a,b;q=0", */*;q=0',
            ['application/x;p="a,b;q=0"'],
            'application/x;p="a,b;q=0"',
        ),
        ("application/json;q=.2", [JSON], JSON),
        ("application/json;q=0.0", [JSON], None),
        ("application/json;q=0.000", [JSON], None),
        ("application/json;q=1.000", [JSON], JSON),
        ("text/html, image/gif, *; q=.2, */*; q=.2", [JSON], JSON),
        ("", [JSON], JSON),
        (",", [JSON], JSON),
        ("nonsense", [JSON], JSON),
        ("application/json;q=two", [JSON], JSON),
        ("application/json;q=nan, text/html", [JSON], None),
        ("application/json;q=5, text/html", [JSON], None),
        ("image/png", ["image/*"], "image/*"),
        ("text/html", ["image/*"], None),
        ("application/problem+json", [JSON], None),
    ],
)
def test_oa_09_the_most_specific_range_decides_with_its_quality(
    accept: str, offered: list[str], chosen: str | None
) -> None:
    assert acceptable(accept, offered) == chosen


def test_oa_09_nothing_acceptable_is_406() -> None:
    asked = with_answers({"200": {"description": "Fine.", "content": {JSON: {}}}})

    asked.check_accept({})
    asked.check_accept({b"accept": b"*/*"})
    asked.check_accept({b"accept": b"text/html, application/json;q=0.1"})
    with pytest.raises(Problem, match="the operation produces application/json") as caught:
        asked.check_accept({b"accept": b"text/html"})
    assert caught.value.kind.status == 406


@pytest.mark.parametrize(
    "responses",
    [{"204": {"description": "Done."}}, {"default": {"description": "?", "content": {JSON: {}}}}],
)
def test_oa_09_what_produces_nothing_of_its_own_takes_every_accept(
    responses: dict[str, object],
) -> None:
    with_answers(responses).check_accept({b"accept": b"text/html"})


def test_an_accept_field_of_a_thousand_ranges_is_cut() -> None:
    assert acceptable(", ".join(["text/html"] * 1000 + [JSON]), [JSON]) is None


# Properties

TOKEN = st.sampled_from(["a", "b", "json", "*"])
RANGE = st.one_of(st.just("*/*"), st.tuples(st.sampled_from("ab"), TOKEN).map("/".join))
QUALITY = st.sampled_from([None, 0.0, 0.1, 0.5, 0.999, 1.0])
OFFER = st.tuples(st.sampled_from("ab"), st.sampled_from(["a", "b", "json"])).map("/".join)


def _naive(ranges: list[tuple[str, float | None]], offers: list[str]) -> str | None:
    best, chosen = 0.0, None
    for offer in offers:
        for wanted in (offer, offer.split("/")[0] + "/*", "*/*"):
            named = [1.0 if q is None else q for name, q in ranges if name == wanted]
            if named:
                if named[0] > best:
                    best, chosen = named[0], offer
                break
    return chosen


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(RANGE, QUALITY), min_size=1, max_size=5), st.lists(OFFER, max_size=4))
def test_negotiation_agrees_with_the_plainest_reading(
    ranges: list[tuple[str, float | None]], offers: list[str]
) -> None:
    header = ", ".join(name if q is None else f"{name};q={q:g}" for name, q in ranges)

    assert acceptable(header, offers) == _naive(ranges, offers)


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_is_too_strange_for_a_media_type(one: str, other: str) -> None:
    assert specificity(one, other) in range(5)
    assert acceptable(one, [other]) in {None, other}
    assert essence(one) == essence(one).lower()
    parameters(one)
