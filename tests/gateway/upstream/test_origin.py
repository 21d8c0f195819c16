"""Who the client is: what is believed of Forwarded and X-Forwarded-*, and what is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.origin import (
    Hop,
    Origin,
    TrustedProxies,
    origin_writer,
    parse_forwarded,
    resolve_origin,
)
from tests.gateway.upstream.doubles import request

NOBODY = TrustedProxies()
PROXIES = TrustedProxies(["10.0.0.0/8", "2001:db8:1::/48"])
FORGED = (
    (b"forwarded", b"for=6.6.6.6;host=evil.example;proto=http"),
    (b"x-forwarded-for", b"6.6.6.6"),
    (b"x-forwarded-host", b"evil.example"),
    (b"x-forwarded-proto", b"http"),
)


def origin(*headers: tuple[bytes, bytes], peer: str = "10.0.0.1") -> Origin:
    return resolve_origin(peer, "http", "internal:8080", headers, PROXIES)


def test_without_trusted_proxies_the_peer_is_the_client() -> None:
    found = resolve_origin("192.0.2.1", "https", "api.example.com", FORGED, NOBODY)
    assert (found.address, found.scheme, found.host) == ("192.0.2.1", "https", "api.example.com")


def test_a_peer_that_is_not_a_proxy_is_not_believed() -> None:
    found = origin(*FORGED, peer="192.0.2.1")
    assert (found.address, found.scheme, found.host) == ("192.0.2.1", "http", "internal:8080")


def test_a_trusted_proxy_is_believed() -> None:
    found = origin((b"forwarded", b'for="[2001:db8::7]:4711";proto=https;host="shop.example:8443"'))
    assert (found.address, found.scheme, found.host) == (
        "2001:db8::7",
        "https",
        "shop.example:8443",
    )


def test_the_right_most_untrusted_hop_is_the_client_and_what_is_left_of_it_is_lost() -> None:
    chain = b"for=6.6.6.6;proto=http, for=192.0.2.9;proto=https, for=10.0.0.2;proto=http"
    found = origin((b"forwarded", chain))
    assert [hop.node for hop in found.hops] == ["192.0.2.9", "10.0.0.2", "10.0.0.1"]
    assert (found.address, found.scheme) == ("192.0.2.9", "https")


def test_several_lines_are_one_list() -> None:
    found = origin((b"forwarded", b"for=192.0.2.9"), (b"forwarded", b"for=10.0.0.2"))
    assert found.address == "192.0.2.9"


def test_x_forwarded_counts_when_there_is_no_forwarded() -> None:
    found = origin(
        (b"x-forwarded-for", b"6.6.6.6, 192.0.2.9:4711, 10.0.0.2"),
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-host", b"shop.example"),
    )
    assert (found.address, found.scheme, found.host) == ("192.0.2.9", "https", "shop.example")


def test_x_forwarded_for_may_have_ipv6_without_brackets() -> None:
    assert origin((b"x-forwarded-for", b"2001:db8::7")).address == "2001:db8::7"


def test_forwarded_wins_over_x_forwarded() -> None:
    headers = ((b"x-forwarded-for", b"192.0.2.1"), (b"forwarded", b"for=192.0.2.2"))
    assert origin(*headers).address == "192.0.2.2"


def test_a_mapped_address_is_the_address_it_maps() -> None:
    assert "::ffff:10.0.0.1" in PROXIES
    assert "2001:db8:1::5" in PROXIES
    assert "::ffff:192.0.2.1" not in PROXIES
    assert "unix:/run/x.sock" not in PROXIES


@pytest.mark.parametrize("name", ["_hidden", "unknown", "_SEVKISEK.x-y"])
def test_a_node_that_hides_is_the_end_of_the_chain(name: str) -> None:
    found = origin((b"forwarded", f"for=6.6.6.6, for={name}".encode()))
    assert found.address == name


@pytest.mark.parametrize(
    "value",
    [
        "",
        ",",
        "for",
        "for=",
        "for=1.2.3.4,",
        "for=1.2.3.4;;proto=http",
        "for=1.2.3.4 for=1.2.3.5",
        'for="1.2.3.4',
        "for=1.2.3.4;for=1.2.3.5",
        "for=300.2.3.4",
        "for=[2001:db8::7]",
        'for="2001:db8::g"',
        "for=1.2.3.4;proto=gopher",
        'for=1.2.3.4;host="a b"',
        'for=1.2.3.4;host="a\\"b"',
        "proto=https",
        ", ".join(["for=1.2.3.4"] * 33),
    ],
)
def test_a_malformed_chain_is_no_chain(value: str) -> None:
    assert parse_forwarded(value) == []


def test_the_examples_of_the_specification_are_read() -> None:
    assert parse_forwarded('For="[2001:db8:cafe::17]:4711"') == [Hop(node="2001:db8:cafe::17")]
    assert parse_forwarded("for=192.0.2.60;proto=http;by=203.0.113.43") == [
        Hop(node="192.0.2.60", scheme="http")
    ]
    assert parse_forwarded('for=192.0.2.43, for="[2001:db8:cafe::17]"') == [
        Hop(node="192.0.2.43"),
        Hop(node="2001:db8:cafe::17"),
    ]
    assert parse_forwarded('for=_hidden, for=_SEVKISEK;by="_x"') == [
        Hop(node="_hidden"),
        Hop(node="_SEVKISEK"),
    ]
    assert parse_forwarded('for="192.0.2.43:_port"') == [Hop(node="192.0.2.43")]


def written(peer: str, host: bytes, *headers: tuple[bytes, bytes]) -> dict[bytes, bytes]:
    write = origin_writer("gw", PROXIES)
    return dict(write(request(peer=peer, host=host, headers=headers)))


def test_addresses_and_ports_are_quoted_where_they_must_be() -> None:
    assert written("2001:db8::7", b"shop.example:8443") == {
        b"forwarded": b'for="[2001:db8::7]";proto=https;host="shop.example:8443";by=_gw',
        b"x-forwarded-for": b"2001:db8::7",
        b"x-forwarded-proto": b"https",
        b"x-forwarded-host": b"shop.example:8443",
    }


def test_both_families_of_fields_say_the_same() -> None:
    fields = written("10.0.0.1", b"internal", (b"forwarded", b"for=192.0.2.9;proto=http;host=shop"))
    assert fields == {
        b"forwarded": b"for=192.0.2.9;proto=http;host=shop, "
        b"for=10.0.0.1;proto=https;host=internal;by=_gw",
        b"x-forwarded-for": b"192.0.2.9, 10.0.0.1",
        b"x-forwarded-proto": b"http",
        b"x-forwarded-host": b"shop",
    }


@pytest.mark.parametrize("host", [b"", b'a"b', b"a b", b"a;for=1.2.3.4", b"a" * 300, b"\xff"])
def test_a_host_that_is_none_is_left_out(host: bytes) -> None:
    fields = written("192.0.2.1", host)
    assert fields[b"forwarded"] == b"for=192.0.2.1;proto=https;by=_gw"
    assert b"x-forwarded-host" not in fields


def test_a_peer_without_an_address_is_unknown() -> None:
    assert written("", b"")[b"x-forwarded-for"] == b"unknown"


@given(st.text(alphabet='for=;,"[]:. \\_-abc019', max_size=80))
def test_reading_a_chain_never_fails(value: str) -> None:
    for hop in parse_forwarded(value):
        assert hop.node


@given(
    st.lists(
        st.tuples(st.ip_addresses().map(str), st.sampled_from(["http", "https"])),
        min_size=1,
        max_size=30,
    )
)
def test_what_is_written_is_read_back(hops: list[tuple[str, str]]) -> None:
    chain = [Hop(node=node, scheme=scheme, host="h.example:1") for node, scheme in hops]
    everyone = TrustedProxies(["0.0.0.0/0", "::/0"])
    value = ", ".join(
        f'for="{f"[{hop.node}]" if ":" in hop.node else hop.node}";proto={hop.scheme};'
        f'host="{hop.host}"'
        for hop in chain
    )
    assert parse_forwarded(value) == chain
    write = origin_writer("gw", everyone)
    fields = dict(write(request(peer="10.0.0.1", headers=((b"forwarded", value.encode()),))))
    assert parse_forwarded(fields[b"forwarded"].decode())[:-1] == chain
