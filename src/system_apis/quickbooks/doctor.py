"""What this API needs to be allowed in QuickBooks, for `portico doctor`."""

from __future__ import annotations

from collections.abc import Sequence

from portico.connectors.checkup import Probe, Remedies
from portico.connectors.failures import (
    MissingError,
    NotPermittedError,
    ThrottledError,
    UnauthenticatedError,
)
from portico.connectors.messages import read
from system_apis.quickbooks.connector import MINOR_VERSION, QuickBooks
from system_apis.quickbooks.queries import select

# The app has one scope; whose connection it is decides what it may see.
SCOPE = "com.intuit.quickbooks.accounting"


_AUTHORIZE = (
    "authorize the app for the company again, and put the refresh token into refresh_token; "
    "one that is not used for 100 days ends"
)
REMEDIES: Remedies = {
    "invalid_client": "copy client_id and client_secret from the keys of the app at Intuit",
    "invalid_grant": _AUTHORIZE,
    UnauthenticatedError: _AUTHORIZE,
    NotPermittedError: (
        f"check realm_id; let an administrator of the company authorize the app for {SCOPE}"
    ),
    "6190": "renew the subscription of the company",
    MissingError: "check realm_id, and that keys and base_url are both of production or neither",
    ThrottledError: (
        "wait a minute; divide the company's 500 requests a minute among the processes "
        "with requests_per_minute"
    ),
}


def probes(books: QuickBooks) -> Sequence[Probe]:
    """Return the reads that show what the connection may do."""
    path = f"v3/company/{books.realm_id}/query"
    return [
        Probe(
            permission=f"{SCOPE}: {entity}",
            request=read(
                f"query {entity}",
                path,
                [("query", select(entity, limit=1)), MINOR_VERSION],
            ),
        )
        for entity in ("Customer", "Item", "Invoice", "Payment")
    ]
