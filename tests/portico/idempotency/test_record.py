"""Records as they are stored."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.idempotency.record import (
    COMPRESS_FROM_BYTES,
    State,
    StoredResponse,
    UnreadableRecordError,
    facts,
    parse,
    read_response,
    write_response,
)

LINE = b"1 C 1795206412571927 0 U 1:abc token 0 1795206412571 request some/operation key\n"
RESPONSE = StoredResponse(
    status=201,
    headers=((b"content-type", b"application/json"), (b"link", b"<a>; rel=b, <c>")),
    body=b'{"id":"17"}',
)


def written(response: StoredResponse) -> bytes:
    return write_response(response.status, response.headers, response.body)


def test_a_record_is_read_with_all_that_it_says() -> None:
    record = parse(LINE + written(RESPONSE))

    assert record.state is State.COMPLETED
    assert record.epoch == 1795206412571927
    assert (record.request_id, record.operation) == ("request", "some/operation")
    assert record.upstream_key == "key"
    assert record.created_ms == 1795206412571
    assert record.response == RESPONSE


@given(
    st.integers(200, 599),
    st.lists(
        st.tuples(
            st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1).map(str.encode),
            st.binary(max_size=50).map(lambda value: value.replace(b"\r", b"").replace(b"\n", b"")),
        ),
        max_size=5,
    ),
    st.binary(max_size=300) | st.binary(min_size=1, max_size=9).map(lambda part: part * 1000),
)
def test_idm_24_idm_29_a_response_comes_back_to_the_byte(
    status: int, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    response = StoredResponse(status=status, headers=tuple(headers), body=body)

    assert read_response(written(response)) == response


def test_a_large_body_is_compressed_and_one_that_does_not_shrink_is_not() -> None:
    text = StoredResponse(status=200, headers=(), body=b"0123456789" * COMPRESS_FROM_BYTES)
    noise = StoredResponse(status=200, headers=(), body=os.urandom(COMPRESS_FROM_BYTES))

    assert len(written(text)) < len(text.body) / 10
    assert read_response(written(text)) == text
    assert len(written(noise)) < len(noise.body) + 60


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b"1\n",
        LINE,
        LINE.replace(b"1 C", b"2 C") + written(RESPONSE),
        LINE.replace(b"1 C", b"1 Q") + written(RESPONSE),
        LINE.replace(b"1795206412571927", b"soon") + written(RESPONSE),
        LINE + b"201 - 1 2\nx",
        LINE + b"201 - 0 0",
        LINE + b"not a response\n",
        LINE.replace(b"1 C", b"1 P").replace(b"token 0", b"token 9") + b"[1,2,3]  ",
    ],
)
def test_idm_32_what_is_no_record_is_unreadable(raw: bytes) -> None:
    with pytest.raises(UnreadableRecordError):
        parse(raw)


@given(st.data())
def test_idm_32_one_changed_byte_of_a_response_is_noticed(data: st.DataObject) -> None:
    raw = bytearray(written(RESPONSE))
    place = data.draw(st.integers(raw.index(b"\n") + 1, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))

    with pytest.raises(UnreadableRecordError):
        read_response(bytes(raw))


def test_idm_32_a_cut_off_compressed_body_is_noticed() -> None:
    raw = write_response(200, body=b"a" * 100_000)

    with pytest.raises(UnreadableRecordError):
        read_response(raw[:-3])


@given(st.text(max_size=40), st.text(max_size=40))
def test_what_a_record_says_of_its_request_is_four_words(request_id: str, operation: str) -> None:
    words = facts(request_id, operation, "key").split(b" ")

    assert len(words) == 3
    assert all(words)
    line = b"1 P 1 0 U 1:a t 0 1 " + b" ".join(words) + b"\n"
    assert parse(line).operation == (operation or "-")
    assert parse(line).request_id == (request_id or "-")
