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
# on elements and adds style sheets, and its icons are data: images.
_REFERENCE = {
    **_PAGE,
    "script-src": "'self'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data:",
}


def _headers(policy: Mapping[str, str]) -> Mapping[str, str]:
    return {
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }


PAGE_HEADERS = _headers(_PAGE)
REFERENCE_HEADERS = _headers(_REFERENCE)
