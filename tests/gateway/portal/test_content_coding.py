"""When a client takes gzip."""

from __future__ import annotations

import pytest

from gateway.portal.content_coding import accepts_gzip


@pytest.mark.parametrize(
    "field",
    [
        "gzip",
        "GZIP",
        "br, gzip",
        "gzip;q=0.001",
        "gzip; q=1",
        "*",
        "br;q=1, *;q=0.5",
        "gzip;q=1.000",
    ],
)
def test_gzip_is_taken(field: str) -> None:
    assert accepts_gzip(field)


@pytest.mark.parametrize(
    "field",
    ["", "identity", "br", "gzip;q=0", "gzip; q=0.000", "*;q=0", "gzip;q=0, *", "xgzip", ",;,=;q"],
)
def test_gzip_is_not_taken(field: str) -> None:
    assert not accepts_gzip(field)


def test_entries_beyond_the_bound_are_not_read() -> None:
    assert not accepts_gzip("br," * 10_000 + "gzip")
