"""An address as limits know it: IPv4 as it is, IPv6 by /64, which one host has in full."""

from __future__ import annotations

import socket

_MAPPED = b"\0" * 10 + b"\xff\xff"


def network_of(address: str) -> str:
    """Return the address, or the /64 that it is in; what is no address is returned as it is.

    >>> network_of("2001:db8::1"), network_of("::ffff:192.0.2.7")
    ('2001:db8::/64', '192.0.2.7')
    """
    if ":" not in address:
        return address
    try:
        packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except OSError:
        return address
    if packed.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return socket.inet_ntop(socket.AF_INET6, packed[:8] + b"\0" * 8) + "/64"
