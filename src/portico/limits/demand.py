"""What one request asks of its buckets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import blake2b
from itertools import count
from typing import NamedTuple

from portico.limits.bucket import Bucket, Kind, Outage, Per, Unit
from portico.limits.network import network_of

# What is longer is not kept in a key as it is; no address or identifier of ours is.
_MAX_SUBJECT = 160
SHARED_TAG = "shared"

# Leases of this process: unlike those of others, and never the same twice.
_PROCESS = os.urandom(9).hex()
_ORDINALS = count()


class LeaseAsked(NamedTuple):
    """A place among the requests at once that a demand asks for."""

    key: bytes
    id: bytes
    seconds: float


class Demand:
    """Buckets with their keys and costs; made once for all requests that ask the same.

    `keys` and `argument` are what the script is given.
    """

    __slots__ = (
        "argument",
        "buckets",
        "costs",
        "counts_content",
        "keys",
        "leases",
        "limit_format",
        "never",
        "policy_field",
        "rows",
    )

    def __init__(
        self,
        buckets: tuple[Bucket, ...],
        keys: tuple[bytes, ...],
        costs: tuple[int, ...],
        policy_field: bytes,
    ) -> None:
        self.buckets = buckets
        self.keys = keys
        self.costs = costs
        self.policy_field = policy_field
        self.rows = tuple(zip(keys, buckets, costs, strict=True))
        self.leases = tuple(
            LeaseAsked(key, _lease(), bucket.lease_seconds)
            for key, bucket, _ in self.rows
            if bucket.kind is Kind.CONCURRENCY
        )
        leases = iter(self.leases)
        self.argument = b" ".join(
            b"%b %d"
            % (bucket.words % next(leases).id if bucket.lease_seconds else bucket.words, cost)
            for _, bucket, cost in self.rows
        )
        self.counts_content = any(bucket.unit is Unit.CONTENT_BYTES for bucket in buckets)
        # Known without asking anybody.
        self.never = any(cost > bucket.capacity for _, bucket, cost in self.rows)
        # RateLimit (draft 11), where every bucket has something to await.
        self.limit_format = b", ".join(
            b'"%b";r=%%d;t=%%d' % bucket.name.encode("ascii") for bucket in buckets
        )

    def closed(self) -> list[str]:
        """Return the names of limits that are not counted here while Redis is away."""
        return [bucket.name for bucket in self.buckets if bucket.outage is Outage.CLOSED]

    def __repr__(self) -> str:
        # Not the keys: they name clients and addresses.
        return f"<Demand {', '.join(bucket.name for bucket in self.buckets)}>"


def _lease() -> bytes:
    # The letter keeps it from being read as a number.
    return f"L{_PROCESS}-{next(_ORDINALS)}".encode()


def policy_field(buckets: Sequence[Bucket]) -> bytes:
    """Return the value of RateLimit-Policy (draft 11)."""
    return ", ".join(bucket.item for bucket in buckets).encode("ascii")


class KeySpace:
    """The names of buckets in Redis.

    Buckets of one caller have the caller's hash tag, and those that callers share one of their own.
    With `tag` all have that one, as a cluster needs where the two kinds are asked together.
    """

    __slots__ = ("_prefix", "_tag")

    def __init__(self, prefix: str = "portico", tag: str = "") -> None:
        if not prefix or "{" in prefix or "}" in tag:
            raise ValueError("expected a prefix without { and a tag without }")
        self._prefix = prefix
        self._tag = tag

    def key(
        self, bucket: Bucket, *, operation: str, client_id: str, address: str, tag: str
    ) -> bytes:
        per = bucket.per
        if per is Per.OPERATION:
            subject, tag = operation, SHARED_TAG
        elif per is Per.ADDRESS:
            subject, tag = network_of(address), SHARED_TAG
        else:
            subject = f"client/{client_id}" if client_id else f"address/{network_of(address)}"
            if per is Per.CLIENT_OPERATION:
                subject = f"{operation}/{subject}"
        return self.name(bucket, subject, tag or SHARED_TAG)

    def name(self, bucket: Bucket, subject: str, tag: str) -> bytes:
        """Return the key of a bucket for a subject of any length.

        The kind is part of it: another strategy under the same name starts a key of its own.
        """
        if len(subject) > _MAX_SUBJECT:
            subject = blake2b(subject.encode("utf-8", "replace"), digest_size=20).hexdigest()
        tag = self._tag or tag
        name = f"{self._prefix}:limit:{bucket.kind.value}:{{{tag}}}:{bucket.name}:{subject}"
        return name.encode("utf-8", "replace")
