"""The headers that keep the portal's pages from doing what they have no need to do."""

from __future__ import annotations

from collections.abc import Mapping

_PAGE = {
    "default-src": "'none'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
# Scalar runs from a file of its own and needs neither eval nor inline scripts, but it sets styles
# on elements and adds style sheets, its icons are data: images, and it shows an image that an
# operation answered with from a blob: of its own.
_REFERENCE = {
    **_PAGE,
    "script-src": "'self'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' blob: data:",
}


def _headers(policy: Mapping[str, str], *, opener: str) -> Mapping[str, str]:
    return {
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "cross-origin-opener-policy": opener,
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }


PAGE_HEADERS = _headers(_PAGE, opener="same-origin")
# Try-it opens the page of an authorization server in a window and waits for it to come back.
REFERENCE_HEADERS = _headers(_REFERENCE, opener="same-origin-allow-popups")
