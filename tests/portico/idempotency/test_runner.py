"""An operation under its key: what the first attempt leads to, and what later ones get."""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING, Any

import pytest

from portico.idempotency.attempt import Verdict
from portico.idempotency.fingerprint import fingerprint
from portico.idempotency.policy import Disposition, InDoubt, Policy, Sending
from portico.idempotency.problems import IN_DOUBT, IN_FLIGHT
from portico.idempotency.replay import (
    CORS_REQUEST_FIELDS,
    CORS_RESPONSE_FIELDS,
    Answer,
)
from portico.idempotency.scope import Scope
from portico.problems import (
    BAD_UPSTREAM,
    CONFLICT,
    DEADLINE_EXCEEDED,
    INTERNAL_ERROR,
    NOT_ACCEPTABLE,
    SYSTEM_UNAVAILABLE,
    TOO_MANY_REQUESTS,
    Problem,
)
from tests.portico.idempotency.setting import (
    SHOP,
    STEADY,
    Operation,
    Setting,
    attempt,
    dies,
    expiry,
    facts,
    header,
)
from tests.portico.redis.servers import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from portico.idempotency.claim import Claim

pytestmark = pytest.mark.anyio
REPLAYED = (b"idempotent-replayed", b"true")


async def test_the_second_attempt_gets_the_first_response(setting: Setting) -> None:
    operation = Operation()

    first = await setting.run(operation)
    second = await setting.run(operation)

    assert operation.runs == 1
    assert (second.status, second.body) == (first.status, first.body) == (201, b'{"id":"17"}')
    assert second.headers == [*first.headers, REPLAYED]


async def test_idm_05_two_callers_with_one_key_are_two_executions(setting: Setting) -> None:
    operation = Operation()

    for scope in (
        SHOP,
        Scope(client_id="till", subject="shop"),
        Scope(client_id="shop", subject="ann"),
        Scope(tenant="acme", client_id="shop", subject="shop"),
    ):
        assert not (await setting.run(operation, attempt(scope=scope))).replayed

    assert operation.runs == 4


async def test_idm_09_the_key_of_another_operation_is_a_422(setting: Setting) -> None:
    await setting.run(Operation())
    other = fingerprint(facts(operation="process/orders.v1/cancelOrder"))

    problem = await setting.refused(Operation(), attempt(fingerprint=other))

    assert problem.status == 422
    assert problem.kind.slug == "idempotency-key-mismatch"
    assert "describedby" in (header(problem, "Link") or "")


async def test_idm_12_another_query_with_the_same_key_is_a_422(setting: Setting) -> None:
    await setting.run(Operation())

    problem = await setting.refused(
        Operation(), attempt(fingerprint=fingerprint(facts(query=b"dry=1")))
    )

    assert problem.status == 422


async def test_idm_10_cross_origin_callers_can_send_and_read_what_they_need() -> None:
    assert "Idempotency-Key" in CORS_REQUEST_FIELDS
    assert {"Idempotent-Replayed", "Retry-After", "Location", "ETag"} <= set(CORS_RESPONSE_FIELDS)


async def test_idm_16_a_handler_that_changes_its_request_does_not_change_the_record(
    setting: Setting,
) -> None:
    request = facts()

    async def change(claim: Claim) -> Answer:
        del claim
        request.body = b"changed"
        return Answer(201)

    wanted = attempt(fingerprint=fingerprint(request))
    await setting.run(change, wanted)  # type: ignore[arg-type]  # any function will do

    assert (await setting.run(Operation(), attempt())).replayed


async def test_idm_19_many_at_once_start_one(setting: Setting) -> None:
    operation = Operation(gate=asyncio.Event())
    stores = [setting.store, setting.another()]
    tasks = [
        asyncio.create_task(setting.run(operation, store=stores[number % 2]))
        for number in range(100)
    ]

    await until(lambda: sum(task.done() for task in tasks) == 99)
    assert operation.gate is not None
    operation.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)

    refused = [found for found in results if isinstance(found, Problem)]
    assert operation.runs == 1
    assert len(refused) == 99
    assert all(problem.kind is IN_FLIGHT for problem in refused)
    assert all(int(header(problem, "Retry-After") or 0) >= 1 for problem in refused)


async def test_idm_19_one_who_prefers_to_wait_gets_the_replay(setting: Setting) -> None:
    operation = Operation(gate=asyncio.Event())
    first = asyncio.create_task(setting.run(operation))
    await operation.started.wait()
    assert operation.gate is not None

    other = setting.another()  # another process: it has to ask the store
    waiting = [
        asyncio.create_task(setting.run(operation, attempt(wait_seconds=5), store=store))
        for store in (setting.store, other)
    ]
    await asyncio.sleep(0.1)
    assert not any(task.done() for task in waiting)
    operation.gate.set()

    assert [(await task).replayed for task in waiting] == [True, True]
    assert not (await first).replayed
    assert operation.runs == 1


async def test_idm_19_one_who_waited_long_enough_gets_the_409(setting: Setting) -> None:
    operation = Operation(gate=asyncio.Event())
    first = asyncio.create_task(setting.run(operation))
    await operation.started.wait()

    problem = await setting.refused(operation, attempt(wait_seconds=0.1))

    assert problem.kind is IN_FLIGHT
    assert operation.gate is not None
    operation.gate.set()
    await first


async def test_idm_20_a_mismatch_comes_before_in_flight(setting: Setting) -> None:
    operation = Operation(gate=asyncio.Event())
    first = asyncio.create_task(setting.run(operation))
    await operation.started.wait()

    problem = await setting.refused(
        Operation(), attempt(fingerprint=fingerprint(facts(body=b"{}")), wait_seconds=5)
    )

    assert problem.status == 422
    assert operation.gate is not None
    operation.gate.set()
    await first


async def test_idm_21_one_whose_record_vanished_while_it_waited_claims_it(
    setting: Setting,
) -> None:
    await setting.claimed()
    waiting = asyncio.create_task(setting.run(Operation(), attempt(wait_seconds=5)))
    await until(lambda: setting.store.counters.waited == 1)

    await setting.client.execute("DEL", setting.name())

    assert not (await waiting).replayed
    assert await setting.state() == "C"


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
    operation = Operation(Answer(200, coded, gzip.compress(b"hello")))

    first = await setting.run(operation)
    again = await setting.run(operation)

    assert first.body == operation.answer.body
    assert again.body == b"hello"
    assert again.header(b"content-encoding") is None


@pytest.mark.parametrize(
    "body", [b"not gzip", gzip.compress(b"a" * 1000), gzip.compress(b"x")[:-4]], ids=str
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
    wanted = attempt(fingerprint=fingerprint(facts(if_match=b'"v1"')))
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


def stream(*chunks: bytes, ends: BaseException | None = None) -> AsyncIterator[bytes]:
    async def chunked() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk
        if ends is not None:
            raise ends

    return chunked()


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


@pytest.mark.parametrize("status", [200, 302, 400, 404, 409, 422])
async def test_idm_33_what_the_handler_answered_is_stored(setting: Setting, status: int) -> None:
    operation = Operation(Answer(status))

    await setting.run(operation)

    assert (await setting.run(operation)).status == status
    assert operation.runs == 1


async def test_idm_33_a_problem_of_the_handler_is_stored_with_its_body(setting: Setting) -> None:
    operation = Operation(failure=Problem(CONFLICT, "taken"))

    first = await setting.run(operation)
    again = await setting.run(operation)

    assert first.status == 409
    assert isinstance(first.body, bytes)
    assert b'"detail":"taken"' in first.body
    assert again.body == first.body
    assert again.header(b"content-type") == b"application/problem+json"
    assert operation.runs == 1


@pytest.mark.parametrize("status", [408, 425, 429])
async def test_idm_33_being_turned_away_is_not_stored(setting: Setting, status: int) -> None:
    operation = Operation(Answer(status))

    assert (await setting.run(operation)).status == status
    assert (await setting.run(operation)).status == status
    assert operation.runs == 2


async def test_idm_34_a_500_is_stored_by_default(setting: Setting) -> None:
    operation = Operation(failure=Problem(INTERNAL_ERROR))

    await setting.run(operation)

    assert (await setting.run(operation)).replayed
    assert operation.runs == 1


@pytest.mark.parametrize(
    ("on_error", "state"), [(Disposition.RELEASE, "F"), (Disposition.IN_DOUBT, "D")]
)
async def test_idm_34_the_contract_may_say_otherwise_about_a_500(
    setting: Setting, on_error: Disposition, state: str
) -> None:
    policy = Policy(reexecutable=True, on_error=on_error)

    await setting.run(Operation(Answer(500)), policy=policy)

    assert await setting.state() == state


@pytest.mark.parametrize("kind", [BAD_UPSTREAM, DEADLINE_EXCEEDED])
async def test_idm_34_a_502_or_504_is_in_doubt(setting: Setting, kind: Any) -> None:
    operation = Operation(failure=Problem(kind))

    problem = await setting.refused(operation)
    again = await setting.refused(operation)

    assert problem.kind is kind
    assert ("idempotency-status", "in-doubt") in problem.headers
    assert again.kind is IN_DOUBT
    assert operation.runs == 1


async def test_idm_34_a_504_of_the_upstream_itself_is_in_doubt(setting: Setting) -> None:
    answer = await setting.run(Operation(Answer(504)))

    assert answer.header(b"idempotency-status") == b"in-doubt"
    assert await setting.state() == "D"


@pytest.mark.parametrize("kind", [SYSTEM_UNAVAILABLE, TOO_MANY_REQUESTS])
async def test_idm_34_when_nothing_was_sent_the_key_is_free(setting: Setting, kind: Any) -> None:
    operation = Operation(failure=Problem(kind))
    await setting.refused(operation)
    operation.failure = None

    assert not (await setting.run(operation)).replayed
    assert operation.runs == 2


@pytest.mark.parametrize(("reexecutable", "state"), [(False, "D"), (True, "F")])
async def test_idm_34_being_turned_away_half_way_is_in_doubt_unless_a_second_run_is_harmless(
    setting: Setting, reexecutable: bool, state: str
) -> None:
    policy = Policy(sending=Sending.MARKED, reexecutable=reexecutable)

    await setting.refused(Operation(failure=Problem(SYSTEM_UNAVAILABLE), marks=True), policy=policy)

    assert await setting.state() == state


async def test_idm_34_a_callee_that_is_not_done_leaves_its_caller_undone(
    setting: Setting,
) -> None:
    await setting.refused(Operation(failure=Problem(IN_FLIGHT)))

    assert await setting.state() == "D"


async def test_idm_35_a_key_older_than_what_is_kept_is_a_412(setting: Setting) -> None:
    operation = Operation()

    problem = await setting.refused(operation, attempt(first_sent_ms=1_000))
    unchecked = Policy(check_key_age=False)

    assert problem.status == 412
    assert operation.runs == 0
    assert (await setting.run(operation, attempt(first_sent_ms=1_000), unchecked)).status == 201


async def test_idm_35_an_old_key_that_is_still_known_is_replayed(setting: Setting) -> None:
    await setting.run(Operation())

    assert (await setting.run(Operation(), attempt(first_sent_ms=1_000))).replayed


async def test_idm_36_every_attempt_sends_the_same_key_on(setting: Setting) -> None:
    policy = Policy(reexecutable=True, in_doubt=InDoubt.REEXECUTE)
    first = await dies(setting, policy=policy)
    await expiry()
    operation = Operation()

    await setting.run(operation, policy=policy)

    assert operation.claim is not None
    assert operation.claim.upstream_key == first.upstream_key
    assert operation.claim.upstream_key != "first"
    assert operation.claim.epoch > first.epoch
    assert operation.claim.resumed


async def test_retention_begins_anew_with_the_response(setting: Setting) -> None:
    await setting.run(Operation(), policy=Policy(retention_seconds=1000))

    left = await setting.client.execute("PTTL", setting.name())
    assert isinstance(left, int)
    assert 990_000 < left <= 1_000_000


# What is done about doubt.


async def test_doubt_fails_until_somebody_settles_it(setting: Setting) -> None:
    await dies(setting)
    await expiry()
    operation = Operation()

    problem = await setting.refused(operation)
    again = await setting.refused(operation)

    assert problem.kind is again.kind is IN_DOUBT
    assert problem.status == 409
    assert header(problem, "Retry-After") is None
    record_id = str(problem.extensions["record"])
    shown = await setting.operators.show(record_id)
    assert shown is not None
    assert shown.in_doubt
    assert operation.runs == 0


RECONCILE = Policy(lease_seconds=0.6, retention_seconds=60, in_doubt=InDoubt.RECONCILE)


async def test_doubt_is_reconciled_with_what_happened(setting: Setting) -> None:
    dead = await dies(setting, policy=RECONCILE)
    await expiry()
    seen: list[Claim] = []

    async def probe(claim: Claim) -> Answer:
        seen.append(claim)
        return Answer(201, [(b"location", b"/orders/17")], b"found")

    operation = Operation()
    first = await setting.run(operation, policy=RECONCILE, reconcile=probe)
    again = await setting.run(operation, policy=RECONCILE, reconcile=probe)

    assert operation.runs == 0
    assert [claim.upstream_key for claim in seen] == [dead.upstream_key]
    assert first.status == again.status == 201
    assert first.body == again.body == b"found"
    assert REPLAYED in first.headers


async def test_doubt_is_reconciled_with_nothing_and_the_operation_runs(setting: Setting) -> None:
    await dies(setting, policy=RECONCILE)
    await expiry()

    async def probe(claim: Claim) -> None:
        assert claim.reconciling

    operation = Operation()
    answer = await setting.run(operation, policy=RECONCILE, reconcile=probe)

    assert (answer.status, answer.replayed) == (201, False)
    assert operation.runs == 1


async def test_doubt_stays_when_the_probe_cannot_tell(setting: Setting) -> None:
    await dies(setting, policy=RECONCILE)
    await expiry()

    async def probe(claim: Claim) -> None:
        del claim
        raise Problem(SYSTEM_UNAVAILABLE)

    for given in (probe, probe, None):
        problem = await setting.refused(Operation(), policy=RECONCILE, reconcile=given)
        assert problem.kind is IN_DOUBT
    assert await setting.state() == "D"


async def test_one_caller_reconciles_and_the_others_are_told_to_wait(setting: Setting) -> None:
    await dies(setting, policy=RECONCILE)
    await expiry()
    gate, probes = asyncio.Event(), 0

    async def probe(claim: Claim) -> Answer:
        nonlocal probes
        del claim
        probes += 1
        await gate.wait()
        return Answer(201)

    first = asyncio.create_task(setting.run(Operation(), policy=RECONCILE, reconcile=probe))
    await until(lambda: probes == 1)
    problem = await setting.refused(Operation(), policy=RECONCILE, reconcile=probe)
    await asyncio.sleep(RECONCILE.lease_seconds * 1.3)
    later = await setting.refused(Operation(), policy=RECONCILE, reconcile=probe)
    gate.set()

    assert problem.kind is later.kind is IN_FLIGHT
    assert (await first).status == 201
    assert probes == 1


async def test_a_resumed_operation_goes_on_after_its_last_point(setting: Setting) -> None:
    policy = Policy(reexecutable=True, in_doubt=InDoubt.REEXECUTE)
    dead = await dies(setting, policy=policy)
    assert await dead.phase("charged", {"charge": "ch_1"})
    assert await dead.phase("shipped", [1, 2])
    await expiry()
    operation = Operation()

    await setting.run(operation, policy=policy)

    assert operation.claim is not None
    assert operation.claim.points == {"charged": {"charge": "ch_1"}, "shipped": [1, 2]}


async def test_recovery_points_are_bounded(setting: Setting) -> None:
    claim = await setting.claimed()

    with pytest.raises(ValueError, match="16384"):
        await claim.phase("all", "x" * 20_000)
    assert claim.points == {}


async def test_an_owner_in_doubt_may_still_say_how_it_ended(setting: Setting) -> None:
    claim = await setting.claimed()
    await claim.in_doubt()

    await claim.complete(201, body=b"after all")

    assert (await setting.run(Operation())).body == b"after all"


# Keeping little.


async def test_f29_an_operation_may_keep_its_response_to_itself(setting: Setting) -> None:
    policy = Policy(store_responses=False)
    operation = Operation(Answer(303, [(b"location", b"/once?token=secret")]))

    first = await setting.run(operation, policy=policy)
    problem = await setting.refused(operation, policy=policy)

    assert first.header(b"location") == b"/once?token=secret"
    assert problem.kind.slug == "response-not-replayable"
    assert header(problem, "Location") is None
    assert b"secret" not in await setting.raw()


async def test_what_is_counted(setting: Setting) -> None:
    await setting.run(Operation())
    await setting.run(Operation())
    await setting.refused(Operation(), attempt(fingerprint=b"1:other"))

    counters = setting.store.counters
    assert (counters.claims, counters.completed) == (1, 1)
    assert (counters.replays, counters.mismatches) == (1, 1)


async def test_a_claim_and_a_store_say_what_they_are(setting: Setting) -> None:
    claim = await setting.claimed()

    assert repr(claim).endswith(f"epoch={claim.epoch} begun>")
    assert repr(setting.store) == "<IdempotencyStore 0 running, 0 unsaved>"
    assert repr(setting.locator) == "<Locator portico>"
    await claim.release()
    assert repr(claim).endswith("ended>")


async def test_an_admission_script_may_have_claimed_already(setting: Setting) -> None:
    from portico.idempotency.runner import run
    from tests.portico.idempotency.setting import render

    claim = await setting.claimed()
    operation = Operation()

    answer = await run(setting.store, attempt(), STEADY, operation, render=render, standing=claim)

    assert (answer.status, operation.claim) == (201, claim)
    standing = await setting.store.claim(attempt(), STEADY)
    assert standing.verdict is Verdict.REPLAY  # type: ignore[union-attr]  # a Standing has one
