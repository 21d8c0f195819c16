"""The credentials in a request: found where they may be; keys are taken out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from gateway.identity.challenge import BEARER, DPOP, Challenge

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.exchange import Exchange, Field

# Longer than any key that is issued here.
MAX_KEY_CHARACTERS = 512


def read_token(values: Sequence[bytes], challenge: Challenge) -> tuple[str, bytes] | None:
    """Return the scheme and the token of the Authorization fields of a request, None for none.

    Raises Problem: 400 for more than one field, 401 for a scheme that is not accepted.
    """
    if not values:
        return None
    if len(values) > 1:
        raise challenge.invalid_request("the request has more than one Authorization")
    scheme, blank, token = values[0].partition(b" ")
    name = {b"bearer": BEARER, b"dpop": DPOP}.get(scheme.lower())
    if name is None:
        # Nothing usable was presented, so there is no error code (RFC 6750 section 3.1).
        raise challenge.missing()
    token = token.lstrip(b" ")
    if not blank or not token:
        raise challenge.invalid_token(f"there is no token after {name}", name)
    return name, token


def take_key(exchange: Exchange, where: str, name: str, challenge: Challenge) -> str:
    """Return the API key at one place of a request, empty where there is none.

    It is taken out of the request: neither an upstream nor a handler gets to see it. Raises
    Problem 400 for a place that has several.
    """
    found = _TAKERS[where](exchange, name)
    if len(found) > 1:
        raise challenge.invalid_request("the request has more than one API key in one place")
    return found[0][:MAX_KEY_CHARACTERS] if found else ""


def _from_header(exchange: Exchange, name: str) -> list[str]:
    lowered = name.lower().encode("latin-1", "replace")
    if lowered not in exchange.headers:
        return []
    values = [value for field, value in exchange.raw_headers if field == lowered]
    drop_header(exchange, lowered)
    return [value.decode("latin-1") for value in values]


def drop_header(exchange: Exchange, name: bytes) -> None:
    """Take a header field out of a request, in whatever form it is read or passed on."""
    if exchange.headers.pop(name, None) is not None:
        exchange.raw_headers = [field for field in exchange.raw_headers if field[0] != name]


def _from_query(exchange: Exchange, name: str) -> list[str]:
    kept: list[bytes] = []
    found: list[str] = []
    for part in exchange.query.split(b"&"):
        key, _, value = part.partition(b"=")
        if unquote_plus(key.decode("latin-1")) == name:
            found.append(unquote_plus(value.decode("latin-1")))
        else:
            kept.append(part)
    if found:
        exchange.query = b"&".join(kept)
    return found


def _from_cookie(exchange: Exchange, name: str) -> list[str]:
    cookie = exchange.headers.get(b"cookie")
    if cookie is None:
        return []
    pairs = [pair.strip(b" \t") for pair in cookie.split(b";")]
    wanted = name.encode("latin-1", "replace")
    found = [value for pair in pairs for key, _, value in [pair.partition(b"=")] if key == wanted]
    if found:
        kept = [pair for pair in pairs if pair.partition(b"=")[0] != wanted]
        _replace_cookie(exchange, kept)
    return [value.decode("latin-1") for value in found]


def _replace_cookie(exchange: Exchange, pairs: Iterable[bytes]) -> None:
    drop_header(exchange, b"cookie")
    value = b"; ".join(pairs)
    if value:
        field: Field = (b"cookie", value)
        exchange.headers[b"cookie"] = value
        exchange.raw_headers = [*exchange.raw_headers, field]


_TAKERS = {"header": _from_header, "query": _from_query, "cookie": _from_cookie}
