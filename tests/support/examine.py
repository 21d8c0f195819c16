"""What `portico doctor` finds of a system, without the command."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from portico.connectors.checkup import Check, check_up
from portico.connectors.messages import Job
from portico.deadline import Deadline


async def examine(doctor: ModuleType, resources: Any) -> list[Check]:
    """Return what is found with the probes and remedies of a system."""
    probes, job = doctor.probes(resources), Job(deadline=Deadline.after(10))
    return await check_up(resources.connection, probes, job, remedies=doctor.REMEDIES)


async def failing(doctor: ModuleType, resources: Any) -> Check:
    """Return the one thing that is not well."""
    (check,) = [check for check in await examine(doctor, resources) if not check.well]
    return check
