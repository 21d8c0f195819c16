"""The portal at `/portal/`: the catalogue, the published contracts, their reference, the problems.

Server-rendered pages for the consumers of the APIs. What operators see does not live here.
"""

from gateway.portal.catalogue import Entry, Operation, describe
from gateway.portal.site import routes

__all__ = ["Entry", "Operation", "describe", "routes"]
