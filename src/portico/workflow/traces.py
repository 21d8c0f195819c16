"""The trace of a workflow: that of the request which started it, for as long as it runs."""

from __future__ import annotations

import hashlib

from portico.trace import Trace


def trace_of(workflow_id: str, parent: str = "") -> Trace:
    """Return the trace that a `traceparent` names; without one the workflow's id gives one.

    It comes out the same in every process that goes on with the workflow.
    """
    found = Trace.parse([parent]) if parent else None
    if found is not None:
        return found
    ids = hashlib.sha256(workflow_id.encode()).hexdigest()
    return Trace(ids[:32], ids[32:48])
