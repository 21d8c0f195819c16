"""What this API needs to be allowed in QuickBooks, for `portico doctor`."""

from __future__ import annotations

from collections.abc import Sequence

from portico.connectors.checkup import Probe
from portico.connectors.messages import read
from system_apis.quickbooks.connector import MINOR_VERSION, QuickBooks
from system_apis.quickbooks.queries import select

# The app has one scope; whose connection it is decides what it may see.
SCOPE = "com.intuit.quickbooks.accounting"


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
