"""The pages people see: plain HTML from templates, and the policy that keeps them that way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from gateway.identity.issuer import (
    CONSENT_PATH,
    SIGN_IN_PATH,
    SIGN_OUT_PATH,
    STYLE_PATH,
    UPSTREAM_PATH,
)
from gateway.identity.redirect_uris import origin_of

if TYPE_CHECKING:
    from gateway.identity.server.authorization import Asked, SignedIn

_FOLDER = Path(__file__).parent.parent / "pages"
_HEADERS = {
    "cache-control": "no-store",
    "pragma": "no-cache",
    # Besides frame-ancestors for browsers that do not know it (RFC 9700 section 4.16).
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    # The address has parameters of a client; `no-referrer` would hide the origin of our own forms.
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "content-language": "en",
}


class Pages:
    """Renders the pages. `root` is the path of the issuer's address."""

    def __init__(
        self, *, root: str, scope_texts: Mapping[str, str], with_password: bool, upstream: str
    ) -> None:
        self._scope_texts = scope_texts
        self._templates = _environment()
        self._templates.globals.update(
            style_path=root + STYLE_PATH,
            sign_in_path=root + SIGN_IN_PATH,
            sign_out_path=root + SIGN_OUT_PATH,
            consent_path=root + CONSENT_PATH,
            upstream_path=root + UPSTREAM_PATH,
            with_password=with_password,
            upstream=upstream,
        )
        self.style = (_FOLDER / "style.css").read_bytes()

    def sign_in(
        self,
        asked: Asked,
        interaction: str,
        *,
        wrong: str = "",
        username: str = "",
        status: int = 200,
    ) -> Response:
        """Return the page where a person says who they are."""
        return self._page(
            "sign_in.html",
            status,
            # The form with the password leads to nobody else, unless no consent is in between.
            asked.redirect_uri if asked.client.first_party else "",
            client=asked.client.display_name,
            interaction=interaction,
            wrong=wrong,
            username=username,
        )

    def consent(
        self, asked: Asked, interaction: str, person: SignedIn, scopes: Sequence[str]
    ) -> Response:
        """Return the page where a person allows or refuses."""
        return self._page(
            "consent.html",
            200,
            asked.redirect_uri,
            client=asked.client.display_name,
            destination=origin_of(asked.redirect_uri),
            interaction=interaction,
            person=person.name or person.subject,
            scopes=[(scope, self._scope_texts.get(scope, "")) for scope in scopes],
        )

    def failure(self, status: int, title: str, text: str, **headers: str) -> Response:
        """Return the page of what cannot go on. It leads nowhere: nothing sent is trusted."""
        response = self._page("failure.html", status, "", title=title, text=text)
        response.headers.update(headers)
        return response

    def signed_out(self) -> Response:
        return self._page("signed_out.html", 200, "")

    def sign_out(self) -> Response:
        return self._page("sign_out.html", 200, "")

    def _page(self, template: str, status: int, leads_to: str, **values: Any) -> Response:
        html = self._templates.get_template(template).render(**values)
        return HTMLResponse(
            html, status, {**_HEADERS, "content-security-policy": _policy(leads_to)}
        )


def _policy(leads_to: str) -> str:
    """Return the Content-Security-Policy.

    Browsers apply form-action to every redirect that follows a form. So a form that ends at a
    client may lead there and, from its redirect URI, to other addresses over https.
    """
    client = f" https: {origin_of(leads_to)}" if leads_to else ""
    return (
        "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; "
        f"frame-ancestors 'none'; form-action 'self'{client}"
    )


def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
