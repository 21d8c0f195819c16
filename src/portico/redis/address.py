"""Where Redis is: one URL, taken apart strictly."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

_DEFAULT_PORT = 6379
_SENTINEL_PORT = 26379
_SCHEMES = re.compile(r"^(redis|rediss|unix|rediss?\+sentinel|rediss?\+cluster)$")
_OPTIONS = {"db", "username", "password"}


class RedisURLError(ValueError):
    """A URL that names no Redis."""


class Kind(Enum):
    SERVER = "server"
    UNIX = "unix"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


Host = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """What a URL says. `repr` and messages leave the credentials out."""

    kind: Kind
    hosts: tuple[Host, ...] = ()
    path: str = ""
    service: str = ""
    tls: bool = False
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)


def parse(url: str) -> Address:
    """Return what the URL says. Raises RedisURLError, without the URL: it may hold a password.

    >>> parse("redis+sentinel://a:26379,b/orders?db=2").hosts
    (('a', 26379), ('b', 26379))
    """
    parts = urlsplit(url)
    if not _SCHEMES.match(parts.scheme):
        raise RedisURLError(
            "expected redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://,"
            f" found {parts.scheme or 'no scheme'}"
        )
    credentials, _, network = parts.netloc.rpartition("@")
    username, _, password = credentials.partition(":")
    query = _query(parts)
    kind = _kind(parts.scheme)
    path = unquote(parts.path)
    return Address(
        kind=kind,
        hosts=() if kind is Kind.UNIX else _hosts(network, kind),
        path=_socket_path(network, path) if kind is Kind.UNIX else "",
        service=_service(path) if kind is Kind.SENTINEL else "",
        tls=parts.scheme.startswith("rediss"),
        database=_database(kind, path, query),
        username=unquote(username) or query.get("username") or None,
        password=unquote(password) or query.get("password") or None,
    )


def _kind(scheme: str) -> Kind:
    if scheme == "unix":
        return Kind.UNIX
    _, _, topology = scheme.partition("+")
    return Kind(topology) if topology else Kind.SERVER


def _query(parts: SplitResult) -> dict[str, str]:
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(query.keys() - _OPTIONS)
    if unknown:
        raise RedisURLError(f"unknown option {unknown[0]}; known: {', '.join(sorted(_OPTIONS))}")
    return query


def _hosts(network: str, kind: Kind) -> tuple[Host, ...]:
    default = _SENTINEL_PORT if kind is Kind.SENTINEL else _DEFAULT_PORT
    hosts = tuple(_host(text, default) for text in network.split(",") if text)
    if not hosts:
        raise RedisURLError("expected a host after //")
    if kind is Kind.SERVER and len(hosts) > 1:
        raise RedisURLError(
            "several hosts need a topology: redis+sentinel://… or redis+cluster://…"
        )
    return hosts


def _host(text: str, default: int) -> Host:
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]]+))(?::(\d{1,5}))?", text)
    if found is None or int(found[3] or default) not in range(1, 65536):
        raise RedisURLError(f"expected host:port, found {text!r}")
    return found[1] or found[2], int(found[3] or default)


def _socket_path(network: str, path: str) -> str:
    if network or not path.startswith("/"):
        raise RedisURLError("expected the absolute path of a socket: unix:///run/redis.sock")
    return path


def _service(path: str) -> str:
    service = path.strip("/")
    if not service or "/" in service:
        raise RedisURLError("expected the service after the hosts: redis+sentinel://host/service")
    return service


def _database(kind: Kind, path: str, query: dict[str, str]) -> int:
    text = query.get("db", "")
    if kind in (Kind.SERVER, Kind.CLUSTER):
        text = path.strip("/") or text
    if not re.fullmatch(r"\d{0,5}", text):
        raise RedisURLError(f"expected the number of a database, found {text!r}")
    if kind is Kind.CLUSTER and int(text or 0):
        raise RedisURLError("a cluster has database 0 only")
    return int(text or 0)
