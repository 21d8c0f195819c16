"""The suite passes what is right, and finds the mistakes that others make."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import pytest

from portico.idempotency.conformance.checks import Level, Result
from portico.idempotency.conformance.probe import CannotProbeError, Target
from portico.idempotency.conformance.report import Report, conform, line
from tests.portico.idempotency.conformance.shop import Careless, Late, Remembering, Shop

if TYPE_CHECKING:
    from tests.portico.idempotency.setting import Setting

pytestmark = pytest.mark.anyio

TARGET = Target(
    url="http://shop.test/orders",
    body='{"reference": "{{unique}}"}',
    headers=(("Authorization", "Bearer ann"),),
    other_client=(("Authorization", "Bearer bob"),),
    invalid_body="{",
    other_url="http://shop.test/refunds",
    count_url="http://shop.test/orders",
    count_pointer="/total",
    parallel=10,
    rounds=2,
)


async def report_on(shop: Shop, target: Target = TARGET) -> Report:
    return await conform(target, transport=httpx.ASGITransport(shop))


def names(report: Report, result: Result) -> set[str]:
    return {check.name for check, outcome in report.found if outcome.result is result}


async def test_an_api_with_this_library_conforms(setting: Setting) -> None:
    report = await report_on(Shop(setting.store))

    failed = [
        (check.name, outcome.detail)
        for check, outcome in report.found
        if outcome.result is Result.FAILED
    ]
    assert failed == []
    assert names(report, Result.SKIPPED) == {"replay.cookies"}
    assert report.failures(strict=True) == []


async def test_an_api_that_reads_no_key_does_not_conform(setting: Setting) -> None:
    report = await report_on(Careless(setting.store))

    assert {check.name for check in report.failures()} >= {
        "replay.equal",
        "replay.one-effect",
        "key.missing",
        "mismatch.body",
        "parallel.one-execution",
        "cut-off.retry",
    }
    assert "mismatch.operation" in names(report, Result.FAILED)


async def test_a_dictionary_of_responses_does_not_conform(setting: Setting) -> None:
    report = await report_on(Remembering(setting.store))

    found = names(report, Result.FAILED)
    assert found >= {
        "replay.equal",
        "replay.location",
        "replay.marked",
        "mismatch.body",
        "mismatch.operation",
        "isolation.clients",
        "parallel.one-execution",
        "key.bare",
    }
    assert "isolation.credentials" not in found


async def test_an_api_that_claims_before_it_checks_does_not_conform(setting: Setting) -> None:
    report = await report_on(Late(setting.store))

    failed = names(report, Result.FAILED)
    assert failed >= {"isolation.clients", "isolation.credentials", "refused.key-usable"}


async def test_what_is_not_told_is_skipped_with_a_hint(setting: Setting) -> None:
    bare = Target(url=TARGET.url, body="{}", headers=TARGET.headers, parallel=3, rounds=1)

    report = await report_on(Shop(setting.store), bare)

    skipped = {
        check.name: outcome.detail
        for check, outcome in report.found
        if outcome.result is Result.SKIPPED
    }
    assert skipped["mismatch.body"] == "put {{unique}} into the body, or give --other-body"
    assert skipped["isolation.clients"] == "give the credentials of a second client with --as"
    assert skipped["refused.key-usable"] == "give --invalid-body"
    assert not report.failures()


async def test_an_api_that_refuses_every_request_cannot_be_report_on(setting: Setting) -> None:
    with pytest.raises(CannotProbeError, match="401") as caught:
        await report_on(Shop(setting.store), replace(TARGET, headers=()))

    assert "credentials" in caught.value.hint


async def test_an_api_that_is_not_there_cannot_be_report_on() -> None:
    with pytest.raises(CannotProbeError, match="ConnectError"):
        await conform(Target(url="http://127.0.0.1:1/orders", timeout_seconds=1))


async def test_a_count_that_is_none_cannot_be_used(setting: Setting) -> None:
    with pytest.raises(CannotProbeError, match="without a number or an array"):
        await report_on(Shop(setting.store), replace(TARGET, count_pointer="/nothing"))


async def test_the_report_says_what_was_found(setting: Setting) -> None:
    report = await report_on(Remembering(setting.store))

    document = report.document()
    text = "\n".join(line(check, outcome) for check, outcome in report.found)
    assert document["conforms"] is False
    assert report.summary().startswith(f"{len(report.failures())} failed: ")
    assert "FAIL mismatch.body" in text
    assert "the request was carried out: 200" in text or "replayed" in text
    assert any(check.level is Level.SHOULD for check in report.failures(strict=True))
