"""Which content codings a client takes, by RFC 9110 section 12.5.3."""

from __future__ import annotations

MAX_ENTRIES = 32  # more codings than have ever been registered


def accepts_gzip(accept_encoding: str) -> bool:
    """Tell whether an Accept-Encoding field allows gzip, by name or by the wildcard."""
    weights: dict[str, str] = {}
    for entry in accept_encoding.lower().split(",")[:MAX_ENTRIES]:
        coding, _, parameter = entry.partition(";")
        weights[coding.strip()] = parameter.partition("=")[2].strip()
    weight = weights.get("gzip", weights.get("*", "0"))
    # A weight of zero, however many decimals it is written with, is a refusal.
    return weight.strip("0.") != "" or weight == ""
