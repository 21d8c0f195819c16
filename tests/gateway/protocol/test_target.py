"""One reading of a path: refused unless routing, authorization and upstream would see the same."""

from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.target import check_target


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/process/orders/v1/orders/SO-1_a~b",
        "/a%2Fb",
        "/%C3%A4",
        "/a.b/.c/..d/e../...",
        "/;a=1/b;c",
        "/a%20b/%23/%3F",
        "//",
        "/100%25",
        "/!$&'()*+,=:@",
    ],
)
def test_a_path_with_one_reading_passes(path: str) -> None:
    assert check_target(path.encode()) is None


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (b"/%00", "control character"),
        (b"/a%0d%0ab", "control character"),
        (b"/%7f", "control character"),
        (b"/%C2%9B", "control character"),
        (b"/a\x00", "must be percent-encoded"),
        (b"/a b", "must be percent-encoded"),
        (b"/a\x7f", "must be percent-encoded"),
        (b"/\xc3\xa4", "must be percent-encoded"),
        (b"/a#b", "must be percent-encoded"),
        (b"/a\\b", "backslash"),
        (b"/a%5Cb", "backslash"),
        (b"/a%5cb", "backslash"),
        (b"/..", "dot segment"),
        (b"/.", "dot segment"),
        (b"/a/../b", "dot segment"),
        (b"/a/./b", "dot segment"),
        (b"/a/%2e%2E/b", "dot segment"),
        (b"/a/.%2e", "dot segment"),
        (b"/a/..%2fb", "dot segment"),
        (b"/a%2f..", "dot segment"),
        (b"/a/..;x=y/b", "dot segment"),
        (b"/a/..;", "dot segment"),
        (b"/%", "hexadecimal"),
        (b"/%2", "hexadecimal"),
        (b"/%zz", "hexadecimal"),
        (b"/%u002e", "hexadecimal"),
        (b"/%c0%ae%c0%ae/", "UTF-8"),
        (b"/%ff", "UTF-8"),
        (b"/%ED%A0%80", "UTF-8"),
    ],
)
def test_a_path_with_several_readings_is_refused(path: bytes, reason: str) -> None:
    problem = check_target(path)

    assert problem is not None
    assert (problem.status, problem.kind.slug) == (400, "malformed-request")
    assert reason in problem.detail


@given(st.lists(st.text(st.characters(exclude_categories=["C"]), min_size=1), min_size=1))
def test_every_encoded_value_that_is_no_dot_segment_passes(values: list[str]) -> None:
    path = "".join("/" + quote(value, safe="") for value in values)
    decoded = unquote(path)
    dots = any(segment.split(";")[0] in {".", ".."} for segment in decoded.split("/"))

    assert (check_target(path.encode()) is None) == ("\\" not in decoded and not dots)


@given(st.binary(max_size=20))
def test_any_bytes_are_judged_without_an_error(path: bytes) -> None:
    check_target(b"/" + path)
