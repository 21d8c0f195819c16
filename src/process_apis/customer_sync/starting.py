"""How runs are named and in which lanes they go: named by what caused them, so that none is twice.

Runs about one customer go one after the other, and so do those that say which customer a record
is: two records that are one customer must not become two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from portico.durable import Durable
from portico.server.call import combine

SYNC = "customer-sync.v1"
MATCH = "customer-sync-match.v1"
MERGE = "customer-sync-merge.v1"
POLL = "customer-sync-poll.v1"
FORGET = "customer-sync-forget.v1"
_MATCHES = "customer-sync matches"


async def start_sync(durable: Durable, customer_id: str, cause: str) -> str:
    """Start a sync of a customer; the same cause starts it once."""
    run_id = f"sync-{combine('sync', customer_id, cause)}"
    workflows = (await durable.ready()).workflows
    payload = {"customerId": customer_id}
    return await workflows.start(run_id, SYNC, payload, lane=f"customer-sync {customer_id}")


async def start_match(durable: Durable, places: Sequence[Mapping[str, str]], cause: str) -> str:
    """Start finding out which customers records are; the same cause starts it once.

    A page of them is one run: a lane begins about two runs a second.
    """
    names = [each[name] for each in places for name in ("system", "instance", "external_id")]
    workflows = (await durable.ready()).workflows
    payload = {"places": [dict(place) for place in places]}
    run_id = f"match-{combine('match', *names, cause)}"
    return await workflows.start(run_id, MATCH, payload, lane=_MATCHES)


async def start_merge(durable: Durable, merged_id: str, survivor_id: str, **more: Any) -> str:
    """Start a merge; the same one is started once."""
    run_id = f"merge-{combine('merge', merged_id, survivor_id)}"
    workflows = (await durable.ready()).workflows
    payload = {"mergedId": merged_id, "survivorId": survivor_id, **more}
    return await workflows.start(run_id, MERGE, payload, lane=_MATCHES)
