"""What this API needs to be allowed in Tryton, for `portico doctor`."""

from __future__ import annotations

from collections.abc import Sequence

from portico.connectors.checkup import Probe
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
