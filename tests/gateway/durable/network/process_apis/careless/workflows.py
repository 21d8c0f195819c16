"""A workflow that would post an entry twice after a crash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from portico.workflow.definition import Workflow

if TYPE_CHECKING:
    from portico.workflow.steps import Steps


def workflows(steps: Steps) -> list[Workflow]:
    post = steps.call("system/ledger.v1", "postEntry")

    async def run(payload: Any) -> None:
        await post(body=payload)

    return [Workflow(name="careless.v1", run=run)]
