"""The settings of one upstream, checked when they are made."""

from __future__ import annotations

import re
from dataclasses import MISSING, dataclass, fields
from math import isfinite
from typing import Literal

from gateway.upstream.origin import TrustedProxies
from gateway.upstream.targets import Target
from gateway.upstream.tls import tls_context

_NAME = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*\Z")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*\Z")
_COOKIES = frozenset({"drop", "pass"})
_CODINGS = frozenset({"pass", "identity"})
_MAY_BE_ZERO = frozenset({"max_waiting", "eject_seconds"})


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamOptions:
    """Where an upstream is and how it may be used. `name` is what clients read in problems."""

    name: str
    urls: tuple[str, ...]

    connect_seconds: float = 3.0  # one lost SYN is sent again after a second, two after three
    read_seconds: float = 30.0  # to the head of the answer, then from one part to the next
    write_seconds: float = 30.0  # for the upstream to take one part of a streamed body
    total_seconds: float = 60.0  # the whole exchange; never more than the request's deadline
    # Less than the 5 seconds after which common servers close idle connections, because a write
    # into a connection that is just being closed cannot be repeated.
    idle_seconds: float = 4.0

    max_connections: int = 100
    max_waiting: int = 200  # requests that may wait for a connection; the next is refused
    pool_seconds: float = 1.0  # how long they may wait
    eject_seconds: float = 5.0  # how long a base URL that could not be reached is left out

    ca_file: str = ""  # PEM; empty: the certificate authorities of the system
    client_certificate: str = ""  # PEM, with its chain
    client_key: str = ""  # PEM; empty: the key is in the certificate file

    preserve_host: bool = False
    forward_authorization: bool = False
    forward_idempotency_key: bool = False
    # `drop` also removes Set-Cookie: a cookie set here would be sent to every other API.
    cookies: Literal["drop", "pass"] = "drop"
    # `identity` asks for a body without a content coding, so that it can be checked.
    accept_encoding: Literal["pass", "identity"] = "pass"
    identity_headers: tuple[str, ...] = ()  # removed from requests, besides the well-known ones
    pass_headers: tuple[str, ...] = ()  # identity headers that the contract declares as parameters
    set_headers: tuple[tuple[str, str], ...] = ()  # added to requests: the upstream's credentials

    # How this gateway appears in Via. Gateways that call one another need different ones.
    pseudonym: str = "portico"
    trusted_proxies: tuple[str, ...] = ()  # networks whose Forwarded and X-Forwarded-* count

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.default is not MISSING:
                _check_type(field.name, getattr(self, field.name), field.default)
        if not _NAME.match(self.name):
            raise ValueError(f"name must be lower-case words, found {self.name!r}")
        if not _TOKEN.match(self.pseudonym):
            raise ValueError(f"pseudonym must be a token, found {self.pseudonym!r}")
        if self.cookies not in _COOKIES or self.accept_encoding not in _CODINGS:
            raise ValueError("cookies must be drop or pass, accept_encoding pass or identity")
        self._check_headers()
        self._check_addresses()

    def _check_headers(self) -> None:
        for name in (*self.identity_headers, *self.pass_headers):
            if not _TOKEN.match(name):
                raise ValueError(f"{name!r} is not a header name")
        for name, value in self.set_headers:
            if not _TOKEN.match(name) or not _FIELD_VALUE.match(value):
                # The value may be a credential and is not repeated.
                raise ValueError(f"set_headers: {name!r} or its value is not a header field")

    def _check_addresses(self) -> None:
        if not self.urls:
            raise ValueError(f"upstream {self.name} needs at least one base URL")
        for url in self.urls:
            Target.parse(url)
        TrustedProxies(self.trusted_proxies)
        if self.ca_file or self.client_certificate:
            tls_context(self)


def _check_type(name: str, value: object, default: object) -> None:
    """Raise unless `value` is what the default shows: configuration files may say anything."""
    if isinstance(default, bool) or not isinstance(default, int | float):
        if type(value) is not type(default):
            raise TypeError(f"{name} must be like {default!r}, found {value!r}")
        return
    whole = isinstance(default, int)
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise TypeError(f"{name} must be a number, found {value!r}")
    if value < 0 or (value == 0 and name not in _MAY_BE_ZERO) or not isfinite(value):
        raise ValueError(f"{name} must be greater than 0, found {value!r}")
