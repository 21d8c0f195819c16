"""The sources of a profile, as the contract declares them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import BaseModel, ConfigDict, InstanceOf

from portico.contract import Contract, ContractError, Finding
from portico.contract.sources import MEMBER
from process_apis.customer_360.last_good import LastGood
from process_apis.customer_360.pieces import READERS
from process_apis.customer_360.profiles import Profiles


class Settings(BaseModel):
    """Nothing is set: what there is to decide is in the contract."""

    model_config = ConfigDict(extra="forbid")

    contract: InstanceOf[Contract]


@asynccontextmanager
async def resources(settings: Settings) -> AsyncIterator[Profiles]:
    """Open what the handlers find in `call.resources`; raises ContractError for other sources."""
    contract = settings.contract
    sources = contract.sources
    if sources.keys() != READERS.keys():
        raise ContractError([_other_sources(contract)])
    yield Profiles(sources={name: sources[name] for name in READERS}, last_good=LastGood())


def _other_sources(contract: Contract) -> Finding:
    unknown = sorted(contract.sources.keys() - READERS.keys())
    lacking = sorted(READERS.keys() - contract.sources.keys())
    found = f"nobody knows how to ask {unknown[0]!r}" if unknown else f"{lacking[0]!r} is not there"
    return Finding(
        position=contract.position(MEMBER, *unknown[:1]),
        rule="other-sources",
        message=f"the sources of {contract.name} are others than its handlers ask: {found}",
        hint=f"its sources are {', '.join(READERS)}; others need code in its pieces.py",
    )
