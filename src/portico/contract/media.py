"""Media types: which content a request has, and which a response may have (RFC 9110, 12.5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Generic, TypeVar

T = TypeVar("T")


@lru_cache(maxsize=1024)
def essence(media_type: str) -> str:
    """Return type and subtype in lower case, without parameters: `application/json`."""
    return media_type.partition(";")[0].strip().lower()


def is_json(media_type: str) -> bool:
    """Tell whether the content is JSON: `application/json` or any `+json` suffix (RFC 6839)."""
    name = essence(media_type)
    return name == "application/json" or name.endswith("+json") or name == "text/json"


@lru_cache(maxsize=1024)
def _parameters(media_type: str) -> frozenset[tuple[str, str]]:
    pairs = (part.partition("=") for part in media_type.split(";")[1:])
    return frozenset(
        (name.strip().lower(), value.strip().strip('"').lower())
        for name, equals, value in pairs
        if equals
    )


def specificity(declared: str, actual: str) -> int:
    """Return how exactly a declared media range matches, 0 for not at all."""
    wanted, given = essence(declared), essence(actual)
    if wanted == given:
        needed = _parameters(declared)
        if not needed:
            return 3
        return 4 if needed <= _parameters(actual) else 0
    kind, _, sub = wanted.partition("/")
    if sub == "*" and kind not in {"", "*"} and given.startswith(kind + "/"):
        return 2
    return 1 if wanted == "*/*" else 0


class MediaTable(Generic[T]):
    """What an operation declares by media type; the most specific declaration wins."""

    __slots__ = ("_exact", "declared")

    def __init__(self, entries: Iterable[tuple[str, T]]) -> None:
        self.declared: tuple[tuple[str, T], ...] = tuple(entries)
        # The hot path: plain declarations such as application/json, matched without parameters.
        self._exact = {
            media_type.lower(): entry
            for media_type, entry in self.declared
            if ";" not in media_type and "*" not in media_type
        }
        if any(";" in media_type for media_type, _ in self.declared):
            self._exact = {}

    def __bool__(self) -> bool:
        return bool(self.declared)

    def names(self) -> list[str]:
        return [media_type for media_type, _ in self.declared]

    def find(self, media_type: str) -> T | None:
        """Return the entry declared for a content type, or None if none matches."""
        found = self._exact.get(media_type)
        if found is not None:
            return found
        best, best_entry = 0, None
        for declared, entry in self.declared:
            score = specificity(declared, media_type)
            if score > best:
                best, best_entry = score, entry
        return best_entry


@lru_cache(maxsize=256)
def _accept(header: str) -> tuple[tuple[str, float], ...]:
    ranges = []
    for part in header.split(",")[:64]:  # more ranges than anyone means
        media_range, *parameters = part.split(";")
        quality, kept = 1.0, [media_range.strip()]
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip().lower() == "q":
                quality = _quality(value.strip())
            else:
                kept.append(parameter.strip())
        if kept[0]:
            ranges.append((";".join(kept), quality))
    return tuple(ranges)


def _quality(value: str) -> float:
    try:
        quality = float(value)
    except ValueError:
        return 0.0
    return quality if 0.0 <= quality <= 1.0 else 0.0


def acceptable(accept: str, offered: Sequence[str]) -> str | None:
    """Return the offered media type that `Accept` prefers, or None if it takes none of them.

    The most specific range decides the quality of each offer; `q=0` refuses it.
    """
    ranges = _accept(accept)
    if not ranges:
        return offered[0] if offered else None
    best, chosen = 0.0, None
    for offer in offered:
        quality = max(
            ((specificity(wanted, offer) or _open_offer(wanted, offer), q) for wanted, q in ranges),
            key=lambda found: found[0],
        )
        if quality[0] and quality[1] > best:
            best, chosen = quality[1], offer
    return chosen


def _open_offer(wanted: str, offer: str) -> int:
    """Return a match where the operation itself declares a range, such as `image/*`."""
    return 1 if "*" in offer and specificity(offer, wanted) else 0
