"""RFC 8785, with the vectors of the RFC."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.idempotency.canonical_json import NotCanonicalError, canonicalize, number_text

# Appendix B: the bits of a number, and its text.
NUMBERS = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("ffefffffffffffff", "-1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("c340000000000000", "-9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("44b52d02c7e14af7", "1.0000000000000001e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef4f", "999999999999999900000"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2"),
]


@pytest.mark.parametrize(("bits", "text"), NUMBERS)
def test_numbers_are_written_as_the_rfc_has_them(bits: str, text: str) -> None:
    assert number_text(struct.unpack(">d", bytes.fromhex(bits))[0]) == text


@pytest.mark.parametrize("bits", ["7fffffffffffffff", "7ff0000000000000"])
def test_what_is_no_number_has_no_text(bits: str) -> None:
    with pytest.raises(NotCanonicalError):
        number_text(struct.unpack(">d", bytes.fromhex(bits))[0])


def test_the_example_of_the_rfc() -> None:
    """IDM-14: the form is that of the RFC."""
    # Section 3.2.2 and 3.2.4.
    raw = (
        '{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],'
        '"string":"\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/",'
        '"literals":[null,true,false]}'
    )

    assert canonicalize(raw.encode()).decode() == (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


def test_members_are_sorted_by_utf_16_code_units() -> None:
    # Section 3.2.3.
    raw = {
        "€": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "😀": "Emoji: Grinning Face",
        "\u0080": "Control",
        "ö": "Latin Small Letter O With Diaeresis",
    }

    found = json.loads(canonicalize(json.dumps(raw).encode()))

    assert list(found) == ["\r", "1", "\u0080", "ö", "€", "😀", "\ufb33"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b'{"a":1,"a":1}',
        b"[NaN]",
        b"[Infinity]",
        b"[1e400]",
        b"[9007199254740993]",
        b"[-9007199254740993]",
        b"[" + b"1" * 100_000 + b"]",
        b'["\\ud800"]',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_what_has_no_canonical_form_is_refused(raw: bytes) -> None:
    """IDM-14: members twice, no numbers, and numbers too large."""
    with pytest.raises(NotCanonicalError):
        canonicalize(raw)


DATA = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    # A larger one is written as an integer that is refused.
    | st.floats(-(2.0**53), 2.0**53)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(DATA)
def test_the_canonical_form_means_the_same_and_is_its_own(data: object) -> None:
    form = canonicalize(json.dumps(data).encode())

    assert json.loads(form) == data
    assert canonicalize(form) == form
    assert canonicalize(json.dumps(data, indent=3, ensure_ascii=False).encode()) == form
