"""The operation of customer-360.v1."""

from __future__ import annotations

from portico.server.call import Call
from process_apis.customer_360 import domain, models
from process_apis.customer_360.gathering import gather
from process_apis.customer_360.profiles import Profiles


async def get_customer_profile(call: Call[Profiles], *, customer_id: str) -> models.CustomerProfile:
    """Return what the systems know of a customer."""
    return domain.profile(customer_id, await gather(call, customer_id))
