"""OA-08: JSON bodies are read strictly: no duplicates, no NaN, no depth without end."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.contract import json_body
from portico.contract.json_body import MalformedJSONError, decode


class _DuplicateError(Exception):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _DuplicateError
    return found


def _reference(raw: bytes) -> bool:
    try:
        json.loads(raw, object_pairs_hook=_unique)
    except _DuplicateError:
        return False
    return True


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'[{"a":1},{"a":1,"a":null}]',
        b'{"a":"","a":""}',
        b'{"a":1,"\\u0061":2}',
        b'{"\\u0022":1,"\\"":2}',
        b'{"a\\u0022":"\\u0022","a\\"":2}',
        b'{"a":"\\u0022\\u0022","a":"x"}',
        b'{"":1,"":2}',
        b'{"a":1,"a":%s}' % (b"1" * 300),
        '{"é":1,"\\u00e9":2}'.encode(),
    ],
)
def test_oa_08_a_member_that_appears_twice_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedJSONError, match="appears twice"):
        decode(raw)


@pytest.mark.parametrize(
    "raw",
    [
        *(b"NaN", b"Infinity", b"-Infinity", b'{"a":NaN}', b"[1,]", b"{'a':1}", b'{"a":1', b""),
        *(b" ", b"nul", b"01", b"1.", b"+1", b'"\x00"', b'"\xff"', b'"\\ud800"', b"\xef\xbb\xbf{}"),
        *(b"1e999", b"1" * 5000, b"{} {}", b"// no\n{}"),
        *('{"a":1}'.encode("utf-16"), '{"a":1}'.encode("utf-32")),
    ],
)
def test_oa_08_what_is_not_json_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedJSONError):
        decode(raw)


@pytest.mark.parametrize("depth", [255, 1000, 1024, 5000, 1_000_000])
def test_oa_08_depth_is_bounded(depth: int) -> None:
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        with pytest.raises(MalformedJSONError, match="deep|depth"):
            decode(opening * depth + b"1" * (opening != b"[") + closing * depth)


def test_oa_08_what_is_no_deeper_is_read() -> None:
    assert decode(b"[" * 254 + b"]" * 254)


def test_large_integers_keep_what_64_bits_can_hold() -> None:
    assert decode(b"18446744073709551615") == 2**64 - 1
    assert decode(b"-9223372036854775808") == -(2**63)


def test_many_members_are_no_burden() -> None:
    raw = json.dumps({str(n): n for n in range(100_000)}).encode()

    assert len(decode(raw)) == 100_000


MEMBER = st.sampled_from(["a", "b", '"', '\\"', "\\", "é", "", "x y"])
DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | MEMBER,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(MEMBER, inner), max_size=4),
    max_leaves=12,
)


def _render(data: Any, escape: bool) -> str:
    if isinstance(data, list) and data and all(isinstance(item, tuple) for item in data):
        pairs = (f"{_render(key, escape)}: {_render(value, escape)}" for key, value in data)
        return "{" + ",".join(pairs) + "}"
    if isinstance(data, list):
        return "[" + ", ".join(_render(item, escape) for item in data) + "]"
    if isinstance(data, str) and escape:
        return '"' + "".join(f"\\u{ord(letter):04x}" for letter in data) + '"'
    return json.dumps(data, ensure_ascii=False)


@settings(max_examples=500, deadline=None)
@given(DATA, st.booleans())
def test_duplicates_are_found_wherever_they_are(data: Any, escape: bool) -> None:
    raw = _render(data, escape).encode()

    if _reference(raw):
        assert decode(raw) == json.loads(raw)
    else:
        with pytest.raises(MalformedJSONError):
            decode(raw)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40))
def test_no_bytes_do_harm(raw: bytes) -> None:
    try:
        json_body.decode(raw)
    except MalformedJSONError:
        pass
