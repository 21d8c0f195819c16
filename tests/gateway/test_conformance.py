"""The gateway passes the suite that `portico conformance idempotency` runs against any API."""

from __future__ import annotations

from pathlib import Path

import pytest

from portico.idempotency.conformance.checks import Check, Outcome
from portico.idempotency.conformance.probe import UNIQUE, Target
from portico.idempotency.conformance.report import conform, line
from tests.support.serving import Served, in_process

NOTES = "/experience/kiosk/v1/notes"


@pytest.mark.anyio
@pytest.mark.timeout(120)
async def test_the_gateway_conforms(tmp_path: Path) -> None:
    told: list[str] = []

    def tell(check: Check, outcome: Outcome) -> None:
        told.append(line(check, outcome))

    with in_process(tmp_path, embedded={"tryton": False, "redis": True}) as served:
        report = await conform(target(served), tell)

    assert not report.failures(strict=True), "\n".join(told)
    assert len(told) > 15


def target(served: Served) -> Target:
    other = served.token(client_id="other", subject="bob")
    return Target(
        url=served.url + NOTES,
        body=f'{{"text": "{UNIQUE}"}}',
        headers=(("Authorization", f"Bearer {served.token()}"),),
        other_client=(("Authorization", f"Bearer {other}"),),
        invalid_body="{",
        parallel=10,
        rounds=2,
    )
