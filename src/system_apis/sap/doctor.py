"""What this API needs to be allowed in an S/4HANA, for `portico doctor`."""

from __future__ import annotations

from collections.abc import Sequence

from portico.connectors.checkup import Probe, Remedies
from portico.connectors.failures import (
    CredentialsError,
    MissingError,
    NotPermittedError,
    UnauthenticatedError,
)
from system_apis.sap.connector import SAP
from system_apis.sap.mapping import PARTNER, PRODUCT
from system_apis.sap.odata import Query
from system_apis.sap.order_mapping import INVOICE, ORDER
from system_apis.sap.s4 import BILLING_DOCUMENTS, BUSINESS_PARTNERS, PRODUCTS, SALES_ORDERS

# The services by their communication scenarios, as an administrator arranges them.
_SCENARIOS = (
    ("SAP_COM_0008, business partners", BUSINESS_PARTNERS, PARTNER),
    ("SAP_COM_0009, products", PRODUCTS, PRODUCT),
    ("SAP_COM_0109, sales orders", SALES_ORDERS, ORDER),
    ("SAP_COM_0120, billing documents", BILLING_DOCUMENTS, INVOICE),
)


_CLIENT = "check client_id and client_secret with the OAuth client of the communication system"
REMEDIES: Remedies = {
    CredentialsError: _CLIENT,
    UnauthenticatedError: (
        "check user and password with the communication user; too many wrong ones lock it"
    ),
    NotPermittedError: "add the scenario to a communication arrangement of this user",
    MissingError: "check base_url, and that the service of this scenario is active",
}


def probes(sap: SAP) -> Sequence[Probe]:
    """Return the reads that show which services the user may use."""
    return [
        Probe(
            permission=f"{scenario}: read",
            request=sap.query(f"probe {entity}", service, Query(entity=entity, top=1)),
        )
        for scenario, service, entity in _SCENARIOS
    ]
