"""The operations of catalog.v1."""

from __future__ import annotations

from datetime import UTC, datetime

from portico.problems import NOT_FOUND, Problem
from portico.server import paging
from portico.server.call import Call, Reply
from process_apis.catalog import domain, models
from process_apis.catalog.calls import tryton


async def list_products(
    call: Call[None],
    *,
    q: str | None = None,
    skus: list[str] | None = None,
    limit: int = 25,
    cursor: str | None = None,
) -> Reply:
    """Return one page of products, without those that cannot be ordered today."""
    page = await tryton.list_products(call, q=q, skus=skus, limit=limit, cursor=cursor)
    items = domain.for_sale(page["items"], datetime.now(UTC).date())
    filters = {"q": q, "skus": ",".join(skus) if skus else None, "limit": limit}
    link = paging.next_link(page.get("nextCursor"), filters)
    return Reply(body={**page, "items": items}, headers=link)


async def get_product(call: Call[None], *, sku: str) -> models.Product:
    """Return one product that can be ordered today."""
    product = await tryton.get_product(call, sku=sku)
    for offered in domain.for_sale([product], datetime.now(UTC).date()):
        return offered
    raise Problem(NOT_FOUND, f"the product {sku} is not for sale")
