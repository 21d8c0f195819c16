from __future__ import annotations

import pytest

from gateway.identity.json_object import read_object


def test_an_object_is_read() -> None:
    assert read_object('{"a": [1, 2.5, {"b": null}], "ü": true}'.encode()) == {
        "a": [1, 2.5, {"b": None}],
        "ü": True,
    }


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'"text"',
        b"1",
        b"{",
        b"{} {}",
        b'{"a": 1, "a": 1}',
        b'{"a": {"b": 1, "\\u0062": 2}}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 1e400}',
        b'{"a": -1e999}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": ' + b"[" * 100_000,
        b'{"a": "\xff"}',
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"),
        '{"a": 1}'.encode("utf-32"),
        b'{"a": "\x00"}',
    ],
)
def test_what_has_two_readings_or_none_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - ValueError is the contract
        read_object(text)
