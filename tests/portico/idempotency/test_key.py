"""The header field as clients send it, well and badly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.idempotency.key import (
    MAX_KEY_LENGTH,
    applies,
    missing_key,
    read_first_sent_ms,
    read_key,
    read_wait_seconds,
)
from portico.problems import Problem

UUID = "8e03978e-40d5-43e8-bc93-6894a57f9324"


def test_idm_01_a_missing_key_is_a_400_with_a_link_to_its_page() -> None:
    problem = missing_key()

    assert problem.status == 400
    assert problem.kind.slug == "idempotency-key-missing"
    link = '</portal/problems/idempotency-key-missing>; rel="describedby"; type="text/html"'
    assert ("Link", link) in problem.headers


@pytest.mark.parametrize("key", ["abc", UUID, "a-b_c.d~e", "order:17/2", "x!#$%&'*+^`|"])
def test_idm_02_a_quoted_and_a_bare_key_are_the_same(key: str) -> None:
    assert read_key(f'"{key}"'.encode()) == read_key(key.encode()) == key


def test_idm_02_strict_takes_only_a_quoted_key() -> None:
    assert read_key(b'"abc"', strict=True) == "abc"
    with pytest.raises(Problem, match="not in double quotes"):
        read_key(b"abc", strict=True)


def test_a_quoted_key_may_have_spaces_and_escapes() -> None:
    assert read_key(b'"a \\"b\\" \\\\c"') == 'a "b" \\c'


def test_a_quoted_number_is_a_key() -> None:
    assert read_key(b'"42"') == "42"


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (b"", "empty"),
        (b'""', "empty"),
        (b"   ", "empty"),
        (b"a" * 256, "longer"),
        (b'"' + b"a" * 256 + b'"', "longer"),
        (b'"a\x00b"', "neither"),
        (b'"a\tb"', "neither"),
        (b'"a\x7fb"', "neither"),
        ("é".encode(), "neither"),
        ('"é"'.encode(), "neither"),
        (b'"abc', "neither"),
        (b'abc"', "neither"),
        (b'"a\\bc"', "neither"),
        (b'"abc";v=1', "parameters"),
        (b'"abc"; v=1', "parameters"),
        (b"abc;v=1", "parameters"),
        (b"42", "number"),
        (b"-42", "number"),
        (b"4.2", "number"),
        (b"12345678901234567890", "number"),
        (b'"a","b"', "more than one"),
        (b'"a", "b"', "more than one"),
        (b"a, b", "more than one"),
        (b":YWJj:", "neither"),
        (b"?1", "neither"),
        (b"@1700000000", "neither"),
        (b'("a" "b")', "neither"),
        (b"a b", "neither"),
    ],
)
def test_idm_03_a_malformed_key_is_a_400(value: bytes, detail: str) -> None:
    with pytest.raises(Problem, match=detail) as caught:
        read_key(value)

    assert caught.value.status == 400
    assert caught.value.kind.slug == "idempotency-key-malformed"
    assert caught.value.headers[0][0] == "Link"


def test_idm_03_the_longest_key_is_read() -> None:
    assert read_key(b'"' + b"\\\\" * MAX_KEY_LENGTH + b'"') == "\\" * MAX_KEY_LENGTH


@given(st.binary(max_size=300))
def test_idm_03_any_bytes_are_a_key_or_a_400(raw: bytes) -> None:
    found = read_or_status(raw)

    if isinstance(found, str):
        assert 1 <= len(found) <= MAX_KEY_LENGTH
        assert found.isascii()
        assert found.isprintable()
    else:
        assert found == 400


def read_or_status(raw: bytes) -> str | int:
    try:
        return read_key(raw)
    except Problem as problem:
        return problem.status


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=255))
def test_every_printable_key_can_be_sent_in_quotes(key: str) -> None:
    quoted = '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'

    assert read_key(quoted.encode(), strict=True) == key


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "QUERY"])
def test_idm_04_safe_methods_ignore_the_key(method: str) -> None:
    assert not applies(method)


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
def test_idm_04_unsafe_methods_read_the_key(method: str) -> None:
    assert applies(method)


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, 0),
        (b"", 0),
        (b"wait=10", 10),
        (b"respond-async, wait=5", 5),
        (b'WAIT="7"', 7),
        (b"return=minimal; foo, wait = 3", 3),
        (b"wait=9999", 60),
        (b"wait=-1", 0),
        (b"wait=x", 0),
        (b"await=4", 0),
        (b"wait=99999999999999999999", 0),
    ],
)
def test_the_preference_to_wait_is_read_and_bounded(prefer: bytes | None, seconds: float) -> None:
    assert read_wait_seconds(prefer) == seconds


def test_idm_35_the_first_sending_is_read_from_its_header() -> None:
    assert read_first_sent_ms("k", b"Tue, 15 Nov 1994 08:12:31 GMT") == 784_887_151_000
    assert read_first_sent_ms("k", b"yesterday") == 0


def test_idm_35_the_first_sending_is_read_from_a_time_ordered_uuid() -> None:
    assert read_first_sent_ms("017f22e2-79b0-7cc3-98c4-dc0c0c07398f", None) == 1_645_557_742_000
    assert read_first_sent_ms(UUID, None) == 0
    assert read_first_sent_ms("ffffffff-ffff-7cc3-98c4-dc0c0c07398f", None) == 0
    assert read_first_sent_ms("zzzzzzzz-zzzz-7zzz-zzzz-zzzzzzzzzzzz", None) == 0
