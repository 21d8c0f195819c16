"""Media types: which content a request has, and which a response may have (RFC 9110, 12.5)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Generic, TypeVar

T = TypeVar("T")

# Texts as long as no media type is would only push others out of the caches.
_CACHED_LENGTH = 256
_MAX_RANGES = 64  # of one Accept field; more than anyone means
_TEXT = frozenset({"application/xml", "application/yaml", "application/x-yaml"})
# A piece of a field value: a quoted string, in which nothing separates, or anything else.
_SPLIT = {
    separator: re.compile(rf'(?:"(?:[^"\\]|\\.)*"|[^"{separator}])+', re.DOTALL).findall
    for separator in ";,"
}
_ESCAPED = re.compile(r"\\(.)")
_QUALITY = re.compile(r"(?:0?\.[0-9]{1,3}|0\.?|1(?:\.0{0,3})?)\Z").match
_RANGE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z").match


def essence(media_type: str) -> str:
    """Return type and subtype in lower case, without parameters: `application/json`."""
    return media_type.partition(";")[0].strip().lower()


def parameters(media_type: str) -> dict[str, str]:
    """Return the parameters of a media type, names in lower case, of equal names the first."""
    found: dict[str, str] = {}
    for part in _pieces(media_type, ";")[1:]:
        name, equals, value = part.partition("=")
        if equals:
            found.setdefault(name.strip().lower(), _unquoted(value.strip()))
    return found


def is_json(media_type: str) -> bool:
    """Tell whether the content is JSON: `application/json` or any `+json` suffix (RFC 6839)."""
    return (_is_json if len(media_type) > _CACHED_LENGTH else _cached_is_json)(media_type)


def _is_json(media_type: str) -> bool:
    name = essence(media_type)
    return name == "application/json" or name.endswith("+json") or name == "text/json"


_cached_is_json = lru_cache(maxsize=1024)(_is_json)


def is_text(media_type: str) -> bool:
    """Tell whether the content is text that a schema of type string may describe."""
    name = essence(media_type)
    return name.startswith("text/") or name in _TEXT or name.endswith(("+xml", "+yaml"))


def _pieces(text: str, separator: str) -> list[str]:
    if '"' not in text:
        return text.split(separator)
    pieces: list[str] = _SPLIT[separator](text)
    return pieces


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return _ESCAPED.sub(r"\1", value[1:-1])
    return value


def specificity(declared: str, actual: str) -> int:
    """Return how exactly a declared media range matches, 0 for not at all."""
    if len(actual) > _CACHED_LENGTH:
        return _specificity(declared, actual)
    return _cached_specificity(declared, actual)


def _specificity(declared: str, actual: str) -> int:
    wanted, given = essence(declared), essence(actual)
    if wanted == given:
        needed = _compared(declared)
        if not needed:
            return 3
        return 4 if needed <= _compared(actual) else 0
    kind, _, sub = wanted.partition("/")
    if sub == "*" and kind not in {"", "*"} and given.startswith(kind + "/"):
        return 2
    return 1 if wanted == "*/*" else 0


_cached_specificity = lru_cache(maxsize=1024)(_specificity)


def _compared(media_type: str) -> frozenset[tuple[str, str]]:
    return frozenset((name, value.lower()) for name, value in parameters(media_type).items())


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

    def names(self) -> list[str]:
        return [media_type for media_type, _ in self.declared]

    def find(self, media_type: str) -> T | None:
        """Return the entry declared for a content type, or None if none matches."""
        found = self._exact.get(media_type)
        if found is not None:
            return found
        return next((entry for _, entry in self._matches(media_type)), None)

    def declares(self, media_type: str) -> bool:
        """Tell whether a content type is declared, with an entry or without."""
        return next(self._matches(media_type), None) is not None

    def _matches(self, media_type: str) -> Iterator[tuple[int, T]]:
        """Yield the best match, if there is any; of equal ones the first declared."""
        best = max(
            ((specificity(declared, media_type), entry) for declared, entry in self.declared),
            key=lambda scored: scored[0],
            default=None,
        )
        if best is not None and best[0]:
            yield best


def _ranges(header: str) -> tuple[tuple[str, float], ...]:
    """Return the media ranges of an Accept field with their qualities; malformed ones are left."""
    ranges = []
    for part in _pieces(header, ",")[:_MAX_RANGES]:
        media_range, *others = _pieces(part, ";")
        name = media_range.strip()
        if name == "*":
            name = "*/*"  # what the clients of the Java platform send by default
        kept, quality = [name], 1.0
        for other in others:
            key, _, value = other.partition("=")
            key, value = key.strip().lower(), value.strip()
            if key == "q":
                quality = float(value) if _QUALITY(value) else -1.0
            elif key != "charset":  # every text that leaves is UTF-8
                kept.append(other.strip())
        if _RANGE(name) and quality >= 0:
            ranges.append((";".join(kept), quality))
    return tuple(ranges)


_cached_ranges = lru_cache(maxsize=256)(_ranges)


def acceptable(accept: str, offered: Sequence[str]) -> str | None:
    """Return the offered media type that `Accept` prefers, or None if it takes none of them.

    The most specific range decides the quality of each offer; `q=0` refuses it.
    """
    ranges = (_ranges if len(accept) > _CACHED_LENGTH else _cached_ranges)(accept)
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
