"""OA-10: responses by status and media type, with their headers."""

from __future__ import annotations

from typing import Any

import pytest

from portico.contract import ABSENT, Operation
from tests.portico.contract.documents import with_answers

JSON = "application/json"
PROBLEM = "application/problem+json"


def content(schema: Any, media_type: str = JSON) -> dict[str, Any]:
    return {"description": "Fine.", "content": {media_type: {"schema": schema}}}


def said(
    asked: Operation, status: int, body: Any, media_type: str = JSON, **headers: str
) -> list[str]:
    fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
    wrong = asked.check_response(status, media_type, body, fields)
    return [str(entry["detail"]) for entry in wrong]


@pytest.mark.parametrize(
    ("status", "body", "fits"),
    [
        (200, 1, True),
        (200, "a", False),
        (201, "a", True),
        (201, 1, False),
        (299, "a", True),
        (404, None, True),
        (404, 1, False),
        (503, None, True),
    ],
)
def test_oa_10_exact_beats_range_beats_default(status: int, body: Any, fits: bool) -> None:
    asked = with_answers(
        {
            "default": content({"type": "null"}),
            "2XX": content({"type": "string"}),
            "200": content({"type": "integer"}),
        }
    )

    assert (said(asked, status, body) == []) is fits


def test_oa_10_a_status_that_is_not_declared_is_wrong() -> None:
    asked = with_answers({"200": content({})})

    assert said(asked, 201, {}) == ["the contract declares no answer with status 201"]


@pytest.mark.parametrize(
    ("media_type", "fits"),
    [
        (JSON, True),
        ("application/json; charset=utf-8", True),
        ("APPLICATION/JSON", True),
        (PROBLEM, False),
        ("text/html", False),
        ("", False),
    ],
)
def test_oa_10_a_media_type_that_is_not_declared_is_wrong(media_type: str, fits: bool) -> None:
    asked = with_answers({"200": content({"type": "object"})})

    assert (said(asked, 200, {}, media_type) == []) is fits


def test_oa_10_the_most_specific_content_is_checked() -> None:
    table = {
        "*/*": {},
        "application/*": {},
        JSON: {"schema": {"type": "integer"}},
        "text/csv": {"schema": {"type": "string"}},
    }
    asked = with_answers({"200": {"description": "Fine.", "content": table}})

    assert said(asked, 200, "x")
    assert said(asked, 200, "x", "application/xml") == []
    assert said(asked, 200, ABSENT, "image/png") == []
    assert said(asked, 200, ABSENT, "text/csv") == []


def test_oa_10_a_range_of_json_is_checked() -> None:
    asked = with_answers({"200": content({"type": "integer"}, "application/*+json")})

    assert said(asked, 200, 1, PROBLEM) == [
        "the contract does not declare application/problem+json for status 200"
    ]


def test_oa_10_declared_content_must_be_there() -> None:
    asked = with_answers({"200": content({"type": "object"})})

    assert said(asked, 200, None, "") == [
        "the contract declares content for status 200, there is none"
    ]


@pytest.mark.parametrize(
    ("media_type", "body", "fits"),
    [
        ("", None, True),
        ("", ABSENT, True),
        (JSON, None, True),
        (JSON, {}, False),
        (JSON, ABSENT, False),
    ],
)
def test_oa_10_no_content_means_none(media_type: str, body: Any, fits: bool) -> None:
    asked = with_answers({"204": {"description": "Done."}})

    assert (said(asked, 204, body, media_type) == []) is fits


def test_oa_10_not_modified_needs_no_declaration() -> None:
    asked = with_answers({"200": content({}), "default": content({"type": "object"}, PROBLEM)})

    assert said(asked, 304, None, "") == []


def test_oa_10_a_declared_not_modified_is_checked() -> None:
    headers = {"ETag": {"required": True, "schema": {"type": "string"}}}
    asked = with_answers({"304": {"description": "Still the same.", "headers": headers}})

    assert said(asked, 304, None, "") == ["the header ETag is missing"]


HEADERS = {
    "X-Total": {"required": True, "schema": {"type": "integer"}},
    "X-Tags": {"schema": {"type": "array", "items": {"type": "string"}, "maxItems": 2}},
    "X-Range": {
        "explode": True,
        "schema": {"type": "object", "properties": {"a": {"type": "integer"}}},
    },
    "Content-Type": {"required": True, "schema": {"const": "never"}},
}


@pytest.mark.parametrize(
    ("headers", "wrong"),
    [
        ({"x_total": "5"}, []),
        ({"X_TOTAL": "5", "x_tags": "a, b"}, []),
        ({}, ["the header X-Total is missing"]),
        ({"x_total": "five"}, ["the header X-Total does not match its schema"]),
        ({"x_total": "5", "x_tags": "a,b,c"}, ["the header X-Tags does not match its schema"]),
        ({"x_total": "5", "x_range": "a=1"}, []),
        (
            {"x_total": "5", "x_range": "a"},
            ["the header X-Range: an exploded object is written name=value"],
        ),
    ],
)
def test_oa_10_headers_are_checked(headers: dict[str, str], wrong: list[str]) -> None:
    asked = with_answers({"200": {**content({}), "headers": HEADERS}})

    assert said(asked, 200, {}, **headers) == wrong


def test_lines_of_one_header_are_one_value() -> None:
    asked = with_answers({"200": {**content({}), "headers": HEADERS}})

    assert (
        asked.check_response(200, JSON, {}, [("x-total", "1"), ("X-Tags", "a"), ("x-tags", "b")])
        == []
    )
    assert asked.check_response(
        200, JSON, {}, [("x-total", "1"), ("X-Tags", "a,b"), ("x-tags", "c")]
    )


def test_lines_of_set_cookie_are_values_of_their_own() -> None:
    headers = {"Set-Cookie": {"schema": {"type": "string", "pattern": "^[a-z]=[0-9]; Expires=.*$"}}}
    asked = with_answers({"200": {**content({}), "headers": headers}})
    line = "a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT"

    assert asked.check_response(200, JSON, {}, [("Set-Cookie", line), ("set-cookie", line)]) == []
    assert asked.check_response(200, JSON, {}, [("Set-Cookie", line), ("set-cookie", "b")])


def test_oa_10_what_is_wrong_in_a_body_is_said_with_its_place() -> None:
    schema = {"type": "object", "properties": {"lines": {"items": {"type": "integer"}}}}
    asked = with_answers({"200": content(schema)})

    wrong = asked.check_response(200, JSON, {"lines": [1, "x"]})

    assert wrong == [{"detail": '"x" is not of type "integer"', "pointer": "#/lines/1"}]


def test_a_body_that_is_no_json_data_is_wrong_and_does_no_harm() -> None:
    asked = with_answers({"200": content({"properties": {"when": {"type": "string"}}})})

    assert said(asked, 200, {"when": object()}) == ["it does not match its schema"]


def test_content_that_is_not_looked_into_is_not_wrong() -> None:
    assert said(with_answers({"200": content({"type": "object"})}), 200, ABSENT) == []


def test_a_response_may_be_a_reference() -> None:
    asked = with_answers(
        {"200": {"$ref": "#/components/responses/Fine"}},
        components={"responses": {"Fine": content({"type": "integer"})}},
    )

    assert said(asked, 200, "x")


def test_success_and_products_come_from_the_contract() -> None:
    asked = with_answers(
        {
            "201": content({}),
            "202": content({}, "text/plain"),
            "2XX": content({}, "text/csv"),
            "404": content({}, PROBLEM),
        }
    )

    assert asked.success == (201, 202)
    assert asked.produces == (JSON, "text/plain", "text/csv")


def test_an_answer_is_found_by_its_status() -> None:
    asked = with_answers({"200": content({}), "4XX": content({}, PROBLEM)})

    found = asked.find_answer(404)

    assert found is not None
    assert found.status == "4XX"
    assert asked.find_answer(500) is None
