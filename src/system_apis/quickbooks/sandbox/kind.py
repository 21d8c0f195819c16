"""How the sandbox is made, and reached by the API."""

from __future__ import annotations

from collections.abc import Mapping

from portico.sandbox.state import State
from portico.sandbox.system import Secret
from system_apis.quickbooks.sandbox.server import CLIENT_ID, REALM_ID, QuickBooksSandbox

CLIENT_SECRET = "sandbox-quickbooks"  # noqa: S105  # the name of a secret
REFRESH_TOKEN = "sandbox-quickbooks-refresh"  # noqa: S105  # the name of a secret


class QuickBooksKind:
    """QuickBooks' sandbox."""

    api = "system/quickbooks.v1"

    def build(self, state: State, secret: Secret) -> QuickBooksSandbox:
        return QuickBooksSandbox(
            state, client_secret=secret(CLIENT_SECRET), refresh_token=secret(REFRESH_TOKEN)
        )

    def settings(self, base_url: str) -> Mapping[str, object]:
        return {
            "base_url": base_url,
            "token_url": f"{base_url}/oauth2/v1/tokens/bearer",
            "client_id": CLIENT_ID,
            "client_secret": f"generated:{CLIENT_SECRET}",
            "refresh_token": f"generated:{REFRESH_TOKEN}",
            "realm_id": REALM_ID,
            "currency": "EUR",
        }
