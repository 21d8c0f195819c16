"""`portico token`: an access token to try things with."""

from __future__ import annotations

import argparse

from gateway.cli.configuration import read_config
from gateway.cli.output import FINE, CannotRunError
from gateway.identity.tokens import SERVICE_LIFETIME_SECONDS, TokenIssuer
from gateway.issuing import AUDIENCE, key_ring, public_url


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("client", nargs="?", help="the client (default: the first configured)")
    parser.add_argument("--scope", action="append", help="a scope to ask for (default: all)")


def run(options: argparse.Namespace) -> int:
    config = read_config(options.config)
    name = options.client or next(iter(config.clients), "")
    client = config.clients.get(name)
    if client is None:
        known = ", ".join(config.clients) or "none"
        raise CannotRunError(
            f"there is no client {name!r}", f"the configured clients are {known}", "name one"
        )
    scopes = set(options.scope or client.scopes)
    if not scopes <= set(client.scopes):
        raise CannotRunError(
            f"{name} may not have {', '.join(sorted(scopes - set(client.scopes)))}",
            "the scope is not among the client's",
            f"its scopes are {', '.join(client.scopes)}",
        )
    issuer = TokenIssuer(
        key_ring(config),
        issuer=config.identity.issuer or public_url(config, config.listen.port),
        audience=AUDIENCE,
    )
    subject = client.subject or name
    print(issuer.mint(subject, name, AUDIENCE, sorted(scopes), SERVICE_LIFETIME_SECONDS))
    return FINE
