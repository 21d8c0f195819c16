"""What this API needs to be allowed in an org, for `portico doctor`."""

from __future__ import annotations

from collections.abc import Sequence

from portico.connectors.checkup import Probe
from system_apis.salesforce.connector import Salesforce
from system_apis.salesforce.mapping import (
    account_fields,
    contact_fields,
    opportunity_fields,
    product_fields,
)
from system_apis.salesforce.order_mapping import ORDER, order_fields
from system_apis.salesforce.soql import Query


def probes(salesforce: Salesforce) -> Sequence[Probe]:
    """Return the reads that show which objects and fields the user may see.

    Every field that the API reads is asked for: one that is missing, such as that for external
    keys, is named in what the org answers.
    """
    org = salesforce.org
    read = {
        "Account": account_fields(org),
        "Contact": contact_fields(org),
        "Product2": product_fields(org),
        ORDER: order_fields(org),
        "Opportunity": opportunity_fields(org),
    }
    return [
        Probe(
            permission=f"{name}: read, with the fields of this API",
            request=salesforce.query(f"probe {name}", Query(source=name, fields=fields, limit=1)),
        )
        for name, fields in read.items()
    ]
