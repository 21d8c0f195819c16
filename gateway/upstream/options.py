"""The settings of one upstream, checked when they are made."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Literal

_NAME = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*\Z")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*\Z")


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
        if not _NAME.match(self.name):
            raise ValueError(f"name must be lower-case words, found {self.name!r}")
        if not self.urls:
            raise ValueError(f"upstream {self.name} needs at least one base URL")
        if not _TOKEN.match(self.pseudonym):
            raise ValueError(f"pseudonym must be a token, found {self.pseudonym!r}")
        self._check_numbers()
        for name, value in self.set_headers:
            if not _TOKEN.match(name) or not _FIELD_VALUE.match(value):
                # The value may be a credential and is not repeated.
                raise ValueError(f"set_headers: {name!r} or its value is not a header field")

    def _check_numbers(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) not in (int, float):
                continue
            if value < 0 or (value == 0 and field.name not in {"max_waiting", "eject_seconds"}):
                raise ValueError(f"{field.name} must be greater than 0, found {value!r}")
