"""What this API needs to be allowed in an org, for `portico doctor`."""

from __future__ import annotations

from collections.abc import Sequence

from portico.connectors.checkup import Probe, Remedies
from portico.connectors.failures import ThrottledError
from system_apis.salesforce.connector import Salesforce
from system_apis.salesforce.mapping import (
    account_fields,
    contact_fields,
    opportunity_fields,
    product_fields,
)
from system_apis.salesforce.order_mapping import ORDER, order_fields
from system_apis.salesforce.soql import Query

_OBJECT = "give the app's user a permission set that may read the object and its fields"
# By the codes of the token endpoint (Salesforce Help, "OAuth 2.0 error codes") and of the REST API.
REMEDIES: Remedies = {
    "invalid_client": "copy the consumer secret of the external client app to client_secret again",
    "invalid_client_id": (
        "copy the consumer key of the external client app to client_id; base_url is of its org"
    ),
    "invalid_grant": (
        "check the clock; name the user the app runs as, approve the app for that user, "
        "and register the certificate of private_key if one is set"
    ),
    "unsupported_grant_type": "enable the flow in the external client app's policies",
    "API_DISABLED_FOR_ORG": "give the app's user the permission API Enabled",
    "INVALID_TYPE": _OBJECT,
    "INVALID_FIELD": (
        "make the field visible to the app's user; the external id field has to be made first"
    ),
    "INSUFFICIENT_ACCESS_OR_READONLY": _OBJECT,
    "REQUEST_LIMIT_EXCEEDED": (
        "wait: calls count for 24 hours; see who makes them in Setup, or buy more"
    ),
    ThrottledError: "wait: too many long requests run in the org; see who makes them",
}


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
