"""A bring-your-own upstream that takes a write and loses its answer: each policy keeps its word."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support.bank import Bank, serving
from tests.support.serving import Served, in_process

DOCUMENT = """
openapi: 3.1.1
info: {title: Payments, version: 1.0.0}
paths:
POSTS
  /status:
    get:
      operationId: findPayment
      security: []
      parameters:
        - {name: idempotencyKey, in: query, required: true, schema: {type: string}}
      responses:
        '200': {description: It., content: {application/json: {schema: {type: object}}}}
        '404': {description: None., content: {application/json: {schema: {type: object}}}}
"""
POST = """
  /POLICY:
    post:
      operationId: pay-POLICY
      security: []
      x-idempotency: {RULE}
      parameters:
        - {name: Idempotency-Key, in: header, required: true, schema: {type: string}}
      requestBody: {content: {application/json: {schema: {type: object}}}}
      responses:
        '201': {description: Paid., content: {application/json: {schema: {type: object}}}}
"""
RULES = {
    "fail": "inDoubt: fail",
    "reexecute": "inDoubt: reexecute",
    "reconcile": "inDoubt: reconcile, statusOperation: findPayment",
    "release": "inDoubt: fail, onError: release",
    "forget": "responses: forget",
}


@pytest.fixture(scope="module")
def bank() -> Iterator[Bank]:
    with serving() as found:
        yield found


@pytest.fixture(scope="module")
def gateway(bank: Bank, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("payments")
    posts = "".join(
        POST.replace("POLICY", name).replace("RULE", rule) for name, rule in RULES.items()
    )
    document = folder / "payments.yaml"
    document.write_text(DOCUMENT.replace("POSTS\n", posts))
    external = {
        "contract": document,
        "base_path": "/pay",
        "urls": [bank.url],
        "unsecured": "anonymous",
        "validation": "off",
    }
    with in_process(
        folder / "data", embedded={"tryton": False, "redis": True}, external={"pay": external}
    ) as served:
        yield served


def pay(gateway: Served, policy: str, key: str, amount: int = 1) -> httpx.Response:
    return gateway.request(
        "POST",
        f"/pay/{policy}",
        json={"amount": amount},
        headers={"Idempotency-Key": key},
        token="",
    )


def lose(gateway: Served, bank: Bank, policy: str, trouble: str) -> str:
    """Make a payment whose answer is lost; return the key that the bank was given."""
    key = f"{policy}-{trouble}"
    bank.trouble = trouble
    lost = pay(gateway, policy, key)

    assert lost.status_code == 502
    assert lost.headers["idempotency-status"] == "in-doubt"
    return bank.keys[-1]


def test_fail_never_sends_twice(gateway: Served, bank: Bank) -> None:
    """F09: what is in doubt stays so until somebody decides."""
    sent = lose(gateway, bank, "fail", "after")

    again = [pay(gateway, "fail", "fail-after") for _ in range(3)]

    assert {response.status_code for response in again} == {409}
    assert again[0].json()["type"].endswith("/idempotency-in-doubt")
    assert bank.paid[sent] == 1


def test_reexecute_sends_again_under_the_same_key(gateway: Served, bank: Bank) -> None:
    """IDM-36: an upstream that knows keys sees one and the same."""
    sent = lose(gateway, bank, "reexecute", "before")

    again = pay(gateway, "reexecute", "reexecute-before")

    assert again.status_code == 201
    assert bank.keys[-2:] == [sent, sent]
    assert bank.paid[sent] == 1


def test_reconcile_finds_what_was_done(gateway: Served, bank: Bank) -> None:
    sent = lose(gateway, bank, "reconcile", "after")

    again, third = (pay(gateway, "reconcile", "reconcile-after") for _ in range(2))

    assert again.status_code == third.status_code == 201
    assert again.json() == third.json() == {"paid": sent}
    assert bank.asked == [sent]
    assert bank.paid[sent] == 1


def test_reconcile_runs_what_was_not_done(gateway: Served, bank: Bank) -> None:
    sent = lose(gateway, bank, "reconcile", "before")

    again = pay(gateway, "reconcile", "reconcile-before")

    assert again.status_code == 201
    assert bank.keys[-1] == sent
    assert bank.paid[sent] == 1


def test_reconcile_stays_in_doubt_while_nobody_knows(gateway: Served, bank: Bank) -> None:
    bank.trouble = "after"
    assert pay(gateway, "reconcile", "nobody-knows").status_code == 502
    sent = bank.keys[-1]
    bank.trouble = "status"
    unknown = pay(gateway, "reconcile", "nobody-knows")
    bank.trouble = ""
    known = pay(gateway, "reconcile", "nobody-knows")

    assert unknown.status_code == 409
    assert known.status_code == 201
    assert bank.paid[sent] == 1


def test_an_error_of_the_upstream_is_its_answer(gateway: Served, bank: Bank) -> None:
    """IDM-34: a 500 is stored, as Stripe does; `onError: release` lets the key run again."""
    bank.trouble = "error"
    first, again = (pay(gateway, "fail", "error") for _ in range(2))
    bank.trouble = "error"
    released, ran = (pay(gateway, "release", "error-2") for _ in range(2))

    assert (first.status_code, again.status_code) == (500, 500)
    assert again.headers["idempotent-replayed"] == "true"
    assert (released.status_code, ran.status_code) == (500, 201)


def test_a_response_that_is_not_kept_is_not_run_again(gateway: Served, bank: Bank) -> None:
    """F29."""
    first, again = (pay(gateway, "forget", "forget") for _ in range(2))

    assert first.status_code == 201
    assert again.status_code == 409
    assert again.json()["type"].endswith("/response-not-replayable")
    assert bank.paid[bank.keys[-1]] == 1


def test_an_upstream_never_sees_the_key_of_a_client(gateway: Served, bank: Bank) -> None:
    """IDM-36."""
    pay(gateway, "fail", "secret-of-the-client")

    assert "secret-of-the-client" not in bank.keys
    assert bank.keys[-1]


def test_many_at_once_are_one(gateway: Served, bank: Bank) -> None:
    """IDM-19: 40 at once, one payment; the others are told to wait or get its answer."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda _: pay(gateway, "fail", "at-once"), range(40)))

    assert {response.status_code for response in found} <= {201, 409}
    assert any(response.status_code == 201 for response in found)
    assert all(int(r.headers["retry-after"]) >= 1 for r in found if r.status_code == 409)
    assert bank.paid[bank.keys[-1]] == 1
