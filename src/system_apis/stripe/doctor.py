"""What this API needs to be allowed in Stripe, for `portico doctor`."""

from __future__ import annotations

from collections.abc import Sequence

from portico.connectors.checkup import Probe, Remedies
from portico.connectors.failures import NotPermittedError, ThrottledError, UnauthenticatedError
from portico.connectors.messages import read
from system_apis.stripe.connector import Stripe

# The resources of a restricted key, as Stripe's dashboard names them.
_RESOURCES = {
    "Customers": "customers",
    "Products": "products",
    "Prices": "prices",
    "Subscriptions": "subscriptions",
    "Invoices": "invoices",
    "PaymentIntents": "payment_intents",
    "Charges and Refunds": "refunds",
    "Events": "events",
}


REMEDIES: Remedies = {
    UnauthenticatedError: "copy a key from the account's dashboard to api_key; rolled ones end",
    NotPermittedError: "give the restricted key this permission in the dashboard, under API keys",
    ThrottledError: "wait; divide the account's rate among the processes with requests_per_second",
}


def probes(_stripe: Stripe) -> Sequence[Probe]:
    """Return the reads that show what the key may do."""
    return [
        Probe(
            permission=f"{name}: read",
            request=read(f"get {path}", f"v1/{path}", [("limit", "1")]),
        )
        for name, path in _RESOURCES.items()
    ]
