"""Raw-socket probes: each is refused with a problem, and nothing smuggled behind it is executed."""

from __future__ import annotations

import pytest

from tests.gateway.protocol.wire import Served, ask, request

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: portico.test\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked"


def lines(*fields: str, start: str = "POST /first HTTP/1.1") -> bytes:
    """Return a head of exactly these lines, without adding a Host."""
    return "\r\n".join([start, *fields]).encode("latin-1") + b"\r\n\r\n"


def head(*fields: str) -> bytes:
    return lines("Host: portico.test", *fields)


# Every name is the probe's; the value is the first request, which a smuggled one follows.
MALFORMED = {
    # Transfer-Encoding and Content-Length.
    "TE and CL, smuggled second request": head("Content-Length: 5", CHUNKED) + b"0\r\n\r\n",
    "CL after TE": head(CHUNKED, "Content-Length: 5") + b"0\r\n\r\n",
    "TE gzip, chunked": head("Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
    "TE chunked, chunked": head("Transfer-Encoding: chunked, chunked") + b"0\r\n\r\n",
    "TE twice": head(CHUNKED, CHUNKED) + b"0\r\n\r\n",
    "TE gzip, then TE chunked": head("Transfer-Encoding: gzip", CHUNKED) + b"0\r\n\r\n",
    "TE identity": head("Transfer-Encoding: identity"),
    "TE xchunked": head("Transfer-Encoding: xchunked") + b"0\r\n\r\n",
    "TE quoted": head('Transfer-Encoding: "chunked"') + b"0\r\n\r\n",
    "TE with a vertical tab": head("Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n",
    "TE empty": head("Transfer-Encoding:"),
    "TE on HTTP/1.0": lines("Host: a", CHUNKED, start="POST /first HTTP/1.0") + b"0\r\n\r\n",
    "CL twice, same": head("Content-Length: 5", "Content-Length: 5") + b"hello",
    "CL twice, different": head("Content-Length: 5", "Content-Length: 0") + b"hello",
    "CL list 5, 5": head("Content-Length: 5, 5") + b"hello",
    "CL signed": head("Content-Length: +5") + b"hello",
    "CL negative": head("Content-Length: -5") + b"hello",
    "CL hexadecimal": head("Content-Length: 0x5") + b"hello",
    "CL underscore": head("Content-Length: 1_0") + b"hellohello",
    "CL empty": head("Content-Length:"),
    "CL with inner space": head("Content-Length: 5 0") + b"hello",
    "CL above 64 bits": head("Content-Length: 18446744073709551621") + b"hello",
    # Chunks.
    "chunk size -5": head(CHUNKED) + b"-5\r\nhello\r\n0\r\n\r\n",
    "chunk size 0x5": head(CHUNKED) + b"0x5\r\nhello\r\n0\r\n\r\n",
    "chunk size with LF": head(CHUNKED) + b"5\nhello\r\n0\r\n\r\n",
    "chunk data with LF": head(CHUNKED) + b"5\r\nhello\n0\r\n\r\n",
    "chunk size with space": head(CHUNKED) + b"5 \r\nhello\r\n0\r\n\r\n",
    "chunk size too short": head(CHUNKED) + b"3\r\nhello\r\n0\r\n\r\n",
    "chunk size above 64 bits": head(CHUNKED) + b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "chunk size empty": head(CHUNKED) + b"\r\nhello\r\n0\r\n\r\n",
    "chunk extension with LF": head(CHUNKED) + b"5;a\nhello\r\n0\r\n\r\n",
    "trailer Content-Length": head(CHUNKED) + b"0\r\nContent-Length: 5\r\n\r\n",
    # Host and target.
    "two Hosts": head("Host: other.test"),
    "two equal Hosts": head("Host: portico.test"),
    "no Host": lines("Accept: */*"),
    "Host empty": lines("Host:"),
    "Host with a path": lines("Host: a/b"),
    "Host with user": lines("Host: user@portico.test"),
    "Host with a space": lines("Host: a b"),
    "Host list": lines("Host: a, b"),
    "Host with an odd port": lines("Host: a:8o"),
    "absolute-form with another host": lines(
        "Host: portico.test", start="POST http://other.test/first HTTP/1.1"
    ),
    "absolute-form with a user": lines("Host: a", start="POST http://u@a/first HTTP/1.1"),
    "absolute-form with another port": lines("Host: a", start="POST http://a:81/first HTTP/1.1"),
    "absolute-form of another scheme": lines("Host: a", start="POST ftp://a/first HTTP/1.1"),
    "asterisk-form with POST": lines("Host: a", start="POST * HTTP/1.1"),
    "relative target": lines("Host: a", start="POST first HTTP/1.1"),
    "fragment": lines("Host: a", start="POST /first#part HTTP/1.1"),
    "fragment in the query": lines("Host: a", start="POST /first?a#part HTTP/1.1"),
    "target with a space": lines("Host: a", start="POST /fi rst HTTP/1.1"),
    "target with a tab": lines("Host: a", start="POST /fi\trst HTTP/1.1"),
    "target with NUL": lines("Host: a", start="POST /fi\0rst HTTP/1.1"),
    "target with bytes above ASCII": lines("Host: a", start="POST /\xe4 HTTP/1.1"),
    "query with bytes above ASCII": lines("Host: a", start="POST /?\xe4 HTTP/1.1"),
    "dot segment": lines("Host: a", start="POST /a/../first HTTP/1.1"),
    "dot segment, encoded": lines("Host: a", start="POST /a/%2e%2E/first HTTP/1.1"),
    "backslash": lines("Host: a", start="POST /a\\first HTTP/1.1"),
    # Lines and fields.
    "obs-fold": head("X-Folded: a\r\n b"),
    "obs-fold of the first field": lines(" Host: a"),
    "space before colon": head("Content-Length : 5") + b"hello",
    "tab before colon": head("X-Tab\t: a"),
    "no colon": head("Nonsense"),
    "empty field name": head(": a"),
    "field name above ASCII": head("X-\xe4: a"),
    "bare LF line ends": head("Accept: */*").replace(b"\r\n", b"\n"),
    "bare LF in one line end": head("Accept: */*\nX-Hidden: 1"),
    "bare CR in a value": head("X-Value: a\rX-Hidden: 1"),
    "bare CR as line end": head("Accept: */*\rTransfer-Encoding: chunked"),
    "NUL in a value": head("X-Value: a\0b"),
    "control in a value": head("X-Value: a\x01b"),
    "DEL in a value": head("X-Value: a\x7fb"),
    "upgrade with a body": head("Connection: upgrade", "Upgrade: h2c", "Content-Length: 46"),
    # Versions.
    "HTTP/1.9": lines("Host: a", start="POST /first HTTP/1.9"),
    "HTTP/2.0 as text": lines("Host: a", start="POST /first HTTP/2.0"),
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/3.0": lines("Host: a", start="POST /first HTTP/3.0"),
    "HTTP/0.9 with fields": lines("Host: a", start="GET /first HTTP/0.9"),
    "version with a space": lines("Host: a", start="POST /first HTTP/1.1 "),
    "version in lower case": lines("Host: a", start="POST /first http/1.1"),
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "an SSH banner": b"SSH-2.0-OpenSSH_9.6\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_refused_and_closes_the_connection(
    served: Served, name: str
) -> None:
    found = ask(served.port, MALFORMED[name] + SMUGGLED)

    assert [(answer.status, answer.slug()) for answer in found] == [(400, "malformed-request")]
    assert found[0].headers["connection"] == "close"
    assert served.app.seen == []
    assert [refusal.slug for refusal in served.refusals] == ["malformed-request"]


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_refused_however_it_is_cut_into_packets(
    served: Served, name: str
) -> None:
    data = MALFORMED[name] + SMUGGLED

    found = ask(served.port, *(data[i : i + 7] for i in range(0, len(data), 7)))

    assert [answer.slug() for answer in found] == ["malformed-request"]
    assert served.app.seen == []


def test_a_malformed_request_behind_a_good_one_is_refused_after_its_answer(served: Served) -> None:
    found = ask(served.port, request(target="/good") + MALFORMED["two Hosts"] + SMUGGLED)

    assert [answer.status for answer in found] == [200, 400]
    assert [seen.raw_path for seen in served.app.seen] == [b"/good"]


TOO_LARGE: dict[str, tuple[bytes, int, str]] = {
    "9 KB target": (request(target="/" + "a" * 9_000), 414, "uri-too-long"),
    "9 KB query": (request(target="/ok?q=" + "a" * 9_000), 414, "uri-too-long"),
    "200 KB target": (request(target="/" + "a" * 200_000), 414, "uri-too-long"),
    "200 KB header": (request("GET", "/ok", "X: " + "a" * 200_000), 431, "headers-too-large"),
    "1 MB header": (request("GET", "/ok", "X: " + "a" * 1_000_000), 431, "headers-too-large"),
    "2000 headers": (
        request("GET", "/ok", *(f"X-{i}: a" for i in range(2_000))),
        431,
        "headers-too-large",
    ),
    "a header name of 50 KB": (
        request("GET", "/ok", "X" * 50_000 + ": a"),
        431,
        "headers-too-large",
    ),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_a_head_above_the_limits_is_refused(served: Served, name: str) -> None:
    data, status, slug = TOO_LARGE[name]

    found = ask(served.port, data + SMUGGLED)

    assert [(answer.status, answer.slug()) for answer in found] == [(status, slug)]
    assert served.app.scopes == []
