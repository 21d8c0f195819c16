"""The sandboxes there are; each stands for the system of one API."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.config.secrets import SecretStore
from portico.sandbox.system import SandboxKind, Secret
from system_apis.quickbooks.sandbox.kind import QuickBooksKind
from system_apis.salesforce.sandbox.system import SalesforceKind
from system_apis.sap.sandbox.system import SAPKind
from system_apis.stripe.sandbox.kind import StripeKind

SANDBOXES: Mapping[str, SandboxKind] = {
    "quickbooks": QuickBooksKind(),
    "salesforce": SalesforceKind(),
    "sap": SAPKind(),
    "stripe": StripeKind(),
}


def secret_of(secrets: SecretStore) -> Secret:
    """Return what gives a sandbox its secrets: the generated ones, which its API refers to."""
    return lambda name: secrets.resolve(f"generated:{name}", "embedded.sandboxes")
