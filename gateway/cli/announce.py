"""What is printed once everything runs: where to look, and what to paste."""

from __future__ import annotations

from gateway.app import Gateway

SHOP, STOREFRONT = "web-shop", "experience/storefront.v1"
ORDER = '{"customerId": "C-1001", "items": [{"sku": "GRINDER-M1", "quantity": 1}]}'
_READ = "python3 -c 'import json, sys; print(json.load(sys.stdin)[\"access_token\"])'"


def announcement(gateway: Gateway, url: str) -> str:
    """Return links, credentials and three lines to paste."""
    has_shop = STOREFRONT in gateway.names
    lines = ["", f"Portico is ready at {url}", "", f"  portal      {url}/portal/"]
    if has_shop:
        lines.append(f"  storefront  {url}/portal/apis/{STOREFRONT}/reference")
    lines += [f"  health      {url}/readyz", ""]
    client = gateway.config.clients.get(SHOP)
    if client is not None and has_shop:
        secret = gateway.secrets.resolve(client.secret, f"clients.{SHOP}.secret")
        lines += _try_it(url, secret)
    lines.append("Ctrl-C stops everything.")
    return "\n".join(lines)


def _try_it(url: str, secret: str) -> list[str]:
    shop = f"{url}/experience/storefront/v1"
    bearer = '-H "Authorization: Bearer $TOKEN"'
    return [
        f"The client {SHOP} has the secret {secret}. Paste these, one after the other:",
        "",
        (
            f"  TOKEN=$(curl -s -u {SHOP}:{secret} -d grant_type=client_credentials"
            f" {url}/oauth2/token | {_READ})"
        ),
        "",
        f"  curl -s {bearer} '{shop}/products?limit=3'",
        "",
        (
            f"  curl -s {bearer} -H 'Content-Type: application/json'"
            f" -H 'Idempotency-Key: first-order' -d '{ORDER}' {shop}/orders"
        ),
        "",
        "The last one is a sale in the ERP; pasted again it finds the same sale.",
        "",
    ]
