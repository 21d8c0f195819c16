"""Which requests are the same."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.idempotency.fingerprint import BodyMode, Fingerprinter, join
from portico.problems import Problem
from tests.portico.idempotency.setting import fingerprint

of = fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "PUT"},
        {"operation": "process/orders.v1/cancelOrder"},
        {"template": "/process/orders/v1/{id}"},
        {"raw_path": b"/process/orders/v1/orders/2"},
        {"query": b"dry=1"},
        {"content_type": "text/plain"},
        {"if_match": b'"v1"'},
        {"api_version": b"2026-11-01"},
        {"body": b'{"sku":"chair","quantity":3}'},
        {"body": b""},
    ],
)
def test_idm_11_every_part_tells_requests_apart(changes: dict[str, Any]) -> None:
    assert of(**changes) != of()


def test_idm_11_parts_cannot_run_into_each_other() -> None:
    assert of(raw_path=b"/a", query=b"") != of(raw_path=b"/", query=b"a")
    assert of(if_match=b"x", api_version=b"") != of(if_match=b"", api_version=b"x")
    assert of(template="/a", raw_path=b"b/c") != of(template="/ab", raw_path=b"/c")


@given(st.lists(st.binary(max_size=4), max_size=4), st.lists(st.binary(max_size=4), max_size=4))
def test_idm_11_joined_parts_are_equal_only_when_the_parts_are(
    one: list[bytes], other: list[bytes]
) -> None:
    assert (join(one) == join(other)) == (one == other)


def test_idm_11_the_algorithm_does_not_change_unnoticed() -> None:
    # A change of these must come with a new version, or retries under way become mismatches.
    assert of() == b"1:9T8KxKW6tnfUH1EgLuz0sZQNOdbG2QLdTHlfpudzQk8"
    assert (
        of(BodyMode.CANONICAL_JSON, query=b"b=1&a=%20", body=b'{"b": 1.0}')
        == b"1j:H0LO3kKrMRhfcLgogEoj4CRFRmYITWcY2dqbaFf+/NI"
    )


def test_idm_12_a_different_query_is_a_different_request() -> None:
    assert of(query=b"dry=1") != of(query=b"dry=0")
    assert of(query=b"a=1&a=1") != of(query=b"a=1")
    assert of(query=b"a") != of(query=b"a=")


def test_idm_12_the_order_of_query_pairs_does_not_matter_but_that_of_one_name_does() -> None:
    assert of(query=b"a=1&b=2") == of(query=b"b=2&a=1")
    assert of(query=b"a=1&b=3&a=2") == of(query=b"a=1&a=2&b=3")
    assert of(query=b"a=1&a=2") != of(query=b"a=2&a=1")


def test_idm_12_the_spelling_of_a_query_does_not_matter() -> None:
    assert of(query=b"q=a%20b") == of(query=b"q=a+b") == of(query=b"%71=a%20b")
    assert of(query=b"q=a%2Bb") != of(query=b"q=a+b")
    assert of(query=b"a=1%26b=2") != of(query=b"a=1&b=2")


def test_idm_13_a_different_media_type_is_a_different_request() -> None:
    assert of(content_type="application/json") != of(content_type="text/json")
    assert of(content_type="application/json; v=2") != of(content_type="application/json; v=1")


def test_idm_13_the_spelling_of_a_media_type_does_not_matter() -> None:
    wanted = of(content_type="application/json;charset=utf-8;v=2")

    assert of(content_type='Application/JSON; V=2; charset="UTF-8"') == wanted


def test_idm_14_json_is_compared_as_bytes_unless_asked_otherwise() -> None:
    one, other = b'{"a":1.0,"b":[ ]}', b'{"b":[],"a":1}'

    assert of(body=one) != of(body=other)
    assert of(BodyMode.CANONICAL_JSON, body=one) == of(BodyMode.CANONICAL_JSON, body=other)
    merge = "application/merge-patch+json"
    assert of(BodyMode.CANONICAL_JSON, body=one, content_type=merge) == of(
        BodyMode.CANONICAL_JSON, body=other, content_type=merge
    )


def test_idm_14_other_content_is_bytes_in_every_mode() -> None:
    changes = {"content_type": "text/plain", "body": b"{ }"}

    assert of(BodyMode.CANONICAL_JSON, **changes) != of(
        BodyMode.CANONICAL_JSON, content_type="text/plain", body=b"{}"
    )


@pytest.mark.parametrize("body", [b'{"a":1,"a":2}', b'{"a":NaN}', b'{"a":9007199254740993}'])
def test_idm_14_an_ambiguous_body_is_a_400(body: bytes) -> None:
    with pytest.raises(Problem, match="ambiguous") as caught:
        of(BodyMode.CANONICAL_JSON, body=body)

    assert caught.value.status == 400


def multipart(boundary: str, *parts: tuple[str, str, bytes]) -> dict[str, Any]:
    lines = [
        b"--%b\r\nContent-Disposition: form-data; %b\r\nContent-Type: %b\r\n\r\n%b\r\n"
        % (boundary.encode(), disposition.encode(), media_type.encode(), content)
        for disposition, media_type, content in parts
    ]
    body = b"".join(lines) + b"--%b--\r\n" % boundary.encode()
    return {"content_type": f"multipart/form-data; boundary={boundary}", "body": body}


PART = ('name="file"; filename="a.txt"', "text/plain", b"hello")


def test_idm_15_a_new_boundary_is_the_same_request() -> None:
    assert of(**multipart("aaa", PART)) == of(**multipart("bbb", PART))


@pytest.mark.parametrize(
    "part",
    [
        ('name="other"; filename="a.txt"', "text/plain", b"hello"),
        ('name="file"; filename="b.txt"', "text/plain", b"hello"),
        ('name="file"; filename="a.txt"', "text/html", b"hello"),
        ('name="file"; filename="a.txt"', "text/plain", b"hallo"),
    ],
)
def test_idm_15_parts_differ_by_name_filename_type_and_bytes(part: tuple[str, str, bytes]) -> None:
    assert of(**multipart("aaa", part)) != of(**multipart("aaa", PART))


def test_idm_15_the_order_and_the_number_of_parts_matter() -> None:
    other = ('name="note"', "text/plain", b"x")

    assert of(**multipart("a", PART, other)) != of(**multipart("a", other, PART))
    assert of(**multipart("a", PART, PART)) != of(**multipart("a", PART))


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", "multipart/form-data; boundary=other"]
)
def test_idm_15_a_multipart_body_that_cannot_be_read_is_bytes(content_type: str) -> None:
    body = multipart("aaa", PART)["body"]
    other = multipart("bbb", PART)["body"]

    assert of(content_type=content_type, body=body) != of(content_type=content_type, body=other)


def test_idm_15_a_body_of_too_many_parts_is_bytes() -> None:
    part = ('name="x"', "text/plain", b"")
    few, many = [part] * 900, [part] * 1100

    assert of(**multipart("a", *few)) == of(**multipart("b", *few))
    assert of(**multipart("a", *many)) != of(**multipart("b", *many))


def test_idm_17_the_api_version_counts_and_who_asks_does_not() -> None:
    # What may differ between attempts cannot even be given.
    assert set(inspect.signature(Fingerprinter.take).parameters) == {
        "self",
        "raw_path",
        "query",
        "content_type",
        "if_match",
        "api_version",
        "body",
    }
    assert of(api_version=b"1") != of(api_version=b"2")


def test_idm_18_a_fingerprint_names_its_algorithm() -> None:
    assert of().startswith(b"1:")
    assert of(BodyMode.CANONICAL_JSON).startswith(b"1j:")
    assert len(of()) < 64
    assert b" " not in of()
