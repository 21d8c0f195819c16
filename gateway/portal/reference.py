"""What Scalar is told: which contract to show, and to talk to no other host."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from gateway.portal.catalogue import Entry, Operation

_OPTIONS: Mapping[str, Any] = {
    "agent": {"disabled": True},
    "defaultOpenAllTags": True,
    "documentDownloadType": "none",  # the page about the API links the contract
    "externalUrls": {"apiBaseUrl": "", "dashboardUrl": "", "proxyUrl": "", "registryUrl": ""},
    "hideClientButton": True,
    "hideDarkModeToggle": True,  # it follows the reader's preference, as every page does
    "mcp": {"disabled": True},
    "persistAuth": False,
    "proxyUrl": "",
    "showDeveloperTools": "never",
    "telemetry": False,
    "theme": "none",
    "withDefaultFonts": False,
}
# For who has a token already; it is offered beside the schemes of the contract.
_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "An access token you have already, sent as `Authorization: Bearer`.",
}


def configuration(entry: Entry, *, contract_path: str, root: str) -> dict[str, Any]:
    """Return Scalar's configuration for an API.

    Addresses of this gateway are paths; `reference.js` completes them with the origin of the
    page, so that try-it stays on its host under every name the gateway is reached by.
    """
    own = _own_token_endpoints(entry, root)
    schemes = {"accessToken": _BEARER, **own} if own else {}
    return {
        **_OPTIONS,
        "url": contract_path,
        "servers": [{"url": root + entry.base_path}],
        "authentication": {
            "preferredSecurityScheme": next(iter(own), None),
            "securitySchemes": schemes,
        },
    }


def anchor(operation: Operation) -> str:
    """Return where Scalar shows the operation on the reference page, as a fragment."""
    place = f"{operation.method}{operation.path}"
    return f"tag/{_slug(operation.tag)}/{place}" if operation.tag else place


def _own_token_endpoints(entry: Entry, root: str) -> dict[str, Any]:
    """Return the flows whose tokens this gateway issues: those with a relative token URL."""
    found: dict[str, Any] = {}
    for scheme, urls in entry.token_urls.items():
        own = {flow: url for flow, url in urls.items() if url and "://" not in url}
        if own:
            flows = {flow: {"tokenUrl": f"{root}/{url.lstrip('/')}"} for flow, url in own.items()}
            found[scheme] = {"flows": flows}
    return found


def _slug(text: str) -> str:
    """Return what Scalar makes of a tag in addresses."""
    normal = unicodedata.normalize("NFC", text.strip()[:255]).lower()
    return re.sub(r"[\s_-]+", "-", re.sub(r"[^\w\s-]", "", normal)).strip("-")
