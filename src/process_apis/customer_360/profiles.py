"""What profiles are made with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from portico.contract.sources import Source
from process_apis.customer_360.domain import Name
from process_apis.customer_360.last_good import LastGood


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiles:
    """The sources as the contract declares them, and what was last read from those kept."""

    sources: Mapping[Name, Source]
    last_good: LastGood
