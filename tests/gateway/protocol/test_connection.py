"""Connections over real sockets: order, reuse, versions, bodies and failures."""

from __future__ import annotations

import json
import time

import pytest

from tests.gateway.protocol.wire import (
    Served,
    answers,
    ask,
    connect,
    eventually,
    read_answer,
    request,
    until_closed,
)

CLOSE = "Connection: close"


# Order, reuse and versions.


def test_pipelined_requests_are_answered_in_order(served: Served) -> None:
    targets = [f"/{i}" for i in range(20)]
    data = b"".join(request(target=target) for target in targets)

    found = ask(served.port, data + request("GET", "/last", CLOSE))

    assert [answer.body.decode() for answer in found] == [*targets, "/last"]


def test_a_slow_answer_holds_back_the_answers_behind_it(served: Served) -> None:
    with connect(served.port) as sock:
        sock.sendall(request(target="/wait") + request("POST", "/next", CLOSE, body=b"x" * 200_000))
        time.sleep(0.1)
        assert [scope["path"] for scope in served.app.scopes] == ["/wait"]
        served.app.gate.set()

        found = answers(until_closed(sock))

    assert [answer.body for answer in found] == [b"/wait", b"/next"]
    assert len(served.app.seen[1].body) == 200_000


def test_more_pipelined_requests_than_allowed_are_refused_behind_the_others(served: Served) -> None:
    found = ask(served.port, request() * 60)

    assert [answer.status for answer in found] == [200] * 33 + [429]
    assert found[-1].slug() == "too-many-requests"
    assert found[-1].headers["retry-after"] == "1"


def test_a_connection_is_used_again(served: Served) -> None:
    with connect(served.port) as sock:
        for i in range(50):
            sock.sendall(request("POST", f"/{i}", body=b"x" * i))
            assert read_answer(sock).body == b"/%d" % i

    assert [len(seen.body) for seen in served.app.seen] == list(range(50))


def test_framing_is_checked_on_every_request_of_a_connection(served: Served) -> None:
    with connect(served.port) as sock:
        sock.sendall(request())
        assert read_answer(sock).status == 200
        sock.sendall(request("GET", "/second", "Host: other.test"))

        assert [answer.slug() for answer in answers(until_closed(sock))] == ["malformed-request"]


def test_http_1_0_is_answered_and_closed(served: Served) -> None:
    found = ask(served.port, b"GET /old HTTP/1.0\r\n\r\n")

    assert [answer.body for answer in found] == [b"/old"]
    assert found[0].headers["connection"] == "close"
    assert served.app.scopes[0]["http_version"] == "1.0"


def test_a_streamed_answer_to_http_1_0_has_no_chunks(served: Served) -> None:
    found = ask(served.port, b"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")

    assert [answer.body for answer in found] == [b"onetwo"]
    assert "transfer-encoding" not in found[0].headers


def test_a_streamed_answer_to_http_1_1_has_chunks(served: Served) -> None:
    found = ask(served.port, request("GET", "/stream", CLOSE))

    assert found[0].headers["transfer-encoding"] == "chunked"
    assert found[0].body == b"onetwo"


def test_the_absolute_form_is_the_same_request(served: Served) -> None:
    data = b"GET http://PORTICO.test:80/a?b=c HTTP/1.1\r\nHost: portico.test\r\n" + b"\r\n"

    ask(served.port, data.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    scope = served.app.scopes[0]
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/a", b"/a", b"b=c")


def test_the_asterisk_form_is_for_options(served: Served) -> None:
    ask(served.port, request("OPTIONS", "*", CLOSE))

    assert served.app.scopes[0]["path"] == "*"


def test_an_encoded_slash_stays_in_the_raw_path(served: Served) -> None:
    ask(served.port, request("GET", "/a%2Fb/%C3%A4?c=%2F", CLOSE))

    scope = served.app.scopes[0]
    assert (scope["raw_path"], scope["path"]) == (b"/a%2Fb/%C3%A4", "/a/b/ä")
    assert scope["query_string"] == b"c=%2F"


def test_header_fields_arrive_in_order_without_surrounding_space(served: Served) -> None:
    ask(served.port, request("GET", "/ok", "X-A:  1 \t", "X-B: 2", "x-a: 3", CLOSE))

    fields = [field for field in served.app.scopes[0]["headers"] if field[0].startswith(b"x-")]
    assert fields == [(b"x-a", b"1"), (b"x-b", b"2"), (b"x-a", b"3")]


def test_trailer_fields_do_not_become_header_fields(served: Served) -> None:
    body = b"5\r\nhello\r\n0\r\nAuthorization: Bearer x\r\nHost: evil\r\n\r\n"
    chunked = request("POST", "/ok", "Transfer-Encoding: chunked") + body

    found = ask(served.port, chunked + request("GET", "/next", CLOSE))

    assert [answer.status for answer in found] == [200, 200]
    assert served.app.seen[0].body == b"hello"
    assert [name for name, _ in served.app.seen[0].headers] == [b"host", b"transfer-encoding"]


def test_an_upgrade_is_ignored_and_the_next_request_answered(served: Served) -> None:
    upgrade = request("GET", "/a", "Connection: upgrade", "Upgrade: websocket")

    found = ask(served.port, upgrade * 3 + request("GET", "/b", CLOSE))

    assert [answer.body for answer in found] == [b"/a", b"/a", b"/a", b"/b"]


def test_an_upgrade_with_a_body_is_refused_after_the_same_fields_without_one(
    served: Served,
) -> None:
    body = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    plain = request("POST", "/a", "Upgrade: h2c", body=body)

    found = ask(
        served.port, plain, request("POST", "/a", "Connection: upgrade", "Upgrade: h2c", body=body)
    )

    assert [answer.status for answer in found] == [200, 400]
    assert [seen.raw_path for seen in served.app.seen] == [b"/a"]


def test_an_unknown_method_is_not_implemented(served: Served) -> None:
    found = ask(served.port, request("BREW"))

    assert [(answer.status, answer.slug()) for answer in found] == [(501, "method-not-implemented")]


def test_a_tunnel_is_not_implemented(served: Served) -> None:
    found = ask(served.port, b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n" + request())

    assert [(answer.status, answer.slug()) for answer in found] == [(501, "method-not-implemented")]
    assert served.app.scopes == []


# Bodies.


def test_a_client_that_expects_100_continue_gets_it_when_the_body_is_wanted(
    served: Served,
) -> None:
    with connect(served.port) as sock:
        sock.sendall(request("POST", "/ok", "Expect: 100-continue", "Content-Length: 5"))
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"hello")
        assert read_answer(sock).status == 200


def test_an_early_answer_instead_of_100_continue_closes_the_connection(served: Served) -> None:
    found = ask(served.port, request("POST", "/early", "Expect: 100-continue", "Content-Length: 5"))

    assert [answer.status for answer in found] == [413]


def test_a_body_nobody_reads_is_skipped_and_the_connection_used_again(served: Served) -> None:
    with connect(served.port) as sock:
        sock.sendall(request("POST", "/early", "Content-Length: 100000"))
        assert read_answer(sock).status == 413
        sock.sendall(b"x" * 100_000 + request(target="/next"))

        assert read_answer(sock).body == b"/next"


def test_a_large_body_nobody_reads_ends_the_connection_after_the_answer(served: Served) -> None:
    found = ask(served.port, request("POST", "/early", body=b"x" * 20_000_000))

    assert [answer.status for answer in found] == [413]


def test_a_connection_that_closes_after_an_early_answer_delivers_it(served: Served) -> None:
    found = ask(served.port, request("POST", "/early", CLOSE, body=b"x" * 2_000_000))

    assert [answer.status for answer in found] == [413]


def test_a_broken_body_ends_the_request_of_the_application(served: Served) -> None:
    data = request("POST", "/ok", "Transfer-Encoding: chunked") + b"5\r\nhello\r\n"
    with connect(served.port) as sock:
        sock.sendall(data)
        time.sleep(0.05)
        sock.sendall(b"zz\r\n")

        assert [answer.slug() for answer in answers(until_closed(sock))] == ["malformed-request"]
    assert served.app.seen == []
    eventually(lambda: served.app.disconnects == 1)


# Applications that fail.


@pytest.mark.parametrize("target", ["/raise", "/nothing"])
def test_a_failing_application_is_a_problem_without_details(
    served: Served, target: str, caplog: pytest.LogCaptureFixture
) -> None:
    with connect(served.port) as sock:
        sock.sendall(request(target=target))
        answer = read_answer(sock)
        sock.sendall(request(target="/next"))
        assert read_answer(sock).status == 200

    assert (answer.status, answer.slug()) == (500, "internal-error")
    assert b"secret" not in answer.body
    instance = json.loads(answer.body)["instance"]
    assert instance.rsplit(":", 1)[1] in caplog.text


def test_a_failure_carries_the_request_id_of_the_application(served: Served) -> None:
    with connect(served.port) as sock:
        sock.sendall(request(target="/named"))
        answer = read_answer(sock)

    assert answer.headers["x-request-id"] == "0123abcd"
    assert json.loads(answer.body)["instance"] == "urn:portico:request:0123abcd"


def test_an_answer_that_fails_midway_is_seen_to_be_cut(served: Served) -> None:
    with connect(served.port) as sock:
        sock.sendall(request(target="/cut"))
        data = until_closed(sock)

    assert data.endswith(b"4\r\nhalf\r\n")


def test_a_problem_answers_head_without_a_body(served: Served) -> None:
    with connect(served.port) as sock:
        sock.sendall(request("HEAD", "/ok", "Host: other.test"))
        data = until_closed(sock)

    assert data.startswith(b"HTTP/1.1 400 ")
    assert data.endswith(b"\r\n\r\n")


def test_refusals_carry_the_date_and_are_not_cached(served: Served) -> None:
    (answer,) = ask(served.port, b"nonsense\r\n\r\n")

    assert answer.headers["date"].endswith(" GMT")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-language"] == "en"
    assert answer.headers["x-request-id"] == served.refusals[0].request_id
    assert served.refusals[0].request_id in answer.body.decode()
