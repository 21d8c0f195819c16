"""What `portico doctor` asks of the parcel service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portico.connectors.checkup import Probe, Remedies
from portico.connectors.messages import read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.portico.connectors.parcels.connector import Parcels

REMEDIES: Remedies = {"invalid_client": "ask the postmaster for another secret"}


def probes(_parcels: Parcels) -> Sequence[Probe]:
    """Return the reads that show what the client may do."""
    return [Probe(permission="parcels: read", request=read("parcels.list", "parcels"))]
