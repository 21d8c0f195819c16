"""The workflow of tally.v1: it fails until the file that its delivery names is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbos import DBOS

from portico.workflow.definition import Workflow
from portico.workflow.errors import DeadLetterError

if TYPE_CHECKING:
    from portico.workflow.steps import Steps


def _look(path: str) -> dict[str, Any]:
    return {"failed": not Path(path).exists()}


async def run(delivery: Any) -> str:
    looked = await DBOS.run_step_async(
        {"name": "look"}, _look, json.loads(delivery["body"])["needs"]
    )
    if looked["failed"]:
        raise DeadLetterError("the file is missing", system="disk")
    return "counted"


def workflows(steps: Steps) -> list[Workflow]:
    del steps
    return [Workflow(name="tally.v1", run=run)]
