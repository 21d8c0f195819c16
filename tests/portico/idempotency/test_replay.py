"""What later attempts get of the first response."""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING

import pytest

from portico.idempotency.policy import Policy
from portico.idempotency.problems import IN_DOUBT
from portico.idempotency.replay import (
    Answer,
)
from portico.problems import (
    CONFLICT,
    NOT_ACCEPTABLE,
    Problem,
)
from tests.portico.idempotency.setting import (
    Operation,
    Setting,
    attempt,
    fingerprint,
    header,
    stream,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


pytestmark = pytest.mark.anyio


REPLAYED = (b"idempotent-replayed", b"true")


KEPT = [
    (b"content-type", b"application/json"),
    (b"content-language", b"de"),
    (b"content-disposition", b'attachment; filename="a,b.pdf"'),
    (b"location", b"/orders/17"),
    (b"content-location", b"/orders/17"),
    (b"etag", b'"v1"'),
    (b"last-modified", b"Tue, 15 Nov 1994 08:12:31 GMT"),
    (b"link", b"</a>; rel=next, </b>; rel=last"),
    (b"link", b"</c>; rel=first"),
    (b"cache-control", b"no-store"),
    (b"deprecation", b"@1688169599"),
    (b"sunset", b"Sat, 31 Dec 2033 23:59:59 GMT"),
    (b"x-invoice", b"1"),
    (b"x-invoice", b"2, 3"),
]


NOT_KEPT = [
    (b"set-cookie", b"a=b"),
    (b"www-authenticate", b"Bearer"),
    (b"authorization", b"Bearer x"),
    (b"proxy-authenticate", b"Basic"),
    (b"date", b"Tue, 15 Nov 1994 08:12:31 GMT"),
    (b"age", b"1"),
    (b"via", b"1.1 a"),
    (b"connection", b"close"),
    (b"keep-alive", b"5"),
    (b"transfer-encoding", b"chunked"),
    (b"content-length", b"11"),
    (b"ratelimit", b'"a";r=1'),
    (b"ratelimit-policy", b'"a";q=1'),
    (b"x-ratelimit-limit", b"1"),
    (b"retry-after", b"1"),
    (b"server-timing", b"a"),
    (b"traceparent", b"00"),
    (b"traceresponse", b"00"),
    (b"x-request-id", b"1"),
    (b"access-control-allow-origin", b"*"),
    (b"content-security-policy", b"script-src 'nonce-1'"),
    (b"cache-status", b"hit"),
    (b"idempotent-replayed", b"true"),
    (b"x-undeclared", b"1"),
]


async def test_idm_22_idm_24_status_body_and_the_listed_headers_are_replayed_line_by_line(
    setting: Setting,
) -> None:
    """IDM-22, IDM-24, IDM-29: what is kept comes back, and nothing else."""
    policy = Policy(kept_headers=frozenset({b"x-invoice"}))
    operation = Operation(Answer(202, [*KEPT, *NOT_KEPT], b"\x00\xff,;"))

    await setting.run(operation, policy=policy)
    again = await setting.run(operation, policy=policy)

    assert again.status == 202
    assert again.body == b"\x00\xff,;"
    assert again.headers == [*KEPT, REPLAYED]


@pytest.mark.parametrize("field", NOT_KEPT[:-1], ids=lambda field: field[0].decode())
async def test_idm_10_idm_23_some_headers_are_never_stored_even_when_declared(
    setting: Setting, field: tuple[bytes, bytes]
) -> None:
    policy = Policy(kept_headers=frozenset({field[0]}))
    operation = Operation(Answer(200, [field]))

    await setting.run(operation, policy=policy)

    assert (await setting.run(operation, policy=policy)).headers == [REPLAYED]
    assert field[0] + b": " not in await setting.raw()


async def test_idm_23_a_compressed_body_is_stored_as_it_was_before(setting: Setting) -> None:
    coded = [(b"content-type", b"text/plain"), (b"content-encoding", b"gzip")]
    operation = Operation(Answer(200, coded, gzip.compress(b"hello", mtime=0)))

    first = await setting.run(operation)
    again = await setting.run(operation)

    assert first.body == operation.answer.body
    assert again.body == b"hello"
    assert again.header(b"content-encoding") is None


@pytest.mark.parametrize(
    "body",
    [b"not gzip", gzip.compress(b"a" * 1000, mtime=0), gzip.compress(b"x", mtime=0)[:-4]],
    ids=["not gzip", "too large", "cut short"],
)
async def test_idm_23_a_body_that_cannot_be_decoded_within_bounds_is_not_stored(
    setting: Setting, body: bytes
) -> None:
    policy = Policy(max_body_bytes=500)
    operation = Operation(Answer(200, [(b"content-encoding", b"gzip")], body))

    first = await setting.run(operation, policy=policy)
    problem = await setting.refused(operation, policy=policy)

    assert first.body == body
    assert problem.kind.slug == "response-not-replayable"


async def test_idm_23_an_unknown_content_coding_is_not_stored(setting: Setting) -> None:
    operation = Operation(Answer(200, [(b"content-encoding", b"br")], b"x"))

    await setting.run(operation)

    assert (await setting.refused(operation)).kind.slug == "response-not-replayable"


async def test_idm_25_only_a_replay_is_marked(setting: Setting) -> None:
    operation = Operation(Answer(201, [(b"idempotent-replayed", b"true")]))

    first = await setting.run(operation)
    again = await setting.run(operation)

    assert first.replayed is False
    assert again.replayed is True
    assert again.headers == [REPLAYED]


async def test_idm_26_a_replay_that_is_not_acceptable_is_a_406_and_no_execution(
    setting: Setting,
) -> None:
    operation = Operation()
    await setting.run(operation)

    problem = await setting.refused(operation, attempt(accept="text/csv"))

    assert problem.kind is NOT_ACCEPTABLE
    assert problem.extensions["produces"] == ["application/json"]
    assert (await setting.run(operation, attempt(accept="application/*"))).replayed
    assert operation.runs == 1


async def test_idm_26_a_stored_problem_is_replayed_whatever_is_accepted(setting: Setting) -> None:
    operation = Operation(failure=Problem(CONFLICT, "taken"))
    await setting.run(operation)

    assert (await setting.run(operation, attempt(accept="text/csv"))).status == 409


async def test_idm_27_a_replay_does_not_look_at_preconditions_again(setting: Setting) -> None:
    wanted = attempt(fingerprint=fingerprint(if_match=b'"v1"'))
    await setting.run(Operation(), wanted)

    moved = Operation(failure=AssertionError("the precondition was looked at"))
    assert (await setting.run(moved, wanted)).replayed


async def test_idm_28_a_large_response_goes_to_the_first_caller_only(setting: Setting) -> None:
    policy = Policy(max_body_bytes=10)
    operation = Operation(Answer(201, [(b"location", b"/orders/17")], b"x" * 11))

    first = await setting.run(operation, policy=policy)
    problem = await setting.refused(operation, policy=policy)

    assert first.body == b"x" * 11
    assert problem.status == 409
    assert problem.kind.slug == "response-not-replayable"
    assert header(problem, "Location") == "/orders/17"
    assert problem.extensions["originalStatus"] == 201
    assert operation.runs == 1


async def test_idm_28_a_small_stream_is_stored_like_any_body(setting: Setting) -> None:
    first = await setting.run(Operation(Answer(201, body=stream(b"ab", b"", b"c"))))

    assert first.body == b"abc"
    assert (await setting.run(Operation())).body == b"abc"


async def test_idm_28_a_large_stream_passes_and_leaves_a_tombstone(setting: Setting) -> None:
    policy = Policy(max_body_bytes=4)
    body = stream(b"abc", b"def", b"ghi")

    first = await setting.run(Operation(Answer(200, [(b"location", b"/a")], body)), policy=policy)

    assert not isinstance(first.body, bytes)
    assert await setting.state() == "P"
    assert b"".join([chunk async for chunk in first.body]) == b"abcdefghi"
    assert await setting.state() == "T"
    problem = await setting.refused(Operation(), policy=policy)
    assert problem.kind.slug == "response-not-replayable"
    assert header(problem, "Location") == "/a"


async def test_idm_28_an_endless_stream_is_not_waited_for(setting: Setting) -> None:
    never = asyncio.Event()

    async def events() -> AsyncIterator[bytes]:
        yield b"data: 1\n\n"
        await never.wait()

    first = await setting.run(
        Operation(Answer(200, [(b"content-type", b"text/event-stream")], events()))
    )

    assert not isinstance(first.body, bytes)
    assert await anext(first.body) == b"data: 1\n\n"
    assert first.aclose is not None
    await first.aclose()
    assert (await setting.refused(Operation())).kind is IN_DOUBT


async def test_idm_30_the_record_is_there_before_the_first_byte_is_sent(setting: Setting) -> None:
    await setting.run(Operation())

    assert await setting.state() == "C"


@pytest.mark.parametrize("answer", [Answer(204), Answer(201), Answer(303, [(b"location", b"/a")])])
async def test_idm_31_an_empty_response_is_replayed_as_it_was(
    setting: Setting, answer: Answer
) -> None:
    await setting.run(Operation(answer))
    again = await setting.run(Operation(answer))

    assert (again.status, again.body) == (answer.status, b"")
    assert again.headers == [*answer.headers, REPLAYED]


@pytest.mark.parametrize("raw", [b"", b"nonsense", b"2 C 1 0 U a b 0 1 a b c\n", b"1 C\n\n"])
async def test_idm_32_an_unreadable_record_is_a_500_and_an_alert_never_a_new_run(
    setting: Setting, raw: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    operation = Operation()
    await setting.set_raw(raw)

    problem = await setting.refused(operation)

    assert problem.status == 500
    assert problem.kind.slug == "idempotency-record-unreadable"
    assert operation.runs == 0
    assert await setting.raw() == raw
    assert [entry.levelname for entry in caplog.records] == ["CRITICAL"]


async def test_idm_32_a_damaged_response_is_a_500(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    await setting.run(Operation())
    await setting.set_raw((await setting.raw()).replace(b'"17"', b'"18"'))

    assert (await setting.refused(Operation())).status == 500
    assert "checksum" in caplog.text


async def test_idm_32_a_key_of_another_type_is_a_500(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    await setting.client.execute("LPUSH", setting.name(), "x")

    assert (await setting.refused(Operation())).status == 500
    assert caplog.records


async def test_f29_an_operation_may_keep_its_response_to_itself(setting: Setting) -> None:
    policy = Policy(store_responses=False)
    operation = Operation(Answer(303, [(b"location", b"/once?token=secret")]))

    first = await setting.run(operation, policy=policy)
    problem = await setting.refused(operation, policy=policy)

    assert first.header(b"location") == b"/once?token=secret"
    assert problem.kind.slug == "response-not-replayable"
    assert header(problem, "Location") is None
    assert b"secret" not in await setting.raw()
