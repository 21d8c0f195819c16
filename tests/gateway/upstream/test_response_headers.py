"""Which header fields of an upstream reach the client."""

from __future__ import annotations

import httpx
import pytest

from gateway.upstream.locations import public_locations
from gateway.upstream.options import UpstreamOptions
from gateway.upstream.response_headers import ResponseHeaders


def policy(**options: str) -> ResponseHeaders:
    return ResponseHeaders(UpstreamOptions(name="x", urls=("http://upstream.test",), **options))  # type: ignore[arg-type]  # a test passes options by name


VIA = (b"via", b"1.1 portico")


def test_names_become_lower_case_and_values_stay() -> None:
    fields = [(b"ETag", b'"A"'), (b"X-CASE", b"Value"), (b"x-dup", b"1"), (b"X-Dup", b"2")]
    assert policy().build(200, fields) == [
        (b"etag", b'"A"'),
        (b"x-case", b"Value"),
        (b"x-dup", b"1"),
        (b"x-dup", b"2"),
        VIA,
    ]


def test_connection_in_any_spelling_is_heeded() -> None:
    fields = [(b"CONNECTION", b"X-One"), (b"connection", b"x-two,close"), (b"x-one", b"1")]
    assert policy().build(200, [*fields, (b"X-Two", b"2"), (b"X-Three", b"3")]) == [
        (b"x-three", b"3"),
        VIA,
    ]


def test_the_via_of_others_stays_before_ours() -> None:
    fields = policy(pseudonym="edge").build(200, [(b"Via", b"1.1 cache")], b"HTTP/1.0")
    assert fields == [(b"via", b"1.1 cache"), (b"via", b"1.0 edge")]


@pytest.mark.parametrize(
    "field",
    [
        (b"x-a", b"1\r\nset-cookie: a=1"),
        (b"x-a", b"1\n2"),
        (b"x-a", b"1\r2"),
        (b"x-a", b"1\x002"),
        (b"x-a: 1\r\nx-b", b"1"),
        (b"x a", b"1"),
        (b"", b"1"),
        (b"x-a", b"a" * 70_000),
        (b"Transfer-Encoding", b"gzip"),
    ],
)
def test_fields_that_could_be_read_otherwise_are_refused(field: tuple[bytes, bytes]) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        policy().build(200, [field])


def test_values_above_ascii_pass() -> None:
    assert policy().build(200, [(b"x-a", b"caf\xe9\t!")])[0] == (b"x-a", b"caf\xe9\t!")


def test_204_has_no_length() -> None:
    assert policy().build(204, [(b"Content-Length", b"0")]) == [VIA]


HOSTS = (b"10.0.0.7:9000", b"api.example.com")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"http://10.0.0.7:9000/v2/items/7", b"/ext/items/7"),
        (b"HTTP://10.0.0.7:9000/v2", b"/ext"),
        (b"http://10.0.0.7:9000/v2?page=2#a", b"/ext?page=2#a"),
        (b"https://API.example.com/v2/items", b"/ext/items"),
        (b"/v2/items/7", b"/ext/items/7"),
        (b"http://10.0.0.7:9000/v20/items", b"/v20/items"),
        (b"http://10.0.0.7:9000", b"/"),
        (b"/other", b"/other"),
        (b"items/7", b"items/7"),
        (b"?page=2", b"?page=2"),
        (b"//cdn.example.com/v2/x", b"//cdn.example.com/v2/x"),
        (b"https://login.example.net/v2/x", b"https://login.example.net/v2/x"),
        (b"mailto:someone@example.com", b"mailto:someone@example.com"),
    ],
)
def test_locations_of_the_upstream_become_paths_of_the_gateway(
    value: bytes, expected: bytes
) -> None:
    for name in (b"location", b"content-location"):
        fields = public_locations(
            [(b"x-a", value), (name, value)], hosts=HOSTS, prefix=b"/v2", base_path=b"/ext"
        )
        assert fields == [(b"x-a", value), (name, expected)]


def test_a_location_never_starts_to_name_another_host() -> None:
    fields = [(b"location", b"http://10.0.0.7:9000//evil.example/x")]
    assert public_locations(fields, hosts=HOSTS, prefix=b"", base_path=b"") == [
        (b"location", b"/.//evil.example/x")
    ]
    fields = [(b"location", b"http://10.0.0.7:9000/v2//evil.example/x")]
    assert public_locations(fields, hosts=HOSTS, prefix=b"/v2", base_path=b"") == [
        (b"location", b"/.//evil.example/x")
    ]
