"""What this API needs to be allowed in Tryton, for `portico doctor`."""

from __future__ import annotations

from collections.abc import Sequence

from portico.connectors.checkup import Probe, Remedies
from portico.connectors.failures import (
    MissingError,
    NotPermittedError,
    RefusedError,
    UnauthenticatedError,
)
from system_apis.tryton.connector import Tryton
from system_apis.tryton.rest import Request

_MODELS = (
    "company.company",
    "party.party",
    "product.product",
    "stock.location",
    "sale.sale",
    "sale.configuration",
)


_GROUP = "give the key's user a group that may read the model"
REMEDIES: Remedies = {
    UnauthenticatedError: (
        "put a key of a user application of kind REST into key, and validate it in Tryton"
    ),
    # Who may not read a model is told so as a refusal.
    RefusedError: _GROUP,
    NotPermittedError: _GROUP,
    MissingError: "check the database at the end of base_url, and that the module is activated",
}


def probes(_tryton: Tryton) -> Sequence[Probe]:
    """Return the reads that show what the user of the key may see."""
    headers = {"range": "records=0-1"}
    return [
        Probe(
            permission=f"{model}: read",
            request=Request(method="GET", path=model, fields=["id"], headers=headers).message(),
        )
        for model in _MODELS
    ]
