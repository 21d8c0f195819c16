"""The framing fields alone: what httptools also refuses stays refused if it ever stops to."""

from __future__ import annotations

import pytest

from gateway.protocol.framing import Framing, read_framing
from portico.problems import Problem

HOST = (b"host", b"portico.test")
CHUNKED = (b"transfer-encoding", b"chunked")
LENGTH = (b"content-length", b"5")


def test_a_request_without_a_body() -> None:
    assert read_framing("1.1", [HOST]) == Framing(
        host=b"portico.test",
        chunked=False,
        has_body=False,
        expects_continue=False,
        names_upgrade=False,
    )


def test_a_length_is_a_body_unless_it_is_zero() -> None:
    assert read_framing("1.1", [HOST, LENGTH]).has_body
    assert not read_framing("1.1", [HOST, (b"content-length", b"000")]).has_body


def test_chunks_are_a_body_in_any_case() -> None:
    framing = read_framing("1.1", [HOST, (b"transfer-encoding", b"CHUNKED")])

    assert (framing.chunked, framing.has_body) == (True, True)


def test_an_old_client_is_not_sent_an_interim_response() -> None:
    fields = [HOST, (b"expect", b"100-Continue")]

    assert read_framing("1.1", fields).expects_continue
    assert not read_framing("1.0", fields).expects_continue


@pytest.mark.parametrize(
    "host",
    [b"a", b"a:80", b"A-b.c_d~e:65535", b"192.0.2.1", b"[2001:db8::1]", b"[::ffff:192.0.2.1]:8080"],
)
def test_a_host_is_a_name_or_an_address_with_an_optional_port(host: bytes) -> None:
    assert read_framing("1.1", [(b"host", host)]).host == host


@pytest.mark.parametrize(
    ("version", "fields"),
    [
        ("1.1", [HOST, CHUNKED, LENGTH]),
        ("1.1", [HOST, LENGTH, CHUNKED]),
        ("1.1", [HOST, CHUNKED, CHUNKED]),
        ("1.1", [HOST, (b"transfer-encoding", b"gzip, chunked")]),
        ("1.1", [HOST, (b"transfer-encoding", b"")]),
        ("1.0", [HOST, CHUNKED]),
        ("1.1", [HOST, LENGTH, LENGTH]),
        ("1.1", [HOST, LENGTH, (b"content-length", b"6")]),
        ("1.1", [HOST, (b"content-length", b"")]),
        ("1.1", [HOST, (b"content-length", b"+5")]),
        ("1.1", [HOST, (b"content-length", b"\xd9\xa5")]),
        ("1.1", [HOST, (b"content-length", b"9" * 20)]),
        ("1.1", []),
        ("1.1", [HOST, HOST]),
        ("1.0", [HOST, HOST]),
        ("1.1", [(b"host", b"")]),
        ("1.1", [(b"host", b"a:123456")]),
        ("1.1", [(b"host", b"[a")]),
        ("1.1", [(b"host", b"a\n")]),
        ("0.9", [HOST]),
        ("2.0", [HOST]),
    ],
)
def test_fields_with_two_readings_are_refused(
    version: str, fields: list[tuple[bytes, bytes]]
) -> None:
    with pytest.raises(Problem) as caught:
        read_framing(version, fields)

    assert (caught.value.status, caught.value.kind.slug) == (400, "malformed-request")
    assert caught.value.detail
