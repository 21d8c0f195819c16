"""Waiting for workflows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.until import until

if TYPE_CHECKING:
    from portico.workflow.state import WorkflowState
    from portico.workflow.workflows import Workflows


async def reached(workflows: Workflows, workflow_id: str, phase: str) -> WorkflowState:
    """Return the workflow once it is in a phase."""

    async def there() -> WorkflowState | None:
        state = await workflows.status(workflow_id)
        return state if state is not None and state.phase == phase else None

    state: WorkflowState = await until(there)
    return state
