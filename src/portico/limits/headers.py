"""The fields that tell callers about limits, in the syntax that the configuration chooses.

`draft-11` is that of draft-ietf-httpapi-ratelimit-headers-11, `draft-06` of its sixth edition, `x`
the older custom. All are drafts or customs, none a standard.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from enum import StrEnum
from hashlib import blake2b

from portico.limits.bucket import MICROSECONDS, Kind
from portico.limits.scripts import NUMBERS_OF_BUCKET, NUMBERS_OF_HEAD
from portico.limits.verdict import Standing, Verdict

Field = tuple[bytes, bytes]

_POLICY = b"ratelimit-policy"
_LIMIT = b"ratelimit"
# Set while this process counts alone; the numbers are its own.
LOCAL_FIELD: Field = (b"portico-ratelimit-scope", b"process")
_DRAFT_06 = (b"ratelimit-limit", b"ratelimit-remaining", b"ratelimit-reset")
_X = (b"x-ratelimit-limit", b"x-ratelimit-remaining", b"x-ratelimit-reset")
# Without meaning on a response that was stored (RFC 9111, Age above 0).
FIELD_NAMES = frozenset({_POLICY, _LIMIT, *_DRAFT_06, *_X, LOCAL_FIELD[0], b"retry-after"})
_CLASH_PREFIX = '"gateway-'


class HeaderStyle(StrEnum):
    """Which fields are sent. Retry-After is not among them: it is always there."""

    DRAFT_11 = "draft-11"
    DRAFT_06 = "draft-06"
    X = "x"
    OFF = "off"


class LimitHeaders:
    """Makes the fields of responses.

    With `partition_keys` each item says whose quota it is about, by a digest that tells nothing.
    """

    __slots__ = ("_build", "_is_off", "_partition_keys")

    def __init__(
        self, style: HeaderStyle = HeaderStyle.DRAFT_11, *, partition_keys: bool = False
    ) -> None:
        self._partition_keys = partition_keys
        self._is_off = style is HeaderStyle.OFF
        self._build = {HeaderStyle.DRAFT_06: _draft_06, HeaderStyle.X: _x}.get(
            style, self._draft_11
        )

    def fields(self, verdict: Verdict, status: int = 200) -> list[Field]:
        """Return the fields for a response of any status but a redirection.

        Whoever is redirected would take the numbers for those of the target, and wait.
        """
        if self._is_off or 300 <= status < 400 or verdict.closed:
            return []
        fields = self._build(verdict)
        if verdict.is_local:
            fields.append(LOCAL_FIELD)
        return fields

    def beside(self, existing: Iterable[Field], verdict: Verdict, status: int = 200) -> list[Field]:
        """Return the fields to add to those an upstream has sent, which all stay as they are.

        A policy that has the name of one of the upstream's gets another. Fields that can be there
        only once are left to the upstream.
        """
        ours = self.fields(verdict, status)
        theirs: dict[bytes, bytes] = {}
        for name, value in existing:
            if name in FIELD_NAMES:
                theirs[name] = theirs.get(name, b"") + b"," + value
        if not theirs:
            return ours
        if self._build == self._draft_11:
            taken = b"".join(theirs.values())
            return [(name, _renamed(value, taken)) for name, value in ours]
        once = [name for name, _ in ours if name in theirs]
        return [field for field in ours if not once or field == LOCAL_FIELD]

    def _draft_11(self, verdict: Verdict) -> list[Field]:
        numbers, demand = verdict.numbers, verdict.demand
        refused = numbers[0] != 0
        if not refused and not self._partition_keys:
            values = _plain(numbers)
            if values is not None:
                return [(_POLICY, demand.policy_field), (_LIMIT, demand.limit_format % values)]
        items = []
        at = NUMBERS_OF_HEAD
        for index, bucket in enumerate(demand.buckets):
            # A refusal tells of what caused it: no window shown ends after its Retry-After.
            if not refused or numbers[at]:
                more = numbers[at + 3]
                window = f";t={-(-more // MICROSECONDS)}" if more else ""
                owner = self._partition(verdict, index)
                items.append(f'"{bucket.name}";r={numbers[at + 1]}{window}{owner}')
            at += NUMBERS_OF_BUCKET
        policies = demand.policy_field
        if self._partition_keys:
            policies = ", ".join(
                bucket.item + self._partition(verdict, index)
                for index, bucket in enumerate(demand.buckets)
            ).encode("ascii")
        return [(_POLICY, policies), (_LIMIT, ", ".join(items).encode("ascii"))]

    def _partition(self, verdict: Verdict, index: int) -> str:
        if not self._partition_keys:
            return ""
        digest = blake2b(verdict.demand.keys[index], digest_size=9).digest()
        return f";pk=:{b64encode(digest).decode()}:"


def retry_after(verdict: Verdict) -> Field:
    """Return Retry-After: whole seconds, at least 1."""
    return (b"retry-after", b"%d" % verdict.retry_after_seconds)


def without_limits(fields: Iterable[Field]) -> list[Field]:
    """Return fields as a cache stores them: limits of then are not those of now."""
    return [field for field in fields if field[0].lower() not in FIELD_NAMES]


def _plain(numbers: Sequence[int]) -> tuple[int, ...] | None:
    """Return remaining and window of each bucket, None if one has no window: the usual, quickly."""
    values: list[int] = []
    for at in range(NUMBERS_OF_HEAD, len(numbers), NUMBERS_OF_BUCKET):
        more = numbers[at + 3]
        if not more:
            return None
        values += (numbers[at + 1], -(-more // MICROSECONDS))
    return tuple(values)


def _draft_06(verdict: Verdict) -> list[Field]:
    rates = [standing for standing in verdict.standings() if _is_rate(standing)]
    if not rates:
        return []
    tightest = _tightest(rates)
    reset = b"%d" % tightest.more_seconds
    values = (b"%d" % tightest.bucket.capacity, b"%d" % tightest.remaining, reset)
    policies = ", ".join(
        f"{rate.bucket.amount}"
        f"{f';w={rate.bucket.window_seconds}' if rate.bucket.window_seconds else ''}"
        f"{f';burst={rate.bucket.capacity}' if rate.bucket.kind is Kind.GCRA else ''}"
        f';name="{rate.bucket.name}"'
        for rate in rates
    )
    return [*zip(_DRAFT_06, values, strict=True), (_POLICY, policies.encode("ascii"))]


def _x(verdict: Verdict) -> list[Field]:
    """Return the fields with the reset as seconds since 1970, on the clock that counted."""
    rates = [standing for standing in verdict.standings() if _is_rate(standing)]
    if not rates:
        return []
    tightest = _tightest(rates)
    reset_us = verdict.now_us + tightest.more_seconds * MICROSECONDS
    reset = b"%d" % -(-reset_us // MICROSECONDS)
    values = (b"%d" % tightest.bucket.capacity, b"%d" % tightest.remaining, reset)
    return list(zip(_X, values, strict=True))


def _is_rate(standing: Standing) -> bool:
    return standing.bucket.kind is not Kind.CONCURRENCY


def _tightest(rates: list[Standing]) -> Standing:
    """Return the one that will refuse first, as far as can be said."""
    return min(rates, key=lambda rate: (not rate.violated, rate.remaining, -rate.more_seconds))


def _renamed(value: bytes, taken: bytes) -> bytes:
    items = value.decode("latin-1").split(", ")
    names = [item.partition(";")[0] for item in items]
    return ", ".join(
        item.replace('"', _CLASH_PREFIX, 1) if name.encode("latin-1") in taken else item
        for name, item in zip(names, items, strict=True)
    ).encode("latin-1")
