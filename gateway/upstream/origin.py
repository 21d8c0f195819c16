"""Who the client is and how it reached us: the one reading of Forwarded and X-Forwarded-*.

The claims of a peer count only if the peer is a trusted proxy, and only up to the right-most
hop that is not one: what stands left of it anyone could have written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gateway.upstream.messages import Field, ForwardRequest

# Longer chains are forged or loops.
_MAX_HOPS = 32
# Addresses remembered as trusted or not; clients choose them, so there must be an end to it.
_MAX_REMEMBERED = 4096
# A name of DNS has at most 253 characters; then comes a colon and a port.
_MAX_HOST_BYTES = 259

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105  # the token of HTTP, not a secret
_TOKEN_ONLY = re.compile(_TOKEN + r"\Z")
_PAIR = re.compile(rf'[ \t]*({_TOKEN})=({_TOKEN}|"(?:[^"\\]|\\.)*")[ \t]*')
_ESCAPE = re.compile(r"\\(.)")
_NODE = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::(?:\d{1,5}|_[A-Za-z0-9._-]+))?\Z")
_OBFUSCATED = re.compile(r"(?:unknown|_[A-Za-z0-9._-]+)\Z")
_HOST = re.compile(r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?\Z")
_SCHEMES = frozenset({"http", "https"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One step of a request's way: the node it came from and what that node asked for.

    `node` is an IP address without brackets or port, or an obfuscated name of RFC 7239.
    """

    node: str
    scheme: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The client as far as it is known. `hops` starts with it and ends with the peer."""

    address: str
    scheme: str
    host: str
    hops: tuple[Hop, ...]


class TrustedProxies:
    """The networks of proxies whose word is taken."""

    __slots__ = ("_networks", "_remembered")

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = [ip_network(network) for network in networks]
        self._remembered: dict[str, bool] = {}

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: str) -> bool:
        known = self._remembered.get(address)
        if known is None:
            known = self._holds(address)
            if len(self._remembered) < _MAX_REMEMBERED:
                self._remembered[address] = known
        return known

    def __repr__(self) -> str:
        return f"<TrustedProxies {', '.join(map(str, self._networks)) or 'none'}>"

    def _holds(self, address: str) -> bool:
        try:
            parsed: IPv4Address | IPv6Address = ip_address(address)
        except ValueError:
            return False  # a Unix socket, or an obfuscated name
        if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._networks)


def resolve_origin(
    peer: str, scheme: str, host: str, headers: Iterable[Field], trusted: TrustedProxies
) -> Origin:
    """Return the client of a request whose connection came from `peer`."""
    if not trusted or peer not in trusted:
        return _direct(peer, scheme, host)
    return _walk(peer, scheme, host, _claimed_hops(headers), trusted)


def _direct(peer: str, scheme: str, host: str) -> Origin:
    safe = host if len(host) <= _MAX_HOST_BYTES and _HOST.match(host) else ""
    hop = Hop(node=peer or "unknown", scheme=scheme, host=safe)
    return Origin(address=peer, scheme=scheme, host=safe, hops=(hop,))


def _walk(peer: str, scheme: str, host: str, claims: list[Hop], trusted: TrustedProxies) -> Origin:
    """Follow the claims from the right for as long as the one who made them is trusted."""
    origin = _direct(peer, scheme, host)
    hops = list(origin.hops)
    while claims and hops[0].node in trusted:
        claim = claims.pop()
        # A proxy that does not say what was asked of it passed it on unchanged.
        hops.insert(0, Hop(node=claim.node, scheme=claim.scheme, host=claim.host))
        scheme, host = claim.scheme or scheme, claim.host or host
    return Origin(address=hops[0].node, scheme=scheme, host=host, hops=tuple(hops))


def _claimed_hops(headers: Iterable[Field]) -> list[Hop]:
    """Return the hops that a trusted proxy names; none if they cannot be read without doubt."""
    fields: dict[bytes, list[str]] = {}
    for name, value in headers:
        if name == b"forwarded" or name.startswith(b"x-forwarded-"):
            fields.setdefault(name, []).append(value.decode("latin-1"))
    if b"forwarded" in fields:
        return parse_forwarded(", ".join(fields[b"forwarded"]))
    return _from_x_forwarded(fields)


def parse_forwarded(value: str) -> list[Hop]:
    """Return the elements of a Forwarded field (RFC 7239), none if any of them is malformed."""
    hops: list[Hop] = []
    position = 0
    pairs: dict[str, str] = {}
    while len(hops) < _MAX_HOPS:
        match = _PAIR.match(value, position)
        if match is None:
            return []
        name = match[1].lower()
        if name in pairs:
            return []
        pairs[name] = _unquoted(match[2])
        position = match.end()
        if value[position : position + 1] == ";":
            position += 1
            continue
        hop = _hop(pairs.get("for", ""), pairs.get("proto", ""), pairs.get("host", ""))
        if hop is None or value[position : position + 1] not in {"", ","}:
            return []
        hops.append(hop)
        pairs = {}
        if position == len(value):
            return hops
        position += 1
    return []


def _unquoted(value: str) -> str:
    return _ESCAPE.sub(r"\1", value[1:-1]) if value.startswith('"') else value


def _from_x_forwarded(fields: dict[bytes, list[str]]) -> list[Hop]:
    def elements(name: bytes) -> list[str]:
        return [part.strip() for part in ",".join(fields.get(name, ())).split(",")]

    nodes = elements(b"x-forwarded-for")
    if nodes == [""] or len(nodes) > _MAX_HOPS:
        return []
    # Proxies write one scheme and one host, those of the request that came to the first of them.
    scheme, host = elements(b"x-forwarded-proto")[-1], elements(b"x-forwarded-host")[-1]
    hops = [_hop(node, scheme, host) for node in nodes]
    return [hop for hop in hops if hop is not None] if None not in hops else []


def _hop(node: str, scheme: str, host: str) -> Hop | None:
    address = _node(node)
    if not address or (scheme and scheme.lower() not in _SCHEMES):
        return None
    if host and not _HOST.match(host):
        return None
    return Hop(node=address, scheme=scheme.lower(), host=host)


def _node(node: str) -> str:
    """Return the address of a node without brackets and port, or its obfuscated name."""
    if _OBFUSCATED.match(node):
        return node
    match = _NODE.match(node)
    try:
        # X-Forwarded-For has IPv6 addresses without brackets.
        return str(ip_address(match[1] or match[2] if match else node))
    except ValueError:
        return ""


def origin_writer(
    pseudonym: str, trusted: TrustedProxies
) -> Callable[[ForwardRequest], Sequence[Field]]:
    """Return the function that writes the Forwarded and X-Forwarded-* fields of a request."""

    # Clients keep their connections, so that most requests repeat these three.
    @lru_cache(maxsize=1024)
    def direct(peer: str, scheme: str, host: bytes) -> Sequence[Field]:
        return _fields(_direct(peer, scheme, host.decode("latin-1")), pseudonym)

    def write(request: ForwardRequest) -> Sequence[Field]:
        peer, scheme, host = request.peer, request.scheme, request.host
        if (not trusted or peer not in trusted) and len(host) <= _MAX_HOST_BYTES:
            return direct(peer, scheme, host)
        name = host.decode("latin-1")
        return _fields(resolve_origin(peer, scheme, name, request.headers, trusted), pseudonym)

    return write


def _fields(origin: Origin, pseudonym: str) -> Sequence[Field]:
    elements = [_element(hop) for hop in origin.hops]
    elements[-1] += f";by=_{pseudonym}"
    fields = [
        (b"forwarded", ", ".join(elements)),
        (b"x-forwarded-for", ", ".join(hop.node for hop in origin.hops)),
        (b"x-forwarded-proto", origin.scheme),
    ]
    if origin.host:
        fields.append((b"x-forwarded-host", origin.host))
    return [(name, value.encode("latin-1")) for name, value in fields]


def _element(hop: Hop) -> str:
    node = f"[{hop.node}]" if ":" in hop.node else hop.node
    pairs = [("for", node), ("proto", hop.scheme), ("host", hop.host)]
    return ";".join(f"{name}={_quoted(value)}" for name, value in pairs if value)


def _quoted(value: str) -> str:
    if _TOKEN_ONLY.match(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
