"""How the sandbox is made, and reached by the API."""

from __future__ import annotations

from collections.abc import Mapping

from portico.sandbox.state import State
from portico.sandbox.system import Secret
from system_apis.stripe.sandbox.server import StripeSandbox

KEY = "sandbox-stripe"


class StripeKind:
    """Stripe's sandbox."""

    api = "system/stripe.v1"

    def build(self, state: State, secret: Secret) -> StripeSandbox:
        return StripeSandbox(state, secret(KEY))

    def settings(self, base_url: str) -> Mapping[str, object]:
        return {
            "base_url": base_url,
            "api_key": f"generated:{KEY}",
            "account": "acct_sandbox",
            "requests_per_second": 100,
        }
