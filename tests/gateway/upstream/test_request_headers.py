"""Which header fields of a client reach the upstream."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.upstream.options import UpstreamOptions
from gateway.upstream.request_headers import RequestHeaders
from portico.problems import LOOP_DETECTED, MALFORMED_REQUEST, NOT_IMPLEMENTED, Problem
from tests.gateway.upstream.doubles import request

HOP = {b"host", b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"} | {
    b"via",
    b"traceparent",
}


def passed_on(*headers: tuple[bytes, bytes], **options: Any) -> list[tuple[bytes, bytes]]:
    """Return the fields that are sent, without those that mark the hop."""
    policy = RequestHeaders(UpstreamOptions(name="x", urls=("http://upstream.test",), **options))
    fields = policy.build(request(headers=headers), b"upstream.test")
    return [field for field in fields if field[0] not in HOP]


def sent(name: bytes, *headers: tuple[bytes, bytes], **options: Any) -> list[bytes]:
    """Return the values of one field among all that are sent."""
    policy = RequestHeaders(UpstreamOptions(name="x", urls=("http://upstream.test",), **options))
    fields = policy.build(request(headers=headers), b"upstream.test")
    return [value for field, value in fields if field == name]


def test_ordinary_fields_pass_in_order_with_their_repetitions() -> None:
    headers = [(b"x-b", b"1"), (b"accept", b"a"), (b"x-b", b"2"), (b"content-type", b"text/plain")]
    assert passed_on(*headers) == headers


@pytest.mark.parametrize(
    "name",
    [
        b"keep-alive",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"proxy-authorization",
        b"proxy-authenticate",
        b"proxy-connection",
        b"http2-settings",
        b"upgrade",
        b"connection",
        b"expect",
        b"content-length",
        b"traceparent",
        b"tracestate",
    ],
)
def test_fields_of_one_connection_end_here(name: bytes) -> None:
    assert passed_on((name, b"h2c")) == []


def test_whatever_connection_names_ends_here_too() -> None:
    headers = ((b"connection", b"close, X-Private ,,x-other"), (b"x-private", b"1"))
    assert passed_on(*headers, (b"x-other", b"2"), (b"x-public", b"3")) == [(b"x-public", b"3")]


def test_connection_cannot_remove_what_the_gateway_adds() -> None:
    names = b"via, forwarded, x-forwarded-for, traceparent, x-api-key, host, content-length"
    headers = ((b"connection", names),)
    assert sent(b"x-api-key", *headers, set_headers=(("X-API-Key", "s"),)) == [b"s"]
    for name in HOP:
        assert sent(name, *headers), name


@pytest.mark.parametrize(
    "name",
    [
        b"x-user",
        b"x_user",
        b"X-User-Id",
        b"x_user_id",
        b"remote-user",
        b"remote_user",
        b"x-forwarded-user",
        b"x_forwarded_user",
        b"x-forwarded-email",
        b"x-auth-request-groups",
        b"x-real-ip",
        b"x_real_ip",
        b"x-client-cert",
        b"ssl-client-verify",
        b"ssl_client_s_dn",
        b"x-portico-subject",
        b"x-original-url",
        b"x-forwarded-for",
        b"x_forwarded_for",
        b"x-forwarded-prefix",
        b"content_length",
        b"transfer_encoding",
        b"authorization",
        b"cookie",
        b"idempotency_key",
    ],
)
def test_identity_and_its_variants_are_not_taken_from_clients(name: bytes) -> None:
    assert (name, b"root") not in RequestHeaders(
        UpstreamOptions(name="x", urls=("http://upstream.test",))
    ).build(request(headers=((name, b"root"),)), b"upstream.test")


def test_more_identity_headers_can_be_named_and_declared_ones_let_through() -> None:
    headers = ((b"x-staff", b"1"), (b"x_staff", b"1"), (b"x-tenant-id", b"t"))
    assert passed_on(*headers, identity_headers=("X-Staff",)) == []
    assert passed_on(*headers, pass_headers=("X-Tenant-Id",))[-1] == (b"x-tenant-id", b"t")


def test_authorization_cookie_and_key_pass_only_if_configured() -> None:
    """IDM-36: the key of a client is its own unless the configuration gives it away."""
    headers = (
        (b"authorization", b"a"),
        (b"dpop", b"p"),
        (b"cookie", b"c"),
        (b"idempotency-key", b"k"),
    )
    assert passed_on(*headers) == []
    options = {
        "forward_authorization": True,
        "cookies": "pass",
        "forward_idempotency_key": True,
    }
    assert passed_on(*headers, **options) == list(headers)


def test_a_credential_of_the_upstream_replaces_that_of_the_client() -> None:
    options = {"forward_authorization": True, "set_headers": (("Authorization", "Bearer ours"),)}
    assert sent(b"authorization", (b"authorization", b"theirs"), **options) == [b"Bearer ours"]


def test_own_fields_of_the_request_replace_those_of_the_client() -> None:
    policy = RequestHeaders(UpstreamOptions(name="x", urls=("http://upstream.test",)))
    one = request(headers=((b"x-request-id", b"theirs"),), own_headers=((b"x-request-id", b"o"),))
    assert dict(policy.build(one, b"h"))[b"x-request-id"] == b"o"


def test_earlier_via_entries_stay_before_ours() -> None:
    assert sent(b"via", (b"via", b"1.0 fred"), (b"via", b"1.1 p.example.net")) == [
        b"1.0 fred",
        b"1.1 p.example.net",
        b"1.1 portico",
    ]


def test_via_says_which_version_the_client_spoke() -> None:
    policy = RequestHeaders(UpstreamOptions(name="x", urls=("http://h",), pseudonym="edge"))
    fields = dict(policy.build(request(http_version="1.0"), b"h"))
    assert fields[b"via"] == b"1.0 edge"


@pytest.mark.parametrize("via", [b"1.1 edge", b"HTTP/1.1 EDGE (v2)", b"1.0 a, 1.1 edge , 2 b"])
def test_our_own_name_in_via_is_a_loop(via: bytes) -> None:
    with pytest.raises(Problem) as raised:
        passed_on((b"via", via), pseudonym="edge")
    assert raised.value.kind is LOOP_DETECTED


@pytest.mark.parametrize("via", [b"1.1 edges", b"1.1 x-edge", b"edge", b"", b"1.1 other (edge)"])
def test_another_name_in_via_is_none(via: bytes) -> None:
    assert passed_on((b"via", via), pseudonym="edge") == []


@pytest.mark.parametrize("value", [b"websocket", b"h2c, WebSocket"])
def test_websocket_is_not_offered(value: bytes) -> None:
    with pytest.raises(Problem) as raised:
        passed_on((b"connection", b"upgrade"), (b"upgrade", value))
    assert raised.value.kind is NOT_IMPLEMENTED


def test_identity_encoding_replaces_what_the_client_accepts() -> None:
    accepts = (b"accept-encoding", b"gzip, br")
    assert sent(b"accept-encoding", accepts) == [b"gzip, br"]
    assert sent(b"accept-encoding", accepts, accept_encoding="identity") == [b"identity"]


@pytest.mark.parametrize("lengths", [(b"1", b"2"), (b"x",), (b"-1",), (b"",), (b"9" * 20,)])
def test_a_length_that_is_no_number_is_refused(lengths: tuple[bytes, ...]) -> None:
    async def body() -> Any:
        yield b"x"

    policy = RequestHeaders(UpstreamOptions(name="x", urls=("http://upstream.test",)))
    headers = tuple((b"content-length", length) for length in lengths)
    with pytest.raises(Problem) as raised:
        policy.build(request("POST", body=body(), headers=headers), b"h")
    assert raised.value.kind is MALFORMED_REQUEST


def test_names_are_judged_the_same_however_many_there_were() -> None:
    options = UpstreamOptions(name="x", urls=("http://upstream.test",))
    policy = RequestHeaders(options)
    for number in range(3_000):
        policy.build(request(headers=((b"x-%d" % number, b"1"),)), b"h")
    fields = policy.build(request(headers=((b"x-user", b"1"), (b"x-late", b"1"))), b"h")
    assert (b"x-late", b"1") in fields
    assert b"x-user" not in dict(fields)
    assert len(policy._verdicts) <= 1024
