"""A call of one tier by another, under the key that was derived for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from portico.client.tiers import TierClient
from portico.deadline import Deadline
from portico.idempotency.fingerprint import document_fingerprint
from portico.idempotency.policy import Policy
from portico.idempotency.problems import KEY_MISMATCH
from portico.idempotency.tiers import KeyedOperation, to_answer, to_reply
from portico.problems import CONFLICT, Problem
from portico.server.call import Call, Caller, Reply
from portico.trace import Trace

if TYPE_CHECKING:
    from portico.idempotency.claim import Claim
    from tests.portico.idempotency.setting import Setting

pytestmark = pytest.mark.anyio
OPERATION = "system/tryton.v1/createSale"
SALE = {"id": "17", "lines": [{"sku": "chair", "price": "12.50"}]}


def call(key: str = "derived", client_id: str = "process/orders.v1") -> Call[None]:
    return Call(
        operation_id="createSale",
        caller=Caller(subject="ann", client_id=client_id),
        deadline=Deadline.after(5),
        trace=Trace.start(),
        request_id="0b6f1c3a5d7e4f2a",
        tiers=TierClient("system/tryton.v1", {}),
        resources=None,
        idempotency_key=key,
    )


def document(**changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "path": {},
        "query": {"expand": ["lines"]},
        "header": {"Idempotency-Key": "derived", "X-Shop-Id": "1"},
        "cookie": {},
        "body": {"sku": "chair", "quantity": 2},
    }
    return {**given, **changes}


class Handler:
    """Counts its runs, and keeps the keys it was given."""

    def __init__(self, reply: Reply | Problem | None = None) -> None:
        location = [("Location", "sales/17")]
        self.reply = reply or Reply(status=201, body=SALE, headers=location, media_type="text/json")
        self.keys: list[str] = []

    async def __call__(self, claim: Claim) -> Reply:
        self.keys.append(claim.upstream_key)
        if isinstance(self.reply, Problem):
            raise self.reply
        return self.reply


async def invoke(setting: Setting, handler: Handler, *given: Any) -> Reply:
    wanted = given[0] if given else call()
    asked = given[1] if len(given) > 1 else document()
    operation = KeyedOperation(setting.store, Policy(), OPERATION, "Idempotency-Key")
    return await operation.invoke(wanted, asked, handler)


async def test_a_repeated_call_gets_the_first_reply(setting: Setting) -> None:
    handler = Handler()

    first = await invoke(setting, handler)
    again = await invoke(setting, handler)

    assert len(handler.keys) == 1
    assert handler.keys[0] != "derived"
    assert first.body == again.body == SALE
    assert again.status == 201
    assert ("location", "sales/17") in again.headers
    assert ("idempotent-replayed", "true") in again.headers
    assert again.media_type == "text/json"


async def test_a_call_with_another_body_is_a_mismatch(setting: Setting) -> None:
    await invoke(setting, Handler())

    with pytest.raises(Problem) as caught:
        await invoke(setting, Handler(), call(), document(body={"sku": "table"}))

    assert caught.value.kind is KEY_MISMATCH


async def test_another_caller_with_the_key_is_another_call(setting: Setting) -> None:
    handler = Handler()

    await invoke(setting, handler, call())
    await invoke(setting, handler, call(client_id="process/returns.v1"))

    assert len(set(handler.keys)) == 2


async def test_a_problem_of_the_handler_is_a_reply_and_is_stored(setting: Setting) -> None:
    handler = Handler(Problem(CONFLICT, "taken", extensions={"pointer": "#/sku"}))

    replies = [await invoke(setting, handler) for _ in range(2)]

    assert [reply.status for reply in replies] == [409, 409]
    assert all(reply.media_type == "application/problem+json" for reply in replies)
    assert replies[0].body == replies[1].body
    assert isinstance(replies[0].body, dict)
    assert replies[0].body["pointer"] == "#/sku"
    assert len(handler.keys) == 1


def test_the_fingerprint_of_a_call_is_of_its_meaning() -> None:
    wanted = document_fingerprint(OPERATION, document())
    turned = dict(reversed(document().items()))
    other_key = document(header={"idempotency-key": "x", "X-Shop-Id": "1"})

    assert document_fingerprint(OPERATION, turned) == wanted
    assert document_fingerprint(OPERATION, other_key) == wanted
    assert document_fingerprint("other", document()) != wanted
    assert document_fingerprint(OPERATION, document(query={})) != wanted
    assert document_fingerprint(OPERATION, document(header={"X-Shop-Id": "2"})) != wanted


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=204),
        Reply(body=SALE, media_type="application/json"),
        Reply(body=b"\x00\xff", media_type="application/octet-stream"),
        Reply(status=201, body=[], headers=[("link", "<a>, <b>")], media_type="application/json"),
    ],
)
def test_a_reply_is_the_same_after_it_was_stored(reply: Reply) -> None:
    found = to_reply(to_answer(reply))

    assert (found.status, found.body, found.media_type) == (
        reply.status,
        reply.body,
        reply.media_type,
    )
    assert list(found.headers) == list(reply.headers)
