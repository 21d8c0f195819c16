"""Answers of every kind, most of them wrong, and what becomes of them."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest

from gateway.upstream.failures import UpstreamProblem
from gateway.upstream.messages import ForwardedResponse
from portico.problems import BAD_UPSTREAM, DEADLINE_EXCEEDED
from tests.gateway.upstream.doubles import (
    OK,
    Script,
    Wire,
    answering,
    request,
    serving,
    upstream,
    whole,
)

pytestmark = pytest.mark.anyio

HEAD = b"HTTP/1.1 200 OK\r\n"


async def answer_to(script: Script, *, method: str = "GET", **options: Any) -> ForwardedResponse:
    """Return the answer of a script, its body read."""
    async with serving(script) as double, upstream(double.url, **options) as billing:
        response = await billing.forward(request(method))
        response.body = await whole(response)
        await response.aclose()
        return response


async def failure_of(script: Script, *, seconds: float = 5.0, **options: Any) -> UpstreamProblem:
    """Return the problem that an answer leads to, be it before or in its body."""
    async with serving(script) as double, upstream(double.url, **options) as billing:
        with pytest.raises(UpstreamProblem) as raised:
            await whole(await billing.forward(request(seconds=seconds)))
    assert raised.value.extensions == {"upstream": "billing"}
    assert "127.0.0.1" not in str(raised.value.document(type_base="", request_id=""))
    return raised.value


def sending(*answer: bytes, every: float = 0.0) -> Script:
    """Return a script that sends parts and then closes."""

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(*answer, every=every)

    return script


async def test_an_answer_comes_whole_with_its_own_fields_and_our_via() -> None:
    answer = HEAD + b'X-A: 1\r\nETag: "x"\r\nContent-Length: 5\r\nDate: today\r\n\r\nhello'
    response = await answer_to(answering(answer))
    assert response.status == 200
    assert response.body == b"hello"
    assert response.headers == [
        (b"x-a", b"1"),
        (b"etag", b'"x"'),
        (b"content-length", b"5"),
        (b"date", b"today"),
        (b"via", b"1.1 portico"),
    ]


async def test_an_answer_in_many_pieces_is_the_same_answer() -> None:
    pieces = [OK[index : index + 1] for index in range(len(OK))]
    response = await answer_to(sending(*pieces, every=0.001))
    assert response.body == b"ok"


async def test_chunks_and_their_trailers_become_a_body_and_nothing_else() -> None:
    answer = (
        HEAD + b"Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
        b"3;ext=1\r\none\r\n5\r\nthree\r\n0\r\nX-Sum: 8\r\nX-Other: 1\r\n\r\n"
    )
    async with serving(answering(answer, OK)) as double, upstream(double.url) as billing:
        response = await billing.forward(request())
        assert await whole(response) == b"onethree"
        names = {name for name, _ in response.headers}
        assert not names & {b"transfer-encoding", b"trailer", b"x-sum"}
        await response.aclose()
        assert (await billing.forward(request())).body == b"ok"
        assert double.connections == 1


async def test_a_content_coding_stays_what_it_is() -> None:
    packed = gzip.compress(b"text" * 100)
    answer = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed
    response = await answer_to(answering(answer))
    assert response.body == packed
    assert (b"content-encoding", b"gzip") in response.headers
    assert (b"content-length", b"%d" % len(packed)) in response.headers


async def test_repeated_fields_stay_apart_and_in_order() -> None:
    cookies = [b"a=1; Path=/, x", b"b=2", b"a=3"]
    lines = b"".join(b"Set-Cookie: %b\r\n" % cookie for cookie in cookies)
    answer = HEAD + lines + b"Content-Length: 0\r\n\r\n"
    response = await answer_to(answering(answer), cookies="pass")
    assert [value for name, value in response.headers if name == b"set-cookie"] == cookies


async def test_cookies_are_dropped_unless_asked_for() -> None:
    answer = HEAD + b"Set-Cookie: a=1\r\nContent-Length: 0\r\n\r\n"
    response = await answer_to(answering(answer))
    assert b"set-cookie" not in dict(response.headers)


@pytest.mark.parametrize(
    ("method", "answer", "length"),
    [
        ("HEAD", HEAD + b"Content-Length: 5000\r\n\r\n", b"5000"),
        ("HEAD", HEAD + b"Transfer-Encoding: chunked\r\n\r\n", None),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", None),
        ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", None),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5000\r\n\r\n", b"5000"),
        ("GET", HEAD + b"Content-Length: 0\r\n\r\n", b"0"),
    ],
)
async def test_answers_without_a_body_leave_the_connection_usable(
    method: str, answer: bytes, length: bytes | None
) -> None:
    async with serving(answering(answer, OK)) as double, upstream(double.url) as billing:
        response = await billing.forward(request(method))
        assert response.body == b""
        assert dict(response.headers).get(b"content-length") == length
        assert (await billing.forward(request())).body == b"ok"
        assert double.connections == 1


@pytest.mark.parametrize(
    "interim",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n" * 3,
        b"HTTP/1.1 102 Processing\r\n\r\n",
    ],
)
async def test_interim_responses_are_swallowed(interim: bytes) -> None:
    """IDM-31: what comes before the answer is not part of it."""
    response = await answer_to(answering(interim + OK))
    assert (response.status, response.body) == (200, b"ok")
    assert b"link" not in dict(response.headers)


async def test_a_body_that_ends_with_the_connection_is_whole() -> None:
    response = await answer_to(
        sending(b"HTTP/1.0 200 OK\r\nX-A: 1\r\n\r\nhello ", b"world", every=0.05)
    )
    assert response.body == b"hello world"
    assert (b"via", b"1.0 portico") in response.headers


async def test_hop_by_hop_fields_end_here() -> None:
    answer = (
        HEAD + b"Connection: keep-alive, X-Private\r\nKeep-Alive: timeout=5\r\nX-Private: 1\r\n"
        b"Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nX-Public: 1\r\nContent-Length: 0\r\n\r\n"
    )
    names = {name for name, _ in (await answer_to(answering(answer))).headers}
    assert names == {b"x-public", b"content-length", b"via"}


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="closes without a word"),
        pytest.param(b"HTTP/1.1 200 O", id="closes in the status line"),
        pytest.param(HEAD + b"Content-Le", id="closes in the header"),
        pytest.param(HEAD + b"Content-Length: 10\r\n\r\nshort", id="closes in the body"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel", id="closes in a chunk"),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", id="no last chunk"
        ),
        pytest.param(b"220 mail.example.com ESMTP\r\n", id="another protocol"),
        pytest.param(b"\x15\x03\x01\x00\x02\x02\x46", id="a TLS alert"),
        pytest.param(b"HTTP/1.1 2xx OK\r\n\r\n", id="a status that is no number"),
        pytest.param(b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n", id="a status above 599"),
        pytest.param(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", id="an upgrade unasked"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 40 + OK, id="interim without end"),
        pytest.param(
            HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="two framings",
        ),
        pytest.param(HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nokk", id="two lengths"),
        pytest.param(HEAD + b"Content-Length: 2, 3\r\n\r\nokk", id="a list of lengths"),
        pytest.param(HEAD + b"Content-Length: -2\r\n\r\nok", id="a negative length"),
        pytest.param(HEAD + b"Content-Length: 0x2\r\n\r\nok", id="a hexadecimal length"),
        pytest.param(
            HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", id="a transfer coding"
        ),
        pytest.param(HEAD + b"Transfer-Encoding: gzip\r\n\r\nxx", id="only a transfer coding"),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", id="a chunk size that is no number"
        ),
        pytest.param(HEAD + b"X-A: a\rX-B: b\r\nContent-Length: 0\r\n\r\n", id="CR in a value"),
        pytest.param(HEAD + b"X-A: a\0b\r\nContent-Length: 0\r\n\r\n", id="NUL in a value"),
        pytest.param(HEAD + b"X A: a\r\nContent-Length: 0\r\n\r\n", id="a space in a name"),
        pytest.param(HEAD + b"X-A : a\r\nContent-Length: 0\r\n\r\n", id="a space before the colon"),
        pytest.param(HEAD + b": a\r\nContent-Length: 0\r\n\r\n", id="no name"),
        pytest.param(HEAD + b"X-A: " + b"a" * 20_000 + b"\r\n\r\n", id="a long field"),
        pytest.param(HEAD + b"X-A: 1\r\n" * 200 + b"\r\n", id="many fields"),
        pytest.param(HEAD + b"X-A: %b\r\n" % (b"a" * 9_000) * 8 + b"\r\n", id="a large section"),
        pytest.param(b"HTTP/1.1 200 " + b"O" * 20_000 + b"\r\n\r\n", id="a long status line"),
    ],
)
async def test_a_wrong_answer_is_a_bad_upstream(answer: bytes) -> None:
    problem = await failure_of(sending(answer))
    assert problem.kind is BAD_UPSTREAM
    assert problem.sent


async def test_a_body_longer_than_its_length_never_becomes_another_answer() -> None:
    smuggled = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    async with serving(answering(OK + smuggled), answering(OK)) as double:
        async with upstream(double.url) as billing:
            assert (await billing.forward(request())).body == b"ok"
            assert (await billing.forward(request())).body == b"ok"
        assert double.connections == 2


async def test_a_folded_line_becomes_one_line() -> None:
    answer = HEAD + b"X-A: a\r\n  b\r\nContent-Length: 0\r\n\r\n"
    values = dict((await answer_to(answering(answer))).headers)
    assert values[b"x-a"] == b"a  b"


async def test_a_reset_is_not_the_end_of_a_body() -> None:
    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(b"HTTP/1.0 200 OK\r\n\r\npart")
        await asyncio.sleep(0.05)
        wire.reset()

    assert (await failure_of(script)).kind is BAD_UPSTREAM


async def test_a_slow_head_ends_at_the_read_time_out() -> None:
    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.is_closed()

    problem = await failure_of(script, read_seconds=0.1)
    assert problem.kind is DEADLINE_EXCEEDED
    assert problem.sent


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nX-Slow: ", id="head"),
        pytest.param(HEAD + b"Content-Length: 1000\r\n\r\n", id="body"),
        pytest.param(HEAD + b"\r\n", id="stream"),
    ],
)
async def test_bytes_that_drip_end_at_the_deadline(start: bytes) -> None:
    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(start, *[b"x"] * 200, every=0.02)

    before = asyncio.get_running_loop().time()
    problem = await failure_of(script, seconds=0.3)
    assert problem.kind is DEADLINE_EXCEEDED
    assert 0.25 < asyncio.get_running_loop().time() - before < 1.0


async def test_the_total_time_of_the_options_counts_too() -> None:
    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(HEAD + b"\r\n", *[b"x"] * 200, every=0.02)

    assert (await failure_of(script, total_seconds=0.2)).kind is DEADLINE_EXCEEDED


async def test_a_stream_that_stops_ends_at_the_read_time_out() -> None:
    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
        await wire.is_closed()

    assert (await failure_of(script, read_seconds=0.1)).kind is DEADLINE_EXCEEDED


async def test_a_deadline_in_the_past_sends_nothing() -> None:
    async with serving() as double, upstream(double.url) as billing:
        with pytest.raises(UpstreamProblem) as raised:
            await billing.forward(request(seconds=0.0))
        assert double.connections == 0
    assert raised.value.kind is DEADLINE_EXCEEDED
    assert not raised.value.sent


async def test_locations_below_the_base_url_become_ours() -> None:
    async def script(wire: Wire) -> None:
        host = (await wire.request()).split(b"host: ")[1].split(b"\r\n")[0]
        location = b"Location: http://%b/v2/items/7?x=1\r\n" % host
        await wire.send(b"HTTP/1.1 201 Created\r\n" + location + b"Content-Length: 0\r\n\r\n")

    async with serving(script) as double, upstream(double.url + "/v2") as billing:
        response = await billing.forward(request("POST", base_path=b"/ext/billing/v1"))
    assert (b"location", b"/ext/billing/v1/items/7?x=1") in response.headers
