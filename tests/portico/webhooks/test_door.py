"""A door acknowledges what cannot be lost any more, and starts it once."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from portico.problems import Problem
from portico.webhooks.door import MAX_BODY_BYTES, Door
from portico.webhooks.vendors import VENDORS
from portico.workflow.definition import Workflow
from portico.workflow.engine import open_workflows
from tests.portico.webhooks.test_vendors import SECRET, shopify, stripe
from tests.portico.workflow.waiting import reached

if TYPE_CHECKING:
    from pathlib import Path

    from portico.workflow.workflows import Workflows

from portico.workflow.database import WorkflowDatabase

pytestmark = pytest.mark.anyio
BODY = json.dumps({"id": "evt_1", "type": "invoice.paid"}).encode()


class Intake:
    """The workflow behind a door; it notes what it got."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.definition = Workflow(name="intake.v1", run=self.run)

    async def run(self, payload: Any) -> None:
        self.got.append(payload)


def door(workflows: Workflows, vendor: str = "stripe") -> Door:
    return Door(
        name="shop",
        vendor=VENDORS[vendor],
        secrets=[SECRET.encode()],
        workflow="intake.v1",
        workflows=workflows,
    )


def signed(body: bytes = BODY) -> list[tuple[str, str]]:
    return list(stripe(body, int(time.time())).items())


async def test_a_delivery_starts_its_workflow_with_the_bytes_as_they_came(tmp_path: Path) -> None:
    intake = Intake()
    async with open_workflows(
        WorkflowDatabase.in_folder(tmp_path), [intake.definition]
    ) as workflows:
        answer = await door(workflows).receive(signed(), BODY)
        await reached(workflows, "webhook:shop:evt_1", "succeeded")

    (payload,) = intake.got
    assert answer == b""
    assert payload["body"] == BODY.decode()
    assert (payload["vendor"], payload["deliveryId"], payload["topic"]) == (
        "stripe",
        "evt_1",
        "invoice.paid",
    )


async def test_WH_07_a_delivery_that_comes_again_starts_nothing(tmp_path: Path) -> None:  # noqa: N802
    """Also in another process later: the journal remembers for 30 days, senders give up in 76 h."""
    intake = Intake()
    database = WorkflowDatabase.in_folder(tmp_path)
    for _ in range(2):
        async with open_workflows(database, [intake.definition]) as workflows:
            for _ in range(3):
                await door(workflows).receive(signed(), BODY)
            await reached(workflows, "webhook:shop:evt_1", "succeeded")

    assert len(intake.got) == 1


async def test_a_delivery_that_is_not_the_vendors_is_refused_without_a_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    intake = Intake()
    async with open_workflows(
        WorkflowDatabase.in_folder(tmp_path), [intake.definition]
    ) as workflows:
        with pytest.raises(Problem) as refusal:
            await door(workflows).receive(signed(), BODY + b" ")

    assert refusal.value.status == 401
    assert "signature matches" not in str(refusal.value)
    assert "no signature matches" in caplog.text
    assert SECRET not in caplog.text
    assert intake.got == []


async def test_a_name_that_no_address_could_carry_is_replaced_by_its_digest(tmp_path: Path) -> None:
    async with open_workflows(WorkflowDatabase.in_folder(tmp_path), []) as workflows:
        names = [door(workflows).workflow_id(name) for name in ("a/b", "a b", "ä", "x" * 200)]

    assert len(set(names)) == 4
    assert all(name.isascii() and "/" not in name and len(name) < 100 for name in names)


@pytest.mark.parametrize("body", [b"\xff\xfe", b"x"])
async def test_octets_that_are_no_text_are_kept_too(tmp_path: Path, body: bytes) -> None:
    intake = Intake()
    async with open_workflows(
        WorkflowDatabase.in_folder(tmp_path), [intake.definition]
    ) as workflows:
        await door(workflows, "shopify").receive(list(shopify(body).items()), body)
        await reached(workflows, "webhook:shop:b54557e4", "succeeded")

    (payload,) = intake.got
    assert payload.get("body", "") == "x" if body == b"x" else payload["bodyBase64"] == "//4="


async def test_a_signature_header_twice_is_refused(tmp_path: Path) -> None:
    async with open_workflows(WorkflowDatabase.in_folder(tmp_path), []) as workflows:
        with pytest.raises(Problem) as refusal:
            await door(workflows).receive([*signed(), *signed()], BODY)

    assert refusal.value.status == 401


async def test_a_delivery_that_is_too_large_is_refused(tmp_path: Path) -> None:
    async with open_workflows(WorkflowDatabase.in_folder(tmp_path), []) as workflows:
        with pytest.raises(Problem) as refusal:
            await door(workflows).receive(signed(), b"x" * (MAX_BODY_BYTES + 1))

    assert refusal.value.status == 413


async def test_a_door_without_a_secret_is_not_made(tmp_path: Path) -> None:
    async with open_workflows(WorkflowDatabase.in_folder(tmp_path), []) as workflows:
        with pytest.raises(ValueError, match="the door shop has no secret"):
            Door(
                name="shop",
                vendor=VENDORS["stripe"],
                secrets=[],
                workflow="intake.v1",
                workflows=workflows,
            )
