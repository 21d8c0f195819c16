"""The workflows of this API, and when the systems are looked at."""

from __future__ import annotations

from collections.abc import Sequence

from portico.workflow.definition import Schedule, Workflow
from portico.workflow.steps import Steps
from process_apis.customer_sync.app import Parts, Settings
from process_apis.customer_sync.fields import SYSTEMS
from process_apis.customer_sync.forgetting import Forgetting
from process_apis.customer_sync.looks import Looks
from process_apis.customer_sync.matches import Matches
from process_apis.customer_sync.starting import FORGET, MATCH, MERGE, POLL, SYNC
from process_apis.customer_sync.syncs import Syncs

# When there is least to do.
DAILY = "0 40 3 * * *"


def workflows(steps: Steps, resources: Parts) -> Sequence[Workflow]:
    """Return the workflows of this API."""
    looks, matches = Looks(steps, resources), Matches(resources)
    return [
        Workflow(name=SYNC, run=Syncs(steps, resources, looks).run),
        Workflow(name=MATCH, run=matches.run),
        Workflow(name=MERGE, run=matches.merge),
        Workflow(name=POLL, run=looks.run),
        Workflow(name=FORGET, run=Forgetting(resources).run),
    ]


def schedules(settings: Settings) -> Sequence[Schedule]:
    """Return when each system is asked for its changes, and when what is old is forgotten."""
    if not settings.poll:
        return []
    looks = [
        Schedule(
            name=f"{POLL} {system}", workflow=POLL, cron=settings.poll, payload={"system": system}
        )
        for system in SYSTEMS
    ]
    return [*looks, Schedule(name=FORGET, workflow=FORGET, cron=DAILY)]
